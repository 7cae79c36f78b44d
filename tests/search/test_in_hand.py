"""Candidates that crash the process: with real crashes, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import timeit
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read
from running import environment

from xtalseek.errors import StorageError
from xtalseek.files import write_atomic
from xtalseek.records import Candidate, Status
from xtalseek.records_json import atoms_to_json, to_json
from xtalseek.search.config import resolve, to_toml
from xtalseek.search.in_hand import InHand, Suspect, quarantine, suspects, tidy
from xtalseek.search.schedule import Assignment
from xtalseek.search.store import CONFIG_FILE, Journal, load_run

# What a worker does: relaxes the candidates named, all at once, and then something happens to it.
WORKER = """
import ctypes, os, resource, signal, sys
from pathlib import Path
from ase.build import bulk
from xtalseek.records import Candidate
from xtalseek.search.in_hand import InHand
from xtalseek.search.schedule import Assignment

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
folder, what, *indices = sys.argv[1:]
with InHand(Path(folder)) as hand:
    for index in [9, *map(int, indices)]:
        hand.begins_to_draw("Cu", Assignment(index, "random", index))
        if what != "draw":
            hand.begins_to_relax("Cu", index, Candidate("Cu", "random", index, bulk("Cu", a=3.6 + index / 7)))
    hand.done("Cu", 9)
    def evaluate():
        if what in ("string_at", "draw"):
            ctypes.string_at(0)
        elif what == "abort":
            os.abort()
        elif what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif what == "raise":
            raise RuntimeError("not a crash")
        elif what == "exit":
            os._exit(1)
        elif what == "child":
            child = os.fork()
            if child == 0:
                ctypes.string_at(0)
            os.waitpid(child, 0)
            hand.done("Cu", int(indices[0]))
            os.kill(os.getpid(), signal.SIGKILL)
        elif what == "wait":
            print("ready", flush=True)
            sys.stdin.read()
    evaluate()
