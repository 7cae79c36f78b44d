from __future__ import annotations

import json
import math
import resource
import zlib
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from xtalseek.errors import InputError, StorageError
from xtalseek.files import write_atomic
from xtalseek.records import Candidate, Record, Relaxation, Status
from xtalseek.records_json import record_to_json
from xtalseek.search.config import resolve, to_toml
from xtalseek.search.store import CONFIG_FILE, Journal, journal_line, load_run, read_line


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


# Checksums


def test_any_damaged_byte_costs_the_line_and_never_changes_it(folder: Path) -> None:
    """Every byte of a line, replaced by others: the record is lost, and none with other values is read."""
    line = journal_line(record(7))
    rng = np.random.default_rng(0)
    for place in range(len(line)):
        for value in {*rng.integers(256, size=6).tolist(), line[place] ^ 1, line[place] ^ 32, 0x39, 0x30, 0x0A}:
            if value != line[place]:
                assert read_line(line[:place] + bytes([value]) + line[place + 1 :]) is None


def test_the_checksum_is_of_the_bytes_before_it(folder: Path) -> None:
    """So any program can check it."""
    line = journal_line(record(0))
    body, _, rest = line.rpartition(b',"crc32":"')
    assert rest == b'%08x"}\n' % zlib.crc32(body)
    assert json.loads(line)["crc32"] == rest[:8].decode()


def test_lines_of_earlier_versions_are_read() -> None:
    """Without a checksum; with NaN, which JSON knows not; of the time of one source, without a number."""
    data = record_to_json(record(3))
    assert record_to_json(read_line(json.dumps(data).encode() + b"\n") or record(0)) == data
    data["relaxation"] |= {"status": "nan", "energy": math.nan, "max_force": math.inf}
    del data["number"]
    old = read_line(json.dumps(data).encode() + b"\n")
    assert old is not None
    assert (old.number, old.relaxation.status) == (3, Status.NAN)
    assert (old.relaxation.energy, old.relaxation.max_force) == (None, None)


any_float = st.floats(allow_nan=False, allow_infinity=False)
plain = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | any_float | st.text()


@settings(deadline=None, max_examples=200)
@given(
    numbers=st.lists(st.tuples(st.integers(1, 118), any_float, any_float, any_float), min_size=1, max_size=5),
    cell=st.lists(st.tuples(any_float.filter(bool), any_float, any_float), min_size=3, max_size=3),
    energy=any_float,
    words=st.text(),
    provenance=st.dictionaries(st.text(), plain | st.lists(plain) | st.dictionaries(st.text(), plain)),
)
def test_records_come_back_to_the_last_bit(
    numbers: list[tuple[int, float, float, float]],
    cell: list[tuple[float, float, float]],
    energy: float,
    words: str,
    provenance: dict[str, object],
) -> None:
    positions = np.array([row[1:] for row in numbers])
    atoms = Atoms(numbers=[row[0] for row in numbers], positions=positions, cell=np.array(cell), pbc=True)
    before = Record(
        Candidate("Cu", "random", 1, atoms, 0.1, words, provenance),
        Relaxation(atoms, Status.CONVERGED, words, energy, energy, abs(energy), None, 1, 2, 3.5),
    )
    after = read_line(journal_line(before))
    assert after is not None
    # repr tells -0.0 from 0.0, which == does not.
    assert repr(record_to_json(after)) == repr(record_to_json(before))
    assert after.relaxation.atoms is not None
    assert after.relaxation.atoms.positions.tobytes() == positions.tobytes()


@pytest.mark.parametrize("energy", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_not_known(energy: float) -> None:
    atoms = bulk("Cu")
    atoms.positions[0, 0] = math.nan
    broken = Relaxation(atoms, Status.NAN, "the potential gave nan", energy, 0.0, energy, energy, seconds=math.nan)
    back = read_line(journal_line(Record(Candidate("Cu", "random", 0, bulk("Cu")), broken)))
    assert back is not None
    relaxation = back.relaxation
    assert (relaxation.status, relaxation.message) == (Status.NAN, "the potential gave nan")
    assert (relaxation.energy, relaxation.max_force, relaxation.max_stress_gpa) == (None, None, None)
    assert relaxation.atoms is None


@pytest.mark.parametrize(
    ("given_value", "kept"),
    [
        (np.int64(3), 3),
        (np.float64(1 / 3), 1 / 3),
        (np.bool_(True), True),
        (np.arange(6).reshape(2, 3)[:, 0], [0, 3]),
        ((1, 2), [1, 2]),
        ({1: 2}, {"1": 2}),
        (Status.NAN, "nan"),
        ("half a \ud800 pair", "half a \ud800 pair"),
        (Path("seed.cell"), "seed.cell"),
    ],
)
def test_whatever_a_plug_in_notes_is_kept_plainly(given_value: object, kept: object) -> None:
    candidate = Candidate("Cu", "random", 0, bulk("Cu"), provenance={"note": given_value})
    back = read_line(journal_line(Record(candidate, Relaxation(bulk("Cu"), Status.CONVERGED, energy=-1.0))))
    assert back is not None
    assert back.candidate.provenance == {"note": kept}


def test_numpy_numbers_of_a_relaxer_are_kept() -> None:
    energy: float = np.float32(0.1)  # type: ignore[assignment]
    steps: int = np.int64(5)  # type: ignore[assignment]
    relaxation = Relaxation(bulk("Cu"), Status.CONVERGED, energy=energy, steps=steps)
    back = read_line(journal_line(Record(Candidate("Cu", "random", 0, bulk("Cu")), relaxation)))
    assert back is not None
    assert (back.relaxation.energy, back.relaxation.steps) == (float(np.float32(0.1)), 5)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("number",), 10**30), (("number",), -1), (("number",), True), (("rank",), "0"), (("finished",), None),
        (("finished",), 10**400), (("candidate",), []), (("candidate", "index"), [1]), (("candidate", "source"), ["a"]),
        (("candidate", "target"), None), (("candidate", "atoms"), 3), (("candidate", "unknown"), 1),
        (("candidate", "provenance"), [1]), (("relaxation", "status"), []), (("relaxation", "status"), "sleepy"),
        (("relaxation", "energy"), "low"), (("relaxation", "energy"), 10**400), (("relaxation", "steps"), 1.5),
        (("relaxation", "atoms", "numbers"), []), (("relaxation", "atoms", "numbers"), [10**30]),
        (("relaxation", "atoms", "numbers"), [500]), (("relaxation", "atoms", "numbers"), [[29]]),
        (("relaxation", "atoms", "positions"), [[0.0]]), (("relaxation", "atoms", "positions"), [[10**400, 0, 0]]),
        (("relaxation", "atoms", "cell"), [1, 2, 3]), (("relaxation", "atoms", "cell"), [[0, 0, 0]] * 3),
        (("extra",), 1),
    ],
)  # fmt: skip
def test_values_of_a_wrong_kind_make_a_line_unreadable(where: tuple[str, ...], value: object) -> None:
    """With a checksum, as a stranger would write it, and without."""
    data = record_to_json(record(0))
    place = data
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    text = json.dumps(data).encode()
    assert read_line(text + b"\n") is None
    assert read_line(b'%b,"crc32":"%08x"}\n' % (text[:-1], zlib.crc32(text[:-1]))) is None


