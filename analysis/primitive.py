"""Primitive cells of relaxed structures, whose translations hold only within what the relaxation left over.

spglib and pymatgen find them too, in some 30 ms for a supercell of 16 like atoms; here it is done in a fraction of one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import spglib
from ase import Atoms
from numba import njit
from pymatgen.core import Structure


@dataclass(frozen=True, eq=False)
class PrimitiveCell:
    """A Niggli-reduced primitive cell, right-handed or left-handed, atoms sorted by atomic number.

    Attributes
    ----------
    lattice : (3, 3), Å, rows.
    fractional : (n_atoms, 3), in [0, 1).
    numbers : (n_atoms,), rising.
    """

    lattice: np.ndarray
    fractional: np.ndarray
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def volume(self) -> float:
        """Å^3."""
        return abs(float(np.linalg.det(self.lattice)))

    @property
    def atoms(self) -> Atoms:
        """As ASE has it."""
        return Atoms(self.numbers, scaled_positions=self.fractional, cell=self.lattice, pbc=True)

    @property
    def structure(self) -> Structure:
        """As pymatgen has it."""
        return Structure(self.lattice, self.numbers.tolist(), self.fractional)


def primitive_cell(atoms: Atoms, tolerance: float) -> PrimitiveCell:
    """The primitive cell, its atoms averaged over those that it stands for.

    Parameters
    ----------
    tolerance : Å; how far an atom may lie from where a translation takes another of its species.

    Raises
    ------
    ValueError : a cell that is flat, or not finite.
    """
    order = np.argsort(atoms.numbers, kind="stable")
    numbers = np.ascontiguousarray(atoms.numbers[order], dtype=np.int64)
    lattice, fractional = _niggli(np.array(atoms.cell.array), atoms.positions[order])
    basis, fractional, kept = _without_translations(lattice, fractional, numbers, tolerance)
    if len(kept) < len(numbers):
        lattice, fractional = _niggli(basis, fractional @ lattice)
    return PrimitiveCell(lattice, np.ascontiguousarray(fractional % 1.0 % 1.0), numbers[kept])


def _niggli(lattice: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The reduced lattice, and the positions as fractions of it."""
    if not (np.isfinite(lattice).all() and np.isfinite(positions).all() and abs(np.linalg.det(lattice)) > 1e-6):
        raise ValueError("a cell that is flat or not finite")
    reduced = spglib.niggli_reduce(lattice)
    if reduced is None:  # it gives up on cells far from any crystal's
        reduced = lattice
    return np.ascontiguousarray(reduced), np.linalg.solve(reduced.T, positions.T).T


def _without_translations(
    lattice: np.ndarray, fractional: np.ndarray, numbers: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Basis with the inner translations, averaged atoms (fractions of `lattice`), and which atoms they stand for."""
    n = len(numbers)
    counts = np.unique(numbers, return_counts=True)[1]
    if math.gcd(*counts.tolist()) == 1:
        return lattice, fractional, np.arange(n)
    maps, shifts, errors = _translations(lattice, fractional, numbers, tolerance)
    # A translation that permutes all atoms in cycles of one length is a whole number of n-ths of lattice vectors.
    steps = np.rint(n * shifts).astype(int) % n
    whole = np.abs(n * shifts - np.rint(n * shifts)).max(axis=1) < 1e-6
    found = {tuple(steps[p].tolist()): p for p in np.argsort(-errors, kind="stable") if whole[p]}
    group: set[tuple[int, ...]] = {(0, 0, 0)}
    for step in sorted(found, key=lambda s: (errors[found[s]], s)):
        grown = _closed(group, step, n)
        if grown <= found.keys():
            group = grown
    if len(group) == 1:
        return lattice, fractional, np.arange(n)
    members = [found[step] for step in group]
    kept = np.array([i for i in range(n) if i == maps[members, i].min()])
    averaged = np.empty((len(kept), 3))
    for place, i in enumerate(kept):
        away = fractional[maps[members, i]] - shifts[members] - fractional[i]
        averaged[place] = fractional[i] + (away - np.rint(away)).mean(axis=0)
    return _basis(sorted(group), n) / n @ lattice, averaged, kept


def _closed(group: set[tuple[int, ...]], step: tuple[int, ...], n: int) -> set[tuple[int, ...]]:
    """The group of translations (in n-ths, modulo the lattice) that one more step makes of a group."""
    grown, at = set(group), step
    while at not in group:
        grown |= {tuple((a + b) % n for a, b in zip(member, at, strict=True)) for member in group}
        at = tuple((a + b) % n for a, b in zip(at, step, strict=True))
    return grown


def _basis(steps: list[tuple[int, ...]], n: int) -> np.ndarray:
    """Three vectors that generate the integer vectors `steps` and n times the unit vectors: Euclid's algorithm."""
    rows = [list(step) for step in steps if any(step)] + [[n if i == j else 0 for j in range(3)] for i in range(3)]
    basis = []
    for column in range(3):
        while True:
            rows.sort(key=lambda row: (row[column] == 0, abs(row[column])))
            if rows[1][column] == 0:
                break
            for row in rows[1:]:
                times = row[column] // rows[0][column]
                for place in range(3):
                    row[place] -= times * rows[0][place]
        basis.append(rows.pop(0))
    return np.array(basis)


@njit(cache=True)
def rarest_species(numbers: np.ndarray) -> tuple[int, int]:
    """Where it starts in sorted atomic numbers (n,), and how many atoms it has; the first of equals."""
    n = len(numbers)
    first, fewest, start = 0, n + 1, 0
    while start < n:
        end = start
        while end < n and numbers[end] == numbers[start]:
            end += 1
        if end - start < fewest:
            first, fewest = start, end - start
        start = end
    return first, fewest


@njit(cache=True)
def _translations(
    lattice: np.ndarray, fractional: np.ndarray, numbers: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each translation that takes atoms to others of their species: permutation, shift (fractions), worst error (Å)."""
    n = len(numbers)
    first, fewest = rarest_species(numbers)  # it gives the fewest candidates
    maps = np.empty((fewest, n), dtype=np.int64)
    shifts = np.empty((fewest, 3))
    errors = np.empty(fewest)
    found = 0
    away = np.empty((n, 3))
    for candidate in range(first, first + fewest):
        shift = fractional[candidate] - fractional[first]
        taken = np.zeros(n, dtype=np.bool_)
        good = True
        for i in range(n):
            best, nearest = -1, 4 * tolerance * tolerance
            for k in range(n):
                if numbers[k] == numbers[i] and not taken[k]:
                    gap = fractional[k] - fractional[i] - shift
                    gap -= np.rint(gap)
                    square = 0.0
                    for axis in range(3):
                        x = gap[0] * lattice[0, axis] + gap[1] * lattice[1, axis] + gap[2] * lattice[2, axis]
                        square += x * x
                    if square <= nearest:
                        best, nearest = k, square
                        away[i] = gap
            if best < 0:
                good = False
                break
            taken[best] = True
            maps[found, i] = best
        if not good:
            continue
        mean = np.array([away[:, 0].mean(), away[:, 1].mean(), away[:, 2].mean()])
        worst = 0.0
        for i in range(n):
            gap = away[i] - mean
            square = 0.0
            for axis in range(3):
                x = gap[0] * lattice[0, axis] + gap[1] * lattice[1, axis] + gap[2] * lattice[2, axis]
                square += x * x
            worst = max(worst, math.sqrt(square))
        if worst <= tolerance:
            shifts[found] = shift + mean
            errors[found] = worst
            found += 1
    return maps[:found], shifts[:found], errors[:found]
