"""A handy description of a strange cell, in which a search for neighbours takes bounded time and memory.

pymatgen's search lays a grid over the box, along the Cartesian axes, that holds all atoms as they are given, and tries
every lattice vector that could matter to it. Atoms given a thousand cells away, or a long cell that lies askew, make it
take minutes and gigabytes; the same crystal in its reduced cell, turned along the axes and with every atom inside,
takes a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.geometry import minkowski_reduce

SHORTEST_LATTICE_VECTOR = 0.1
"""Å; an atom this near to its own image is no structure, and its pairs would fill any memory."""
_HANDY_GRID = 5000
"""Grid boxes, some 400 bytes each, up to which a cell is searched as it is."""
_HANDY_IMAGES = 1000
"""Lattice vectors up to which a cell is searched as it is; a cubic cell of one small atom takes some 300."""


class CellTooThin(ValueError):
    """Raised where an atom lies on its own periodic image, or next to it."""


@dataclass(frozen=True, eq=False)
class SearchFrame:
    """The same crystal, its atoms in the same order, in another cell, turned, and with its atoms inside.

    Attributes
    ----------
    cell : (3, 3), rows, lower triangular.
    positions : (n_atoms, 3), Å.
    """

    cell: np.ndarray
    positions: np.ndarray
    _basis: np.ndarray
    _offsets: np.ndarray

    def original_shift(self, first: np.ndarray, second: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Lattice vectors between pairs, found in this frame (n_pairs, 3), in terms of the cell as it was given."""
        found: np.ndarray = (shift + self._offsets[first] - self._offsets[second]) @ self._basis
        return found


def is_handy(positions: np.ndarray, cell: np.ndarray, reach: float) -> bool:
    """Whether neighbours up to `reach` (Å) can be searched quickly as the structure stands."""
    inverse = np.linalg.inv(cell)
    fractional = positions @ inverse
    heights = 1 / np.sqrt((inverse**2).sum(axis=0))
    images = np.prod(2 * np.ceil(reach / heights) + np.ptp(fractional, axis=0) + np.abs(fractional).max(axis=0))
    boxes = np.prod(np.ptp(positions, axis=0) / reach + 3)
    return bool(images <= _HANDY_IMAGES and boxes <= _HANDY_GRID + 10 * len(positions))


def search_frame(positions: np.ndarray, cell: np.ndarray) -> SearchFrame:
    """The handy description of a structure.

    Raises
    ------
    CellTooThin : a lattice vector is shorter than `SHORTEST_LATTICE_VECTOR`, or the cell too thin to tell.
    """
    try:
        reduced, basis = minkowski_reduce(cell)
    except RuntimeError as error:
        raise CellTooThin("the cell is so thin that its shortest vectors cannot be found") from error
    shortest = float(np.linalg.norm(reduced, axis=1).min())
    if not shortest >= SHORTEST_LATTICE_VECTOR:
        raise CellTooThin(f"an atom lies {shortest:.2g} Å from its own periodic image")
    fractional = positions @ np.linalg.inv(reduced)
    offsets = np.floor(fractional)
    turned = np.linalg.qr(reduced.T)[1].T
    return SearchFrame(turned, (fractional - offsets) @ turned, np.asarray(basis, dtype=float), offsets)
