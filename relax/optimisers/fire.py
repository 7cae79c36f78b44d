"""FIRE: a fast, forgiving minimiser that needs no energies.

Source: Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), doi:10.1103/PhysRevLett.97.170201.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms

from .contract import Move, capped, generalised_force, moved

_FIRST_STEP, _LARGEST_TIME_STEP = 0.1, 1.0
_GROW, _SHRINK, _PATIENCE = 1.1, 0.5, 5
_MIX_START, _MIX_DECAY = 0.1, 0.99


@dataclass(frozen=True, eq=False)
class FireState:
    """What FIRE remembers between steps.

    Attributes
    ----------
    velocity : (n_atoms + 3, 3); the last three rows belong to the cell.
    time_step : in FIRE's own unit.
    mixing : how far the velocity is turned into the direction of the force.
    downhill_steps : since the last step uphill.
    """

    velocity: np.ndarray
    time_step: float = _FIRST_STEP
    mixing: float = _MIX_START
    downhill_steps: int = 0


@dataclass(frozen=True)
class Fire:
    """See the module."""

    def start(self, atoms: Atoms) -> FireState:
        """At rest."""
        return fire_start(len(atoms))

    def step(
        self, state: FireState, atoms: Atoms, energy: float, forces: np.ndarray, stress: np.ndarray, pressure: float
    ) -> tuple[FireState, Move]:
        """See `Optimiser`."""
        state, step = fire_step(state, generalised_force(forces, stress, pressure, float(atoms.get_volume())))
        return state, moved(atoms, capped(step))


def fire_start(n_atoms: int) -> FireState:
    """At rest."""
    return FireState(np.zeros((n_atoms + 3, 3)))


def fire_step(state: FireState, force: np.ndarray) -> tuple[FireState, np.ndarray]:
    """One step of FIRE.

    Parameters
    ----------
    force : (n_atoms + 3, 3), eV/Å, as `generalised_force` gives it.

    Returns
    -------
    The new state, and the move (n_atoms + 3, 3) in Å, not yet capped.
    """
    velocity, power = state.velocity, float(np.vdot(force, state.velocity))
    if power > 0:
        along = force * (np.linalg.norm(velocity) / np.linalg.norm(force))
        velocity = (1 - state.mixing) * velocity + state.mixing * along
        patient = state.downhill_steps <= _PATIENCE
        state = replace(
            state,
            time_step=state.time_step if patient else min(state.time_step * _GROW, _LARGEST_TIME_STEP),
            mixing=state.mixing if patient else state.mixing * _MIX_DECAY,
            downhill_steps=state.downhill_steps + 1,
        )
    else:
        velocity = np.zeros_like(velocity)
        state = FireState(velocity, state.time_step * (_SHRINK if state.downhill_steps else 1.0))
    velocity = velocity + state.time_step * force
    return replace(state, velocity=velocity), state.time_step * velocity
