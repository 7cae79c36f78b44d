"""A quick guess of a crystal's stiffness, cell included: springs between near atoms.

After Lindh et al., Chem. Phys. Lett. 241, 423 (1995), doi:10.1016/0009-2614(95)00646-L (springs that fall off
exponentially with the distance, for molecules), and Packwood et al., doi:10.1063/1.4947024 (for crystals, as a
preconditioner). A spring between two atoms also resists the strain that stretches it, so that the stiffness of the
cell, and how the atoms follow a strain, come from the same model.

The decay was fitted to how CHGNet's forces and stresses changed along 472 FIRE steps from random structures of ten
compositions (metals, semiconductors, oxides, a sulfide, a halide): the model explained 43 % of the change for a decay
of 6, 46 % for 8, and one stiffness for all atoms and strains 13 %. The scale hardly matters: L-BFGS scales the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from ..neighbours import find_neighbours
from .contract import strain_length

STIFFNESS = 3.0
"""eV/Å^2 of a spring as long as the sum of the covalent radii."""
DECAY = 6.0
"""A spring is softer by exp(-DECAY) where it is twice as long as that."""
SIDEWAYS = 0.05
"""Stiffness against moves across a spring, as a fraction of that along it."""
FLOOR = 1.0
"""eV/Å^2 that every direction has at least."""
CUTOFF = 1.7
"""Longest spring, in sums of covalent radii; the rest is softer than the floor."""


@dataclass(frozen=True, eq=False)
class PairSprings:
    """The model for one geometry.

    Attributes
    ----------
    inverse : of the stiffness (3 n_atoms + 9, 3 n_atoms + 9), Å^2/eV. It is small, safely positive definite by the
        floor, and used many times: quicker than a factorisation.
    """

    inverse: np.ndarray

    @classmethod
    def of(cls, atoms: Atoms) -> PairSprings:
        """The springs of `atoms`."""
        matrix = stiffness(atoms)
        matrix[np.diag_indices_from(matrix)] += FLOOR
        return cls(np.linalg.inv(matrix))

    def solve(self, force: np.ndarray) -> np.ndarray:
        """The step (n_atoms + 3, 3) in Å that takes away a force (n_atoms + 3, 3) in eV/Å."""
        step: np.ndarray = (self.inverse @ force.ravel()).reshape(force.shape)
        # What rounding makes of the symmetry of the strain would add up over the steps.
        step[-3:] = (step[-3:] + step[-3:].T) / 2
        return step


def stiffness(atoms: Atoms) -> np.ndarray:
    """Second derivatives (3 n_atoms + 9, 3 n_atoms + 9) of the springs' energy, eV/Å^2, in an optimiser's coordinates.

    A spring's vector d changes by u_second - u_first + d @ strain, the strain symmetric; what is antisymmetric in the
    last nine coordinates has no stiffness.
    """
    n_atoms, length = len(atoms), strain_length(len(atoms))
    radii = covalent_radii[atoms.numbers]
    pairs = find_neighbours(atoms, CUTOFF * 2 * float(radii.max()), skin=0.0)
    vectors = pairs.vectors(atoms)
    distances = np.sqrt((vectors**2).sum(axis=1))
    ratios = distances / (radii[pairs.first] + radii[pairs.second])
    near = ratios < CUTOFF
    vectors, first, second = vectors[near], pairs.first[near], pairs.second[near]
    units = vectors / distances[near, None]
    # Closer than half the sum of the radii the exponential says more about the model than about the crystal.
    along = STIFFNESS * np.exp(DECAY * (1 - np.maximum(ratios[near], 0.5)))
    across = SIDEWAYS * along
    springs = (along - across)[:, None, None] * units[:, :, None] * units[:, None, :]
    springs += across[:, None, None] * np.eye(3)
    # How a spring's vector (a) follows the strain (b, c).
    eye = np.eye(3)
    follows = np.einsum("pb,ac->pabc", vectors, eye) + np.einsum("pc,ab->pabc", vectors, eye)
    follows = follows.reshape(-1, 3, 9) / (2 * length)
    pulls = springs @ follows

    atom_atom = np.zeros((n_atoms, n_atoms, 3, 3))
    np.add.at(atom_atom, (first, first), springs)
    np.add.at(atom_atom, (second, second), springs)
    np.add.at(atom_atom, (first, second), -springs)
    np.add.at(atom_atom, (second, first), -springs)
    atom_cell = np.zeros((n_atoms, 3, 9))
    np.add.at(atom_cell, second, pulls)
    np.add.at(atom_cell, first, -pulls)

    matrix, atomic = np.zeros((3 * n_atoms + 9, 3 * n_atoms + 9)), 3 * n_atoms
    matrix[:atomic, :atomic] = atom_atom.transpose(0, 2, 1, 3).reshape(atomic, atomic)
    matrix[:atomic, atomic:] = atom_cell.reshape(atomic, 9)
    matrix[atomic:, :atomic] = matrix[:atomic, atomic:].T
    matrix[atomic:, atomic:] = follows.reshape(-1, 9).T @ pulls.reshape(-1, 9)
    return matrix
