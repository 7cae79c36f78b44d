"""Prototype structures, by anonymous formula; each is analysed when a target first asks for it."""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pymatgen.analysis
import spglib
from ase import Atoms

from ...datasets import read_dataset

SYMPREC = 0.01
"""Distance (Å) within which a prototype's atoms count as symmetric."""


@dataclass(frozen=True, eq=False)
class Primitive:
    """A prototype's primitive cell of shortest vectors.

    Attributes
    ----------
    atoms : the cell, with the prototype's own species; right-handed.
    group : international number of its space group.
    orbits : atoms in the orbit of each atom, (n_atoms,).
    """

    atoms: Atoms
    group: int
    orbits: np.ndarray


@dataclass(frozen=True, eq=False)
class Prototype:
    """A known structure.

    Attributes
    ----------
    name : as its file, or AFLOW, names it.
    atoms : as it was read.
    energy : of formation, eV/atom; NaN where unknown.
    """

    name: str
    atoms: Atoms
    energy: float = math.nan

    @cached_property
    def composition(self) -> dict[str, int]:
        """Atoms of each species in the reduced formula."""
        counts = Counter(self.atoms.get_chemical_symbols())
        units = math.gcd(*counts.values())
        return {symbol: n // units for symbol, n in counts.items()}

    @cached_property
    def primitive(self) -> Primitive | None:
        """Its primitive cell; None where spglib finds none."""
        cell: Any = (self.atoms.cell.array, self.atoms.get_scaled_positions(), self.atoms.numbers)
        found: Any = spglib.standardize_cell(cell, to_primitive=True, no_idealize=True, symprec=SYMPREC)
        reduced: Any = None if found is None else spglib.niggli_reduce(found[0])
        if found is None or reduced is None:
            return None
        vectors = reduced if np.linalg.det(reduced) > 0 else -reduced
        atoms = Atoms(found[2], positions=found[1] @ found[0], cell=vectors, pbc=True)
        atoms.wrap()
        cell = (vectors, atoms.get_scaled_positions(), atoms.numbers)
        dataset = spglib.get_symmetry_dataset(cell, SYMPREC)
        if dataset is None:
            return None
        _, orbit, sizes = np.unique(dataset.crystallographic_orbits, return_inverse=True, return_counts=True)
        return Primitive(atoms, int(dataset.number), sizes[orbit])


Anonymous = tuple[int, ...]
"""Atoms of each species in a reduced formula, ascending: (1, 1, 3) for SrTiO3."""


def anonymous(composition: Mapping[str, int]) -> Anonymous:
    """The reduced formula without its species."""
    units = math.gcd(*composition.values())
    return tuple(sorted(n // units for n in composition.values()))


def anonymous_formula(composition: Mapping[str, int]) -> str:
    """ABC3 for SrTiO3."""
    return "".join(f"{chr(65 + i)}{n if n > 1 else ''}" for i, n in enumerate(anonymous(composition)))


@dataclass(frozen=True, eq=False)
class Library:
    """Prototypes by anonymous formula, those of low energy first; `words` names them in messages."""

    words: str
    prototypes: Mapping[Anonymous, tuple[Prototype, ...]]


@lru_cache(maxsize=4)
def load_library(paths: tuple[str, ...]) -> Library:
    """The prototypes in the files; without any, those of AFLOW that pymatgen carries. Read once for each process.

    Raises
    ------
    InputError : a file is missing, cannot be read, or holds no structure.
    """
    if paths:
        data = read_dataset(paths)
        found = [Prototype(*row) for row in zip(data.names, data.structures, data.formation_energies, strict=True)]
    else:
        found = _aflow()
    groups: dict[Anonymous, list[Prototype]] = {}
    # Of equally alike ones the lowest shall come first: of one formula, that is the most stable form.
    for prototype in sorted(found, key=lambda prototype: (math.isnan(prototype.energy), prototype.energy)):
        groups.setdefault(anonymous(prototype.composition), []).append(prototype)
    words = f"{len(found):,} prototypes of {', '.join(paths) or 'AFLOW'}"
    return Library(words, {key: tuple(members) for key, members in groups.items()})


def _aflow() -> list[Prototype]:
    """The AFLOW Library of Crystallographic Prototypes, part 1 (doi:10.1016/j.commatsci.2017.01.017).

    Read as plain JSON: pymatgen's own reader builds every object in the file, which takes 13 s.
    """
    # pymatgen has moved the file from one release to another.
    folders = [Path(folder) for folder in pymatgen.analysis.__path__]
    path = next(file for folder in folders for file in folder.rglob("aflow_prototypes.json*"))
    content = path.read_bytes()
    rows = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
    found = []
    for row in rows:
        structure, tags = row["snl"], row["tags"]
        symbols = [site["species"][0]["element"] for site in structure["sites"]]
        atoms = Atoms(
            ["H" if symbol in ("D", "T") else symbol for symbol in symbols],
            scaled_positions=[site["abc"] for site in structure["sites"]],
            cell=structure["lattice"]["matrix"],
            pbc=True,
        )
        found.append(Prototype(str(tags["aflow"]), atoms))
    return found
