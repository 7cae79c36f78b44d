"""Pairs of close atoms and shortest distances under periodic boundaries: numba kernels for cells of any shape.

A lattice plane normal to reciprocal vector b (without 2π) lies 1 / |b| from the next, so that two atoms whose
fractional difference along a vector is d can be within r Å only in images with |d + shift| <= r |b|. No cell needs to
be reduced, and no distance is too long.

Callers that are kernels themselves: numba keeps compiled code by the time of the caller's file alone; after a change
here, remove `__pycache__/*.nb?`.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def inverse(cell: np.ndarray) -> np.ndarray:
    """The inverse (3, 3) of a cell; its columns are the reciprocal vectors without 2π. Compiles faster than numpy's."""
    found = np.empty((3, 3))
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        for x in range(3):
            y, z = (x + 1) % 3, (x + 2) % 3
            found[x, i] = cell[j, y] * cell[k, z] - cell[j, z] * cell[k, y]
    determinant = cell[0, 0] * found[0, 0] + cell[0, 1] * found[1, 0] + cell[0, 2] * found[2, 0]
    return found / determinant


@njit(cache=True)
def fractional_of(positions: np.ndarray, inverse_cell: np.ndarray) -> np.ndarray:
    """Fractional coordinates (n, 3) of positions (n, 3) in Å."""
    found = np.empty((len(positions), 3))
    for i in range(len(positions)):
        for a in range(3):
            found[i, a] = (
                positions[i, 0] * inverse_cell[0, a]
                + positions[i, 1] * inverse_cell[1, a]
                + positions[i, 2] * inverse_cell[2, a]
            )
    return found


@njit(cache=True)
def close_pairs(
    cell: np.ndarray, positions: np.ndarray, species: np.ndarray, reach: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs with |positions[second] + shift @ cell - positions[first]| < reach[species of first, of second].

    Parameters
    ----------
    cell : (3, 3) Å, rows; not singular. positions : (n, 3) Å, wrapped or not. species : (n,) integers from 0.
    reach : (k, k) Å, symmetric, finite.

    Returns
    -------
    first, second : (p,) int64, first <= second; shift : (p, 3) int64. Each pair once; an atom with its own images, too
    (of shift and -shift only one, never zero).
    """
    reciprocal = inverse(cell)
    densities = np.empty(3)
    for axis in range(3):
        densities[axis] = np.sqrt(reciprocal[0, axis] ** 2 + reciprocal[1, axis] ** 2 + reciprocal[2, axis] ** 2)
    fractional = fractional_of(positions, reciprocal)
    n = len(positions)
    found = 0
    first = np.empty(0, np.int64)
    second = np.empty(0, np.int64)
    shift = np.empty((0, 3), np.int64)
    for filling in (False, True):  # counted first
        if filling:
            first = np.empty(found, np.int64)
            second = np.empty(found, np.int64)
            shift = np.empty((found, 3), np.int64)
        found = 0
        for i in range(n):
            for j in range(i, n):
                limit = reach[species[i], species[j]]
                a = fractional[j, 0] - fractional[i, 0]
                b = fractional[j, 1] - fractional[i, 1]
                c = fractional[j, 2] - fractional[i, 2]
                ra, rb, rc = limit * densities[0], limit * densities[1], limit * densities[2]
                # Half of an atom's own images are the others' mirror images.
                lowest = 0 if i == j else int(np.ceil(-a - ra))
                for u in range(lowest, int(np.floor(ra - a)) + 1):
                    for v in range(int(np.ceil(-b - rb)), int(np.floor(rb - b)) + 1):
                        for w in range(int(np.ceil(-c - rc)), int(np.floor(rc - c)) + 1):
                            if i == j and u == 0 and (v < 0 or (v == 0 and w <= 0)):
                                continue
                            x = (a + u) * cell[0, 0] + (b + v) * cell[1, 0] + (c + w) * cell[2, 0]
                            y = (a + u) * cell[0, 1] + (b + v) * cell[1, 1] + (c + w) * cell[2, 1]
                            z = (a + u) * cell[0, 2] + (b + v) * cell[1, 2] + (c + w) * cell[2, 2]
                            if x * x + y * y + z * z >= limit * limit:
                                continue
                            if filling:
                                first[found] = i
                                second[found] = j
                                shift[found, 0] = u
                                shift[found, 1] = v
                                shift[found, 2] = w
                            found += 1
    return first, second, shift


@njit(cache=True)
def shortest_distances(
    cell: np.ndarray, positions: np.ndarray, species: np.ndarray, k: int, limit: float
) -> np.ndarray:
    """The shortest distance of every pair of species, own images included: (k, k) Å, symmetric; inf from `limit` on.

    Parameters
    ----------
    cell : (3, 3) Å, rows. positions : (n, 3) Å. species : (n,) integers from 0 to k - 1. limit : Å, finite.
    """
    first, second, shift = close_pairs(cell, positions, species, np.full((k, k), limit))
    shortest = np.full((k, k), np.inf)
    for p in range(len(first)):
        i, j = first[p], second[p]
        square = 0.0
        for x in range(3):
            component = positions[j, x] - positions[i, x]
            for vector in range(3):
                component += shift[p, vector] * cell[vector, x]
            square += component * component
        s, t = species[i], species[j]
        length = np.sqrt(square)
        if length < shortest[s, t]:
            shortest[s, t] = length
            shortest[t, s] = length
    return shortest
