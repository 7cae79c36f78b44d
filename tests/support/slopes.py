"""Whether an evaluator's forces and stress are the slopes of its energy, in units and sign too."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from xtalseek.relax.contract import Evaluation, Evaluator


def evaluate(evaluator: Evaluator, atoms: Atoms) -> Evaluation:
    """What it says of one structure; raises what it fails with."""
    (found,) = evaluator.evaluate([atoms], [None])
    if isinstance(found, Exception):
        raise found
    return found


def assert_slopes(evaluator: Evaluator, atoms: Atoms, step: float = 1e-3, tolerance: float = 1e-3) -> None:
    """Move the atoms, then strain the cell, along one random direction each, and compare with central differences.

    Parameters
    ----------
    step : of the differences, Å for the atoms and 1 for the strain.
    tolerance : relative, of both slopes; neither may be so small that it says nothing.
    """
    rng = np.random.default_rng(0)
    here = evaluate(evaluator, atoms)
    assert here.forces.shape == (len(atoms), 3)
    assert here.stress.shape == (3, 3)
    assert np.allclose(here.stress, here.stress.T, atol=1e-6)
    # Half along the force, so that the slope is never zero by chance.
    direction = rng.normal(size=(len(atoms), 3)) + here.forces / np.abs(here.forces).max()
    shift = step * direction / np.linalg.norm(direction)

    def moved(sign: float) -> float:
        return evaluate(evaluator, _copy(atoms, atoms.positions + sign * shift, atoms.cell.array)).energy

    strain = rng.normal(size=(3, 3))
    strain = strain + strain.T + 2 * here.stress / np.abs(here.stress).max()
    strain *= step / np.linalg.norm(strain)

    def strained(sign: float) -> float:
        deform = np.eye(3) + sign * strain
        return evaluate(evaluator, _copy(atoms, atoms.positions @ deform, atoms.cell.array @ deform)).energy

    for found, expected in (
        ((moved(1) - moved(-1)) / 2, -float((here.forces * shift).sum())),
        ((strained(1) - strained(-1)) / 2, float((here.stress * strain).sum() * atoms.get_volume())),
    ):
        assert abs(expected) > 1e-3 * step
        assert abs(found - expected) < tolerance * abs(expected), (found, expected)


def _copy(atoms: Atoms, positions: np.ndarray, cell: np.ndarray) -> Atoms:
    return Atoms(atoms.numbers, positions=positions, cell=cell, pbc=True)
