"""A structure under edit, whose atoms know their unit, its radius, whether they are frozen, and their moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

from ..recipe import Pair, Unit
from .regions import minimum_distances

TOLERANCE = 1e-6
"""Å; what may be missing from a minimum distance."""

UNIT, RADIUS, FROZEN, SPIN = "xtalseek_unit", "xtalseek_radius", "xtalseek_frozen", "xtalseek_spin"
"""Names of the arrays that go with the atoms."""


def labelled(atoms: Atoms, units: Sequence[Unit]) -> Atoms:
    """A copy of `atoms` with the arrays, each unit's atoms brought together that wrapping had torn apart.

    Raises
    ------
    ValueError : the units do not list the atoms.
    """
    if atoms.get_chemical_symbols() != [symbol for unit in units for symbol in unit.symbols]:
        raise ValueError(f"the units do not list the atoms of {atoms.get_chemical_formula()}")
    copy = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc, info=dict(atoms.info))
    label(copy, units)
    start = 0
    for unit in units:
        _join(copy, start, unit)
        start += len(unit.symbols)
    return copy


def label(atoms: Atoms, units: Sequence[Unit], first: int = 0) -> None:
    """Add the arrays; units are numbered from `first`."""
    rows = [(number, unit) for number, unit in enumerate(units, start=first) for _ in unit.symbols]
    atoms.set_array(UNIT, np.array([number for number, _ in rows], dtype=int))
    atoms.set_array(RADIUS, np.array([np.nan if u.radius is None else u.radius for _, u in rows], dtype=float))
    atoms.set_array(FROZEN, np.array([unit.frozen for _, unit in rows], dtype=bool))
    atoms.set_array(SPIN, np.array([unit.spin for _, unit in rows], dtype=float))


def _join(atoms: Atoms, start: int, unit: Unit) -> None:
    """Choose images of a unit's atoms that lie as far from each other as in the unit."""
    offsets = np.asarray(unit.offsets, dtype=float).reshape(-1, 3)
    if len(offsets) < 2 or not atoms.pbc.any():
        return
    spans = np.linalg.norm(offsets[:, None] - offsets[None], axis=-1)
    images = lattice_vectors(atoms, float(spans.max()))
    positions = atoms.positions[start : start + len(offsets)]
    for atom in range(1, len(offsets)):
        candidates = nearest(atoms, positions[atom] - positions[0]) + positions[0] + images
        lengths = np.linalg.norm(candidates[:, None] - positions[None, :atom], axis=-1)
        positions[atom] = candidates[np.argmin(np.abs(lengths - spans[atom, :atom]).max(axis=1))]


def unlabelled(atoms: Atoms) -> None:
    """Take the arrays off again."""
    for name in (UNIT, RADIUS, FROZEN, SPIN):
        del atoms.arrays[name]


@dataclass(frozen=True)
class Distances:
    """What atoms must keep from each other.

    Attributes
    ----------
    pairs : Å for pairs of symbols in alphabetical order; a unit's radius goes before them.
    slack : share by which all may be closer.
    """

    pairs: Mapping[Pair, float]
    slack: float

    def between(self, atoms: Atoms) -> np.ndarray:
        """For every pair of labelled atoms, (n, n) Å."""
        return (1 - self.slack) * minimum_distances(atoms.get_chemical_symbols(), self.pairs, atoms.arrays[RADIUS])


def too_close(atoms: Atoms, required: np.ndarray) -> tuple[int, int] | None:
    """The pair that lacks most of its minimum distance, periodic images included; None: all keep theirs.

    Atoms of one unit may be at any distance from each other.

    Parameters
    ----------
    required : (n, n) Å.
    """
    reach = float(required.max(initial=0.0))
    if reach <= 0:
        return None
    first, second, lengths, offsets = neighbor_list("ijdS", atoms, reach)
    units = atoms.arrays[UNIT]
    apart = (units[first] != units[second]) | offsets.any(axis=1)
    lacking = np.where(apart, required[first, second] - lengths, 0.0)
    if lacking.max(initial=0.0) <= TOLERANCE:
        return None
    worst = int(np.argmax(lacking))
    return int(first[worst]), int(second[worst])


def heights(cell: np.ndarray) -> np.ndarray:
    """Distances between opposite faces, (3,) Å."""
    return 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)


def grow(atoms: Atoms, extra: np.ndarray) -> None:
    """Lengthen the cell's vectors so that opposite faces are `extra` (3,) Å farther apart; atoms stay."""
    cell = atoms.cell.array
    atoms.set_cell(cell * (1 + extra / heights(cell))[:, None], scale_atoms=False)


def gather(atoms: Atoms, axes: Sequence[int]) -> None:
    """Put units that lie across the cell's boundary on one side: around their mean on the circle along each axis."""
    places = atoms.cell.scaled_positions(atoms.positions)
    _, first, unit = np.unique(atoms.arrays[UNIT], return_index=True, return_inverse=True)
    for axis in axes:
        mean = np.exp(2j * np.pi * places[:, axis]).mean()
        if abs(mean) > 1e-6:
            middle = np.angle(mean) / (2 * np.pi)
            places[:, axis] -= np.rint(places[first, axis] - middle)[unit]
    atoms.positions = places @ atoms.cell.array


def nearest(atoms: Atoms, vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) Å less whole lattice vectors, so that they lie within half a cell."""
    if not atoms.pbc.any():
        return vectors
    return vectors - np.rint(vectors @ np.linalg.inv(atoms.cell.array)) * atoms.pbc @ atoms.cell.array


def lattice_vectors(atoms: Atoms, reach: float) -> np.ndarray:
    """Lattice vectors (k, 3) Å that, added to a vector within half a cell, give all images of up to `reach` Å."""
    if not atoms.pbc.any():
        return np.zeros((1, 3))
    cell = atoms.cell.array
    most = np.where(atoms.pbc, np.floor(reach / heights(cell) + 0.5), 0).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij"), axis=-1)
    return grid.reshape(-1, 3) @ cell
