"""Records as JSON, exactly, and back: what a journal's line holds. What is read may be damaged, and is checked."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson
from ase import Atoms
from ase.data import chemical_symbols

from .records import Candidate, Record, Relaxation, Status

_LEVELS = 50
"""Provenance nests no deeper."""


def to_json(value: Any) -> bytes:
    """`value` as JSON on one line: floats keep all their digits, and what is not finite becomes null.

    A plug-in's provenance never costs a candidate: numpy's types become lists and numbers, and what JSON does not know
    becomes its text.
    """
    try:
        return orjson.dumps(value, _plainer, orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # a whole number beyond 64 bits, or half a surrogate pair
        return json.dumps(value, default=_plainer, separators=(",", ":"), skipkeys=True).encode()


def _plainer(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def atoms_to_json(atoms: Atoms | None) -> dict[str, Any] | None:
    """A structure as plain lists; floats keep all their digits, so that reading gives the same structure back.

    One with a number that is not finite is none.
    """
    if atoms is None or not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        return None
    return {
        "numbers": atoms.numbers.tolist(),
        "cell": atoms.cell.array.tolist(),
        "positions": atoms.positions.tolist(),
    }


def atoms_from_json(data: Mapping[str, Any] | None) -> Atoms | None:
    """The inverse of `atoms_to_json`.

    Raises
    ------
    KeyError, TypeError, ValueError : `data` is not a structure with atoms and three lattice vectors.
    """
    if data is None:
        return None
    numbers = data["numbers"]
    # Checks on lists: on arrays this small numpy's would take as long as making the Atoms.
    if not isinstance(numbers, list) or set(map(type, numbers)) != {int}:
        raise TypeError("no list of atomic numbers")
    if min(numbers) < 0 or max(numbers) >= len(chemical_symbols):
        raise ValueError("an atomic number of no element")
    try:
        cell, positions = np.array(data["cell"], dtype=float), np.array(data["positions"], dtype=float)
    except OverflowError as error:
        raise ValueError(str(error)) from error
    if cell.shape != (3, 3) or not all(map(any, data["cell"])) or positions.shape != (len(numbers), 3):
        raise ValueError("no three lattice vectors, or no position for each atom")
    if not (np.isfinite(cell).all() and np.isfinite(positions).all()):
        raise ValueError("a cell or positions that are not finite")
    return Atoms(numbers=numbers, cell=cell, positions=positions, pbc=True)


def record_to_json(record: Record) -> dict[str, Any]:
    """A record as plain JSON values. Energy, force and stress that are not finite are not known: None."""
    candidate, relaxation = record.candidate, record.relaxation
    measured = {name: getattr(relaxation, name) for name in ("energy", "max_force", "max_stress_gpa")}
    known = {name: None if v is None or not math.isfinite(v) else float(v) for name, v in measured.items()}
    return {
        "candidate": vars(candidate)
        | {"atoms": atoms_to_json(candidate.atoms), "provenance": dict(candidate.provenance)},
        "relaxation": vars(relaxation)
        | {"atoms": atoms_to_json(relaxation.atoms), "status": relaxation.status.value}
        | known,
        "finished": record.finished,
        "rank": record.rank,
        "number": record.number,
    }


def record_from_json(data: Mapping[str, Any]) -> Record:
    """The inverse of `record_to_json`.

    Raises
    ------
    KeyError, TypeError, ValueError : `data` is not a record.
    """
    candidate = Candidate(**_read_fields(data["candidate"], _CANDIDATE_FIELDS))
    relaxation = Relaxation(**_read_fields(data["relaxation"], _RELAXATION_FIELDS))
    return Record(
        candidate,
        relaxation,
        finished=finite(data["finished"]),
        rank=count(data["rank"]),
        number=count(data.get("number", candidate.index)),  # journals of one source had none
    )


def finite(value: Any) -> float:
    """A number read from a file.

    Raises
    ------
    TypeError, ValueError : `value` is not a finite number.
    """
    if isinstance(value, bool) or not isinstance(value, float | int):
        raise TypeError(f"{value!r:.50} is not a number")
    if not abs(value) <= sys.float_info.max:
        raise ValueError("a number that is not finite")
    return float(value)


def count(value: Any) -> int:
    """A whole number from 0 up, read from a file.

    Raises
    ------
    TypeError, ValueError : `value` is something else, or does not fit 64 bits.
    """
    if finite(value) != int(value) or not 0 <= value < 2**63:
        raise ValueError(f"{value} is not a count")
    return int(value)


def _finite_or_none(value: Any) -> float | None:
    return None if value is None or (isinstance(value, float) and not math.isfinite(value)) else finite(value)


def _seconds(value: Any) -> float:
    return _finite_or_none(value) or 0.0


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.50} is not text")
    return value


def _provenance(value: Any, levels: int = _LEVELS) -> Any:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if levels == 0 or (levels == _LEVELS and not isinstance(value, dict)):
        raise ValueError("no provenance, or nested too deep")
    for part in inner:
        _provenance(part, levels - 1)
    return value


def _read_fields(data: Any, fields: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise TypeError("not a JSON object")
    return {name: fields[name](value) for name, value in data.items()}


_CANDIDATE_FIELDS: dict[str, Callable[[Any], Any]] = {
    "target": _text,
    "source": _text,
    "index": count,
    "atoms": atoms_from_json,
    "seconds": _seconds,
    "note": _text,
    "provenance": _provenance,
}
_RELAXATION_FIELDS: dict[str, Callable[[Any], Any]] = {
    "atoms": atoms_from_json,
    "status": Status,
    "message": _text,
    "energy": _finite_or_none,
    "pressure_gpa": finite,
    "max_force": _finite_or_none,
    "max_stress_gpa": _finite_or_none,
    "steps": count,
    "force_calls": count,
    "seconds": _seconds,
}
