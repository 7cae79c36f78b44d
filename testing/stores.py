"""Whether a store of records loses nothing but what was being written when its writer died."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from ase import Atoms

from ..records import Candidate, Record, Relaxation, Status
from ..records_json import record_to_json, to_json
from .structures import require

CUTS = 50
"""Bytes of the last record, evenly spread, behind which it is torn off."""


class Store(Protocol):
    """The append-only record of a search, as one writer sees it."""

    def append(self, record: Record) -> None:
        """Write one record; it is on the disk when this returns, and no reader ever sees half of it.

        Raises
        ------
        StorageError : it cannot be written; what was written before is safe.
        """

    def close(self) -> None:
        """Close the writer's files."""


def check_store(
    open_store: Callable[[Path, int], Store], read: Callable[[Path], Sequence[Record]], folder: Path
) -> None:
    """Check that records come back, whole, from several writers, killed ones among them.

    That a record survives the loss of power, as an fsync makes it, cannot be checked in this way.

    Parameters
    ----------
    open_store : opens a writer, given a folder and the writer's number.
    read : the records in such a folder, in any order, as another process would read them.
    folder : empty, or not there yet; files are written to folders in it.

    Raises
    ------
    AssertionError : one line that says which promise is broken.
    """
    _check_round_trip(open_store, read, _made(folder / "round-trip"))
    if hasattr(os, "fork"):
        _check_killed(open_store, read, _made(folder / "killed"))
    _check_torn(open_store, read, _made(folder / "torn"))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _record(index: int) -> Record:
    rng = np.random.default_rng(index)
    atoms = Atoms("MgO", rng.random((2, 3)), cell=rng.normal(size=(3, 3)), pbc=True)
    words = "Å, a separator \u2028 and\ntwo lines"
    relaxation = Relaxation(atoms, Status.CONVERGED, words, -rng.random(), 0.1, 1e-300, None, 3, 4, 0.5)
    candidate = Candidate("MgO", "random", index, atoms, 0.25, "", {"formula_units": 1, "words": ["a", "é"]})
    return Record(candidate, relaxation, finished=1.5e9 + index, rank=0, number=index)


def _found(read: Callable[[Path], Sequence[Record]], folder: Path, when: str) -> dict[int, bytes]:
    """What a reader sees, by the candidates' numbers."""
    try:
        records = list(read(folder))
    except Exception as error:
        raise AssertionError(f"{when}, reading raised {type(error).__name__}: {error}") from error
    found = {record.number: to_json(record_to_json(record)) for record in records}
    require(len(found) == len(records), f"{when}, a record is read twice")
    return found


def _wanted(*numbers: int) -> dict[int, bytes]:
    return {number: to_json(record_to_json(_record(number))) for number in numbers}


def _require_same(found: dict[int, bytes], wanted: dict[int, bytes], when: str) -> None:
    require(sorted(found) == sorted(wanted), f"{when}, records {sorted(found)} are read, not {sorted(wanted)}")
    changed = [number for number in wanted if found[number] != wanted[number]]
    require(not changed, f"{when}, records {changed} are read with other values than were written")


def _check_round_trip(
    open_store: Callable[[Path, int], Store], read: Callable[[Path], Sequence[Record]], folder: Path
) -> None:
    writers = [open_store(folder, 0), open_store(folder, 1)]
    _require_same(_found(read, folder, "before the first append"), {}, "before the first append")
    for number in range(4):
        writers[number % 2].append(_record(number))
        when = f"after append {number + 1} of two open writers in turn"
        _require_same(_found(read, folder, when), _wanted(*range(number + 1)), when)
    for writer in writers:
        writer.close()
    again = open_store(folder, 0)
    again.append(_record(4))
    again.close()
    _require_same(_found(read, folder, "after a second session"), _wanted(*range(5)), "after a second session")


def _check_killed(
    open_store: Callable[[Path, int], Store], read: Callable[[Path], Sequence[Record]], folder: Path
) -> None:
    child = os.fork()
    if child == 0:
        try:
            writer = open_store(folder, 0)
            writer.append(_record(0))
            writer.append(_record(1))
        finally:
            os.kill(os.getpid(), signal.SIGKILL)  # no buffer is flushed, no file closed
    os.waitpid(child, 0)
    when = "after its writer was killed behind an append"
    _require_same(_found(read, folder, when), _wanted(0, 1), when)


def _check_torn(
    open_store: Callable[[Path, int], Store], read: Callable[[Path], Sequence[Record]], folder: Path
) -> None:
    """Tear the last record, read, and go on writing as after a kill in the middle of a write."""
    writer = open_store(folder, 0)
    writer.append(_record(0))
    writer.append(_record(1))
    before = _contents(folder)
    writer.append(_record(2))
    writer.close()
    after = _contents(folder)
    grown = [path for path in after if after[path] != before.get(path)]
    require(len(grown) == 1, f"one append changed {len(grown)} files, not one")
    (path,) = grown
    old, whole = before.get(path, b""), after[path]
    require(whole.startswith(old), "an append changed what was written before")
    everywhere = range(len(old) + 1, len(whole))
    cuts = sorted({everywhere[round(i)] for i in np.linspace(0, len(everywhere) - 1, CUTS)})
    for cut in cuts:
        when = f"with its last record torn off behind byte {cut - len(old)}"
        _restore(folder, after | {path: whole[:cut]})
        found = _found(read, folder, when)
        complete = 2 in found  # with nothing but its line's end missing, a record may count or not
        _require_same(found, _wanted(*range(3 if complete else 2)), when)
        later = open_store(folder, 0)
        later.append(_record(3))
        later.append(_record(4))
        later.close()
        when += ", and with another writer after that"
        wanted = _wanted(*((0, 1, 2) if complete else (0, 1)), 3, 4)
        _require_same(_found(read, folder, when), wanted, when)


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _restore(folder: Path, contents: dict[Path, bytes]) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path not in contents:
            path.unlink()
    for path, content in contents.items():
        path.write_bytes(content)
