"""Units pushed apart until every pair of atoms keeps its distance: rigid units as a whole, the symmetry kept exactly.

Only one unit of each orbit, its first, is free; the others are its images, and its moves are projected on those that
keep its site symmetry. Positions are cartesian here and operations act on rows: x' = x @ turn + translation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

PATIENCE = 100
"""Steps without progress after which pushing stops."""

MAX_PUSHES = 3000
"""Steps in all."""

STEP, TARGET = 0.25, 1.05
"""Part of what a pair lacks of `TARGET` times its distance by which each partner moves in one step. Both numbers follow
from ensembles of buildcell 0.9.1, where distances pile up evenly between 1 and about 1.025 times the minimum: a
pair that is just too close comes to lie halfway to the target."""

SKIN = 0.15
"""Share of the longest distance by which pairs are listed beyond their own, so that lists last for several steps."""


class Layout(NamedTuple):
    """Units of a cell and the operations that relate them; numba passes it as it is.

    turns : (n, 3, 3), translations : (n, 3) Å; operations on cartesian rows.
    projectors : (s, 3, 3) on cartesian rows; the moves that a site allows; zero where it stays.
    site, operation : (c,) of each unit: x = points[site] @ turns[operation] + translations[operation].
    first : (s,) the first unit of each site.
    start : (c + 1,) the first atom of each unit, and the number of atoms.
    offsets : (a, 3) Å of each atom from its unit's centre. kinds : (a,) row in the table of distances.
    periodic : whether there are images under lattice translations.
    """

    turns: np.ndarray
    translations: np.ndarray
    projectors: np.ndarray
    site: np.ndarray
    operation: np.ndarray
    first: np.ndarray
    start: np.ndarray
    offsets: np.ndarray
    kinds: np.ndarray
    periodic: bool


@njit(cache=True)
def atom_positions(points: np.ndarray, layout: Layout) -> np.ndarray:
    """All atoms (a, 3) Å, not wrapped, each unit in one piece, from the sites' points (s, 3) Å."""
    positions = np.empty_like(layout.offsets)
    for c in range(len(layout.site)):
        g, s = layout.operation[c], layout.site[c]
        for x in range(3):
            centre = layout.translations[g, x]
            for y in range(3):
                centre += points[s, y] * layout.turns[g, y, x]
            for a in range(layout.start[c], layout.start[c + 1]):
                positions[a, x] = centre + layout.offsets[a, x]
    return positions


@njit(cache=True)
def _inverse(m: np.ndarray) -> np.ndarray:
    """The inverse of a (3, 3) matrix."""
    inverse = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            a, b, c, d = (j + 1) % 3, (j + 2) % 3, (i + 1) % 3, (i + 2) % 3
            inverse[i, j] = m[a, c] * m[b, d] - m[a, d] * m[b, c]
    inverse /= m[0, 0] * inverse[0, 0] + m[0, 1] * inverse[1, 0] + m[0, 2] * inverse[2, 0]
    return inverse


