"""Random well-shaped cells: metric tensors with a group's symmetry, scaled to a volume and reduced to shortest vectors.

A metric is G = A A^T for a cell A with rows as vectors; an operation R (fractional columns) keeps it when R^T G R = G.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit

from ..wyckoff import space_group

CELL_DRAWS = 32
"""Edges and angles that are drawn before an attempt gives up its cell."""

FLATTEST = 1e-3
"""Smallest volume of a cell of unit edges that is ever drawn: reduction needs digits."""


@lru_cache(maxsize=230)
def metric_average(number: int) -> np.ndarray:
    """The average over group `number`, (9, 9), that gives any metric (raveled) the symmetry of the lattice system."""
    rotations = space_group(number).rotations.astype(float)
    average = np.einsum("nki,nlj->ijkl", rotations, rotations).reshape(9, 9) / len(rotations)
    average.setflags(write=False)
    return average


@njit(cache=True, error_model="numpy")
def gram(transform: np.ndarray, metric: np.ndarray) -> np.ndarray:
    """T G T^T, (3, 3), for an integer matrix T."""
    product = np.zeros((3, 3))
    found = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            for k in range(3):
                product[i, j] += transform[i, k] * metric[k, j]
    for i in range(3):
        for j in range(3):
            for k in range(3):
                found[i, j] += product[i, k] * transform[j, k]
    return found


@njit(cache=True, error_model="numpy")
def determinant(matrix: np.ndarray) -> float:
    """Of a (3, 3) matrix."""
    return (
        matrix[0, 0] * (matrix[1, 1] * matrix[2, 2] - matrix[1, 2] * matrix[2, 1])
        - matrix[0, 1] * (matrix[1, 0] * matrix[2, 2] - matrix[1, 2] * matrix[2, 0])
        + matrix[0, 2] * (matrix[1, 0] * matrix[2, 1] - matrix[1, 1] * matrix[2, 0])
    )


@njit(cache=True, error_model="numpy")
def reduce_metric(metric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minkowski-reduced metric and the integer matrix T (3, 3), det 1, with G' = T G T^T; new cell rows are T A.

    Semaev's algorithm (2001, doi:10.1007/3-540-44670-2_13): reduce two vectors, then take the third to its shortest.
    """
    transform = np.zeros((3, 3), np.int64)
    for i in range(3):
        transform[i, i] = 1
    reduced = metric.copy()
    for _ in range(100):
        for i, j in ((0, 1), (1, 2), (0, 1)):
            if reduced[j, j] < reduced[i, i]:
                for k in range(3):
                    transform[i, k], transform[j, k] = transform[j, k], transform[i, k]
                reduced = gram(transform, metric)
        turns = np.floor(reduced[0, 1] / reduced[0, 0] + 0.5)
        shorter = reduced[1, 1] - 2 * turns * reduced[0, 1] + turns**2 * reduced[0, 0]
        if turns != 0 and shorter < reduced[1, 1] * (1 - 1e-10):
            for k in range(3):
                transform[1, k] -= int(turns) * transform[0, k]
            reduced = gram(transform, metric)
            continue
        # The third vector's foot in the plane of the others; the shortest combination is at a corner around it.
        area = reduced[0, 0] * reduced[1, 1] - reduced[0, 1] ** 2
        x = int(np.floor((reduced[1, 1] * reduced[0, 2] - reduced[0, 1] * reduced[1, 2]) / area))
        y = int(np.floor((reduced[0, 0] * reduced[1, 2] - reduced[0, 1] * reduced[0, 2]) / area))
        best_x, best_y, best = 0, 0, reduced[2, 2] * (1 - 1e-10)
        for i, j in ((x, y), (x, y + 1), (x + 1, y), (x + 1, y + 1)):
            length = reduced[2, 2] + i * i * reduced[0, 0] + j * j * reduced[1, 1]
            length += 2 * (i * j * reduced[0, 1] - i * reduced[0, 2] - j * reduced[1, 2])
            if length < best:
                best_x, best_y, best = i, j, length
        if best_x == 0 and best_y == 0:
            break
        for k in range(3):
            transform[2, k] -= best_x * transform[0, k] + best_y * transform[1, k]
        reduced = gram(transform, metric)
    # Cells of one hand: an odd change of axes could turn P4_1 into P4_3.
    if determinant(transform) < 0:
        for i in range(3):
            for k in range(3):
                transform[i, k] = -transform[i, k]
    return reduced, transform


