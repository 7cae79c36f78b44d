"""Run folders made by hand: structures from ASE with energies that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.spacegroup import crystal
from crystals import relaxed_again

from xtalseek.files import write_atomic
from xtalseek.records import Candidate, Record, Relaxation, Status
from xtalseek.search.config import resolve, to_toml
from xtalseek.search.store import Journal, Run, load_run

MakeRun = Callable[..., Run]
MakeRecord = Callable[..., Record]


@pytest.fixture
def rutile() -> Atoms:
    """TiO2, space group 136, two formula units."""
    sites = [(0, 0, 0), (0.305, 0.305, 0)]
    return crystal(["Ti", "O"], sites, spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90])


@pytest.fixture
def anatase() -> Atoms:
    """TiO2, space group 141, two formula units in a primitive cell."""
    cellpar = [3.785, 3.785, 9.514, 90, 90, 90]
    return crystal(["Ti", "O"], [(0, 0, 0), (0, 0, 0.208)], spacegroup=141, cellpar=cellpar, primitive_cell=True)


@pytest.fixture
def make_record() -> MakeRecord:
    def make(
        index: int,
        atoms: Atoms | None,
        per_atom: float | None = -5.0,
        status: Status = Status.CONVERGED,
        *,
        source: str = "random",
        target: str = "TiO2",
        message: str = "",
        pressure_gpa: float = 0.0,
        force_calls: int = 10,
        seconds: float = 2.0,
        finished: float = 0.0,
    ) -> Record:
        energy = None if per_atom is None or atoms is None else per_atom * len(atoms)
        relaxation = Relaxation(atoms, status, message, energy, pressure_gpa, force_calls=force_calls, seconds=seconds)
        return Record(Candidate(target, source, index, atoms, seconds=0.5), relaxation, finished=finished)

    return make


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    def make(records: Sequence[Record], words: Mapping[str, Any] | None = None, folder: str = "run") -> Run:
        path = tmp_path / folder
        config = resolve({"formula": "TiO2", "num": 10, "out": str(path), **(words or {})})
        write_atomic(path / "config.toml", to_toml(config, {"xtalseek": "0.1.0", "cpu": "made by hand"}))
        journal = Journal(path)
        for record in records:
            journal.append(record)
        journal.close()
        return load_run(path)

    return make


@pytest.fixture
def disguises(make_record: MakeRecord, rutile: Atoms, anatase: Atoms) -> list[Record]:
    """Ten records: rutile found 5 times, anatase 3 times, in many disguises; a suspicious and a failed one."""
    rng = np.random.default_rng(0)
    found = [(rutile, -8.900)] * 5 + [(anatase, -8.898)] * 3
    records = [make_record(n, relaxed_again(a, rng), e + 0.0004 * rng.random()) for n, (a, e) in enumerate(found)]
    records.append(make_record(8, rutile, -11.0, Status.SUSPICIOUS, message="atoms too close"))
    records.append(make_record(9, rutile, -9.5, Status.MAX_STEPS))
    return records
