"""Calculators for tests, small and quick, imported by name: `--relaxer toy_potentials:Pairs`."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import covalent_radii

from xtalseek.relax.calculators import AseEvaluator
from xtalseek.relax.contract import Evaluation, OutOfMemory
from xtalseek.relax.potentials import Potential

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


class Deadly(Slow):
    """Crashes the process, as a fault in a library does, on structures of TOY_DEADLY_VOLUME (Å^3)."""

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        assert atoms is not None
        if abs(atoms.get_volume() - float(os.environ["TOY_DEADLY_VOLUME"])) < 1e-6:
            ctypes.string_at(0)
        super().calculate(atoms, properties, system_changes)


WORKER = "toy-worker"
"""A word in the command line of the process that `WithWorker` asks."""


class WithWorker(Pairs):
    """Asks a process of its own before each answer, as calculators around other programs do."""

    _worker: subprocess.Popen[bytes] | None = None

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        if self._worker is None:
            code = "import sys, time\nfor line in sys.stdin: time.sleep(0.01); print(flush=True)"
            words = [sys.executable, "-S", "-c", code, WORKER]
            self._worker = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._worker.stdin is not None and self._worker.stdout is not None
        try:
            self._worker.stdin.write(b"\n")
            answer = self._worker.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if not answer:
            self._worker.wait()
            self._worker = None
            raise RuntimeError("the worker is gone")
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


class Batched:
    """`Pairs` as an evaluator that takes many; `fits` structures at a time, and counts how many it was given."""

    def __init__(self, capacity: float, fits: int = 1000, poison: int | None = None) -> None:
        self.capacity, self.fits, self.poison = capacity, fits, poison
        self.given: list[int] = []
        self._one = AseEvaluator(Pairs())

    def evaluate(self, structures: Sequence[Atoms], memories: Sequence[object]) -> list[Evaluation | Exception]:
        if len(structures) > self.fits:
            raise OutOfMemory(f"{len(structures)} structures")
        self.given.append(len(structures))
        if self.poison is not None and any(len(atoms) == self.poison for atoms in structures):
            raise RuntimeError("one of you is poison")
        for atoms, memory in zip(structures, memories, strict=True):
            assert memory is None or memory == len(atoms)  # each gets its own memory back
        found = self._one.evaluate(structures, memories)
        return [
            replace(f, memory=len(a)) if isinstance(f, Evaluation) else f
            for f, a in zip(found, structures, strict=True)
        ]

    def size(self, atoms: Atoms) -> float:
        return float(len(atoms))


def together() -> Potential:
    """`Pairs` relaxed about four structures at a time."""
    return Potential("together", Batched(capacity=12), covalent_radii)


def _voigt(stress: np.ndarray) -> np.ndarray:
    return stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
