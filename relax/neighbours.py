"""Neighbour lists that stay good while atoms barely move.

A list holds every pair up to a skin beyond its cut-off. It is kept until some pair that is not in it could have come
within the cut-off, whether atoms moved or the cell was strained; most steps of a relaxation need no new one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from pymatgen.optimization.neighbors import find_points_in_spheres

from .search_frame import is_handy, search_frame


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Pairs of atoms, each once, in one structure.

    Attributes
    ----------
    first, second : (n_pairs,) atoms of each pair; an atom and its own periodic image are a pair too.
    shift : (n_pairs, 3) lattice vectors from the second atom to the image that is meant.
    cutoff : Å; every pair nearer than this is in the list.
    positions, cell : the geometry that the list was made for.
    """

    first: np.ndarray
    second: np.ndarray
    shift: np.ndarray
    cutoff: float
    positions: np.ndarray
    cell: np.ndarray
    _reach: float

    def vectors(self, atoms: Atoms) -> np.ndarray:
        """(n_pairs, 3) from the first atom to the image of the second, Å, in the geometry of `atoms`."""
        positions = atoms.positions
        vectors: np.ndarray = positions[self.second] - positions[self.first] + self.shift @ atoms.cell.array
        return vectors

    def still_holds(self, atoms: Atoms) -> bool:
        """Whether every pair of `atoms` within the cut-off is sure to be in the list.

        A pair outside it was longer than the reach. Straining the cell multiplies its length by the deformation's
        smallest singular value at least, and what atoms move beyond that takes off twice the longest such move at most.
        """
        deformation = np.linalg.solve(self.cell, atoms.cell.array)
        moves = atoms.positions - self.positions @ deformation
        moves -= moves.mean(axis=0)
        longest = float(np.sqrt((moves**2).sum(axis=1).max()))
        shrinkage = float(np.linalg.svd(deformation, compute_uv=False)[-1])
        return self._reach * shrinkage - 2 * longest >= self.cutoff


def find_neighbours(atoms: Atoms, cutoff: float, skin: float) -> Neighbours:
    """Every pair up to `cutoff` + `skin` (Å), in a fixed order.

    Raises
    ------
    CellTooThin : see `search_frame`.
    """
    reach = cutoff + skin
    positions, cell = np.ascontiguousarray(atoms.positions), np.ascontiguousarray(atoms.cell.array)
    frame = None if is_handy(positions, cell, reach) else search_frame(positions, cell)
    points, lattice = (positions, cell) if frame is None else (frame.positions, np.ascontiguousarray(frame.cell))
    found = find_points_in_spheres(points, points, reach, np.ones(3, dtype=np.int64), lattice, 1e-8)
    first, second, shift = found[0], found[1], np.asarray(found[2])
    if frame is not None:
        shift = frame.original_shift(first, second, shift)
    # Of the two directions of a pair keep the one that leads to the later atom, or along the first positive shift.
    sign = np.sign(shift @ (1e10, 1e5, 1.0))
    kept = (first < second) | ((first == second) & (sign > 0))
    first, second, shift = first[kept], second[kept], shift[kept]
    order = np.lexsort((*shift.T[::-1], second, first))
    return Neighbours(first[order], second[order], shift[order], cutoff, positions.copy(), cell.copy(), _reach=reach)


def current_neighbours(known: Neighbours | None, atoms: Atoms, cutoff: float, skin: float) -> Neighbours:
    """`known` where it still holds for `atoms`, otherwise a new list."""
    if known is not None and known.still_holds(atoms):
        return known
    return find_neighbours(atoms, cutoff, skin)
