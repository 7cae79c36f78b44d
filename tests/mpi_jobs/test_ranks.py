"""Searches on several ranks: the same candidates, balanced; what a failing or killed rank does to the others."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from running import Run, command, environment, toy_search

from xtalseek.analysis import find_minima
from xtalseek.records import Record
from xtalseek.search.store import load_run

pytestmark = pytest.mark.usefixtures("needs_mpirun")


def facts(record: Record) -> tuple[Any, ...]:
    relaxation = record.relaxation
    assert record.candidate.atoms is not None
    cell = record.candidate.atoms.cell.array.tolist()
    return record.name, cell, relaxation.status, relaxation.energy, relaxation.steps


def start(out: Path, *more: str, num: int, ranks: int) -> subprocess.Popen[bytes]:
    """A search in a process group of its own, so that all of it can be killed."""
    return subprocess.Popen(
        command(*toy_search(out, *more, num=num), ranks=ranks),
        env=environment(), cwd=out.parent, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def lines(out: Path) -> int:
    """Whole lines in all journals."""
    return sum(file.read_bytes().count(b"\n") for file in (out / "journal").glob("*.jsonl"))


def wait_for_lines(out: Path, number: int, process: subprocess.Popen[bytes]) -> None:
    """Until the journal has grown so far, or the search has ended."""
    while process.poll() is None and lines(out) < number:
        time.sleep(0.005)


def rank_pids(out: Path) -> list[int]:
    """Processes of the search that writes to `out`, launchers left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if (
            b"xtalseek" in words
            and str(out).encode() in words
            and b"mpirun" not in words[0]
            and b"hydra" not in words[0]
        ):
            found.append(int(folder.name))
    return sorted(found)


def test_one_rank_and_four_find_the_same(xtalseek: Run, tmp_path: Path) -> None:
    for ranks in (1, 4):
        finished = xtalseek(*toy_search(f"on{ranks}", num=12), ranks=ranks)
        assert finished.returncode == 0, finished.stderr
        assert f"report: on{ranks}/report.html" in finished.stdout
    one, four = (load_run(tmp_path / f"on{ranks}") for ranks in (1, 4))
    assert [facts(r) for r in one.records] == [facts(r) for r in four.records]
    assert len({r.rank for r in four.records}) > 1
    ranked = [
        [(m.name, m.members, m.enthalpy_per_atom, m.space_group) for m in find_minima(run)] for run in (one, four)
    ]
    assert ranked[0] == ranked[1]


@pytest.mark.slow
def test_ranks_share_an_adaptive_budget_and_what_was_found(xtalseek: Run, tmp_path: Path) -> None:
    """What is drawn depends on what was finished first; that nothing is drawn twice or left out does not."""
    words = ("--source", "random,shake", "--schedule", "adaptive")
    finished = xtalseek(*toy_search("run", num=16), *words, ranks=3)
    assert finished.returncode == 0, finished.stderr
    records = load_run(tmp_path / "run").records
    assert [r.number for r in records] == list(range(16))
    for source in ("random", "shake"):
        indices = [r.candidate.index for r in records if r.candidate.source == source]
        assert sorted(indices) == list(range(len(indices)))
    shaken = [r for r in records if r.candidate.source == "shake"]
    assert len(shaken) >= 3
    assert {r.candidate.provenance["parent"] for r in shaken} <= {r.name for r in records}
    assert len({r.rank for r in shaken}) > 1


def test_only_rank_0_speaks(xtalseek: Run) -> None:
    finished = xtalseek(*toy_search("run", num=4), ranks=3)
    assert finished.stdout.count("report:") == 1
    assert finished.stderr.count("4/4 candidates") == 1
    refused = xtalseek("search", "Xx", ranks=3)
    assert refused.returncode == 2
    assert refused.stderr.count("unknown element") == 1


def test_a_folder_of_another_search_is_refused_on_all_ranks(xtalseek: Run) -> None:
    assert xtalseek(*toy_search("run", num=1)).returncode == 0
    refused = xtalseek(*toy_search("run", "--pressure-gpa", "5", num=1), ranks=2)
    assert refused.returncode == 2
    assert refused.stderr.strip().endswith("(pressure_gpa: 0.0 in the run folder, 5.0 asked for): give another --out")


