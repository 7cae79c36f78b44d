"""results.h5: every candidate and relaxation of a run in one HDF5 file, made anew from the journal.

Structures of different sizes lie end to end: that of record i is rows `offset[i]` to `offset[i + 1]` of the per-atom
arrays.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase import Atoms

from ..errors import InputError
from ..files import write_atomic
from ..records import Candidate, Record, Relaxation, Status
from .config import to_toml
from .store import Run

RESULTS_FILE = "results.h5"
FORMAT_VERSION = 2

_RELAXATION_NUMBERS = ("energy", "pressure_gpa", "max_force", "max_stress_gpa", "steps", "force_calls", "seconds")


def write_results(run: Run) -> Path:
    """Write RUN/results.h5 (a reader sees the old file or the new one) and return its path.

    Datasets, n records: `name`, `source`, `index`, `status`, `message`, `energy` (eV per cell, NaN where unknown),
    `enthalpy` (eV per cell), ... (n,); groups `candidate` and `relaxation` hold `offset` (n + 1), `numbers` (atoms),
    `positions` (atoms, 3) in Å and `cell` (n, 3, 3) in Å, rows.
    """
    records = run.records
    candidates, relaxations = [r.candidate for r in records], [r.relaxation for r in records]
    buffer = h5py.File.in_memory()
    with buffer as file:
        file.attrs["format"] = "xtalseek results"
        file.attrs["version"] = FORMAT_VERSION
        file.attrs["config"] = to_toml(run.config, {})
        _texts(file, "name", [r.name for r in records])
        _texts(file, "target", [c.target for c in candidates])
        _texts(file, "source", [c.source for c in candidates])
        _texts(file, "status", [x.status.value for x in relaxations])
        _texts(file, "message", [x.message for x in relaxations])
        file["index"] = np.array([c.index for c in candidates], dtype=np.int64)
        file["rank"] = np.array([r.rank for r in records], dtype=np.int64)
        file["number"] = np.array([r.number for r in records], dtype=np.int64)
        file["finished"] = np.array([r.finished for r in records], dtype=float)
        for name in _RELAXATION_NUMBERS:
            values = [getattr(x, name) for x in relaxations]
            file[name] = np.array([np.nan if v is None else v for v in values], dtype=float)
        file["enthalpy"] = np.array([np.nan if x.enthalpy is None else x.enthalpy for x in relaxations], dtype=float)
        group = file.create_group("candidate")
        _structures(group, [c.atoms for c in candidates])
        group["seconds"] = np.array([c.seconds for c in candidates], dtype=float)
        _texts(group, "note", [c.note for c in candidates])
        _texts(group, "provenance", [json.dumps(dict(c.provenance)) for c in candidates])
        _structures(file.create_group("relaxation"), [x.atoms for x in relaxations])
        file.flush()
        content = file.id.get_file_image()
    path = run.path / RESULTS_FILE
    write_atomic(path, content)
    return path


def read_results(path: str | Path) -> list[Record]:
    """The records in a results.h5, in its order.

    Raises
    ------
    InputError : the file is missing, damaged, or of another format or version.
    """
    shown = repr(str(path))
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != "xtalseek results" or file.attrs["version"] != FORMAT_VERSION:
                raise InputError(
                    f"{shown} is not a results file of version {FORMAT_VERSION}: repeat the search to make it anew"
                )
            columns = {name: _column(file[name]) for name in file if isinstance(file[name], h5py.Dataset)}
            drawn = {name: _column(file["candidate"][name]) for name in ("seconds", "note", "provenance")}
            proposed, relaxed = _atoms(file["candidate"]), _atoms(file["relaxation"])
    except (OSError, KeyError) as error:
        raise InputError(f"{shown} cannot be read as a results file: {error}") from error
    records = []
    for i, (before, after) in enumerate(zip(proposed, relaxed, strict=True)):
        candidate = Candidate(
            target=columns["target"][i], source=columns["source"][i], index=columns["index"][i], atoms=before,
            seconds=drawn["seconds"][i], note=drawn["note"][i], provenance=json.loads(drawn["provenance"][i]),
        )  # fmt: skip
        numbers: dict[str, Any] = {name: columns[name][i] for name in _RELAXATION_NUMBERS}
        known: dict[str, Any] = {name: None if np.isnan(value) else value for name, value in numbers.items()}
        known |= {name: int(numbers[name]) for name in ("steps", "force_calls")}
        status, message = Status(columns["status"][i]), columns["message"][i]
        relaxation = Relaxation(atoms=after, status=status, message=message, **known)
        records.append(Record(candidate, relaxation, columns["finished"][i], columns["rank"][i], columns["number"][i]))
    return records


def _texts(group: h5py.Group, name: str, values: Sequence[str]) -> None:
    group.create_dataset(name, data=np.array(values, dtype=object), dtype=h5py.string_dtype())


def _column(dataset: h5py.Dataset) -> list[Any]:
    values = dataset.asstr()[:] if h5py.check_string_dtype(dataset.dtype) else dataset[:]
    return list(values.tolist())


def _structures(group: h5py.Group, structures: Sequence[Atoms | None]) -> None:
    sizes = [0 if atoms is None else len(atoms) for atoms in structures]
    present = [atoms for atoms in structures if atoms is not None]
    cells = [np.full((3, 3), np.nan) if atoms is None else atoms.cell.array for atoms in structures]
    group["offset"] = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    group["numbers"] = np.concatenate([np.zeros(0, np.int16), *(atoms.numbers.astype(np.int16) for atoms in present)])
    group["positions"] = np.concatenate([np.zeros((0, 3)), *(atoms.positions for atoms in present)])
    group["cell"] = np.array(cells, dtype=float).reshape(-1, 3, 3)


def _atoms(group: h5py.Group) -> list[Atoms | None]:
    offset, numbers, positions, cells = (group[name][:] for name in ("offset", "numbers", "positions", "cell"))
    return [
        Atoms(numbers=numbers[a:b], positions=positions[a:b], cell=cell, pbc=True) if b > a else None
        for a, b, cell in zip(offset[:-1], offset[1:], cells, strict=True)
    ]
