"""What a relaxer is, and how far it is asked to go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from ase import Atoms

from ..records import Relaxation


@dataclass(frozen=True)
class RelaxSettings:
    """How far to relax. Positions and cell move together.

    Attributes
    ----------
    pressure_gpa : external pressure.
    force_tolerance : converged when no atom feels more than this, eV/Å, and ...
    stress_tolerance_gpa : ... no component of stress + pressure is larger than this, GPa.
    max_steps : steps of the optimiser at most.
    max_seconds : wall time at most.
    """

    pressure_gpa: float = 0.0
    force_tolerance: float = 0.05
    stress_tolerance_gpa: float = 0.1
    max_steps: int = 500
    max_seconds: float = 600.0


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a potential says of one structure.

    Attributes
    ----------
    energy : eV of the whole cell.
    forces : (n_atoms, 3), eV/Å.
    stress : (3, 3), eV/Å^3, ASE's sign.
    memory : what the potential wants back with the next geometry of the same structure: its neighbour list, say.
    """

    energy: float
    forces: np.ndarray
    stress: np.ndarray
    memory: object = None


class Evaluator(Protocol):
    """Energies, forces and stresses of many structures at once."""

    def evaluate(self, structures: Sequence[Atoms], memories: Sequence[object]) -> list[Evaluation | Exception]:
        """Evaluate each structure: same order, same length; one it fails on becomes its exception, raised to nobody.

        Parameters
        ----------
        structures : periodic; any geometry.
        memories : for each the memory of its last evaluation, None at first; the atoms' order must not change between.
        """

    def size(self, atoms: Atoms) -> float:
        """Work and memory that one evaluation takes, in a unit of the evaluator's own: what a batch is filled by."""


class Relaxer(Protocol):
    """Turns proposed structures into relaxed ones."""

    def relax(self, structures: Sequence[Atoms]) -> list[Relaxation]:
        """Relax each structure: same order, same length; a bad structure becomes a status, never an exception."""