@njit(cache=True)
def list_pairs(
    cell: np.ndarray, positions: np.ndarray, layout: Layout, distances: np.ndarray, skin: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of an atom of a first unit with any atom, nearer than their distance + skin.

    Atoms of one unit are no pair, but an atom and another unit's, or its own unit's under a lattice translation, are.

    Returns
    -------
    pairs : (p, 4): atom, other atom, site, other site; -1 for its site if it is the same unit.
    shifts : (p, 3) Å, to add to the other atom.
    """
    inverse = _inverse(cell)
    heights = np.empty(3)
    for x in range(3):
        heights[x] = np.sqrt(inverse[0, x] ** 2 + inverse[1, x] ** 2 + inverse[2, x] ** 2)
    pairs = np.empty((64, 4), np.int64)
    shifts = np.empty((64, 3))
    found = 0
    low = np.zeros(3, np.int64)
    high = np.zeros(3, np.int64)
    delta = np.empty(3)
    for s in range(len(layout.first)):
        own = layout.first[s]
        for i in range(layout.start[own], layout.start[own + 1]):
            for c in range(len(layout.site)):
                for j in range(layout.start[c], layout.start[c + 1]):
                    need = distances[layout.kinds[i], layout.kinds[j]]
                    if need <= 0:
                        continue
                    reach = need + skin
                    for x in range(3):
                        delta[x] = positions[j, x] - positions[i, x]
                    if layout.periodic:
                        for x in range(3):
                            f = delta[0] * inverse[0, x] + delta[1] * inverse[1, x] + delta[2] * inverse[2, x]
                            low[x] = int(np.ceil(-f - reach * heights[x]))
                            high[x] = int(np.floor(reach * heights[x] - f))
                    for u in range(low[0], high[0] + 1):
                        for v in range(low[1], high[1] + 1):
                            for w in range(low[2], high[2] + 1):
                                if c == own and u == 0 and v == 0 and w == 0:
                                    continue
                                square = 0.0
                                for x in range(3):
                                    square += (delta[x] + u * cell[0, x] + v * cell[1, x] + w * cell[2, x]) ** 2
                                if square >= reach * reach:
                                    continue
                                if found == len(pairs):
                                    pairs = np.concatenate((pairs, np.empty_like(pairs)))
                                    shifts = np.concatenate((shifts, np.empty_like(shifts)))
                                pairs[found, 0], pairs[found, 1], pairs[found, 2] = i, j, s
                                pairs[found, 3] = -1 if c == own else layout.site[c]
                                for x in range(3):
                                    shifts[found, x] = u * cell[0, x] + v * cell[1, x] + w * cell[2, x]
                                found += 1
    return pairs[:found], shifts[:found]


@njit(cache=True)
def push_apart(
    rng: np.random.Generator,
    cell: np.ndarray,
    points: np.ndarray,
    layout: Layout,
    distances: np.ndarray,
    patience: int,
) -> tuple[np.ndarray, int, int]:
    """Push the sites' points (s, 3) Å until every pair keeps its distance.

    Each step moves every site's first unit away from all that is too close, by `STEP` of the sum of what its pairs
    lack. It is given up after `patience` steps without progress, or as soon as a pair is too close that cannot move:
    a unit and its own images under lattice translations, or two units that stay where they are.

    Parameters
    ----------
    rng : gives a direction to atoms on top of each other. distances : (k, k) Å, for pairs of kinds.

    Returns
    -------
    points : (s, 3). first, second : atoms of the pair that lacks most; -1 where none is too close.
    """
    sites = len(layout.first)
    longest = 0.0
    for i in range(len(distances)):
        for j in range(len(distances)):
            longest = max(longest, distances[i, j])
    skin = SKIN * longest
    movable = np.zeros(sites, np.bool_)
    for s in range(sites):
        movable[s] = np.abs(layout.projectors[s]).sum() > 1e-8
    positions = atom_positions(points, layout)
    pairs, shifts = list_pairs(cell, positions, layout, distances, skin)
    listed_at = points.copy()
    points = points.copy()
    best = np.inf
    waited = 0
    moves = np.empty((sites, 3))
    line = np.empty(3)
    worst_first, worst_second = -1, -1
    for _ in range(MAX_PUSHES):
        moves[:] = 0.0
        total, worst = 0.0, 0.0
        stuck = False
        worst_first, worst_second = -1, -1
        for p in range(len(pairs)):
            i, j = pairs[p, 0], pairs[p, 1]
            need = distances[layout.kinds[i], layout.kinds[j]]
            square = 0.0
            for x in range(3):
                line[x] = positions[i, x] - positions[j, x] - shifts[p, x]
                square += line[x] * line[x]
            if square >= need * need:
                continue
            length = np.sqrt(square)
            lack = need - length
            total += lack
            s, t = pairs[p, 2], pairs[p, 3]
            fixed = t < 0 or not (movable[s] or movable[t])
            if lack > worst or (fixed and not stuck):
                worst, worst_first, worst_second = lack, i, j
            if fixed:
                stuck = True
                break
            if length < 1e-6:
                for x in range(3):
                    line[x] = rng.random() - 0.5
                length = np.sqrt(line[0] ** 2 + line[1] ** 2 + line[2] ** 2)
                share = STEP * TARGET * need / length
            else:
                share = STEP * (TARGET * need - length) / length
            for x in range(3):
                moves[s, x] += share * line[x]
        if worst_first < 0 or stuck:
            break
        waited = 0 if total < best else waited + 1
        best = min(best, total)
        if waited >= patience:
            break
        farthest = 0.0
        for s in range(sites):
            square = 0.0
            for x in range(3):
                move = 0.0
                for y in range(3):
                    move += moves[s, y] * layout.projectors[s, y, x]
                points[s, x] += move
                square += (points[s, x] - listed_at[s, x]) ** 2
            farthest = max(farthest, square)
        positions = atom_positions(points, layout)
        if 4 * farthest > skin * skin:
            pairs, shifts = list_pairs(cell, positions, layout, distances, skin)
            listed_at = points.copy()
    return points, worst_first, worst_second
