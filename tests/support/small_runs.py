"""Records, and the bytes of a journal that holds them, to be damaged."""

from __future__ import annotations

from pathlib import Path

from ase.build import bulk

from xtalseek.records import Candidate, Record, Relaxation, Status
from xtalseek.search.store import Journal

CONFIG = 'formula = "NaCl"\nnum = 9\n'


def record(index: int) -> Record:
    """One of a run."""
    atoms = bulk("NaCl", "rocksalt", 5.6)
    relaxation = Relaxation(atoms, Status.CONVERGED, "", -6.5, 0.0, 0.01, 0.02, 7, 8, 1.5)
    return Record(Candidate("NaCl", "random", index, atoms, provenance={"spacegroup": 225}), relaxation, 1e9, 0, index)


def good(folder: Path, records: list[Record]) -> bytes:
    """The lines that a writer makes of records."""
    journal = Journal(folder)
    for made in records:
        journal.append(made)
    journal.close()
    (file,) = (folder / "journal").glob("*.jsonl")
    data = file.read_bytes()
    file.unlink()
    return data
