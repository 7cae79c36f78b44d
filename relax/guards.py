"""Guards: tell a structure that has left the region where any potential can be believed.

Random search finds the holes in any potential, and structures that no program was made for. `start_fault` judges what
is handed in before anything is computed, a `Watch` each geometry on the way, `suspicion` what came to rest. Together
they bound what a potential is asked: every structure that passes has room, sane numbers and a bounded number of pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from ..records import Status
from .neighbours import Neighbours, find_neighbours
from .search_frame import CellTooThin
from .vacuum import VACUUM_GAP, dimensions

OVERLAP_RATIO = 0.25
"""Two atoms nearer than this fraction of the sum of their contact radii overlap: no potential is worth asking."""
SUSPICIOUS_RATIO = 0.5
"""A relaxed structure with a pair nearer than this has most likely fallen into a hole of the potential.

Of 23,660 Materials Project structures, 1-52 atoms each, none has a pair below 0.65.
"""
COLLAPSE_RATIO = 0.2
"""Cell volume over the volume of the atoms' contact spheres; metals under ambient pressure lie above 0.6."""
SMALLEST_VOLUME = 0.5
"""Å^3 per atom; hydrogen at 1 TPa has 0.8. Small contact spheres leave room that no crystal ever used."""
LARGEST_VOLUME = 20_000.0
"""Å^3 per atom, a cube of 27 Å: beyond it nothing is left to relax, and the empty space fills a neighbour search."""
EXPLOSION_RATIO = 5.0
"""Cell volume over the volume at the start."""
CROWD_RADIUS = 3.0
"""Å within which the neighbours of an atom are counted; three-body terms of learned potentials reach about as far."""
CROWD_TRIPLETS = 150_000
"""Pairs of neighbours, summed over the atoms, above which a crowd is refused; CHGNet takes some 11 kB for each."""
CROWD_MEAN = 1000
"""Pairs of neighbours for each atom up to which none counts as crowded; 456 is the most in 625 structures of MP."""
FURTHEST_CELL = 1e6
"""Cells away from the origin beyond which a position has lost the digits that matter."""
SKIN = 0.6
"""Å; of the watch's neighbour list."""

Fault = tuple[Status, str]
"""How a relaxation has to end, and why."""


class StructureFellApart(Exception):
    """Raised by a potential for a structure whose atoms no longer see each other."""


@dataclass(frozen=True, eq=False)
class Watch:
    """Judges the geometries of one relaxation, one after another, with a neighbour list that lasts for many of them.

    Attributes
    ----------
    contact_radii : by atomic number, Å.
    start_volume : Å^3, of the cell at the start; `math.inf` where there is none to compare with.
    neighbours : of an earlier geometry; None at first.
    """

    contact_radii: np.ndarray
    start_volume: float = math.inf
    neighbours: Neighbours | None = None

    def check(self, atoms: Atoms) -> tuple[Watch, Fault | None]:
        """The watch to ask next time, and the status and reason for which to stop; None where all is well.

        Faults are cells and distances that no potential should be asked about. The atoms' order must not change.
        """
        fault = _cell_fault(atoms, self.contact_radii, self.start_volume)
        if fault is not None:
            return self, fault
        near, watch = self.neighbours, self
        if near is None or not near.still_holds(atoms):
            reach = max(CROWD_RADIUS, 2 * OVERLAP_RATIO * float(self.contact_radii[atoms.numbers].max()))
            try:
                near = find_neighbours(atoms, reach, SKIN)
            except CellTooThin as error:
                return self, (Status.OVERLAP, f"atoms overlap: {error}")
            watch = replace(self, neighbours=near)
            # While a list holds, no more atoms than those in its skin can join a crowd.
            fault = _crowd_fault(near, atoms)
        contact = _nearest(near, atoms, self.contact_radii, OVERLAP_RATIO)
        if contact is not None:
            fault = Status.OVERLAP, f"atoms overlap: {contact[1]}"
        return watch, fault


def start_fault(atoms: Atoms, contact_radii: np.ndarray, elements: frozenset[str] | None = None) -> Fault | None:
    """Why a structure should not be handed to a potential at all; None where nothing speaks against it.

    Parameters
    ----------
    atoms : anything that can be written as `Atoms`: empty, flat, with dummy atoms or numbers that are not finite.
    contact_radii : by atomic number, Å.
    elements : symbols that the potential was made for; None: not known.
    """
    if not len(atoms):
        return Status.ERROR, "the structure holds no atoms"
    for number in np.unique(atoms.numbers).tolist():
        if not 0 < number < min(len(chemical_symbols), len(contact_radii)):
            return Status.ERROR, f"the structure holds an atom of atomic number {number}, which is no element"
        if elements is not None and chemical_symbols[number] not in elements:
            return Status.ERROR, f"the potential was not made for {chemical_symbols[number]}"
    return geometry_fault(atoms, contact_radii, math.inf)


