"""Two-point steepest descent: the step length that the last two slopes suggest, as AIRSS's own relaxer takes it.

Source: Barzilai and Borwein, IMA J. Numer. Anal. 8, 141 (1988), doi:10.1093/imanum/8.1.141.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from .contract import Move, capped, generalised_force, moved

_FIRST_LENGTH = 0.01
"""Å for each eV/Å of force, before there are two slopes."""
_LENGTHS = (1e-3, 1.0)


@dataclass(frozen=True, eq=False)
class TwoPointState:
    """The last step and the force before it.

    Attributes
    ----------
    step, force : (n_atoms + 3, 3), Å and eV/Å; None before the first step.
    length : Å for each eV/Å, the last one used.
    """

    step: np.ndarray | None = None
    force: np.ndarray | None = None
    length: float = _FIRST_LENGTH


@dataclass(frozen=True)
class TwoPoint:
    """See the module."""

    def start(self, atoms: Atoms) -> TwoPointState:
        """Nothing known."""
        return TwoPointState()

    def step(
        self, state: TwoPointState, atoms: Atoms, energy: float, forces: np.ndarray, stress: np.ndarray, pressure: float
    ) -> tuple[TwoPointState, Move]:
        """See `Optimiser`."""
        force = generalised_force(forces, stress, pressure, float(atoms.get_volume()))
        length = state.length
        if state.step is not None and state.force is not None:
            change = state.force - force
            squared = float(np.vdot(change, change))
            if squared > 0:
                # Along negative curvature the length that a valley as steep as the hill would ask for.
                length = min(max(abs(float(np.vdot(state.step, change))) / squared, _LENGTHS[0]), _LENGTHS[1])
        step = capped(length * force)
        return TwoPointState(step, force, length), moved(atoms, step)
