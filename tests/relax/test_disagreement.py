from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from xtalseek.relax import load_potential
from xtalseek.relax.contract import Evaluation
from xtalseek.relax.disagreement import DISAGREEMENT_LIMIT, disagreement, second_opinion


def made(force: float = 0.0, stress: float = 0.0, n_atoms: int = 4) -> Evaluation:
    forces = np.zeros((n_atoms, 3))
    forces[1] = (0, force * 0.6, -force * 0.8)
    return Evaluation(-3.0, forces, np.diag((0.0, stress, 0.0)))


def test_it_is_the_largest_difference_on_an_atom_or_the_cell() -> None:
    assert disagreement(made(), made(), 40.0) == 0
    assert disagreement(made(0.3), made(0.1), 40.0) == pytest.approx(0.2)
    # 4 atoms in 32 Å^3: each takes up 4 Å^2, on which 0.05 eV/Å^3 pull with 0.2 eV/Å.
    assert disagreement(made(0.1, 0.05), made(0.1), 32.0) == pytest.approx(0.2)
    assert disagreement(made(0.1, 0.05), made(0.5), 32.0) == pytest.approx(0.4)


def test_energies_do_not_matter() -> None:
    """Each set counts from its own origin."""
    first = made(0.2)
    assert disagreement(first, Evaluation(1000.0, first.forces, first.stress), 40.0) == 0


class Says:
    """Says the same of every structure."""

    capacity = 0.0

    def __init__(self, answer: Evaluation | Exception) -> None:
        self._answer = answer

    def evaluate(self, structures: Sequence[Atoms], memories: Sequence[object]) -> list[Evaluation | Exception]:
        return [self._answer] * len(structures)

    def size(self, atoms: Atoms) -> float:
        return 1.0


def test_a_warning_comes_beyond_the_limit_only() -> None:
    atoms = bulk("Si") * (2, 1, 1)
    assert second_opinion(Says(made(0.9 * DISAGREEMENT_LIMIT)), atoms, made()) is None
    assert "disagrees by" in (second_opinion(Says(made(1.1 * DISAGREEMENT_LIMIT)), atoms, made()) or "")
    assert "disagrees by" in (second_opinion(Says(made(float("nan"))), atoms, made()) or "")
    assert "failed: no such" in (second_opinion(Says(RuntimeError("no\nsuch")), atoms, made()) or "")


def test_chgnet_s_weights_agree_on_crystals_and_not_on_nonsense() -> None:
    first, second = (load_potential("chgnet", {"weights": weights}).evaluator for weights in ("0.3.0", "0.2.0"))
    crystals = [bulk("MgO", "rocksalt", 4.24), bulk("Si", a=5.45), bulk("NaCl", "rocksalt", 5.65)]
    nonsense = [bulk("MgO", "rocksalt", 2.9), bulk("Xe", "fcc", 3.4)]
    values = []
    for atoms in (*crystals, *nonsense):
        ours, theirs = first.evaluate([atoms], [None])[0], second.evaluate([atoms], [None])[0]
        assert isinstance(ours, Evaluation)
        assert isinstance(theirs, Evaluation)
        values.append(disagreement(ours, theirs, atoms.get_volume()))
    assert max(values[:3]) < DISAGREEMENT_LIMIT
    assert max(values[:3]) < 0.2 * min(values[3:])
