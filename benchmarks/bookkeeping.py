"""1,000,000 candidates of bookkeeping: time to start, time to resume, memory of the coordinator, bytes of a candidate.

A campaign of 100 compositions with 10,000 candidates each, of 8 atoms, is made up: its journals are written without
drawing or relaxing anything, half of each. Then, each in a process of its own,

- `start`: an empty folder is opened, until the first candidate is handed out;
- `resume`: the folder is opened where half is done, until the first candidate is handed out; then all others are handed
  out and taken back, without relaxing them;
- `single`: the same for one search of 1,000,000 candidates.

    python benchmarks/bookkeeping.py [--compositions 100] [--num 10000]
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase import Atoms

from xtalseek.records import Candidate, Record, Relaxation, Status
from xtalseek.search.campaign import open_campaign
from xtalseek.search.campaign_config import Campaign, read_campaign
from xtalseek.search.campaign_units import SHARED, CampaignUnits
from xtalseek.search.claims import Claims, Heartbeat
from xtalseek.search.config import SearchConfig, resolve
from xtalseek.search.desk import Desk
from xtalseek.search.finished import read_finished
from xtalseek.search.provenance import provenance
from xtalseek.search.results import write_results
from xtalseek.search.run import open_run, open_unit
from xtalseek.search.store import journal_line, load_run
from xtalseek.search.tasks import Close, Finished, Relax
from xtalseek.search.units import OneUnit
from xtalseek.search.workshop import Workshop

ATOMS = 8


def campaign_of(folder: Path, compositions: int, num: int) -> Campaign:
    """Binary oxides of made-up proportions."""
    formulas = [f"Mg{a}O{b}" for a in range(1, 60) for b in range(1, 60) if np.gcd(a, b) == 1][:compositions]
    (folder / "list.txt").write_text("\n".join(formulas))
    words = {"num": num, "formula_units": "1", "relaxer": "lj", "out": str(folder / "campaign")}
    return read_campaign(str(folder / "list.txt"), words)


def made_up(config: SearchConfig, numbers: range) -> Iterator[Record]:
    """Records of random structures."""
    rng = np.random.default_rng(0)
    name = config.target.name
    for number in numbers:
        atoms = Atoms("Mg4O4", positions=rng.random((ATOMS, 3)) * 5, cell=np.diag(rng.random(3) + 4), pbc=True)
        relaxed = Relaxation(atoms, Status.CONVERGED, "", float(rng.normal(-5)), 0.0, 0.01, 0.01, 30, 31, 1.0)
        facts = {"formula_units": 1, "space_group": 14, "attempts": 3}
        yield Record(Candidate(name, "random", number, atoms, 0.01, "", facts), relaxed, 1.7e9 + number, 0, number)


def write_journal(config: SearchConfig, numbers: range) -> int:
    """A whole journal at once, not fsynced line by line; its bytes."""
    open_run(config, {})
    file = Path(config.out) / "journal" / "0000-rank0000.jsonl"
    file.parent.mkdir()
    with file.open("wb") as journal:
        journal.writelines(journal_line(record) for record in made_up(config, numbers))
    return file.stat().st_size


def hand_out(desk: Desk, start: float) -> dict[str, float]:
    """Everything, taken back at once."""
    first, count = 0.0, 0
    while (task := desk.next()) is not None:
        if isinstance(task, Close):
            desk.closed(task)
            continue
        assert isinstance(task, Relax)
        a = task.assignment
        if not count:
            first = time.perf_counter()
        name = f"{task.search}-random-{a.index:06d}"
        desk.done(Finished(a.number, name, "random", a.index, "converged", -5.0 - 1e-6 * a.index, 9.0, 1, 1.0,
                           search=task.search))  # fmt: skip
        count += 1
    seconds = time.perf_counter() - first
    return {
        "until_first_candidate_s": first - start,
        "handed_out": count,
        "us_per_candidate": 1e6 * seconds / max(count, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _refused(search: str, reason: str) -> None:
    raise RuntimeError(f"{search}: {reason}")


def of_campaign(campaign: Campaign) -> dict[str, float]:
    """Open it, and work through what is left."""
    start = time.perf_counter()
    opened = open_campaign(campaign, {})
    workshop = Workshop(opened.searches)
    folder = Path(opened.out)
    with Heartbeat(folder) as beat:
        units = CampaignUnits(workshop, 1, {}, Claims(folder, beat.job), {}, {}, _refused)
        return hand_out(Desk(units, lambda finished: None), start)


def of_search(config: SearchConfig) -> dict[str, float]:
    """The same for a single search."""
    start = time.perf_counter()
    opened = open_run(config, {})
    unit, _ = open_unit(Workshop({"": opened}), read_finished(Path(opened.out)))
    return hand_out(Desk(OneUnit(unit), lambda finished: None), start)


def in_process(what: str, options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Of a fresh process, so that memory is its own."""
    words = [sys.executable, __file__, "--measure", what, "--folder", str(folder)]
    words += ["--compositions", str(options.compositions), "--num", str(options.num)]
    found: dict[str, float] = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    return found


def measure(options: argparse.Namespace) -> dict[str, float]:
    """One of the measurements."""
    campaign = campaign_of(options.folder, options.compositions, options.num)
    if options.measure == "single":
        return of_search(single(campaign, options))
    if options.measure == "start":
        campaign = replace(campaign, out=str(options.folder / "empty"), searches={
            name: replace(config, out=str(options.folder / "empty" / "runs" / name))
            for name, config in campaign.searches.items()
        })  # fmt: skip
    return of_campaign(campaign)


def single(campaign: Campaign, options: argparse.Namespace) -> SearchConfig:
    """One search of as many candidates as the campaign has."""
    words = {"formula": "MgO", "num": options.compositions * options.num, "formula_units": "1", "relaxer": "lj"}
    return resolve({**words, "out": str(options.folder / "single")})


def main() -> None:
    """Write, then measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--compositions", type=int, default=100)
    parser.add_argument("--num", type=int, default=10_000)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.getLogger("xtalseek").setLevel(logging.ERROR)
    if options.measure:
        sys.stdout.write(json.dumps(measure(options)))
        return
    result: dict[str, object] = {"hardware": provenance("python benchmarks/bookkeeping.py", 1, 1)}
    with tempfile.TemporaryDirectory() as temporary:
        options.folder = Path(temporary)
        campaign = campaign_of(options.folder, options.compositions, options.num)
        open_campaign(campaign, {})
        done = range(options.num // 2 // SHARED * SHARED)
        written = sum(write_journal(config, done) for config in campaign.searches.values())
        result["journal_bytes_per_candidate"] = round(written / len(done) / options.compositions)
        first = next(iter(campaign.searches.values()))
        stored = write_results(load_run(first.out))
        result["results_h5_bytes_per_candidate"] = round(stored.stat().st_size / len(done))
        with Heartbeat(Path(campaign.out)) as beat:
            claims = Claims(Path(campaign.out), beat.job)
            for name in campaign.searches:
                for place in range(len(done) // SHARED):
                    claims.take(f"01-{name}-{place:04d}")
                    claims.finished(f"01-{name}-{place:04d}")
        result["start"] = in_process("start", options, options.folder)
        result["resume"] = in_process("resume", options, options.folder)
        one = single(campaign, options)
        write_journal(one, range(one.num // 2))
        result["single"] = in_process("single", options, options.folder)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
