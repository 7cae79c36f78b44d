"""results.h5: every candidate and relaxation of a run in one HDF5 file, made anew from the journal.

Structures of different sizes lie end to end: that of record i is rows `offset[i]` to `offset[i + 1]` of the per-atom
arrays. The first 512 bytes, which HDF5 leaves to the user, hold the CRC-32 of the rest. The HDF5 library can crash over
a damaged file, and over a full disk: it is shown neither.
"""

from __future__ import annotations

import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
from ase import Atoms

from ..errors import InputError, StorageError
from ..files import sync_folder
from ..records import Candidate, Record, Relaxation, Status
from ..records_json import to_json
from .config import to_toml
from .patient_file import PatientFile
from .store import Run

RESULTS_FILE = "results.h5"
FORMAT_VERSION = 2

_RELAXATION_NUMBERS = ("energy", "pressure_gpa", "max_force", "max_stress_gpa", "steps", "force_calls", "seconds")
_USER_BLOCK = 512
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_BLOCK = 2000
"""Records in memory at a time, where `Run.records` are read as they are asked for."""

_Values = Callable[[Record], Any]
_TEXTS: dict[str, _Values] = {
    "name": lambda r: r.name,
    "target": lambda r: r.candidate.target,
    "source": lambda r: r.candidate.source,
    "status": lambda r: r.relaxation.status.value,
    "message": lambda r: r.relaxation.message,
    "candidate/note": lambda r: r.candidate.note,
    "candidate/provenance": lambda r: to_json(dict(r.candidate.provenance)).decode(),
}
_COUNTS: dict[str, _Values] = {
    "index": lambda r: r.candidate.index,
    "rank": lambda r: r.rank,
    "number": lambda r: r.number,
}
_NUMBERS: dict[str, _Values] = {
    "finished": lambda r: r.finished,
    "candidate/seconds": lambda r: r.candidate.seconds,
    "enthalpy": lambda r: r.relaxation.enthalpy,
    "energy": lambda r: r.relaxation.energy,
    "pressure_gpa": lambda r: r.relaxation.pressure_gpa,
    "max_force": lambda r: r.relaxation.max_force,
    "max_stress_gpa": lambda r: r.relaxation.max_stress_gpa,
    "steps": lambda r: r.relaxation.steps,
    "force_calls": lambda r: r.relaxation.force_calls,
    "seconds": lambda r: r.relaxation.seconds,
}
_STRUCTURES: dict[str, _Values] = {
    "candidate": lambda r: r.candidate.atoms,
    "relaxation": lambda r: r.relaxation.atoms,
}


def write_results(run: Run) -> Path:
    """Write RUN/results.h5 (a reader sees the old file or the new one) and return its path.

    Datasets, n records: `name`, `source`, `index`, `status`, `message`, `energy` (eV per cell, NaN where unknown),
    `enthalpy` (eV per cell), ... (n,); groups `candidate` and `relaxation` hold `offset` (n + 1), `numbers` (atoms),
    `positions` (atoms, 3) in Å and `cell` (n, 3, 3) in Å, rows.

    Raises
    ------
    StorageError : the disk is full or the folder cannot be written.
    """
    path = run.path / RESULTS_FILE
    temporary = None
    try:
        handle, name = tempfile.mkstemp(dir=run.path, prefix=f".{RESULTS_FILE}.")
        temporary = Path(name)
        with os.fdopen(handle, "r+b", buffering=0) as raw:
            disk = PatientFile(raw)
            with h5py.File(disk, "w", userblock_size=_USER_BLOCK) as file:
                file.attrs["format"] = "xtalseek results"
                file.attrs["version"] = FORMAT_VERSION
                file.attrs["config"] = to_toml(run.config, {})
                for _ in _fill(file, run.records):
                    disk.check()
            disk.check()
            _seal(raw)
        temporary.replace(path)
        sync_folder(run.path)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise StorageError(
            f"cannot write {str(path)!r} ({error.strerror}): the journal is safe; make room and give the same command "
            "again"
        ) from error
    return path


def _fill(file: h5py.File, records: Sequence[Record]) -> Iterator[None]:
    """Write the records' datasets, a block of records at a time; yields after each, for a look at the disk."""
    size = len(records)
    for name in _TEXTS:
        file.create_dataset(name, (size,), h5py.string_dtype())
    for name in _COUNTS:
        file.create_dataset(name, (size,), np.int64)
    for name in _NUMBERS:
        file.create_dataset(name, (size,), float)
    for name in _STRUCTURES:
        file.create_dataset(f"{name}/offset", data=np.zeros(size + 1, np.int64))
        file.create_dataset(f"{name}/cell", (size, 3, 3), float)
        rows = min(4096, 16 * size + 1)
        file.create_dataset(f"{name}/numbers", (0,), np.int16, maxshape=(None,), chunks=(rows,))
        file.create_dataset(f"{name}/positions", (0, 3), float, maxshape=(None, 3), chunks=(rows, 3))
    for start in range(0, size, _BLOCK):
        block = records[start : start + _BLOCK]
        part = slice(start, start + len(block))
        for name, value in _TEXTS.items():
            file[name][part] = [value(record) for record in block]
        for name, value in _COUNTS.items():
            file[name][part] = np.array([value(record) for record in block], dtype=np.int64)
        for name, value in _NUMBERS.items():
            known = [value(record) for record in block]
            file[name][part] = np.array([np.nan if v is None else v for v in known], dtype=float)
        for name, value in _STRUCTURES.items():
            _add_structures(file[name], part, [value(record) for record in block])
        yield


