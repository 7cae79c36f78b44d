"""When two structures are one: the fingerprint of Oganov and Valle (2009, doi:10.1063/1.3079326).

For each pair of species, how the number of neighbours within a distance departs from that of a gas, smoothed. Lengths
are in units of (volume per atom)^(1/3), so that structures that differ in size alone have the same fingerprint.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms

from ..random.pairs import close_pairs

REACH = 3.0
"""Longest distance that counts; some 110 neighbours."""
SPREAD = 0.05
"""Standard deviation of the Gaussian that each distance is smeared into; about 0.13 Å."""
STEP = 0.05
"""Between the distances at which the fingerprint is kept."""


def fingerprint(atoms: Atoms, species: list[str]) -> np.ndarray:
    """A vector of length 1; the scalar product of two is the cosine of the angle between the structures.

    Parameters
    ----------
    species : in the order in which pairs are put; both structures must have the same.
    """
    unit = (atoms.get_volume() / len(atoms)) ** (1 / 3)
    kinds = np.array([species.index(symbol) for symbol in atoms.get_chemical_symbols()])
    cell, positions = atoms.cell.array / unit, atoms.positions / unit
    first, second, shift = close_pairs(cell, positions, kinds, np.full((len(species), len(species)), REACH))
    distances = np.linalg.norm(positions[second] + shift @ cell - positions[first], axis=1)
    low, high = np.minimum(kinds[first], kinds[second]), np.maximum(kinds[first], kinds[second])
    grid = np.arange(0.0, REACH - 3 * SPREAD, STEP) + STEP / 2
    parts = []
    for b in range(len(species)):
        for a in range(b + 1):
            own = distances[(low == a) & (high == b)]
            # Every pair was found once: it is a neighbour of both its atoms.
            count_a, count_b = np.count_nonzero(kinds == a), np.count_nonzero(kinds == b)
            smeared = np.exp(-(((grid[:, None] - own) / SPREAD) ** 2) / 2).sum(axis=1) / (SPREAD * np.sqrt(2 * np.pi))
            shell = 4 * np.pi * grid**2 * count_a * count_b / len(atoms) * (0.5 if a == b else 1.0)
            weight = count_a * count_b * (0.5 if a == b else 1.0)
            parts.append(np.sqrt(weight) * (smeared / shell - 1))
    whole = np.concatenate(parts)
    return whole / np.linalg.norm(whole)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Cosine distance of two fingerprints, 0 (alike) to 1."""
    return float(0.5 * (1 - one @ other))
