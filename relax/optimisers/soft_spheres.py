"""A first stage that costs nothing: soft spheres push overlapping atoms apart before a potential is asked.

Learned potentials have holes where atoms nearly touch, and a relaxation that starts in one is lost. AIRSS relaxes its
candidates with soft spheres for the same reason: Pickard and Needs, J. Phys.: Condens. Matter 23, 053201 (2011),
doi:10.1088/0953-8984/23/5/053201.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms

from ..neighbours import Neighbours, current_neighbours
from .contract import apply
from .quasi_newton import QuasiNewton

_STIFFNESS = 20.0
"""eV/Å^2 of a touching pair; the scale matters to nothing but the first step's length."""
_MARGIN = 1.05
"""Spheres are this much larger than asked for, so that the distance asked for is reached in a few steps."""
_SKIN = 0.5
_MOST_STEPS = 200


def soft_spheres(atoms: Atoms, radii: np.ndarray, near: Neighbours) -> tuple[float, np.ndarray, np.ndarray]:
    """Energy (eV), forces (n_atoms, 3) in eV/Å and stress (3, 3) in eV/Å^3 of harmonic spheres.

    There is no energy beyond the touch, and half the stiffness times the square of the overlap within.

    Parameters
    ----------
    radii : (n_atoms,), Å; two atoms touch at the sum of theirs.
    near : the pairs of `atoms` that may touch.
    """
    vectors = near.vectors(atoms)
    distances = np.sqrt((vectors**2).sum(axis=1))
    overlaps = np.clip(radii[near.first] + radii[near.second] - distances, 0.0, None)
    # Atoms on top of each other part along nothing in particular: leave that to their other neighbours.
    pulls = (-_STIFFNESS * overlaps / np.maximum(distances, 1e-6))[:, None] * vectors
    forces = np.zeros((len(atoms), 3))
    np.add.at(forces, near.first, pulls)
    np.add.at(forces, near.second, -pulls)
    stress = vectors.T @ pulls / atoms.get_volume()
    return 0.5 * _STIFFNESS * float((overlaps**2).sum()), forces, (stress + stress.T) / 2


def pushed_apart(atoms: Atoms, contact_radii: np.ndarray, ratio: float) -> Atoms:
    """`atoms` with no pair nearer than `ratio` times the sum of its contact radii; as it is where there is none.

    Atoms and cell move until all pairs are far enough apart, or 200 steps are over; the cell grows where it must.

    Parameters
    ----------
    contact_radii : by atomic number, Å.
    """
    optimiser, radii = QuasiNewton(), ratio * contact_radii[atoms.numbers]
    moving = Atoms(atoms.numbers, cell=atoms.cell, positions=atoms.positions, pbc=True)
    state, near = optimiser.start(moving), None
    for _ in range(_MOST_STEPS):
        near = current_neighbours(near, moving, 2 * _MARGIN * float(radii.max()), _SKIN)
        distances = np.sqrt((near.vectors(moving) ** 2).sum(axis=1))
        if (distances >= radii[near.first] + radii[near.second]).all():
            break
        state, move = optimiser.step(state, moving, *soft_spheres(moving, _MARGIN * radii, near), 0.0)
        apply(moving, move)
    return moving