"""


def work(folder: Path, what: str, *indices: int) -> int:
    words = [sys.executable, "-c", WORKER, str(folder), what, *map(str, indices)]
    return subprocess.run(words, env=environment(), stderr=subprocess.DEVNULL, check=False, timeout=60).returncode


def found(folder: Path) -> dict[int, tuple[int, int]]:
    """Strikes, and strikes alone, of each suspect."""
    return {s.index: (s.strikes, s.alone) for s in suspects(folder)}


@pytest.mark.parametrize(
    ("what", "by", "words"),
    [
        ("string_at", signal.SIGSEGV, "Segmentation fault in string_at"),
        ("abort", signal.SIGABRT, "Aborted in evaluate"),
    ],
)
def test_a_crash_is_a_strike_for_what_was_in_hand(tmp_path: Path, what: str, by: signal.Signals, words: str) -> None:
    assert work(tmp_path, what, 3) == -by
    (suspect,) = suspects(tmp_path)
    assert (suspect.search, suspect.source, suspect.index, suspect.number) == ("Cu", "random", 3, 3)
    assert (suspect.strikes, suspect.alone, suspect.guilty) == (1, 1, False)
    assert suspect.crash.startswith(words)
    assert "evaluate" in suspect.tracebacks[0]
    assert suspect.atoms is not None
    assert np.array_equal(suspect.atoms.cell.array, bulk("Cu", a=3.6 + 3 / 7).cell.array)


def test_a_crash_while_drawing_has_no_structure(tmp_path: Path) -> None:
    assert work(tmp_path, "draw", 0) == -signal.SIGSEGV
    (suspect,) = suspects(tmp_path)
    assert suspect.atoms is None


@pytest.mark.parametrize("what", ["kill", "exit", "raise", "child"])
def test_what_is_no_crash_is_no_strike(tmp_path: Path, what: str) -> None:
    """SIGKILL, an end without clean-up, an exception, and the crash of a child that the process survived."""
    assert work(tmp_path, what, 1, 2) != 0
    assert suspects(tmp_path) == []
    assert len(list((tmp_path / "in_hand").iterdir())) == (what != "raise")
    tidy(tmp_path, lambda *candidate: False)
    assert list((tmp_path / "in_hand").iterdir()) == []


def test_a_living_process_is_not_judged(tmp_path: Path) -> None:
    words = [sys.executable, "-c", WORKER, str(tmp_path), "wait", "1"]
    with subprocess.Popen(words, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        (file,) = (tmp_path / "in_hand").iterdir()
        with file.open("ab") as fault:  # as of a child that crashed just now
            fault.write(b"Fatal Python error: Segmentation fault\n\n")
        assert suspects(tmp_path) == []
        tidy(tmp_path, lambda *candidate: True)
        assert file.exists()
        process.kill()
    assert found(tmp_path) == {1: (1, 1)}


def test_of_a_batch_the_second_crash_singles_out_the_guilty(tmp_path: Path) -> None:
    work(tmp_path, "string_at", 1, 2, 3)
    assert found(tmp_path) == {1: (1, 0), 2: (1, 0), 3: (1, 0)}
    work(tmp_path, "string_at", 1, 2, 3)
    assert not any(s.guilty for s in suspects(tmp_path)), "two crashes together say nothing of any one of them"
    work(tmp_path, "string_at", 2)
    assert [s.index for s in suspects(tmp_path) if s.guilty] == [2]
    tidy(tmp_path, lambda search, source, index: index != 3)
    assert found(tmp_path)[3] == (2, 0), "a file is kept while one of its candidates is undecided"
    tidy(tmp_path, lambda search, source, index: True)
    assert suspects(tmp_path) == []
    assert list((tmp_path / "in_hand").iterdir()) == []


def test_two_crashes_then_quarantine(tmp_path: Path) -> None:
    write_atomic(tmp_path / CONFIG_FILE, to_toml(resolve({"formula": "Cu", "num": 10}), {}))
    for _ in range(2):
        work(tmp_path, "string_at", 5)
    (suspect,) = suspects(tmp_path)
    assert suspect.guilty
    record = quarantine(tmp_path, suspect, "Cu", pressure_gpa=3.0)
    Journal(tmp_path).append(record)
    (stored,) = load_run(tmp_path).records
    assert (stored.name, stored.number, stored.relaxation.status) == ("Cu-random-000005", 5, Status.ERROR)
    assert stored.relaxation.pressure_gpa == 3.0
    message = stored.relaxation.message
    assert message.startswith(
        "crashed the process twice while it was relaxed (Segmentation fault in string_at, __init__"
    )
    assert "quarantine/Cu-random-000005.extxyz" in message
    assert "\n" not in message
    kept = read(tmp_path / "quarantine" / "Cu-random-000005.extxyz")
    assert isinstance(kept, Atoms)
    assert np.array_equal(kept.cell.array, bulk("Cu", a=3.6 + 5 / 7).cell.array)
    text = (tmp_path / "quarantine" / "Cu-random-000005.txt").read_text()
    assert text.count("Segmentation fault") == 2


def test_what_was_never_drawn_is_kept_as_text(tmp_path: Path) -> None:
    record = quarantine(tmp_path, Suspect("", 4, "random", 4, 2, 2, None, ("Fatal Python error: Aborted",) * 2), "Cu")
    assert [file.name for file in (tmp_path / "quarantine").iterdir()] == ["Cu-random-000004.txt"]
    assert "while it was drawn (Aborted); kept in quarantine/Cu-random-000004.txt" in record.relaxation.message


def test_structures_are_kept_to_the_last_digit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    atoms = Atoms("NaCl3", cell=rng.normal(size=(3, 3)), positions=rng.normal(size=(4, 3)) / 3, pbc=True)
    quarantine(tmp_path, Suspect("", 0, "random", 0, 2, 2, atoms, ("Fatal Python error: Aborted",)), "NaCl3")
    kept = read(tmp_path / "quarantine" / "NaCl3-random-000000.extxyz")
    assert isinstance(kept, Atoms)
    assert np.array_equal(kept.positions, atoms.positions)
    assert np.array_equal(kept.cell.array, atoms.cell.array)
    assert np.array_equal(kept.numbers, atoms.numbers)


def test_files_stay_small(tmp_path: Path) -> None:
    """Also while something is always in hand, which must not be lost."""
    candidate = Candidate("Cu", "random", 0, bulk("Cu", cubic=True) * (4, 4, 4))
    line = len(to_json(atoms_to_json(candidate.atoms)))
    with InHand(tmp_path) as hand:
        (file,) = (tmp_path / "in_hand").iterdir()
        hand.begins_to_relax("", 0, candidate)
        largest = 0
        for number in range(1, 400):
            hand.begins_to_relax("", number, candidate)
            hand.done("", number)
            largest = max(largest, file.stat().st_size)
        assert 65_536 < largest < 65_536 + 6 * line < 400 * line
        numbers = [json.loads(text).get("number") for text in file.read_bytes().splitlines()]
        assert 0 in numbers
    assert not file.exists()


def test_names_in_a_stranger_s_files_lead_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "in_hand").mkdir(parents=True)
    entry = {"number": 1, "search": "../..", "source": "../../../evil\n", "index": 2, "atoms": None}
    fault = b'Fatal Python error: Segmentation fault\n\nCurrent thread 0x0:\n  File "../../x", line 1 in y\n'
    odd = b'{"pid":[1],"host":2,"start":3}\n{"number":1}\n{"done":{}}\n[]\n\xff\n{"a":' + b"[" * 3000 + b"\n"
    (folder / "in_hand" / "a.jsonl").write_bytes(odd + to_json(entry) + b"\n" + fault)
    (folder / "in_hand" / "b.jsonl").symlink_to(tmp_path / "secret")
    (suspect,) = suspects(folder)
    record = quarantine(folder, suspect, "../Cu")
    assert "\n" not in record.relaxation.message
    assert [file.name for file in tmp_path.iterdir()] == ["run"]
    assert sorted(file.name for file in folder.iterdir()) == ["in_hand", "quarantine"]
    (kept,) = (folder / "quarantine").iterdir()
    assert kept.parent.resolve() == (folder / "quarantine").resolve()


def test_any_bytes_can_be_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "in_hand").mkdir()
    file = tmp_path / "in_hand" / "a.jsonl"
    work(tmp_path, "string_at", 1, 2)
    (crashed,) = (tmp_path / "in_hand").iterdir()
    whole = bytearray(crashed.read_bytes())
    crashed.unlink()
    for _ in range(500):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole), size=rng.integers(1, 6)):
            damaged[place] = rng.integers(256)
        file.write_bytes(damaged[: rng.integers(len(damaged) + 1)])
        assert len(suspects(tmp_path)) <= 3
        assert all(s.crash and s.strikes == 1 for s in suspects(tmp_path))


def test_a_full_disk_does_not_stop_the_work(tmp_path: Path) -> None:
    """The journal tells of it; here a torn line costs only itself."""
    with InHand(tmp_path) as hand:
        (file,) = (tmp_path / "in_hand").iterdir()
        whole = hand._file
        with Path("/dev/full").open("wb", buffering=0) as full:
            hand._file = full
            hand.begins_to_draw("", Assignment(0, "random", 0))
        hand._file = whole
        hand.begins_to_draw("", Assignment(1, "random", 1))
        assert json.loads(file.read_bytes().splitlines()[-1])["number"] == 1


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/self").exists(), reason="needs /proc")
def test_a_folder_that_cannot_be_written_is_told() -> None:
    with pytest.raises(StorageError, match="cannot write"):
        InHand(Path("/proc/self")).__enter__()


def test_a_candidate_costs_next_to_nothing(tmp_path: Path) -> None:
    """At most 1 ms, where about 30 microseconds were measured: only a mistake takes longer, whatever else runs."""
    candidate = Candidate("Cu", "random", 0, bulk("Cu", cubic=True) * (1, 1, 2))
    with InHand(tmp_path) as hand:

        def one() -> None:
            hand.begins_to_draw("Cu", Assignment(0, "random", 0))
            hand.begins_to_relax("Cu", 0, candidate)
            hand.done("Cu", 0)

        assert min(timeit.repeat(one, number=100, repeat=5)) / 100 < 1e-3
