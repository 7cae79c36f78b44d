"""What a relaxer is, and how far it is asked to go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from ase import Atoms

from ..records import Relaxation
from .optimisers import DEFAULT


@dataclass(frozen=True)
class RelaxSettings:
    """How far to relax. Positions and cell move together.

    Attributes
    ----------
    pressure_gpa : external pressure.
    force_tolerance : converged when no atom feels more than this, eV/Å, and ...
    stress_tolerance_gpa : ... no component of stress + pressure is larger than this, GPa.
    max_steps : steps of the optimiser at most.
    max_seconds : wall time at most; of a batch, its share.
    optimiser : one of `relax.optimisers.OPTIMISERS`.
    early_stop_window : eV/atom; give up a relaxation that is heading for an enthalpy higher than this above the lowest
        known; None: relax all to the end.
    saddle_push : Å; a structure that came to rest with symmetry is pushed off it by about this and relaxed on, for
        symmetry also holds structures on saddle points; the lower of both is the result. 0: leave it there.
    push_apart : before the potential is asked, soft spheres push all pairs apart to this fraction of the sum of their
        contact radii. None: a structure is taken as it is.
    """

    pressure_gpa: float = 0.0
    force_tolerance: float = 0.05
    stress_tolerance_gpa: float = 0.1
    max_steps: int = 500
    max_seconds: float = 600.0
    optimiser: str = DEFAULT
    early_stop_window: float | None = None
    saddle_push: float = 0.02
    push_apart: float | None = None


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


class OutOfMemory(Exception):
    """Raised by an evaluator for a batch that does not fit; it is then given a smaller one."""


class Evaluator(Protocol):
    """Energies, forces and stresses of many structures at once."""

    @property
    def capacity(self) -> float:
        """The sum of sizes that is evaluated together with profit; 0: one structure at a time."""

    def evaluate(self, structures: Sequence[Atoms], memories: Sequence[object]) -> list[Evaluation | Exception]:
        """Evaluate each structure: same order, same length; one it fails on becomes its exception, raised to nobody.

        Parameters
        ----------
        structures : periodic; any geometry.
        memories : for each the memory of its last evaluation, None at first; the atoms' order must not change between.

        Raises
        ------
        OutOfMemory : they do not fit into memory together.
        """

    def size(self, atoms: Atoms) -> float:
        """Work and memory that one evaluation takes, in a unit of the evaluator's own: what a batch is filled by."""


class UnderWay(Protocol):
    """Relaxations under way: `add` while there is room, `advance`, take out what is done.

    Attributes
    ----------
    lowest : eV/atom; the best enthalpy known, which `early_stop_window` compares with. None: not known.
    """

    lowest: float | None

    def __len__(self) -> int:
        """Relaxations that `advance` has not returned yet."""

    @property
    def has_room(self) -> bool:
        """Whether another structure would join the next step."""

    def add(self, key: int, structure: Atoms) -> None:
        """Begin a relaxation; `advance` returns its result with `key`."""

    def advance(self) -> list[tuple[int, Relaxation]]:
        """Work for a while, and return those that are done."""


class Relaxer(Protocol):
    """Turns proposed structures into relaxed ones.

    One that takes on new structures while others are under way also has `in_flight`, which returns an empty `UnderWay`.
    """

    def relax(self, structures: Sequence[Atoms]) -> list[Relaxation]:
        """Relax each structure: same order, same length; a bad structure becomes a status, never an exception."""
