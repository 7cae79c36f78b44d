"""A short-range repulsion that fills the holes of a learned potential: ZBL, switched off where real crystals begin.

A potential fitted to structures near equilibrium knows nothing of atoms that almost touch, and random search finds the
places where it rewards them. Below a switch distance the universal repulsion of screened nuclei is added; above it
nothing changes, to the last digit.

Source: Ziegler, Biersack, Littmark, The Stopping and Range of Ions in Solids, Pergamon, New York 1985; a short form in
Ziegler, Biersack, The Stopping and Range of Ions in Matter, 1985, doi:10.1007/978-1-4615-8103-1_3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms

from .contract import Evaluation, Evaluator
from .neighbours import Neighbours, find_neighbours

SWITCH_RATIO = 0.6
"""The repulsion ends at this fraction of the sum of the contact radii.

The closest pair of 23,660 Materials Project structures, 1-52 atoms each, lies at 0.650 of its covalent radii (Fe-U at
2.13 Å), one structure in a thousand below 0.686 (uranyl's U=O at 1.80 Å); N2 lies at 0.775, C-O at 0.80, H2 at 1.19.
"""
FULL_RATIO = 0.3
"""From here inwards the repulsion is whole."""
SKIN = 0.8
"""Å; of the neighbour list, which is short enough to hold a generous one."""

_COULOMB = 14.3996454
"""e^2 / (4 pi epsilon_0) in eV Å."""
_SCREENING_LENGTH, _SCREENING_POWER = 0.46850, 0.23
"""Å; 0.8854 Bohr radii."""
_WEIGHTS = np.array([0.18175, 0.50986, 0.28022, 0.02817])
_DECAYS = np.array([3.19980, 0.94229, 0.40290, 0.20162])


@dataclass(frozen=True, eq=False)
class RepulsionMemory:
    """What is kept between two evaluations of a structure.

    Attributes
    ----------
    inner : the wrapped evaluator's own memory.
    neighbours : pairs up to the longest switch distance and a skin.
    switch : (n_pairs,) Å; the switch distance of each pair.
    """

    inner: object
    neighbours: Neighbours
    switch: np.ndarray


@dataclass(frozen=True, eq=False)
class Repulsion:
    """Adds the repulsion to what another evaluator says; what that one fails on stays its exception.

    Attributes
    ----------
    evaluator : the potential with the holes.
    contact_radii : by atomic number, Å.
    """

    evaluator: Evaluator
    contact_radii: np.ndarray

    @property
    def capacity(self) -> float:
        """What the wrapped evaluator says."""
        return self.evaluator.capacity

    def evaluate(self, structures: Sequence[Atoms], memories: Sequence[object]) -> list[Evaluation | Exception]:
        """See `Evaluator`."""
        known = [memory if isinstance(memory, RepulsionMemory) else None for memory in memories]
        found = self.evaluator.evaluate(structures, [None if memory is None else memory.inner for memory in known])
        return [self._added(*each) for each in zip(structures, known, found, strict=True)]

    def size(self, atoms: Atoms) -> float:
        """What the wrapped evaluator says: the repulsion takes next to nothing."""
        return self.evaluator.size(atoms)

    def _added(
        self, atoms: Atoms, known: RepulsionMemory | None, found: Evaluation | Exception
    ) -> Evaluation | Exception:
        if isinstance(found, Exception):
            return found
        try:
            memory = self._memory(atoms, known, found.memory)
        except ValueError as error:  # a cell too thin to search
            return error
        near, switch = memory.neighbours, memory.switch
        vectors = near.vectors(atoms)
        squares = np.einsum("ij,ij->i", vectors, vectors)
        close = np.flatnonzero(squares < switch * switch)
        if not len(close):
            return Evaluation(found.energy, found.forces, found.stress, memory)
        first, second, vectors = near.first[close], near.second[close], vectors[close]
        energies, slopes = screened_repulsion(
            atoms.numbers[first], atoms.numbers[second], lengths := np.sqrt(squares[close]), switch[close]
        )
        with np.errstate(invalid="ignore", divide="ignore"):  # atoms in one place: not finite, which the guards see
            pulls = (slopes / lengths)[:, None] * vectors
        forces = np.array(found.forces, dtype=float)
        np.add.at(forces, first, pulls)
        np.add.at(forces, second, -pulls)
        stress = found.stress + vectors.T @ pulls / abs(float(np.linalg.det(atoms.cell.array)))
        return Evaluation(found.energy + float(energies.sum()), forces, stress, memory)

    def _memory(self, atoms: Atoms, known: RepulsionMemory | None, inner: object) -> RepulsionMemory:
        if known is not None and known.neighbours.still_holds(atoms):
            return replace(known, inner=inner)
        radii = self.contact_radii[atoms.numbers]
        near = find_neighbours(atoms, 2 * SWITCH_RATIO * float(radii.max()), SKIN)
        return RepulsionMemory(inner, near, SWITCH_RATIO * (radii[near.first] + radii[near.second]))


def screened_repulsion(
    first: np.ndarray, second: np.ndarray, lengths: np.ndarray, switch: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Energy (eV) and its slope along the distance (eV/Å) of pairs; both and the curvature end at `switch`.

    Parameters
    ----------
    first, second : (n_pairs,) atomic numbers.
    lengths : (n_pairs,) Å.
    switch : (n_pairs,) Å, where the repulsion ends; it is whole from `FULL_RATIO` / `SWITCH_RATIO` of that inwards.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (first**_SCREENING_POWER + second**_SCREENING_POWER) / _SCREENING_LENGTH
        terms = _WEIGHTS * np.exp(-np.outer(lengths * scale, _DECAYS))
        bare = _COULOMB * first * second / lengths
        energies = bare * terms.sum(axis=1)
        slopes = -energies / lengths - bare * scale * (terms @ _DECAYS)
        # Smoothest step with two continuous derivatives: 1 inside, 0 at the switch distance.
        full = switch * (FULL_RATIO / SWITCH_RATIO)
        u = np.clip((lengths - full) / (switch - full), 0.0, 1.0)
        step = 1 - u**3 * (10 - 15 * u + 6 * u**2)
        step_slope = -30 * u**2 * (1 - u) ** 2 / (switch - full)
        return energies * step, slopes * step + energies * step_slope
