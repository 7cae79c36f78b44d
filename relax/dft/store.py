"""Finished DFT calculations, a JSON file each: what is finished is never done again, whatever is killed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from ...errors import StorageError
from ...files import write_atomic
from ...formats import safe_name
from ...records import Relaxation, Status
from ...records_json import atoms_from_json, atoms_to_json

MINIMUM, REFERENCE = "minimum", "reference"
_SAME = 1e-6
"""Å; a structure read from a text file twice is the same within it."""


@dataclass(frozen=True, eq=False)
class Task:
    """A structure that DFT is to look at.

    Attributes
    ----------
    name : the minimum's name, or that of a reference.
    role : MINIMUM or REFERENCE.
    start : the structure that DFT starts from.
    settings : everything that its energy depends on, as plain values.
    search_enthalpy : eV/atom by the search's potential; None for a reference.
    search_space_group : symbol before DFT.
    """

    name: str
    role: str
    start: Atoms
    settings: Mapping[str, Any]
    search_enthalpy: float | None = None
    search_space_group: str = ""

    @property
    def file(self) -> str:
        """Its file's name."""
        return f"{'reference-' if self.role == REFERENCE else ''}{safe_name(self.name)}.json"


@dataclass(frozen=True, eq=False)
class Finished:
    """A task with what DFT made of it."""

    task: Task
    relaxation: Relaxation


def save(folder: Path, done: Finished) -> None:
    """Write one result; it is on the disk when this returns.

    Raises
    ------
    StorageError : the disk is full or the folder cannot be written.
    """
    task, relaxation = done.task, done.relaxation
    data = {
        "name": task.name,
        "role": task.role,
        "search_enthalpy_per_atom": task.search_enthalpy,
        "search_space_group": task.search_space_group,
        "enthalpy_per_atom": relaxation.enthalpy_per_atom,
        "settings": dict(task.settings),
        "start": atoms_to_json(task.start),
        "relaxation": vars(relaxation) | {"atoms": atoms_to_json(relaxation.atoms), "status": relaxation.status.value},
    }
    try:
        write_atomic(folder / task.file, json.dumps(data, indent=1) + "\n")
    except OSError as error:
        raise StorageError(
            f"cannot write {str(folder / task.file)!r} ({error.strerror}): make room and give the same command again"
        ) from error


def load(folder: Path, task: Task) -> tuple[Finished | None, str]:
    """What is stored for `task`; None where there is nothing, or where it was made from another start or setting.

    Returns
    -------
    The result, and in the last two cases why it does not count, in a few words.
    """
    try:
        data = json.loads((folder / task.file).read_text(encoding="utf-8"))
        start = atoms_from_json(data["start"])
        relaxation = data["relaxation"]
        found = Relaxation(
            **relaxation | {"atoms": atoms_from_json(relaxation["atoms"]), "status": Status(relaxation["status"])}
        )
        settings = data["settings"]
    except FileNotFoundError:
        return None, ""
    except (OSError, KeyError, TypeError, ValueError, RecursionError):
        return None, "its file cannot be read"
    if settings != json.loads(json.dumps(dict(task.settings))):
        return None, "it was made with other settings"
    if start is None or not _same(start, task.start):
        return None, "it was made from another structure"
    return Finished(task, found), ""


def _same(first: Atoms, second: Atoms) -> bool:
    return bool(
        len(first) == len(second)
        and (first.numbers == second.numbers).all()
        and np.allclose(first.cell.array, second.cell.array, atol=_SAME, rtol=0)
        and np.allclose(first.positions, second.positions, atol=_SAME, rtol=0)
    )
