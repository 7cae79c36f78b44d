"""Cheap comparisons of two crystals: distances that tell them apart, and a map that proves them one.

The distances are average minimum distances (Widdowson, Bright, Kurlin 2022, doi:10.46793/match.87-3.529W), here for
each pair of species by itself.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numba import njit

from .primitive import PrimitiveCell, rarest_species

NEIGHBOURS = 24
"""Distances averaged for each ordered pair of species. fcc and hcp first differ in the nineteenth."""

SLACK = 1.2
"""StructureMatcher measures displacements in the mean of the two lattices, `same_crystal` in the first: 1.1 at most."""

_SHORT = np.array([v for v in product(range(-2, 3), repeat=3) if any(v)], dtype=np.int64)


def average_distances(cell: PrimitiveCell, neighbours: int = NEIGHBOURS) -> np.ndarray:
    """The average distance of the first, second, ... neighbour, in units of (volume per atom)^(1/3).

    The same for every choice of the cell, supercells too, for mirror images, and in any order of the atoms. It says
    when crystals differ, not that they are the same: homometric ones are alike in it.

    Returns
    -------
    (s * s, neighbours) for s species, by rising atomic number of the centre and then of the neighbour.
    """
    _, species = np.unique(cell.numbers, return_inverse=True)
    length = (cell.volume / len(cell)) ** (1 / 3)
    return _average_distances(cell.lattice, cell.fractional, species.astype(np.int64), neighbours) / length


def same_crystal(one: PrimitiveCell, other: PrimitiveCell, length: float, angle: float, site: float) -> bool | None:
    """Whether `StructureMatcher.fit`, without scaling, maps one on the other: True and False are certain, None is not.

    True: a map is in hand whose lattice and atoms keep within half of the tolerances. False: none keeps within
    `SLACK` times them, whichever of the two is mapped on the other. Mirror images are the same.

    Parameters
    ----------
    length : largest relative difference of the edges of the cells.
    angle : largest difference of their angles, degrees.
    site : largest displacement of an atom, in units of (volume per atom)^(1/3).
    """
    if not np.array_equal(one.numbers, other.numbers):
        return False
    limit = site * (one.volume / len(one)) ** (1 / 3)
    verdict = _compare(
        one.lattice, one.fractional, other.lattice, other.fractional, one.numbers, _SHORT, length, angle, limit, SLACK
    )
    return None if verdict == 0 else bool(verdict > 0)


@njit(cache=True)
def _average_distances(lattice: np.ndarray, fractional: np.ndarray, species: np.ndarray, neighbours: int) -> np.ndarray:
    n, kinds = len(species), species.max() + 1
    counts = np.zeros(kinds, dtype=np.int64)
    for kind in species:
        counts[kind] += 1
    volume = abs(np.linalg.det(lattice))
    across = np.empty(3)  # distances of lattice planes
    reciprocal = np.linalg.inv(lattice)
    for axis in range(3):
        across[axis] = 1.0 / np.sqrt((reciprocal[:, axis] ** 2).sum())
    found = np.zeros((kinds * kinds, neighbours))
    for kind in range(kinds):
        # The sphere that holds so many on average, grown until it does around every centre.
        start = (0.75 / np.pi * volume * (neighbours + 1) / counts[kind]) ** (1 / 3)
        for i in range(n):
            reach = 1.2 * start
            while True:
                distances = _distances(lattice, fractional, species, i, kind, reach, across)
                if len(distances) >= neighbours:
                    break
                reach *= 1.25
            distances.sort()
            found[species[i] * kinds + kind] += distances[:neighbours] / counts[species[i]]
    return found


@njit(cache=True)
def _distances(
    lattice: np.ndarray,
    fractional: np.ndarray,
    species: np.ndarray,
    centre: int,
    kind: int,
    reach: float,
    across: np.ndarray,
) -> np.ndarray:
    """Distances up to `reach` from one atom to those of a species, in no order."""
    found = [0.0 for _ in range(0)]
    square = reach * reach
    for j in range(len(species)):
        if species[j] != kind:
            continue
        f0 = fractional[j, 0] - fractional[centre, 0]
        f1 = fractional[j, 1] - fractional[centre, 1]
        f2 = fractional[j, 2] - fractional[centre, 2]
        r0, r1, r2 = reach / across[0], reach / across[1], reach / across[2]
        for a in range(int(np.ceil(-r0 - f0)), int(np.floor(r0 - f0)) + 1):
            for b in range(int(np.ceil(-r1 - f1)), int(np.floor(r1 - f1)) + 1):
                for c in range(int(np.ceil(-r2 - f2)), int(np.floor(r2 - f2)) + 1):
                    if j == centre and a == 0 and b == 0 and c == 0:
                        continue
                    total = 0.0
                    for axis in range(3):
                        x = (f0 + a) * lattice[0, axis] + (f1 + b) * lattice[1, axis] + (f2 + c) * lattice[2, axis]
                        total += x * x
                    if total <= square:
                        found.append(np.sqrt(total))
    return np.array(found)


@njit(cache=True)
def _compare(
    lattice: np.ndarray,
    fractional: np.ndarray,
    other_lattice: np.ndarray,
    other_fractional: np.ndarray,
    numbers: np.ndarray,
    short: np.ndarray,
    length: float,
    angle: float,
    limit: float,
    slack: float,
) -> int:
    """1: the same; -1: not the same; 0: not certain."""
    vectors = short.astype(np.float64) @ other_lattice
    lengths = np.sqrt((vectors * vectors).sum(axis=1))
    edges = np.sqrt((lattice * lattice).sum(axis=1))
    near = [np.nonzero(_apart(lengths, edges[axis]) <= slack * length)[0] for axis in range(3)]
    wanted = np.array([_angle(lattice[(axis + 1) % 3], lattice[(axis + 2) % 3]) for axis in range(3)])
    verdict = -1
    matrix = np.empty((3, 3))
    for a in near[0]:
        for b in near[1]:
            off_c = abs(_angle(vectors[a], vectors[b]) - wanted[2])
            if off_c > slack * angle:
                continue
            for c in near[2]:
                off = max(off_c, abs(_angle(vectors[b], vectors[c]) - wanted[0]))
                off = max(off, abs(_angle(vectors[c], vectors[a]) - wanted[1]))
                if off > slack * angle:
                    continue
                for axis in range(3):
                    matrix[0, axis], matrix[1, axis], matrix[2, axis] = short[a, axis], short[b, axis], short[c, axis]
                if abs(abs(np.linalg.det(matrix)) - 1) > 0.1:
                    continue
                stretch = max(
                    _apart(lengths[a : a + 1], edges[0])[0],
                    _apart(lengths[b : b + 1], edges[1])[0],
                    _apart(lengths[c : c + 1], edges[2])[0],
                )
                lattice_is_sure = off <= angle / 2 and stretch <= length / 2
                places = np.ascontiguousarray(other_fractional) @ np.linalg.inv(matrix)
                found = _compare_sites(lattice, fractional, places, numbers, limit, slack)
                if found > 0 and lattice_is_sure:
                    return 1
                if found >= 0:
                    verdict = 0
    return verdict


@njit(cache=True)
def _apart(lengths: np.ndarray, length: float) -> np.ndarray:
    """Relative difference, to the shorter of the two."""
    return np.maximum(lengths / length, length / lengths) - 1.0


@njit(cache=True)
def _angle(one: np.ndarray, other: np.ndarray) -> float:
    cosine = (one * other).sum() / np.sqrt((one * one).sum() * (other * other).sum())
    return np.degrees(np.arccos(min(1.0, max(-1.0, cosine))))


@njit(cache=True)
def _compare_sites(
    lattice: np.ndarray, fractional: np.ndarray, places: np.ndarray, numbers: np.ndarray, limit: float, slack: float
) -> int:
    """Whether a shift brings `places` onto `fractional`, each onto one of its species: 1, -1 or 0 as in `_compare`."""
    n = len(numbers)
    first, fewest = rarest_species(numbers)  # it gives the fewest shifts
    far = (2 * slack * limit) ** 2  # the shift lays one atom exactly on another, which may itself be displaced
    gap, cartesian, away = np.empty(3), np.empty(3), np.empty((n, 3))
    verdict = -1
    for candidate in range(first, first + fewest):
        taken = np.zeros(n, dtype=np.bool_)
        possible, ambiguous = True, False
        for i in range(n):
            best, nearest, choices = -1, np.inf, 0
            for k in range(n):
                if numbers[k] != numbers[i]:
                    continue
                for axis in range(3):
                    f = places[i, axis] - places[candidate, axis] + fractional[first, axis] - fractional[k, axis]
                    gap[axis] = f - np.rint(f)
                square = 0.0
                for axis in range(3):
                    cartesian[axis] = gap[0] * lattice[0, axis] + gap[1] * lattice[1, axis] + gap[2] * lattice[2, axis]
                    square += cartesian[axis] ** 2
                if square <= far:
                    choices += 1
                    if square < nearest:
                        best, nearest = k, square
                        away[i] = cartesian
            if choices == 0:
                possible = False
                break
            ambiguous = ambiguous or choices > 1 or taken[best]
            taken[best] = True
        if not possible:
            continue
        if ambiguous:
            verdict = 0
            continue
        worst = 0.0
        mean = np.array([away[:, 0].mean(), away[:, 1].mean(), away[:, 2].mean()])
        for i in range(n):
            worst = max(worst, ((away[i] - mean) ** 2).sum())
        if worst <= limit**2 / 4:
            return 1
        if worst <= (slack * limit) ** 2:
            verdict = 0
    return verdict
