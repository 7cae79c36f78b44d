"""FIRE for positions and cell together: a fast, forgiving minimiser that needs one force call a step.

Source: Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), doi:10.1103/PhysRevLett.97.170201.

The cell moves by small strains of the cell as it is now, never of the one it started from: a filter tied to a wild
first cell blows up, and its matrix logarithms cost as much as a force call of a small network. A strain is made a
length by `STRAIN_LENGTH` times the square root of the number of atoms: the cell is then about as stiff as a bond.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms

STRAIN_LENGTH = 1.0
"""Å for each square root of an atom."""
LARGEST_MOVE = 0.2
"""Å that an atom moves in one step at most."""
LARGEST_STRAIN = 0.05
"""Strain of the cell in one step at most."""
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


def generalised_force(forces: np.ndarray, stress: np.ndarray, pressure: float, volume: float) -> np.ndarray:
    """Forces on atoms and cell in one array (n_atoms + 3, 3), eV/Å.

    Parameters
    ----------
    forces : (n_atoms, 3), eV/Å. stress : (3, 3), eV/Å^3, ASE's sign. pressure : eV/Å^3. volume : Å^3.
    """
    virial = -volume * (stress + pressure * np.eye(3))
    return np.vstack([forces, virial / _strain_length(len(forces))])


def move(atoms: Atoms, step: np.ndarray) -> None:
    """Apply a step of `fire_step` to `atoms`, shortened as a whole where an atom or the cell would move too far."""
    n_atoms = len(atoms)
    strain = step[n_atoms:] / _strain_length(n_atoms)
    furthest = float(np.linalg.norm(step[:n_atoms], axis=1).max())
    scale = min(1.0, LARGEST_MOVE / max(furthest, 1e-30), LARGEST_STRAIN / max(float(np.abs(strain).max()), 1e-30))
    deformation = np.eye(3) + scale * (strain + strain.T) / 2
    positions = (atoms.positions + scale * step[:n_atoms]) @ deformation
    atoms.set_cell(atoms.cell.array @ deformation)
    atoms.set_positions(positions)


def _strain_length(n_atoms: int) -> float:
    return STRAIN_LENGTH * float(n_atoms) ** 0.5
