"""Atoms that a model put a little too close are pushed apart; what is far off is given up.

A move along the sum of all overlaps of an atom keeps every symmetry of the structure, since equivalent atoms have
equivalent overlaps.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
from ase import Atoms

Distances = Mapping[tuple[str, str], float]
"""Shortest allowed distance (Å) by sorted pair of symbols."""
HOPELESS = 0.4
"""Pairs closer than this part of their shortest allowed distance are not pushed apart: the atoms are misplaced."""
MOST_STEPS = 25
MOST_GROWTH = 1.12
"""Largest factor of the cell's edges."""
MOST_MOVED = 0.8
"""Å, the farthest that an atom may be moved."""
SPARE = 1e-3
"""Part by which distances come out longer than asked for, so that rounding cannot make them shorter."""


def keep_apart(atoms: Atoms, distances: Distances) -> tuple[Atoms, bool] | None:
    """The structure with no two atoms, nor an atom and its own image, closer than `distances`.

    Returns
    -------
    The structure, and whether atoms or cell had to be changed; None where that is not enough.
    """
    if not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell.array).all() or atoms.get_volume() < 1:
        return None
    limits = _limits(atoms, distances)
    moved = atoms.copy()
    growth, walk = 1.0, np.zeros((len(atoms), 3))
    for step in range(MOST_STEPS):
        first, second, vector = _close_pairs(moved, limits * (1 if step == 0 else 1 + SPARE / 2))
        if not len(first):
            return moved, step > 0
        distance, limit = np.linalg.norm(vector, axis=1), limits[first, second]
        if (distance < HOPELESS * limit).any():
            return None
        # An image of the atom itself only moves away with the cell; late overlaps find no room in it either.
        needed = limit / distance * (1 + SPARE)
        own = first == second
        factor = float(needed[own].max(initial=1.0))
        if step >= MOST_STEPS // 2:
            factor = max(factor, min(1.02, float(needed.max())))
        push = np.zeros_like(walk)
        gap = (limit * (1 + SPARE) - distance)[~own, None] * vector[~own] / distance[~own, None]
        np.add.at(push, first[~own], -0.5 * gap)
        walk = (walk + push) * factor
        growth *= factor
        if growth > MOST_GROWTH or np.linalg.norm(walk - walk.mean(axis=0), axis=1).max() > MOST_MOVED:
            return None
        moved.positions += push
        moved.set_cell(moved.cell.array * factor, scale_atoms=True)
    return None


def _close_pairs(atoms: Atoms, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs (i, j) closer than limits[i, j], images included, and the vectors from i to j (m, 3), Å.

    All images at once: for the small cells of a search ten times as fast as ASE's neighbour list.
    """
    cell = atoms.cell.array
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    reach = np.floor(limits.max() / heights + 0.5).astype(int)
    images = np.array(list(product(*(range(-n, n + 1) for n in reach))), dtype=float)
    sites = atoms.positions @ np.linalg.inv(cell)
    apart = sites[None] - sites[:, None]
    apart -= np.rint(apart)
    vectors = (apart[None] + images[:, None, None]) @ cell
    close = np.einsum("sijk,sijk->sij", vectors, vectors) < limits**2
    home = int(np.flatnonzero((images == 0).all(axis=1))[0])
    close[home] &= ~np.eye(len(atoms), dtype=bool)
    _, first, second = np.nonzero(close)
    return first, second, vectors[close]


def _limits(atoms: Atoms, distances: Distances) -> np.ndarray:
    """The shortest allowed distance between any two atoms (n, n), Å."""
    symbols = atoms.get_chemical_symbols()
    species = sorted(set(symbols))
    table = np.array([[distances.get((min(a, b), max(a, b)), 0.0) for b in species] for a in species])
    index = np.array([species.index(symbol) for symbol in symbols])
    return np.asarray(table[np.ix_(index, index)])
