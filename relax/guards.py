"""Guards: tell a structure that has left the region where any potential can be believed."""

from __future__ import annotations

import math

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

from ..records import Status

OVERLAP_RATIO = 0.25
"""Two atoms nearer than this fraction of the sum of their contact radii overlap: no potential is worth asking."""
SUSPICIOUS_RATIO = 0.5
"""A relaxed structure with a pair nearer than this has most likely fallen into a hole of the potential."""
COLLAPSE_RATIO = 0.2
"""Cell volume over the volume of the atoms' contact spheres; metals under ambient pressure lie above 0.6."""
EXPLOSION_RATIO = 5.0
"""Cell volume over the volume at the start."""


class StructureFellApart(Exception):
    """Raised by a potential for a structure whose atoms no longer see each other."""


def closest_contact(atoms: Atoms, contact_radii: np.ndarray, below: float) -> tuple[float, str] | None:
    """The nearest pair, as a fraction of the sum of its contact radii, if any lies nearer than `below`.

    Parameters
    ----------
    contact_radii : by atomic number, Å.

    Returns
    -------
    The fraction and the pair in words ("Ti-O at 0.51 Å"), or None. Periodic images of one atom count as a pair.
    """
    radii = contact_radii[atoms.numbers]
    first, second, distance = neighbor_list("ijd", atoms, cutoff=list(below * radii))
    if not len(distance):
        return None
    ratios = distance / (radii[first] + radii[second])
    nearest = int(np.argmin(ratios))
    pair = "-".join(sorted((atoms.symbols[first[nearest]], atoms.symbols[second[nearest]])))
    return float(ratios[nearest]), f"{pair} at {distance[nearest]:.2f} Å"


def geometry_fault(atoms: Atoms, contact_radii: np.ndarray, start_volume: float) -> tuple[Status, str] | None:
    """The status and reason of a cell or a distance that no potential should be asked about; None where all is well."""
    if not (np.isfinite(atoms.cell.array).all() and np.isfinite(atoms.positions).all()):
        return Status.NAN, "the structure holds numbers that are not finite"
    volume = abs(float(np.linalg.det(atoms.cell.array)))
    spheres = float(np.sum(4 / 3 * math.pi * contact_radii[atoms.numbers] ** 3))
    if volume < COLLAPSE_RATIO * spheres:
        return Status.OVERLAP, f"the cell collapsed to {volume / len(atoms):.2g} Å^3 per atom"
    if volume > EXPLOSION_RATIO * start_volume:
        return Status.EXPLODED, f"the cell grew to {volume / start_volume:.1f} times its volume"
    contact = closest_contact(atoms, contact_radii, OVERLAP_RATIO)
    if contact is not None:
        return Status.OVERLAP, f"atoms overlap: {contact[1]}"
    return None


def suspicion(atoms: Atoms, energy: float, contact_radii: np.ndarray, energy_floor: float | None) -> str | None:
    """Why a converged structure should not be believed; None where nothing speaks against it."""
    if energy_floor is not None and energy < energy_floor:
        n = len(atoms)
        return f"energy {energy / n:.2f} eV/atom lies below {energy_floor / n:.2f}, the lowest that can be believed"
    contact = closest_contact(atoms, contact_radii, SUSPICIOUS_RATIO)
    if contact is not None:
        return f"atoms are too close to be believed: {contact[1]}"
    return None