def test_a_rank_that_cannot_write_ends_the_job_and_says_so_in_one_line(xtalseek: Run, tmp_path: Path) -> None:
    """The journal cannot be written: a file stands where its folder should be."""
    assert xtalseek(*toy_search("run", num=1)).returncode == 0
    for file in (tmp_path / "run" / "journal").iterdir():
        file.unlink()
    (tmp_path / "run" / "journal").rmdir()
    (tmp_path / "run" / "journal").write_text("")
    finished = xtalseek(*toy_search("run", num=4), ranks=2, timeout=60)
    assert finished.returncode not in (0, 2)
    assert "Traceback" not in finished.stderr
    assert "everything before it is safe" in finished.stderr


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 3])
def test_a_search_told_to_end_ends_cleanly_and_resumes(xtalseek: Run, tmp_path: Path, ranks: int) -> None:
    out = tmp_path / "run"
    process = start(out, "--relaxer", "toy_potentials:Slow", num=14, ranks=ranks)
    wait_for_lines(out, 3, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) is not None
    done = len(load_run(out).records)
    assert 3 <= done < 14
    assert (out / "results.h5").is_file()
    assert (out / "report.html").is_file()
    log = "".join(file.read_text() for file in (out / "log").iterdir())
    assert "told to end (SIGTERM)" in log
    assert f"{14 - done} candidates left" in log
    assert xtalseek(*toy_search(out, "--relaxer", "toy_potentials:Slow", num=14), ranks=2).returncode == 0
    assert len(load_run(out).records) == 14


def test_the_time_limit_ends_all_ranks(xtalseek: Run, tmp_path: Path) -> None:
    words = toy_search("run", "--relaxer", "toy_potentials:Slow", "--max-hours", "0.001", num=500)
    finished = xtalseek(*words, ranks=2, timeout=120)
    assert finished.returncode == 0, finished.stderr
    assert "the time limit was reached" in finished.stderr
    assert 0 < len(load_run(tmp_path / "run").records) < 500


def kill_all(process: subprocess.Popen[bytes], out: Path) -> None:
    """SIGKILL to launcher and ranks, wherever the launcher put them."""
    os.killpg(process.pid, signal.SIGKILL)
    for pid in rank_pids(out):
        os.kill(pid, signal.SIGKILL)


def kill_one(process: subprocess.Popen[bytes], out: Path) -> None:
    """SIGKILL to the rank that was started last."""
    pids = rank_pids(out)
    if pids:
        os.kill(pids[-1], signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("kill", [kill_all, kill_one])
def test_kills_at_random_instants_cost_nothing_but_what_was_in_flight(xtalseek: Run, tmp_path: Path, kill: Any) -> None:
    """Killed again and again, a search ends with the candidates of an unbroken one, each once and each the same."""
    num, ranks, rng = 24, 3, random.Random(0)
    out = tmp_path / "broken"
    kills = 0
    while lines(out) < num:
        process = start(out, num=num, ranks=ranks)
        wait_for_lines(out, lines(out) + rng.randint(1, 6), process)
        time.sleep(rng.uniform(0, 0.3))
        before = len(load_run(out).records) if (out / "config.toml").exists() else 0
        if process.poll() is None:
            kill(process, out)
            kills += 1
        process.wait(timeout=60)
        while rank_pids(out):
            time.sleep(0.01)
        assert len(load_run(out).records) >= before
    assert kills >= 3
    assert xtalseek(*toy_search(out, num=num), ranks=2).returncode == 0
    assert xtalseek(*toy_search("unbroken", num=num), ranks=2).returncode == 0
    broken, unbroken = load_run(out), load_run(tmp_path / "unbroken")
    assert [facts(r) for r in broken.records] == [facts(r) for r in unbroken.records]
    names = [line for file in (out / "journal").glob("*.jsonl") for line in file.read_bytes().splitlines()]
    assert len(names) - broken.torn_lines == num
