"""What an optimiser is, and the coordinates that all of them move in.

The cell moves by small symmetric strains of the cell as it is now, never of the one it started from: a filter tied to a
wild first cell blows up, and its matrix logarithms cost as much as a force call of a small network. A strain is made a
length by `STRAIN_LENGTH` times the square root of the number of atoms: the cell is then about as stiff as a bond.
Positions and strain together are one array (n_atoms + 3, 3) in Å, the last three rows the strain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from ase import Atoms

STRAIN_LENGTH = 1.0
"""Å for each square root of an atom."""
LARGEST_MOVE = 0.2
"""Å that an atom moves in one step at most."""
LARGEST_STRAIN = 0.05
"""Strain of the cell in one step at most."""


@dataclass(frozen=True, eq=False)
class Move:
    """Where an optimiser wants to go next.

    Attributes
    ----------
    positions : (n_atoms, 3), Å; not wrapped into the cell.
    cell : (3, 3), Å, rows.
    """

    positions: np.ndarray
    cell: np.ndarray


class Optimiser(Protocol):
    """Finds a minimum of the enthalpy: a pure function of what it remembers and what it is told.

    It keeps nothing itself, so that one optimiser serves any number of structures at the same time.
    """

    def start(self, atoms: Atoms) -> Any:
        """What to remember before the first step: the first `state`, immutable, made of plain arrays and numbers."""

    def step(
        self, state: Any, atoms: Atoms, energy: float, forces: np.ndarray, stress: np.ndarray, pressure: float
    ) -> tuple[Any, Move]:
        """Choose the next geometry from one force call.

        Parameters
        ----------
        state : as `start` or the last step gave it.
        atoms : the geometry that the force call was made for, the one the last step asked for.
        energy : eV of the whole cell. forces : (n_atoms, 3), eV/Å. stress : (3, 3), eV/Å^3, ASE's sign.
        pressure : eV/Å^3.

        Returns
        -------
        The new state, and where to go: no atom and no strain further than the caps.
        """


def apply(atoms: Atoms, move: Move) -> None:
    """Take `atoms` where `move` wants them."""
    atoms.set_cell(move.cell)
    atoms.set_positions(move.positions)


def generalised_force(forces: np.ndarray, stress: np.ndarray, pressure: float, volume: float) -> np.ndarray:
    """Forces on atoms and cell in one array (n_atoms + 3, 3), eV/Å: minus the slope of the enthalpy.

    Parameters
    ----------
    forces : (n_atoms, 3), eV/Å. stress : (3, 3), eV/Å^3, ASE's sign. pressure : eV/Å^3. volume : Å^3.
    """
    virial = -volume * (stress + pressure * np.eye(3))
    return np.vstack([forces, (virial + virial.T) / (2 * strain_length(len(forces)))])


def strain_length(n_atoms: int) -> float:
    """Å that a strain of 1 counts as."""
    return STRAIN_LENGTH * float(n_atoms) ** 0.5


def extent(step: np.ndarray) -> float:
    """The longest move or strain of a step (n_atoms + 3, 3), as a fraction of what is allowed."""
    n_atoms = len(step) - 3
    furthest = float(np.sqrt((step[:n_atoms] ** 2).sum(axis=1).max()))
    strain = float(np.abs(step[n_atoms:]).max()) / strain_length(n_atoms)
    return max(furthest / LARGEST_MOVE, strain / LARGEST_STRAIN)


def capped(step: np.ndarray, radius: float = 1.0) -> np.ndarray:
    """The step, shortened as a whole where it would go further than `radius` times what is allowed."""
    length = extent(step)
    return step if length <= radius else step * (radius / length)


def moved(atoms: Atoms, step: np.ndarray) -> Move:
    """Where a step (n_atoms + 3, 3) with symmetric strain takes `atoms`; the strain carries the atoms along."""
    n_atoms = len(atoms)
    deformation = np.eye(3) + step[n_atoms:] / strain_length(n_atoms)
    return Move((atoms.positions + step[:n_atoms]) @ deformation, atoms.cell.array @ deformation)
