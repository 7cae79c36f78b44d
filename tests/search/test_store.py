from __future__ import annotations

from pathlib import Path

import pytest
from ase.build import bulk

from xtalseek.errors import InputError, StorageError
from xtalseek.files import write_atomic
from xtalseek.records import Candidate, Record, Relaxation, Status
from xtalseek.search.config import resolve, to_toml
from xtalseek.search.store import CONFIG_FILE, Journal, load_run


def record(index: int, energy: float = -1.0) -> Record:
    atoms = bulk("Cu")
    return Record(Candidate("Cu", "random", index, atoms), Relaxation(atoms, Status.CONVERGED, energy=energy))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_atomic(tmp_path / CONFIG_FILE, to_toml(resolve({"formula": "Cu", "num": 10}), {}))
    return tmp_path


def test_records_come_back_in_order_of_their_numbers(folder: Path) -> None:
    first, second = Journal(folder, rank=0), Journal(folder, rank=1)
    for index in (3, 0):
        first.append(record(index))
    for index in (1, 2):
        second.append(record(index))
    run = load_run(folder)
    assert [r.candidate.index for r in run.records] == [0, 1, 2, 3]
    assert run.torn_lines == 0


def test_a_last_line_torn_at_any_byte_costs_only_itself(folder: Path) -> None:
    journal = Journal(folder)
    for index in range(3):
        journal.append(record(index))
    (file,) = (folder / "journal").iterdir()
    whole = file.read_bytes()
    start_of_last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(start_of_last, len(whole)):
        file.write_bytes(whole[:cut])
        run = load_run(folder)
        assert [r.candidate.index for r in run.records] == [0, 1]
        assert run.torn_lines == (cut > start_of_last)


def test_a_writer_started_after_a_kill_takes_a_file_of_its_own(folder: Path) -> None:
    journal = Journal(folder)
    journal.append(record(0))
    (file,) = (folder / "journal").iterdir()
    file.write_bytes(file.read_bytes() + b'{"candidate": {"targ')
    torn = file.read_bytes()
    after = Journal(folder)
    after.append(record(1))
    assert file.read_bytes() == torn
    run = load_run(folder)
    assert [r.candidate.index for r in run.records] == [0, 1]
    assert run.torn_lines == 1


def test_garbage_in_a_journal_is_counted_not_fatal(folder: Path) -> None:
    Journal(folder).append(record(0))
    (folder / "journal" / "9999-rank0000.jsonl").write_bytes(b'[]\n{}\n\xff\xfe\n{"candidate": 3}\nnull\n')
    run = load_run(folder)
    assert len(run.records) == 1
    assert run.torn_lines == 5


def test_a_candidate_relaxed_twice_counts_once_and_the_first_time(folder: Path) -> None:
    Journal(folder).append(record(0, energy=-1.0))
    Journal(folder).append(record(0, energy=-2.0))
    (only,) = load_run(folder).records
    assert only.relaxation.energy == -1.0


def test_an_idle_writer_leaves_no_file(folder: Path) -> None:
    Journal(folder).close()
    assert not (folder / "journal").exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run folder"):
        load_run(tmp_path)
    with pytest.raises(InputError, match="is not a run folder"):
        load_run(tmp_path / "absent")


def test_a_journal_that_cannot_be_written_says_what_is_safe(folder: Path) -> None:
    (folder / "journal").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="everything before it is safe"):
        Journal(folder).append(record(0))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told(folder: Path) -> None:
    journal = Journal(folder)
    journal.append(record(0))
    assert journal._file is not None
    journal._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    with pytest.raises(StorageError, match="No space left"):
        journal.append(record(1))


def test_write_atomic_replaces_whole_files_and_leaves_no_scraps(tmp_path: Path) -> None:
    file = tmp_path / "sub" / "x.txt"
    write_atomic(file, "one")
    write_atomic(file, b"two")
    assert file.read_text() == "two"
    assert [p.name for p in file.parent.iterdir()] == ["x.txt"]