def geometry_fault(atoms: Atoms, contact_radii: np.ndarray, start_volume: float) -> Fault | None:
    """What a fresh `Watch` says of one geometry."""
    return Watch(contact_radii, start_volume).check(atoms)[1]


def suspicion(atoms: Atoms, energy: float, contact_radii: np.ndarray, energy_floor: float | None) -> str | None:
    """Why a converged structure should not be believed; None where nothing speaks against it.

    Parameters
    ----------
    energy, energy_floor : eV of the whole cell.
    contact_radii : by atomic number, Å.
    """
    if energy_floor is not None and energy < energy_floor:
        n = len(atoms)
        return f"energy {energy / n:.2f} eV/atom lies below {energy_floor / n:.2f}, the lowest that can be believed"
    contact = closest_contact(atoms, contact_radii, SUSPICIOUS_RATIO)
    if contact is not None:
        return f"atoms are too close to be believed: {contact[1]}"
    # Most crystals are linked by their nearest contacts already, which are found much sooner.
    extent = dimensions(atoms, contact_radii, gap=0.5)
    if extent < 3 and (extent := dimensions(atoms, contact_radii)) < 3:
        piece = ("atoms or molecules", "chains", "layers")[extent]
        return f"{piece} in vacuum, more than {VACUUM_GAP:g} Å beyond contact, and no crystal"
    return None


def closest_contact(atoms: Atoms, contact_radii: np.ndarray, below: float) -> tuple[float, str] | None:
    """The nearest pair, as a fraction of the sum of its contact radii, if any lies nearer than `below`.

    Parameters
    ----------
    contact_radii : by atomic number, Å.

    Returns
    -------
    The fraction and the pair in words ("Ti-O at 0.51 Å"), or None. Periodic images of one atom count as a pair.

    Raises
    ------
    CellTooThin : see `find_neighbours`.
    """
    near = find_neighbours(atoms, 2 * below * float(contact_radii[atoms.numbers].max()), skin=0.0)
    return _nearest(near, atoms, contact_radii, below)


def _nearest(near: Neighbours, atoms: Atoms, contact_radii: np.ndarray, below: float) -> tuple[float, str] | None:
    if not len(near.first):
        return None
    radii = contact_radii[atoms.numbers]
    vectors = near.vectors(atoms)
    lengths = np.sqrt((vectors * vectors).sum(axis=1))
    ratios = lengths / (radii[near.first] + radii[near.second])
    nearest = int(ratios.argmin())
    if ratios[nearest] >= below:
        return None
    pair = "-".join(sorted((atoms.symbols[near.first[nearest]], atoms.symbols[near.second[nearest]])))
    return float(ratios[nearest]), f"{pair} at {lengths[nearest]:.2f} Å"


def _cell_fault(atoms: Atoms, contact_radii: np.ndarray, start_volume: float) -> Fault | None:
    n_atoms, cell, positions = len(atoms), atoms.cell.array, atoms.positions
    if not n_atoms:
        return Status.ERROR, "the structure holds no atoms"
    if not (np.isfinite(cell).all() and np.isfinite(positions).all()):
        return Status.NAN, "the structure holds numbers that are not finite"
    with np.errstate(over="ignore"):
        volume = abs(float(np.linalg.det(cell)))
    spheres = 4 / 3 * math.pi * float((contact_radii[atoms.numbers] ** 3).sum())
    if not volume >= max(COLLAPSE_RATIO * spheres, SMALLEST_VOLUME * n_atoms):
        return Status.OVERLAP, f"the cell collapsed to {volume / n_atoms:.2g} Å^3 per atom"
    if volume > LARGEST_VOLUME * n_atoms:
        return Status.EXPLODED, f"the cell has {volume / n_atoms:.2g} Å^3 for each atom"
    if volume > EXPLOSION_RATIO * start_volume:
        return Status.EXPLODED, f"the cell grew to {volume / start_volume:.1f} times its volume"
    furthest = float(np.abs(np.linalg.solve(cell.T, positions.T)).max())
    if not furthest <= FURTHEST_CELL:
        return Status.NAN, f"an atom lies {furthest:.1g} cells away, where positions have lost their digits"
    return None


def _crowd_fault(near: Neighbours, atoms: Atoms) -> Fault | None:
    if len(near.first) <= CROWD_MEAN**0.5 * len(atoms) / 2:  # too few pairs for a crowd, whoever they belong to
        return None
    lengths = np.linalg.norm(near.vectors(atoms), axis=1)
    inside = lengths < CROWD_RADIUS
    counts = np.bincount(near.first[inside], minlength=len(atoms)).astype(float)
    counts += np.bincount(near.second[inside], minlength=len(atoms))
    triplets = float((counts**2).sum())
    if triplets <= max(CROWD_TRIPLETS, CROWD_MEAN * len(atoms)):
        return None
    return Status.OVERLAP, f"atoms are crowded: up to {counts.max():.0f} neighbours of one within {CROWD_RADIUS:g} Å"
