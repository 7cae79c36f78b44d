"""Random well-shaped cells: metric tensors with a group's symmetry, reduced to shortest vectors, scaled to a volume.

A metric is G = A A^T for a cell A with rows as vectors; an operation R (fractional columns) keeps it when R^T G R = G.
"""

from __future__ import annotations

from itertools import product

import numpy as np

MAX_ASPECT = 4.0
"""Longest over shortest edge of a reduced cell; AIRSS's CONS=0.4 (edges between 0.2 and 0.8) allows the same."""

MIN_UNIT_VOLUME = 0.5
"""Smallest volume of a drawn cell with unit edges, AIRSS's ACONS: angles far from flat cells."""

_COMBINATIONS = np.array([c for c in product((-2, -1, 0, 1, 2), repeat=3) if c > (0, 0, 0)], dtype=float)


def random_metric(rng: np.random.Generator, rotations: np.ndarray, shortest: float, volume: float) -> np.ndarray | None:
    """A random metric (3, 3) in Å^2 that `rotations` (n, 3, 3) keep, of a cell with the given `volume` (Å^3).

    Edges are uniform in 0.2-0.8 of one scale, angles uniform in 0-180 degrees and kept where the cell is not flat; the
    average over the group imposes the lattice system, whatever the setting. None where none of 32 draws has every
    lattice vector as long as `shortest` (Å).
    """
    draws = 32
    edges = rng.uniform(0.2, 0.8, (draws, 3))
    cosines = np.cos(rng.uniform(0, np.pi, (draws, 3)))
    metrics = np.empty((draws, 3, 3))
    metrics[:, range(3), range(3)] = 1
    for (i, j), column in zip(((1, 2), (0, 2), (0, 1)), cosines.T, strict=True):
        metrics[:, i, j] = metrics[:, j, i] = column
    flat = np.linalg.det(metrics) < MIN_UNIT_VOLUME**2
    metrics = (metrics * (edges[:, :, None] * edges[:, None, :]))[~flat]
    metrics = (np.swapaxes(rotations, 1, 2) @ metrics[:, None] @ rotations).sum(axis=1)
    determinants = np.linalg.det(metrics)
    if not len(metrics):
        return None
    metrics *= (volume**2 / determinants)[:, None, None] ** (1 / 3)
    lengths = ((_COMBINATIONS @ metrics) * _COMBINATIONS).sum(axis=2).min(axis=1)
    long_enough = np.flatnonzero(lengths >= shortest**2)
    return metrics[long_enough[0]] if len(long_enough) else None


def reduce_metric(metric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minkowski-reduced metric and the integer matrix T (3, 3) with G' = T G T^T; new cell rows are T A.

    Semaev's algorithm (2001, doi:10.1007/3-540-44670-2_13): reduce two vectors, then take the third to its shortest. In
    such a cell the nearest image of an atom is among the 27 around the wrapped difference.
    """
    transform = np.eye(3, dtype=int)
    for _ in range(100):
        gram = transform @ metric @ transform.T
        transform = transform[np.argsort(np.diag(gram), kind="stable")]
        gram = transform @ metric @ transform.T
        turns = round(gram[0, 1] / gram[0, 0])
        if turns and gram[1, 1] - 2 * turns * gram[0, 1] + turns**2 * gram[0, 0] < gram[1, 1] * (1 - 1e-10):
            transform[1] -= turns * transform[0]
            continue
        centre = np.linalg.solve(gram[:2, :2], gram[:2, 2])
        best, best_length = (0, 0), gram[2, 2] * (1 - 1e-10)
        for x, y in product(*((int(np.floor(c)), int(np.floor(c)) + 1) for c in centre)):
            combined = np.array([-x, -y, 1])
            length = combined @ gram @ combined
            if length < best_length:
                best, best_length = (x, y), length
        if best == (0, 0):
            break
        transform[2] -= best[0] * transform[0] + best[1] * transform[1]
    return transform @ metric @ transform.T, transform


def aspect(metric: np.ndarray) -> float:
    """Longest over shortest edge."""
    edges = np.sqrt(np.diag(metric))
    return float(edges.max() / edges.min())


def cell_from_metric(metric: np.ndarray) -> np.ndarray:
    """The cell (3, 3) in Å, rows as vectors, right-handed, first vector along x."""
    return np.linalg.cholesky(metric)
