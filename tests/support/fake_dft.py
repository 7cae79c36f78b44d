"""An engine that stands in for a DFT program: quick, with a cut-off, and faults on demand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, all_changes
from toy_potentials import Pairs

from xtalseek.relax.dft.contract import EngineOptions, Job

SLOPE = -0.05
"""eV per eV and atom, at 450 eV: that of oxygen in GPAW."""
DECAY = 0.01
"""Per eV."""


class NotSelfConsistent(Exception):
    """What the engine raises where the electrons do not settle."""


class CutoffPairs(Pairs):
    """Pairs plus an error that falls with the cut-off; its stress is that of a constant number of plane waves."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, cutoff: float) -> None:
        super().__init__()
        self.cutoff_energy = cutoff

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        assert atoms is not None
        error = -SLOPE / DECAY * np.exp(-DECAY * (self.cutoff_energy - 450.0)) * len(atoms)
        slope = -DECAY * error
        self.results["energy"] += error
        self.results["free_energy"] = self.results["energy"]
        self.results["stress"][:3] -= 2 / 3 * self.cutoff_energy * slope / atoms.get_volume()


class FakeEngine:
    """Counts its calculators; cells of five atoms never become self-consistent, those of seven break it."""

    name = "fake"

    def __init__(self, options: EngineOptions | None = None) -> None:
        self.jobs: list[Job] = []
        self.moments: list[np.ndarray] = []

    def settings(self, symbols: Iterable[str]) -> dict[str, Any]:
        return {"fake": "1.0", "elements": sorted(set(symbols))}

    def advice(self, symbols: Iterable[str], cutoff: float) -> str | None:
        return None

    def calculator(self, atoms: Atoms, job: Job) -> BaseCalculator:
        self.jobs.append(job)
        self.moments.append(atoms.get_initial_magnetic_moments())
        if len(atoms) == 5:
            raise NotSelfConsistent
        if len(atoms) == 7:
            raise RuntimeError("the lattice\nmelted")
        return CutoffPairs(job.cutoff)

    def zero_width_energy(self, atoms: Atoms, job: Job) -> float:
        return float(atoms.get_potential_energy())

    def is_unconverged(self, error: Exception, job: Job) -> bool:
        return isinstance(error, NotSelfConsistent)
