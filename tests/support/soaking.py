"""Break small searches and campaigns at random instants, many times, and resume them: nothing may be lost.

    python tests/faults/soak.py --faults 200 --seed 1 --out FOLDER

prints JSON lines: each fault, each session and each trial (a search that was broken a few times and resumed to its
end), and a summary. Exit status 1 where anything went wrong; the folders of such trials are kept in FOLDER.

With Open MPI, searches that outlive a dead rank are soaked too: --ulfm-mpirun, or the variable XTALSEEK_ULFM_MPIRUN,
names its mpirun. As root, disks are filled and fail, too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from disks import can_break_disks
from faults import FAULTS
from running import BIN
from scenes import Work
from trials import Unbroken, choose_faults, trial, unbroken
from works import FORMULAS, campaign_words, search_words


def works(ranks: int, ulfm_mpirun: Path | None, lists: Path) -> list[Work]:
    """What is broken: searches and campaigns, on one rank and several, in one job and two."""
    three, one = lists / "three.txt", lists / "one.txt"
    three.write_text("\n".join(FORMULAS) + "\n")
    one.write_text(FORMULAS[0] + "\n")
    search, campaign = search_words("Slow", 16), campaign_words(three, "Slow", 5)
    found = [
        Work("search", search),
        Work("search with a worker", search_words("WithWorker", 16)),
        Work("campaign", campaign),
        Work("campaign of two jobs", campaign, jobs=2),
        Work("campaign of two jobs on one composition", campaign_words(one, "Pairs", 70), jobs=2),
    ]
    if (BIN / "mpirun").exists():
        found += [
            Work(f"search on {ranks} ranks", search, ranks),
            Work(f"search with workers on {ranks} ranks", search_words("WithWorker", 16), ranks),
            Work(f"campaign on {ranks} ranks", campaign, ranks),
        ]
    if ulfm_mpirun is not None:
        found += [
            Work(f"search on {ranks} ranks, ULFM", search, ranks, mpirun=ulfm_mpirun),
            Work(f"campaign on {ranks} ranks, ULFM", campaign, ranks, mpirun=ulfm_mpirun),
        ]
    return found


def soak(options: argparse.Namespace) -> int:
    """All trials; the exit status."""
    out = Path(options.out).resolve()
    out.mkdir(parents=True)
    tell = _teller(out / "soak.jsonl")
    rng, start = Random(options.seed), time.monotonic()
    breakable = can_break_disks()
    mpirun = Path(options.ulfm_mpirun) if options.ulfm_mpirun else None
    all_works = works(options.ranks, mpirun, out)
    tell({"event": "start", "words": sys.argv[1:], "disks can be broken": breakable, "ulfm": str(mpirun)})
    known: dict[tuple[str, ...], Unbroken] = {}
    counted: Counter[str] = Counter()
    by_work: Counter[str] = Counter()
    bad = trials = 0

    def count(event: dict[str, Any]) -> None:
        tell(event | {"trial": trials})
        if event["event"] == "fault":
            counted[event["fault"]] += 1
            by_work[event["work"]] += 1

    while counted.total() < options.faults and (time.monotonic() - start) / 3600 < options.hours:
        trials += 1
        work = rng.choices(all_works, [1 if work.is_campaign else 3 for work in all_works])[0]  # campaigns take longer
        if work.words not in known:
            known[work.words] = unbroken(Work("unbroken", work.words), out / f"unbroken-{len(known)}")
        on_disk = breakable and rng.random() < 0.6
        faults = choose_faults(work, rng, rng.randint(3, 8), on_disk)
        begun = time.monotonic()
        try:
            troubles = trial(work, known[work.words], faults, out / f"trial-{trials:03d}", rng, count, on_disk)
        except OSError as error:  # the soak goes on
            troubles = [f"the disk of the trial: {error}"]
        bad += bool(troubles)
        tell({
            "event": "trial", "trial": trials, "work": work.name, "on a small disk": on_disk, "troubles": troubles,
            "verdict": "BAD" if troubles else "good", "seconds": round(time.monotonic() - begun),
        })  # fmt: skip
    tell({
        "event": "summary", "faults": counted.total(), "trials": trials, "bad trials": bad,
        "by fault": {fault.name: counted[fault.name] for fault in FAULTS}, "by work": by_work,
        "hours": round((time.monotonic() - start) / 3600, 2),
    })  # fmt: skip
    return 1 if bad else 0


def _teller(file: Path) -> Callable[[dict[str, Any]], None]:
    def tell(event: dict[str, Any]) -> None:
        line = json.dumps({"time": time.strftime("%H:%M:%S")} | event)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        with file.open("a") as log:
            log.write(line + "\n")

    return tell


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200, help="that have struck before it ends (default: 200)")
    parser.add_argument("--hours", type=float, default=24.0, help="after which no new trial begins (default: 24)")
    parser.add_argument("--seed", type=int, default=1, help="of what strikes when (default: 1)")
    parser.add_argument("--ranks", type=int, default=3, help="of the works on several ranks (default: 3)")
    parser.add_argument("--ulfm-mpirun", default=os.environ.get("XTALSEEK_ULFM_MPIRUN"), help="mpirun of Open MPI")
    parser.add_argument("--out", required=True, help="a new folder")
    return soak(parser.parse_args())
