"""What a relaxer is, and how far it is asked to go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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


class Relaxer(Protocol):
    """Turns proposed structures into relaxed ones."""

    def relax(self, structures: Sequence[Atoms]) -> list[Relaxation]:
        """Relax each structure: same order, same length; a bad structure becomes a status, never an exception."""
