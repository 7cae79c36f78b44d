"""Calculators for tests, small and quick, imported by name: `--relaxer toy_potentials:Pairs`."""

from __future__ import annotations

import time
from itertools import product
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

_IMAGES = np.array(list(product((-2, -1, 0, 1, 2), repeat=3)), dtype=float)


class Pairs(Calculator):
    """Lennard-Jones with its minimum at 2.5 Å, cut smoothly at 4.5 Å, as two numpy calls."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012
    cutoff = 4.5

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        assert atoms is not None
        lattice = _IMAGES @ atoms.cell.array
        vectors = atoms.positions[None, :, None] - atoms.positions[:, None, None] + lattice
        squares = (vectors**2).sum(axis=-1)
        squares[squares < 1e-8] = np.inf
        s6 = (2.5**2 / squares) ** 3
        fade = np.clip(1 - squares / self.cutoff**2, 0, None)
        # E = sum f^2 (s6^2 - 2 s6) / 2, and dE/d(r^2) from the two factors.
        pair = s6**2 - 2 * s6
        slope = 2 * fade * (-1 / self.cutoff**2) * pair + fade**2 * (-6 * s6**2 + 6 * s6) / squares
        gradient = slope[..., None] * 2 * np.where(np.isfinite(squares)[..., None], vectors, 0.0)
        self.results = {
            "energy": 0.5 * float((fade**2 * pair).sum()),
            "forces": gradient.sum(axis=(1, 2)),
            "stress": _voigt(0.5 * np.einsum("ijna,ijnb->ab", gradient, vectors) / atoms.get_volume()),
        }


class Slow(Pairs):
    """Takes a little longer, so that a test can kill a search in the middle."""

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        time.sleep(0.01)
        super().calculate(atoms, properties, system_changes)


class Poisoned(Pairs):
    """Fails in a way that depends on the structure: an exception, a NaN, a hole in the energy, or not at all."""

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        assert atoms is not None
        if len(atoms) % 4 == 1:
            raise RuntimeError("the neural network\nmelted")
        if len(atoms) % 4 == 2:
            self.results["forces"] = self.results["forces"] * np.nan


def _voigt(stress: np.ndarray) -> np.ndarray:
    return stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
