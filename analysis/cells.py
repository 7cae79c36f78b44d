"""A crystal structure ready to be drawn: atoms, near-neighbour links and the edges of its cell.

What is drawn from it: `sketch.sketch_svg`, a still picture, and the spheres of the report's page, made in the browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.data.colors import jmol_colors
from ase.neighborlist import natural_cutoffs, neighbor_list
from pymatgen.core import Element

from .symmetry import conventional_cell

VIEW = (1.15, 1.7, 0.6)
"""Where the eye stands, seen from the middle of the cell; z is up."""
_MOST_ATOMS = 200
_SMALLEST_RADIUS = 0.22


@dataclass(frozen=True, eq=False)
class Drawing:
    """What there is to draw. Lengths in Å, the middle of the cell at the origin.

    Attributes
    ----------
    cell : (3, 3), rows.
    species : symbols.
    kinds : (n_atoms,), places in `species`; atoms on faces, edges and corners of the cell are there on all of them.
    positions : (n_atoms, 3).
    links : (n_links, 2), atoms that are joined.
    """

    cell: np.ndarray
    species: tuple[str, ...]
    kinds: np.ndarray
    positions: np.ndarray
    links: np.ndarray

    @property
    def radii(self) -> list[float]:
        """Of the spheres, per species: half the covalent radius, for a view into the cell."""
        return [max(_SMALLEST_RADIUS, 0.5 * float(covalent_radii[atomic_numbers[s]])) for s in self.species]

    @property
    def colours(self) -> list[str]:
        """Per species, as in Jmol."""
        return [
            "#" + "".join(f"{round(255 * c):02x}" for c in jmol_colors[atomic_numbers[symbol]])
            for symbol in self.species
        ]

    def to_json(self) -> dict[str, Any]:
        """For the page: plain lists, to the thousandth of an Å."""
        return {
            "cell": np.round(self.cell, 3).tolist(),
            "species": self.species,
            "radii": [round(r, 3) for r in self.radii],
            "colours": self.colours,
            "kinds": self.kinds.tolist(),
            "xyz": np.round(self.positions, 3).ravel().tolist(),
            "links": self.links.ravel().tolist(),
        }


def draw_cell(atoms: Atoms, order: Sequence[str] = ()) -> Drawing:
    """The conventional cell (where it is of drawable size) with the atoms on its faces, edges and corners repeated.

    Links join mutual near neighbours: atoms that each lie within 15 % of the other's shortest distance, both measured
    in sums of covalent radii. Where there are other elements too, metal atoms are not joined to one another: by their
    covalent radii cations would touch that are held apart by anions.

    Parameters
    ----------
    order : symbols in the order in which species are listed; others follow in that of the structure.
    """
    conventional = conventional_cell(atoms)
    drawn = conventional if len(conventional) <= _MOST_ATOMS else atoms
    whole = _closed(drawn)
    present = dict.fromkeys(atoms.get_chemical_symbols())
    species = list(dict.fromkeys([*(symbol for symbol in order if symbol in present), *present]))
    return Drawing(
        cell=drawn.cell.array.copy(),
        species=tuple(species),
        kinds=np.array([species.index(symbol) for symbol in whole.get_chemical_symbols()]),
        positions=whole.positions - drawn.cell.array.sum(axis=0) / 2,
        links=np.array(_near_neighbours(drawn, whole), dtype=int).reshape(-1, 2),
    )


def cell_edges(cell: np.ndarray) -> np.ndarray:
    """The twelve edges of a cell around the origin: (12, 2, 3), Å."""
    steps = np.array(list(product((0, 1), repeat=3)))
    corners = (steps - 0.5) @ cell
    pairs = [(a, b) for a in range(8) for b in range(a + 1, 8) if np.abs(steps[a] - steps[b]).sum() == 1]
    return corners[np.array(pairs)]


def _closed(atoms: Atoms, tolerance: float = 0.01) -> Atoms:
    """The atoms of one cell, and the images of those on its faces, edges and corners on the opposite ones.

    The array `origin` says which atom of `atoms` each one is.
    """
    fractional = atoms.get_scaled_positions() % 1.0
    fractional[fractional > 1 - tolerance] -= 1.0
    images = [
        (number, f + shift)
        for number, f in enumerate(fractional)
        for shift in np.array(list(product((0, 1), repeat=3)))
        if all(abs(f[axis]) < tolerance for axis in range(3) if shift[axis])
    ]
    origin = np.array([number for number, _ in images])
    closed = Atoms(atoms.numbers[origin], scaled_positions=[f for _, f in images], cell=atoms.cell, pbc=False)
    closed.set_array("origin", origin)
    return closed


def _near_neighbours(atoms: Atoms, closed: Atoms) -> list[tuple[int, int]]:
    """Pairs of atoms of `closed` to join; what is near is judged in the periodic crystal `atoms`."""
    radii = covalent_radii[atoms.numbers]
    cations = np.isin(atoms.numbers, [z for z in set(atoms.numbers.tolist()) if Element.from_Z(z).is_metal])
    cations &= not cations.all()
    i, j, distance = neighbor_list("ijd", atoms, natural_cutoffs(atoms, mult=1.3))
    near = ~(cations[i] & cations[j])
    nearest = np.full(len(atoms), np.inf)
    np.minimum.at(nearest, i[near], (distance / (radii[i] + radii[j]))[near])
    origin = closed.get_array("origin")
    gaps = closed.positions[:, None] - closed.positions[None]
    reduced = np.linalg.norm(gaps, axis=2) / (radii[origin][:, None] + radii[origin][None])
    limit = 1.15 * np.minimum(nearest[origin][:, None], nearest[origin][None])
    allowed = np.isfinite(limit) & ~(cations[origin][:, None] & cations[origin][None])
    first, second = np.nonzero(np.triu(allowed & (reduced <= limit), k=1))
    return [(int(a), int(b)) for a, b in zip(first, second, strict=True)]
