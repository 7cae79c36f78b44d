"""Random cells by the law of AIRSS's buildcell: tied by the lattice system, scaled to a volume, Niggli-reduced.

Of three edges one is `ratio` / 2, one uniform between that and 1 - `ratio` / 2, one uniform between the first and the
second, in random order; angles are uniform in 0-180°; flat cells are drawn again (Pickard and Needs 2011,
doi:10.1088/0953-8984/23/5/053201). Which cell the law speaks of follows from ensembles of buildcell 0.9.1: the
primitive one of one-face-centred and rhombohedral lattices (two or three equal edges), the conventional one
of face- and body-centred lattices; flat is always said of the primitive one.
"""

from __future__ import annotations

import numpy as np
from numba import njit

TRICLINIC, MONOCLINIC, ORTHORHOMBIC, TETRAGONAL, HEXAGONAL, CUBIC = range(6)
"""Lattice systems; rhombohedral is hexagonal with `R_CENTRED`."""

PRIMITIVE, C_CENTRED, A_CENTRED, F_CENTRED, I_CENTRED, R_CENTRED = range(6)

SHAPE_TRIES = 2000
"""Draws of edges and angles before a cell counts as impossible."""

_F = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
_I = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])


@njit(cache=True)
def cell_of(edges: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray, float]:
    """Rows (3, 3) from edges and angles (radians), a along x, b in xy; and the volume with unit edges, 0 if none."""
    cosine = np.cos(angles)
    square = 1 - (cosine**2).sum() + 2 * cosine[0] * cosine[1] * cosine[2]
    cell = np.zeros((3, 3))
    if square <= 0:
        return cell, 0.0
    unit_volume = np.sqrt(square)
    sine = np.sin(angles[2])
    cell[0, 0] = edges[0]
    cell[1, 0], cell[1, 1] = edges[1] * cosine[2], edges[1] * sine
    cell[2, 0] = edges[2] * cosine[1]
    cell[2, 1] = edges[2] * (cosine[0] - cosine[1] * cosine[2]) / sine
    cell[2, 2] = edges[2] * unit_volume / sine
    return cell, unit_volume


@njit(cache=True)
def random_edges(rng: np.random.Generator, ratio: float) -> np.ndarray:
    """Three edges (3,) by the nested-uniform law, in random order."""
    low, high = ratio / 2, 1 - ratio / 2
    edges = np.empty(3)
    edges[0] = low
    edges[1] = low + (high - low) * rng.random()
    edges[2] = low + (edges[1] - low) * rng.random()
    for last in (2, 1):
        other = int(rng.random() * (last + 1))
        edges[last], edges[other] = edges[other], edges[last]
    return edges


@njit(cache=True)
def draw_shape(
    rng: np.random.Generator, system: int, centring: int, ratio: float, flatness: float
) -> tuple[np.ndarray, bool]:
    """Rows (3, 3) of a conventional cell of any size; false where none of `SHAPE_TRIES` was thick enough."""
    right = np.pi / 2
    for _ in range(SHAPE_TRIES):
        edges = random_edges(rng, ratio)
        angles = np.empty(3)
        for i in range(3):
            angles[i] = np.pi * rng.random()
        if centring == R_CENTRED:
            edges[:] = edges[0]
            angles[:] = angles[0]
            cell, thickness = cell_of(edges, angles)
            if thickness > 0 and thickness >= flatness:
                hexagonal = np.empty((3, 3))
                hexagonal[0] = cell[0] - cell[1]
                hexagonal[1] = cell[1] - cell[2]
                hexagonal[2] = cell[0] + cell[1] + cell[2]
                return hexagonal, True
            continue
        if centring in (C_CENTRED, A_CENTRED):
            edges[1] = edges[0]
            if system == MONOCLINIC:
                angles[1] = angles[0]
            else:
                angles[0] = angles[1] = right
            cell, thickness = cell_of(edges, angles)
            if thickness > 0 and thickness >= flatness:
                conventional = np.empty((3, 3))
                first = 0 if centring == C_CENTRED else 1
                conventional[first] = cell[0] + cell[1]
                conventional[first + 1] = cell[1] - cell[0]
                conventional[(first + 2) % 3] = cell[2]
                return conventional, True
            continue
        if system == MONOCLINIC:
            angles[0] = angles[2] = right
        elif system != TRICLINIC:
            angles[:] = right
        if system == HEXAGONAL:
            angles[2] = 2 * np.pi / 3
        if system in (HEXAGONAL, TETRAGONAL):
            edges[1] = edges[0]
        elif system == CUBIC:
            edges[:] = edges[0]
        cell, thickness = cell_of(edges, angles)
        if centring in (F_CENTRED, I_CENTRED):
            primitive = (_F if centring == F_CENTRED else _I) @ cell
            lengths = np.sqrt((primitive**2).sum(axis=1))
            thickness = abs(np.linalg.det(primitive)) / (lengths[0] * lengths[1] * lengths[2])
        if thickness > 0 and thickness >= flatness:
            return cell, True
    return np.eye(3), False