@njit(cache=True, error_model="numpy")
def aspect(metric: np.ndarray) -> float:
    """Longest over shortest edge."""
    longest = max(metric[0, 0], metric[1, 1], metric[2, 2])
    return np.sqrt(longest / min(metric[0, 0], metric[1, 1], metric[2, 2]))


@njit(cache=True, error_model="numpy")
def cell_from_metric(metric: np.ndarray) -> np.ndarray:
    """The cell (3, 3) in Å, rows as vectors, right-handed, first vector along x, second in the xy plane."""
    cell = np.zeros((3, 3))
    for i in range(3):
        for j in range(i + 1):
            rest = metric[i, j]
            for k in range(j):
                rest -= cell[i, k] * cell[j, k]
            cell[i, j] = np.sqrt(rest) if i == j else rest / cell[j, j]
    return cell


@njit(cache=True, error_model="numpy")
def undo(transform: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """T^-1 A (3, 3), for an integer matrix T of determinant 1, whose inverse is its adjugate."""
    found = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            k, m = (i + 1) % 3, (i + 2) % 3
            u, v = (j + 1) % 3, (j + 2) % 3
            element = transform[u, k] * transform[v, m] - transform[u, m] * transform[v, k]
            for x in range(3):
                found[i, x] += element * cell[j, x]
    return found


@njit(cache=True, error_model="numpy")
def draw_cell(
    numbers: np.ndarray,
    average: np.ndarray,
    volume: float,
    shortest: float,
    lengths_ratio: float,
    flatness: float,
    compact: bool,
) -> tuple[bool, np.ndarray, np.ndarray]:
    """A random cell of the given symmetry and volume: the first draw that is well shaped.

    Edges are uniform between lo = lengths_ratio / 2 and 1 - lo of one scale, angles uniform in 0-180 degrees and kept
    where a cell of unit edges with them has at least the volume `flatness`; the average over the group then imposes the
    lattice system, whatever the setting. Draws are rejected where a lattice vector is shorter than `shortest`, or
    longest over shortest edge is above (1 - lo) / lo.

    Parameters
    ----------
    numbers : (draws, 6), uniform in [0, 1). average : (9, 9), see `metric_average`. volume : Å^3. shortest : Å.
    compact : judge the edges of the reduced cell; else of the cell as drawn.

    Returns
    -------
    Whether there is one; the reduced cell (3, 3) Å, right-handed; and the cell as drawn, in the same orientation.
    """
    low = lengths_ratio / 2
    span = 1 - 2 * low
    most = (1 - low) / low * (1 + 1e-9) if low > 0 else np.inf
    least_square = max(flatness, FLATTEST) ** 2
    metric = np.empty((3, 3))
    drawn = np.empty((3, 3))
    for draw in range(len(numbers)):
        alpha = np.cos(np.pi * numbers[draw, 3])
        beta = np.cos(np.pi * numbers[draw, 4])
        gamma = np.cos(np.pi * numbers[draw, 5])
        if 1 + 2 * alpha * beta * gamma - alpha**2 - beta**2 - gamma**2 < least_square:
            continue
        a = low + span * numbers[draw, 0]
        b = low + span * numbers[draw, 1]
        c = low + span * numbers[draw, 2]
        metric[0, 0], metric[1, 1], metric[2, 2] = a * a, b * b, c * c
        metric[0, 1] = metric[1, 0] = a * b * gamma
        metric[0, 2] = metric[2, 0] = a * c * beta
        metric[1, 2] = metric[2, 1] = b * c * alpha
        for i in range(9):
            total = 0.0
            for j in range(9):
                total += average[i, j] * metric[j // 3, j % 3]
            drawn[i // 3, i % 3] = total
        square = determinant(drawn)
        if not square > 0:
            continue
        scale = (volume * volume / square) ** (1 / 3)
        for i in range(3):
            for j in range(3):
                drawn[i, j] *= scale
        if not compact and aspect(drawn) > most:
            continue
        reduced, transform = reduce_metric(drawn)
        if reduced[0, 0] < shortest * shortest or (compact and aspect(reduced) > most):
            continue
        cell = cell_from_metric(reduced)
        return True, cell, undo(transform, cell)
    return False, drawn, drawn
