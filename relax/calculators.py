"""From an ASE calculator to an evaluator, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator, Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from .contract import Evaluation, Evaluator


@dataclass(frozen=True, eq=False)
class AseEvaluator:
    """Asks an ASE calculator about one structure after the other.

    Attributes
    ----------
    calculator : gives energy, forces and stress.
    """

    calculator: BaseCalculator
    capacity = 0.0

    def evaluate(self, structures: Sequence[Atoms], memories: Sequence[object]) -> list[Evaluation | Exception]:
        """See `Evaluator`."""
        return [self._evaluate_one(atoms) for atoms in structures]

    def size(self, atoms: Atoms) -> float:
        """Its number of atoms."""
        return float(len(atoms))

    def _evaluate_one(self, atoms: Atoms) -> Evaluation | Exception:
        asked = Atoms(atoms.numbers, cell=atoms.cell, positions=atoms.positions, pbc=True)
        asked.calc = self.calculator
        try:
            return Evaluation(float(asked.get_potential_energy()), asked.get_forces(), asked.get_stress(voigt=False))
        except Exception as error:  # whatever a calculator may raise on a strange structure: the run goes on
            return error


class EvaluatorCalculator(Calculator):
    """An evaluator as an ASE calculator, so that anything written for ASE can use it.

    Parameters
    ----------
    evaluator : what answers.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, evaluator: Evaluator) -> None:
        super().__init__()
        self._evaluator = evaluator
        self._memory: object = None

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        """See `ase.calculators.calculator.Calculator`; raises what the evaluator failed with."""
        super().calculate(atoms, properties, system_changes)
        assert atoms is not None
        # Another set of atoms is another structure, whose neighbours the last one's memory says nothing of.
        memory = None if {"numbers", "pbc"} & set(system_changes) else self._memory
        (found,) = self._evaluator.evaluate([atoms], [memory])
        if isinstance(found, Exception):
            raise found
        self._memory = found.memory
        self.results = {
            "energy": found.energy,
            "free_energy": found.energy,
            "forces": found.forces,
            "stress": full_3x3_to_voigt_6_stress(found.stress),
        }