@njit(cache=True)
def niggli(metric: np.ndarray) -> np.ndarray:
    """The unimodular T (3, 3) that makes T metric T^T a Niggli-reduced metric; new rows are T @ rows; det T = 1.

    Křivý and Gruber 1976, doi:10.1107/S0567739476000636, with the tolerances of Grosse-Kunstleve et al. 2004,
    doi:10.1107/S010876730302186X.
    """
    small = 1e-9 * abs(np.linalg.det(metric)) ** (1 / 3)
    transform = np.eye(3)
    for _ in range(1000):
        g = transform @ metric @ transform.T
        a, b, c = g[0, 0], g[1, 1], g[2, 2]
        x, y, z = 2 * g[1, 2], 2 * g[0, 2], 2 * g[0, 1]
        step = np.eye(3)
        if a > b + small or (abs(a - b) <= small and abs(x) > abs(y) + small):
            step[:] = 0.0
            step[0, 1] = step[1, 0] = step[2, 2] = -1.0
            transform = step @ transform
            continue
        if b > c + small or (abs(b - c) <= small and abs(y) > abs(z) + small):
            step[:] = 0.0
            step[1, 2] = step[2, 1] = step[0, 0] = -1.0
            transform = step @ transform
            continue
        values = (x, y, z)
        negative, zero, last_zero = 0, 0, -1
        for i in range(3):
            if values[i] < -small:
                negative += 1
            elif values[i] <= small:
                zero += 1
                last_zero = i
        acute = zero == 0 and negative % 2 == 0
        product = 1.0
        for i in range(3):
            if (acute and values[i] < -small) or (not acute and values[i] > small):
                step[i, i] = -1.0
                product = -product
        if product < 0:
            step[last_zero, last_zero] *= -1.0
        transform = step @ transform
        g = transform @ metric @ transform.T
        x, y, z = 2 * g[1, 2], 2 * g[0, 2], 2 * g[0, 1]
        step = np.eye(3)
        if abs(x) > b + small or (abs(x - b) <= small and 2 * y < z - small) or (abs(x + b) <= small and z < -small):
            step[2, 1] = -np.sign(x)
        elif abs(y) > a + small or (abs(y - a) <= small and 2 * x < z - small) or (abs(y + a) <= small and z < -small):
            step[2, 0] = -np.sign(y)
        elif abs(z) > a + small or (abs(z - a) <= small and 2 * x < y - small) or (abs(z + a) <= small and y < -small):
            step[1, 0] = -np.sign(z)
        elif x + y + z + a + b < -small or (abs(x + y + z + a + b) <= small and 2 * (a + y) + z > small):
            step[2, 0] = step[2, 1] = 1.0
        else:
            break
        transform = step @ transform
    return transform


@njit(cache=True)
def draw_cell(
    rng: np.random.Generator,
    system: int,
    centring: int,
    basis: np.ndarray,
    volume: float,
    ratio: float,
    flatness: float,
    compact: bool,
) -> tuple[np.ndarray, np.ndarray, bool]:
    """A random primitive cell of a lattice.

    Parameters
    ----------
    basis : (3, 3); primitive rows are basis @ conventional rows. volume : Å^3, of the primitive cell.

    Returns
    -------
    cell : (3, 3) Å, rows, a along x, b in xy. transform : (3, 3) integers; from the primitive rows to the cell's.
    found : false where no draw was thick enough.
    """
    shape, found = draw_shape(rng, system, centring, ratio, flatness)
    primitive = basis @ shape
    metric = primitive @ primitive.T
    metric *= (volume**2 / np.linalg.det(metric)) ** (1 / 3)
    transform = niggli(metric) if compact else np.eye(3)
    return np.linalg.cholesky(transform @ metric @ transform.T), transform, found
