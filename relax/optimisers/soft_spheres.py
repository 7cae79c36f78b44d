"""A first stage that costs nothing: soft spheres push overlapping atoms apart before a potential is asked.

Learned potentials have holes where atoms nearly touch, and a relaxation that starts in one is lost. AIRSS relaxes its
candidates with soft spheres for the same reason: Pickard and Needs, J. Phys.: Condens. Matter 23, 053201 (2011),
doi:10.1088/0953-8984/23/5/053201.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from ..contract import Evaluation
from ..neighbours import Neighbours, current_neighbours
from .contract import Optimiser, apply
from .quasi_newton import QuasiNewton

_STIFFNESS = 20.0
"""eV/Å^2 of a touching pair; the scale matters to nothing but the first step's length."""
_MARGIN = 1.05
"""Spheres are this much larger than asked for, so that the distance asked for is reached in a few steps."""
_SKIN = 0.5
_MOST_STEPS = 200


@dataclass(frozen=True, eq=False)
class SoftSpheres:
    """Harmonic spheres: no energy beyond the touch, ½ k (touch - r)^2 within.

    Attributes
    ----------
    radii : by atomic number, Å; two atoms touch at the sum of theirs.
    """

    radii: np.ndarray
    capacity: float = 1.0

    def evaluate(self, structures: Sequence[Atoms], memories: Sequence[object]) -> list[Evaluation | Exception]:
        """See `Evaluator`."""
        return [self.evaluate_one(atoms, memory) for atoms, memory in zip(structures, memories, strict=True)]

    def size(self, atoms: Atoms) -> float:
        """One structure at a time."""
        return 1.0

    def evaluate_one(self, atoms: Atoms, memory: object = None) -> Evaluation:
        """Energy, forces and stress of one structure."""
        known = memory if isinstance(memory, Neighbours) else None
        radii = self.radii[atoms.numbers]
        near = current_neighbours(known, atoms, 2 * float(radii.max()), _SKIN)
        vectors = near.vectors(atoms)
        distances = np.sqrt((vectors**2).sum(axis=1))
        overlaps = np.clip(radii[near.first] + radii[near.second] - distances, 0.0, None)
        # Atoms on top of each other part along nothing in particular: leave that to their other neighbours.
        pulls = (-_STIFFNESS * overlaps / np.maximum(distances, 1e-6))[:, None] * vectors
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, near.first, pulls)
        np.add.at(forces, near.second, -pulls)
        stress = vectors.T @ pulls / atoms.get_volume()
        return Evaluation(0.5 * _STIFFNESS * float((overlaps**2).sum()), forces, (stress + stress.T) / 2, near)


def pushed_apart(atoms: Atoms, contact_radii: np.ndarray, ratio: float, optimiser: Optimiser | None = None) -> Atoms:
    """`atoms` with no pair nearer than `ratio` times the sum of its contact radii; as it is where there is none.

    Atoms and cell move until all pairs are far enough apart, or 200 steps are over; the cell grows where it must.

    Parameters
    ----------
    contact_radii : by atomic number, Å.
    optimiser : default: L-BFGS.
    """
    spheres, optimiser = SoftSpheres(_MARGIN * ratio * contact_radii), optimiser or QuasiNewton()
    radii = ratio * contact_radii[atoms.numbers]
    moving = Atoms(atoms.numbers, cell=atoms.cell, positions=atoms.positions, pbc=True)
    state, memory = optimiser.start(moving), None
    for _ in range(_MOST_STEPS):
        found = spheres.evaluate_one(moving, memory)
        near = found.memory
        assert isinstance(near, Neighbours)
        distances = np.sqrt((near.vectors(moving) ** 2).sum(axis=1))
        if (distances >= radii[near.first] + radii[near.second]).all():
            break
        state, move = optimiser.step(state, moving, found.energy, found.forces, found.stress, 0.0)
        apply(moving, move)
        memory = near
    return moving
