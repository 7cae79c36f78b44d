"""Crystal structures to train on and to measure with: benchmark CSV, any structure file, or a run folder."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read

from .dataset_csv import NAMES, bytes_of, fault, read_table
from .errors import InputError
from .formats import one_line
from .records import Status
from .search.store import CONFIG_FILE, JOURNAL_FOLDER, load_run
from .structure_files import read_structures

_log = logging.getLogger(__name__)

_CSV = (".csv", ".csv.gz")


@dataclass(frozen=True)
class DataFile:
    """Where structures came from.

    Attributes
    ----------
    path : as it was given.
    sha256 : of the file's bytes; of a folder, over the bytes of its files.
    rows : rows or frames in it, bad ones too.
    """

    path: str
    sha256: str
    rows: int


@dataclass(frozen=True, eq=False)
class Dataset:
    """Structures, all periodic and ordered, in the order of the files.

    Attributes
    ----------
    names : of each structure: its material_id, or its file's name with a number. Not always unique.
    structures : plain `Atoms` without calculators.
    formation_energies : eV/atom, (n,); NaN where unknown.
    bad : one line for each row that could not be used: file, row, why.
    files : where they came from.
    """

    names: list[str]
    structures: list[Atoms]
    formation_energies: np.ndarray
    bad: list[str]
    files: tuple[DataFile, ...] = ()

    def __len__(self) -> int:
        return len(self.structures)

    def select(self, numbers: Iterable[int]) -> Dataset:
        """The structures with these numbers, in this order; `bad` and `files` stay, they tell of the files."""
        chosen = [int(number) for number in numbers]
        return Dataset(
            [self.names[n] for n in chosen],
            [self.structures[n] for n in chosen],
            self.formation_energies[np.array(chosen, dtype=int)],
            self.bad,
            self.files,
        )

    def sample(self, size: int | None, seed: int = 0) -> Dataset:
        """`size` of them drawn without replacement, in file order; all where `size` is None or no smaller than all."""
        if size is None or size >= len(self):
            return self
        return self.select(np.sort(np.random.default_rng(seed).choice(len(self), size, replace=False)))


def read_dataset(paths: Sequence[str | Path], *, cache: bool = True) -> Dataset:
    """Every usable structure in the files, one after another.

    Parameters
    ----------
    paths : .csv and .csv.gz with a column `cif`; run folders (their converged relaxations, without formation
        energies); and whatever `read_structures` reads.
    cache : keep the parsed rows of CSV files in $XDG_CACHE_HOME/xtalseek/datasets (~/.cache), and use what lies there.

    Returns
    -------
    The data set. A row that cannot be used (no CIF in it, partly occupied sites, a flat cell, coordinates that are no
    numbers) is left out and named in `bad`.

    Raises
    ------
    InputError : no path, a file that is missing or cannot be read, or one without a usable row.
    """
    if not paths:
        raise InputError("no data: give at least one file")
    parts = [_part(Path(path), cache) for path in paths]
    return Dataset(
        [name for part in parts for name in part.names],
        [atoms for part in parts for atoms in part.structures],
        np.concatenate([part.formation_energies for part in parts]),
        [line for part in parts for line in part.bad],
        tuple(file for part in parts for file in part.files),
    )


def _part(path: Path, cache: bool) -> Dataset:
    if (path / CONFIG_FILE).is_file():
        part = _from_run(path)
    elif path.name.lower().endswith(_CSV):
        part = _from_csv(path, cache)
    else:
        part = _from_structures(path)
    if not part.structures:
        first = f"; the first: {part.bad[0]}" if part.bad else ""
        rows = part.files[0].rows
        raise InputError(f"{str(path)!r} holds no structure that can be used ({rows} rows or frames{first})")
    return part


def _from_csv(path: Path, cache: bool) -> Dataset:
    sha256, table = read_table(path, cache)
    ends = np.cumsum(table["counts"])
    structures = [
        Atoms(table["numbers"][end - n : end], positions=table["positions"][end - n : end], cell=cell, pbc=True)
        for n, end, cell in zip(table["counts"], ends, table["cells"], strict=True)
    ]
    bad = [f"{path}: {line}" for line in table["bad"].tolist()]
    files = (DataFile(str(path), sha256, int(table["rows"])),)
    return Dataset(table["names"].tolist(), structures, table["energies"], bad, files)


def _from_run(path: Path) -> Dataset:
    run = load_run(path)
    relaxed = [
        (r.name, _plain(r.relaxation.atoms))
        for r in run.records
        if r.relaxation.status is Status.CONVERGED and r.relaxation.atoms is not None
    ]
    journal = sorted((path / JOURNAL_FOLDER).glob("*.jsonl"))
    files = (DataFile(str(path), _hash_of([path / CONFIG_FILE, *journal]), len(run.records)),)
    names, structures = [name for name, _ in relaxed], [atoms for _, atoms in relaxed]
    return Dataset(names, structures, np.full(len(relaxed), math.nan), [], files)


def _from_structures(path: Path) -> Dataset:
    bad: list[str] = []
    if path.suffix.lower() in (".extxyz", ".xyz") and path.is_file():
        found, rows = _frames(path, bad)
    else:
        try:
            found = read_structures([path])
        except InputError as error:
            if not path.is_dir():
                raise
            _log.debug("%s: %s", path, error)
            found = _file_by_file(path, bad)
        rows = len(found) + len(bad)
    hashed = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    files = (DataFile(str(path), _hash_of(hashed), rows),)
    names, structures = [name for name, _ in found], [atoms for _, atoms in found]
    return Dataset(names, structures, np.full(len(found), math.nan), bad, files)


def _frames(path: Path, bad: list[str]) -> tuple[list[tuple[str, Atoms]], int]:
    """Frame by frame, where `read_structures` would stop at the first bad one of thousands."""
    try:
        images: Any = read(path, index=slice(None), format="extxyz", do_not_split_by_at_sign=True)
    except Exception as error:  # ASE's reader fails in its own ways
        raise InputError(f"structure file {str(path)!r} cannot be read ({one_line(error)})") from error
    found = []
    for number, atoms in enumerate(images, start=1):
        own = next((name for key in NAMES if (name := str(atoms.info.get(key, "")).strip())), "")
        name = own or f"{path.stem}-{number:06d}"
        why = fault(atoms.positions, atoms.cell.array) or ("" if atoms.pbc.all() else "not periodic in all directions")
        if why:
            bad.append(f"{path}: frame {number} ({name}): {why}")
        else:
            found.append((name, _plain(atoms)))
    return found, len(images)


def _file_by_file(folder: Path, bad: list[str]) -> list[tuple[str, Atoms]]:
    found: list[tuple[str, Atoms]] = []
    for file in sorted(p for p in folder.iterdir() if p.is_file()):
        try:
            found += read_structures([file])
        except InputError as error:
            bad.append(one_line(error))
    return found


def _plain(atoms: Atoms) -> Atoms:
    return Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)


def _hash_of(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(bytes_of(file))
    return digest.hexdigest()
