"""What a DFT engine is, and what it is given to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from .levels import Level

MAX_SCF_STEPS = 150
"""Steps in which the electrons must become self-consistent."""


@dataclass(frozen=True)
class Job:
    """The settings of one structure's calculations; they stay as they are while it relaxes.

    Attributes
    ----------
    level : smearing, tolerances, ...
    cutoff : eV; that of the level unless the user gave another.
    grid : k-points along each reciprocal axis.
    log : text file for what the engine says.
    scratch : folder for files that nobody needs afterwards.
    """

    level: Level
    cutoff: float
    grid: tuple[int, int, int]
    log: Path
    scratch: Path


class Engine(Protocol):
    """A DFT program behind an ASE calculator."""

    @property
    def name(self) -> str:
        """As the user writes it."""

    def settings(self, symbols: Iterable[str]) -> dict[str, Any]:
        """What its energies depend on for these elements, beyond the level: version, pseudopotentials.

        Raises
        ------
        InputError : there is nothing for an element.
        """

    def advice(self, symbols: Iterable[str], cutoff: float) -> str | None:
        """One line where these elements ask for more than `cutoff` (eV); None where nothing is known against it."""

    def calculator(self, atoms: Atoms, job: Job) -> BaseCalculator:
        """A calculator of energy, forces and stress for `atoms`, which carry their initial magnetic moments."""

    def zero_width_energy(self, atoms: Atoms, job: Job) -> float:
        """The energy (eV) of `atoms`, whose calculator has just run, extrapolated to zero smearing."""

    def is_unconverged(self, error: Exception, job: Job) -> bool:
        """Whether `error` means that the electrons did not become self-consistent."""


@dataclass(frozen=True)
class EngineOptions:
    """What the user may say about the engine itself.

    Attributes
    ----------
    pseudopotentials : folder with UPF files, for Quantum ESPRESSO.
    launcher : words before `pw.x`, such as ["mpirun", "-n", "4"].
    """

    pseudopotentials: Path | None = None
    launcher: list[str] = field(default_factory=list)