def _add_structures(group: h5py.Group, part: slice, structures: Sequence[Atoms | None]) -> None:
    """Write the structures of the records `part`, and those of all before are written."""
    present = [atoms for atoms in structures if atoms is not None]
    ends = group["numbers"].shape[0] + np.cumsum([0 if atoms is None else len(atoms) for atoms in structures])
    group["offset"][part.start + 1 : part.stop + 1] = ends
    group["cell"][part] = [np.full((3, 3), np.nan) if atoms is None else atoms.cell.array for atoms in structures]
    before, after = group["numbers"].shape[0], int(ends[-1])
    if present:
        for name in ("numbers", "positions"):
            group[name].resize(after, axis=0)
        group["numbers"][before:after] = np.concatenate([atoms.numbers for atoms in present])
        group["positions"][before:after] = np.concatenate([atoms.positions for atoms in present])


def _seal(file: IO[bytes]) -> None:
    """Write the checksum, and make the file durable."""
    file.write(_user_block(file))
    os.fchmod(file.fileno(), 0o644)
    os.fsync(file.fileno())


def _user_block(file: IO[bytes]) -> bytes:
    """What the first bytes of a results file must be; leaves `file` at its start."""
    file.seek(_USER_BLOCK)
    crc = 0
    while part := file.read(1 << 20):
        crc = zlib.crc32(part, crc)
    file.seek(0)
    return (b"xtalseek results; CRC-32 of the rest: %08x\n" % crc).ljust(_USER_BLOCK, b"\0")


def _check(path: Path) -> None:
    """Compare the checksum; files of earlier versions have none.

    Raises
    ------
    ValueError, OSError : the file is damaged, or cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) == _SIGNATURE:
            return
        expected = _user_block(file)
        if file.read(_USER_BLOCK) != expected:
            raise ValueError("damaged, or no results file")


def is_whole(path: Path) -> bool:
    """Whether a results file is there, and is as it was written."""
    try:
        _check(path)
    except (OSError, ValueError):
        return False
    return True


def read_results(path: str | Path) -> list[Record]:
    """The records in a results.h5, in its order.

    Raises
    ------
    InputError : the file is missing, damaged, or of another format or version.
    """
    shown = repr(str(path))
    try:
        _check(Path(path))
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != "xtalseek results" or file.attrs["version"] != FORMAT_VERSION:
                raise InputError(
                    f"{shown} is not a results file of version {FORMAT_VERSION}: repeat the search to make it anew"
                )
            columns = {name: _column(file, name) for name in (*_TEXTS, *_COUNTS, *_NUMBERS)}
            proposed, relaxed = _atoms(file, "candidate"), _atoms(file, "relaxation")
        return _records(columns, proposed, relaxed)
    except InputError:
        raise
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, OverflowError, AttributeError, IndexError) as error:
        raise InputError(f"{shown} cannot be read as a results file: {' '.join(str(error).split())[:300]}") from error


def _records(
    columns: Mapping[str, list[Any]], proposed: Sequence[Atoms | None], relaxed: Sequence[Atoms | None]
) -> list[Record]:
    records = []
    for i, (before, after) in enumerate(zip(proposed, relaxed, strict=True)):
        candidate = Candidate(
            target=columns["target"][i], source=columns["source"][i], index=columns["index"][i], atoms=before,
            seconds=columns["candidate/seconds"][i], note=columns["candidate/note"][i],
            provenance=json.loads(columns["candidate/provenance"][i]),
        )  # fmt: skip
        numbers: dict[str, Any] = {name: columns[name][i] for name in _RELAXATION_NUMBERS}
        known: dict[str, Any] = {name: None if np.isnan(value) else value for name, value in numbers.items()}
        known |= {name: int(numbers[name]) for name in ("steps", "force_calls")}
        status, message = Status(columns["status"][i]), columns["message"][i]
        relaxation = Relaxation(atoms=after, status=status, message=message, **known)
        records.append(Record(candidate, relaxation, columns["finished"][i], columns["rank"][i], columns["number"][i]))
    return records


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset that lies in the file itself, all of it: a stranger's file may point to others, or claim to be vast.

    Raises
    ------
    KeyError, ValueError : it is not there, or elsewhere.
    """
    place: Any = file
    for part in name.split("/"):
        if not isinstance(place.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is not in the file")
        place = place[part]
    if not isinstance(place, h5py.Dataset) or place.is_virtual or place.external:
        raise ValueError(f"{name} is not in the file")
    if place.nbytes > place.id.get_storage_size():
        raise ValueError(f"{name} is incomplete")
    return place


def _column(file: h5py.File, name: str) -> list[Any]:
    dataset = _dataset(file, name)
    values = dataset.asstr()[:] if h5py.check_string_dtype(dataset.dtype) else dataset[:]
    return list(values.tolist())


def _atoms(file: h5py.File, group: str) -> list[Atoms | None]:
    offset, numbers, positions, cells = (
        _dataset(file, f"{group}/{name}")[:] for name in ("offset", "numbers", "positions", "cell")
    )
    return [
        Atoms(numbers=numbers[a:b], positions=positions[a:b], cell=cell, pbc=True) if b > a else None
        for a, b, cell in zip(offset[:-1], offset[1:], cells, strict=True)
    ]
