"""A handful of faults at random instants; the soak (`python tests/faults/soak.py`) has hundreds, of all kinds."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from disks import can_break_disks
from faults import FAULTS, Scene
from scenes import Session, Work, lines, look, wait_until
from trials import Unbroken, trial, unbroken
from works import search_words

BY_NAME = {fault.name: fault for fault in FAULTS}
NUM = 8


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    """What the search finds when nothing happens to it; with a worker or not, the energies are the same."""
    return unbroken(Work("unbroken", search_words("Slow", NUM)), tmp_path_factory.mktemp("unbroken") / "folder")


def strike(work: Work, expected: Unbroken, folder: Path, *names: str, on_disk: bool = False) -> list[str]:
    """Break the work with faults by name, resume it to its end, and return which have struck."""
    struck: list[str] = []
    faults = [BY_NAME[name] for name in names]
    troubles = trial(
        work, expected, faults, folder / "trial", Random(0),
        lambda event: struck.append(event["fault"]) if event["event"] == "fault" else None, on_disk,
    )  # fmt: skip
    assert troubles == []
    return struck


@pytest.mark.slow
def test_a_killed_search_with_a_damaged_journal(needs_mpirun: None, expected: Unbroken, tmp_path: Path) -> None:
    """Of two ranks one is killed; then the end of a journal is damaged, and that of a note of what was in hand."""
    work = Work("search on 2 ranks", search_words("Slow", NUM), ranks=2)
    names = "kill a rank", "damage a journal", "damage a note of what is in hand"
    assert {"kill a rank", "damage a journal"} <= set(strike(work, expected, tmp_path, *names))


@pytest.mark.slow
def test_a_disk_that_is_full_and_one_that_fails(expected: Unbroken, tmp_path: Path) -> None:
    if not can_break_disks():
        pytest.skip("needs root, ext4 and loop devices")
    work = Work("search", search_words("Slow", NUM))
    assert len(strike(work, expected, tmp_path, "disk full", "disk read-only", on_disk=True)) == 2


@pytest.mark.slow
def test_a_relaxer_whose_worker_is_taken(tmp_path: Path) -> None:
    """The candidate ends with an error that says so, and the next has a new worker: nothing hangs."""
    work = Work("search with a worker", search_words("WithWorker", NUM))
    session = Session.start(work, tmp_path / "run", tmp_path)
    scene = Scene(work, tmp_path / "run", session=session)
    wait_until(lambda: lines(work, scene.out) >= 2, 300)
    assert BY_NAME["take a worker"].inject(scene, Random(0)) == "SIGKILL"
    assert session.wait() == [0]
    relaxations = [fact["relaxation"] for fact in look(work, scene.out).facts.values()]
    assert len(relaxations) == NUM
    (message,) = (r["message"] for r in relaxations if r["status"] == "error")
    assert "the worker is gone" in message
