"""General and special positions: how many images each inequivalent unit has, and points that merge with their images.

AIRSS's buildcell knows no Wyckoff positions. A site of multiplicity m among n operations starts from a random point;
the n / m nearest of its images are averaged, again and again, until they coincide; where that is no special position of
this multiplicity, the trial is thrown away. So each special position is met as often as its basin is large.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit

MERGES = 20
"""Averages before a point that still moves is given up."""

SAME = 1e-6
"""Å within which two images are one."""


@lru_cache(maxsize=10_000)
def fewest_sites(count: int, operations: int) -> tuple[int, ...]:
    """Multiplicities of the fewest sites of one kind of unit: as many general positions as fit, the rest special."""
    sites = []
    for size in range(operations, 0, -1):
        while operations % size == 0 and size <= count:
            sites.append(size)
            count -= size
    return tuple(sites)


@lru_cache(maxsize=10_000)
def _splits(size: int, operations: int) -> tuple[tuple[int, ...], ...]:
    """Ways to make two sites out of one, each of a multiplicity that divides the number of operations."""
    pairs = [(size - part, part) for part in range(1, size // 2 + 1)]
    return tuple(pair for pair in pairs if all(operations % part == 0 for part in pair))


def more_sites(
    sites: list[list[int]], splittable: list[bool], extra: int, operations: int, rng: np.random.Generator
) -> None:
    """Split `extra` sites, chosen at random among those that can be, in place; fewer where no more can.

    Parameters
    ----------
    sites : multiplicities, kind by kind. splittable : whether the kind's sites may be split.
    """
    for _ in range(extra):
        choices = [
            (kind, place, pair)
            for kind, sizes in enumerate(sites)
            if splittable[kind]
            for place, size in enumerate(sizes)
            for pair in _splits(size, operations)
        ]
        if not choices:
            return
        kind, place, pair = choices[int(rng.integers(len(choices)))]
        sites[kind][place : place + 1] = pair


@njit(cache=True)
def image_shift(
    cell: np.ndarray, rotation: np.ndarray, translation: np.ndarray, point: np.ndarray, periodic: bool
) -> tuple[np.ndarray, float]:
    """From a point to its nearest image under an operation: the fractional difference (3,) and its length (Å)."""
    difference = rotation @ point + translation - point
    if not periodic:
        return difference, np.sqrt(((difference @ cell) ** 2).sum())
    difference -= np.rint(difference)
    best = np.inf
    nearest = difference
    trial = np.empty(3)
    for u in range(-1, 2):
        for v in range(-1, 2):
            for w in range(-1, 2):
                trial[0], trial[1], trial[2] = difference[0] + u, difference[1] + v, difference[2] + w
                square = 0.0
                for x in range(3):
                    component = trial[0] * cell[0, x] + trial[1] * cell[1, x] + trial[2] * cell[2, x]
                    square += component * component
                if square < best:
                    best = square
                    nearest = trial.copy()
    return nearest, np.sqrt(best)


@njit(cache=True)
def merge(
    cell: np.ndarray,
    rotations: np.ndarray,
    translations: np.ndarray,
    point: np.ndarray,
    multiplicity: int,
    periodic: bool,
) -> tuple[np.ndarray, bool]:
    """The special position that a point merges to with its nearest images; false where it finds none.

    Parameters
    ----------
    rotations : (n, 3, 3), translations : (n, 3), point : (3,), all fractional; multiplicity divides n.
    """
    n = len(rotations)
    together = n // multiplicity
    shifts = np.empty((n, 3))
    distances = np.empty(n)
    for _ in range(MERGES):
        for g in range(n):
            shifts[g], distances[g] = image_shift(cell, rotations[g], translations[g], point, periodic)
        order = np.argsort(distances)
        if distances[order[together - 1]] < SAME * 1e-3:
            return point, together == n or distances[order[together]] > SAME
        move = np.zeros(3)
        for g in order[:together]:
            move += shifts[g]
        point = point + move / together
    return point, False


@njit(cache=True)
def orbit(
    cell: np.ndarray, rotations: np.ndarray, translations: np.ndarray, point: np.ndarray, size: int, periodic: bool
) -> tuple[np.ndarray, np.ndarray, bool]:
    """The distinct images of a point.

    Returns
    -------
    operations : (size,) one that makes each image, the identity first. projector : (3, 3) that takes fractional
    displacements (columns) to those that keep the site symmetry. complete : whether there are `size` images.
    """
    n = len(rotations)
    operations = np.zeros(size, np.int64)
    projector = np.zeros((3, 3))
    found, stay = 0, 0
    inverse_points = np.empty((size, 3))
    for g in range(n):
        _, distance = image_shift(cell, rotations[g], translations[g], point, periodic)
        if distance < SAME:
            projector += rotations[g]
            stay += 1
            if found > 0:
                continue
        image = rotations[g] @ point + translations[g]
        known = False
        for k in range(found):
            difference = image - inverse_points[k]
            if periodic:
                difference -= np.rint(difference)
            if np.sqrt(((difference @ cell) ** 2).sum()) < 2 * SAME:
                known = True
                break
        if known:
            continue
        if found == size:
            return operations, projector, False
        operations[found] = g
        inverse_points[found] = image
        found += 1
    return operations, projector / max(stay, 1), found == size and stay * size == n


@njit(cache=True)
def place_sites(
    rng: np.random.Generator,
    cell: np.ndarray,
    rotations: np.ndarray,
    translations: np.ndarray,
    sizes: np.ndarray,
    points: np.ndarray,
    given: np.ndarray,
    periodic: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Points of all sites: random where not given, merged where special.

    Parameters
    ----------
    sizes : (s,) multiplicities. points : (s, 3) fractional, used where given (s,) is true.

    Returns
    -------
    points : (s, 3) fractional. operations : one for each unit, site by site. projectors : (s, 3, 3).
    failed : the first site that found no special position of its multiplicity; -1: none.
    """
    n = len(rotations)
    points = points.copy()
    operations = np.empty(sizes.sum(), np.int64)
    projectors = np.zeros((len(sizes), 3, 3))
    start = 0
    for s in range(len(sizes)):
        if not given[s]:
            for x in range(3):
                points[s, x] = rng.random()
        size = sizes[s]
        if size < n:
            merged, found = merge(cell, rotations, translations, points[s].copy(), size, periodic)
            if not found:
                return points, operations, projectors, s
            points[s] = merged
            own, projectors[s], complete = orbit(cell, rotations, translations, merged, size, periodic)
            if not complete:
                return points, operations, projectors, s
            operations[start : start + size] = own
        else:
            operations[start : start + size] = np.arange(n)
            projectors[s] = np.eye(3)
        start += size
    return points, operations, projectors, -1
