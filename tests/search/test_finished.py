from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from xtalseek.errors import InputError
from xtalseek.files import write_atomic
from xtalseek.records import Candidate, Record, Relaxation, Status
from xtalseek.records_json import atoms_to_json, record_to_json
from xtalseek.search import finished as finished_module
from xtalseek.search.config import resolve, to_toml
from xtalseek.search.finished import FinishedRun, read_finished, scan_run
from xtalseek.search.store import CONFIG_FILE, Journal, load_run
from xtalseek.search.tasks import Finished


def some(rng: np.random.Generator, index: int, source: str = "random") -> Record:
    """A record of any status, with any numbers, as relaxers leave them."""
    size = int(rng.integers(1, 9))

    def atoms() -> Atoms:
        return Atoms("X" * size, cell=rng.normal(size=(3, 3)) * 9, positions=rng.normal(size=(size, 3)), pbc=True)

    status = rng.choice(list(Status), p=[0.55] + [0.05] * 9)
    energy = [float(rng.normal() * 100), None, float("nan")][rng.choice(3, p=[0.8, 0.1, 0.1])]
    relaxed = atoms() if rng.random() < 0.9 else None
    pressure = float(rng.choice([0.0, 10.0, 1 / 3]))
    seconds = float(rng.exponential())
    relaxation = Relaxation(relaxed, Status(status), "", energy, pressure, 0.1, None, 5, 7, seconds)
    candidate = Candidate("Cu", source, index, atoms(), float(rng.exponential()))
    return Record(candidate, relaxation, 1.7e9 + float(rng.random()), int(rng.integers(4)), int(rng.integers(2**40)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_atomic(tmp_path / CONFIG_FILE, to_toml(resolve({"formula": "Cu", "num": 10}), {}))
    return tmp_path


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished_module, "_BLOCK", 7)
    monkeypatch.setattr(finished_module, "_OPEN_FILES", 2)


def fill(folder: Path, seed: int, num: int = 200) -> list[Record]:
    """Records of four writers, in no order."""
    rng = np.random.default_rng(seed)
    records = [some(rng, index, str(rng.choice(["random", "unimat"]))) for index in range(num)]
    writers = [Journal(folder, rank) for rank in range(4)]
    for record in records:
        writers[record.rank].append(record)
    for writer in writers:
        writer.close()
    return records


def facts(finished: Finished) -> dict[str, object]:
    plain = {field.name: getattr(finished, field.name) for field in fields(Finished)}
    return plain | {"atoms": atoms_to_json(finished.atoms)}


def expected(folder: Path, with_atoms: bool) -> list[dict[str, object]]:
    ordered = sorted(load_run(folder).records, key=lambda record: record.finished)
    return [facts(Finished.of(record, with_atoms)) for record in ordered]


@pytest.mark.parametrize("with_atoms", [False, True])
def test_light_reading_says_what_the_records_say_to_the_last_bit(folder: Path, with_atoms: bool) -> None:
    records = fill(folder, seed=0)
    found = read_finished(folder)
    assert len(found) == len(records)
    assert [facts(f) for f in found.in_order(with_atoms)] == expected(folder, with_atoms)
    assert found.next_number == max(record.number for record in records) + 1
    for source in ("random", "unimat", "shake"):
        assert list(found.indices(source)) == [r.candidate.index for r in records if r.candidate.source == source]


def test_journals_without_checksums_are_read_too(folder: Path) -> None:
    fill(folder, seed=1, num=40)
    whole = expected(folder, with_atoms=False)
    for file in (folder / "journal").iterdir():
        lines = [line[:-21] + b"}\n" for line in file.read_bytes().splitlines(keepends=True)]
        file.write_bytes(b"".join(lines))
    assert [facts(f) for f in read_finished(folder)] == whole == expected(folder, with_atoms=False)


def test_it_counts_the_lines_that_load_run_counts(folder: Path) -> None:
    """Whatever happens to the bytes of a journal, both readers keep and leave out the same."""
    fill(folder, seed=2, num=30)
    rng = np.random.default_rng(0)
    files = sorted((folder / "journal").iterdir())
    whole = {file: file.read_bytes() for file in files}
    for _ in range(60):
        for file in files:
            damaged = bytearray(whole[file])
            for place in rng.integers(len(damaged), size=rng.integers(0, 4)):
                damaged[place] = rng.integers(256)
            file.write_bytes(damaged[: rng.integers(len(damaged) // 2, len(damaged) + 1)])
        run, found = load_run(folder), read_finished(folder)
        assert found.torn_lines == run.torn_lines
        assert {f.name for f in found} == {record.name for record in run.records}


def test_a_candidate_relaxed_twice_counts_once_and_the_first_time(folder: Path) -> None:
    rng = np.random.default_rng(0)
    first, second = Journal(folder, rank=0), Journal(folder, rank=1)
    for index in range(20):
        second.append(some(rng, index))
    for index in range(10, 30):
        first.append(some(rng, index))
    found = read_finished(folder)
    assert len(found) == 30
    assert [facts(f) for f in found] == expected(folder, with_atoms=False)


def test_an_empty_journal_has_nothing(folder: Path) -> None:
    found = read_finished(folder)
    assert (len(found), list(found), found.next_number, found.torn_lines) == (0, [], 0, 0)
    assert list(scan_run(folder).records) == []


def test_records_read_when_asked_for_are_those_of_load_run(folder: Path) -> None:
    fill(folder, seed=3)
    run, lazy = load_run(folder), scan_run(folder)
    assert [record_to_json(r) for r in lazy.records] == [record_to_json(r) for r in run.records]
    assert [r.name for r in lazy.records[5:20]] == [r.name for r in run.records[5:20]]
    assert lazy.records[-1].name == run.records[-1].name
    with pytest.raises(IndexError):
        lazy.records[len(run.records)]


def test_a_journal_that_vanishes_meanwhile_is_told(folder: Path) -> None:
    fill(folder, seed=4, num=20)
    lazy, found = scan_run(folder), read_finished(folder)
    for file in (folder / "journal").iterdir():
        file.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        list(lazy.records)
    with pytest.raises(InputError, match="cannot be read"):
        list(found.in_order(with_atoms=True))


def test_memory_is_a_hundred_bytes_a_candidate(folder: Path) -> None:
    fill(folder, seed=5, num=50)
    found: FinishedRun = read_finished(folder)
    assert found.columns.nbytes <= 100 * len(found)
