"""Cell parameters as a model sees them: numbers near zero that hardly depend on the number of atoms."""

from __future__ import annotations

import numpy as np
import spglib
from ase import Atoms
from ase.geometry import cell_to_cellpar

from ...errors import InputError
from .grid import wrap

MIN_SQUARED_VOLUME = 0.05
"""Squared volume of a cell with unit edges below which its angles are flat; a Niggli cell has at least 0.5."""


def describe(atoms: Atoms, reduce_cell: bool) -> tuple[np.ndarray, np.ndarray]:
    """Cell parameters (6,) in Å and degrees and fractional coordinates (n, 3) in the Niggli cell, or the given one.

    Raises
    ------
    InputError : no atoms, or no cell that holds a volume.
    """
    cell = np.array(atoms.cell)
    fine = np.isfinite(cell).all() and np.isfinite(atoms.positions).all()
    if not len(atoms) or not fine or abs(np.linalg.det(cell)) < 1e-3:
        raise InputError("no crystal: a structure needs atoms, and a cell with a volume")
    fractional = np.linalg.solve(cell.T, atoms.positions.T).T
    reduced = spglib.niggli_reduce(cell) if reduce_cell else None
    if reduced is not None:
        transform = np.rint(reduced @ np.linalg.inv(cell))
        # Kept only where it is the same lattice: the reduction works within a tolerance.
        if abs(abs(np.linalg.det(transform)) - 1) < 1e-6 and np.allclose(transform @ cell, reduced, atol=1e-3):
            cell, fractional = transform @ cell, fractional @ np.linalg.inv(transform)
    return cell_to_cellpar(cell), wrap(fractional)


def cell_features(cellpar: np.ndarray, atoms: int) -> np.ndarray:
    """(6,): log of the edges (Å) over N^(1/3), and the angles (degrees)."""
    features: np.ndarray = np.concatenate([np.log(cellpar[:3]) - np.log(atoms) / 3, cellpar[3:]])
    return features


def cell_from_features(features: np.ndarray, atoms: int) -> np.ndarray:
    """Edges (Å) and angles (degrees) of a cell with volume: angles that close no cell are drawn towards 90 degrees."""
    angles = mended_angles(np.clip(features[3:], 30, 150))
    return np.concatenate([np.exp(features[:3]) * atoms ** (1 / 3), angles])


def mended_angles(angles: np.ndarray) -> np.ndarray:
    """Angles (degrees) that close a cell: the same, or drawn towards 90 degrees as far as need be."""
    while squared_volume(angles) < MIN_SQUARED_VOLUME:
        angles = 90 + 0.9 * (angles - 90)
    return angles


def squared_volume(angles: np.ndarray) -> np.ndarray:
    """Of cells with unit edges and angles (..., 3) in degrees; not positive where no cell has such angles (...)."""
    cosines = np.cos(np.radians(angles))
    return np.asarray(1 - (cosines**2).sum(axis=-1) + 2 * cosines.prod(axis=-1))