@settings(deadline=None, max_examples=300)
@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_make_the_reader_fail(text: bytes) -> None:
    assert read_line(text) is None
    assert read_line(b"{" + text + b"}\n") is None


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000, b'{"a":' * 900 + b"1" + b"}" * 900])
def test_deep_nesting_is_unreadable_and_no_more(deep: bytes) -> None:
    data = journal_line(record(0))
    nested = data[:-21].replace(b'"provenance":{}', b'"provenance":{"x":' + deep + b"}")
    assert nested != data[:-21]
    assert read_line(deep + b"\n") is None
    assert read_line(b'%b,"crc32":"%08x"}\n' % (nested, zlib.crc32(nested))) is None


def test_a_file_without_newlines_is_not_held_in_memory_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xtalseek.search.store._LONGEST", 1000)
    Journal(folder).append(record(0))
    (folder / "journal" / "9999-rank0000.jsonl").write_bytes(b"\0" * 10_500)
    run = load_run(folder)
    assert (len(run.records), run.torn_lines) == (1, 11)


# One writer, many folders


def test_a_writer_that_rested_goes_on_with_its_file(tmp_path: Path) -> None:
    journals = [Journal(tmp_path / str(i)) for i in range(50)]
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir())) if open_files.exists() else 0
    for index in range(3):
        for journal in journals:
            journal.append(record(index))
            journal.rest()
    if before:
        assert len(list(open_files.iterdir())) == before
    for i in range(50):
        (file,) = (tmp_path / str(i) / "journal").iterdir()
        lines = file.read_bytes().splitlines(keepends=True)
        assert [getattr(read_line(line), "name", None) for line in lines] == [f"Cu-random-{n:06d}" for n in range(3)]


@pytest.mark.parametrize("change", ["longer", "shorter", "gone"])
def test_a_file_that_changed_while_its_writer_rested_is_left(folder: Path, change: str) -> None:
    journal = Journal(folder)
    journal.append(record(0))
    journal.rest()
    (file,) = (folder / "journal").iterdir()
    if change == "gone":
        file.unlink()
    else:
        whole = file.read_bytes()
        file.write_bytes(whole + b"{" if change == "longer" else whole[:-1])
    journal.append(record(1))
    assert 1 in [r.candidate.index for r in load_run(folder).records]
    assert len(list((folder / "journal").iterdir())) == (1 if change == "gone" else 2)


class FullDisk:
    """Files of this process can grow no further than `room` bytes, as on a full disk."""

    def __init__(self, room: int) -> None:
        self._room = room

    def __enter__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._room, self._before[1]))

    def __exit__(self, *error: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@pytest.mark.parametrize("room", [1, 100, 300])
@pytest.mark.parametrize("cut", [True, False])
def test_what_follows_a_torn_write_is_whole(
    folder: Path, room: int, cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up in the middle of a line, and has room again; the torn line is cut off, or cannot be."""
    journal = Journal(folder)
    journal.append(record(0))
    (file,) = (folder / "journal").iterdir()
    whole = file.read_bytes()

    def refuse(descriptor: int, length: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched, FullDisk(len(whole) + room):
        if not cut:
            patched.setattr("os.ftruncate", refuse)
        with pytest.raises(StorageError, match="everything before it is safe"):
            journal.append(record(1))
    assert file.stat().st_size == len(whole) + (0 if cut else room)
    journal.append(record(2))
    journal.append(record(3))
    run = load_run(folder)
    assert [r.candidate.index for r in run.records] == [0, 2, 3]
    assert run.torn_lines == (0 if cut else 1)
    assert len(list((folder / "journal").iterdir())) == (1 if cut else 2)


def test_a_signal_in_the_middle_of_a_write_leaves_no_torn_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(folder)
    journal.append(record(0))

    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("os.fsync", interrupted)
        journal.append(record(1))
    journal.append(record(2))
    run = load_run(folder)
    assert ([r.candidate.index for r in run.records], run.torn_lines) == ([0, 2], 0)
