"""Whether a potential's answers fit together: slopes, batches, rotations and the order of the atoms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ..relax.calculators import AseEvaluator
from ..relax.contract import Evaluation, Evaluator
from ..relax.potentials import Potential
from .structures import require, same

STEP = 1e-3
"""Of the finite differences: Å for the atoms, 1 for the strain."""
SLOPE_TOLERANCE = 1e-3
"""Relative; of forces and stress against the slope of the energy."""
FLAT = 1e-3
"""eV/Å, or eV for the strain: smaller slopes say nothing."""
ENERGY_TOLERANCE = 1e-5
"""eV/atom by which equal structures may differ in energy."""
FORCE_TOLERANCE = 1e-4
"""eV/Å and eV/Å^3, and relative: by which forces and stress of equal structures may differ."""


def check_potential(
    potential: Potential | Evaluator | BaseCalculator,
    structures: Sequence[Atoms],
    *,
    step: float = STEP,
    slope_tolerance: float = SLOPE_TOLERANCE,
    energy_tolerance: float = ENERGY_TOLERANCE,
    force_tolerance: float = FORCE_TOLERANCE,
) -> None:
    """Check that energies, forces and stresses are those of one smooth energy, in eV, Å and ASE's sign.

    Forces and stress are compared with central differences of the energy; a batch with its structures alone; and each
    structure with itself turned, with its atoms in another order, and after a move with the memory of before. Single
    precision may need larger tolerances, and a larger `step`.

    Parameters
    ----------
    potential : also a bare evaluator or ASE calculator.
    structures : periodic and sound, off their symmetric places, so that forces and stress are not zero.
    step, slope_tolerance, energy_tolerance, force_tolerance : see `STEP`, `SLOPE_TOLERANCE`, `ENERGY_TOLERANCE`,
        `FORCE_TOLERANCE`.

    Raises
    ------
    AssertionError : one line that says which promise is broken.
    """
    require(len(structures) > 0, "no structures were given")
    evaluator = _evaluator(potential)
    compare = _Compare(energy_tolerance, force_tolerance)
    copies = [_plain(atoms) for atoms in structures]
    for place, atoms in enumerate(copies):
        require(evaluator.size(atoms) > 0, f"structure {place} has a size that is not above 0")
        here = _alone(evaluator, atoms, f"structure {place}")
        _check_shapes(here, atoms, f"structure {place}")
        _check_slopes(evaluator, atoms, here, step, slope_tolerance, f"structure {place}")
        _check_turned(evaluator, atoms, here, compare, f"structure {place}")
        _check_order(evaluator, atoms, here, compare, f"structure {place}")
        _check_memory(evaluator, atoms, here, compare, f"structure {place}")
    _check_batch(evaluator, copies, compare)
    untouched = all(same(copy, _plain(atoms)) for copy, atoms in zip(copies, structures, strict=True))
    require(untouched, "evaluating changed the structures")


class _Compare:
    """Whether two evaluations of what is one structure agree."""

    def __init__(self, energy_tolerance: float, force_tolerance: float) -> None:
        self._energy, self._force = energy_tolerance, force_tolerance

    def require(self, found: Evaluation, expected: Evaluation, told: str) -> None:
        difference = abs(found.energy - expected.energy) / len(expected.forces)
        require(difference <= self._energy, f"{told}: the energy differs by {difference:.2g} eV/atom")
        for what, one, two in (
            ("forces", found.forces, expected.forces),
            ("the stress", found.stress, expected.stress),
        ):
            error = float(np.abs(one - two).max())
            allowed = self._force * (1 + float(np.abs(two).max()))
            require(error <= allowed, f"{told}: {what} differ by {error:.2g}, more than {allowed:.2g}")


def _evaluator(potential: Potential | Evaluator | BaseCalculator) -> Evaluator:
    if isinstance(potential, Potential):
        return potential.evaluator
    return AseEvaluator(potential) if isinstance(potential, BaseCalculator) else potential


def _alone(evaluator: Evaluator, atoms: Atoms, told: str, memory: object = None) -> Evaluation:
    (found,) = _evaluate(evaluator, [atoms], [memory])
    if isinstance(found, Exception):
        raise AssertionError(f"{told}: the potential failed: {type(found).__name__}: {found}") from found
    return found


def _evaluate(
    evaluator: Evaluator, structures: Sequence[Atoms], memories: Sequence[object]
) -> list[Evaluation | Exception]:
    try:
        found = evaluator.evaluate(structures, memories)
    except Exception as error:
        raise AssertionError(f"evaluate raised {type(error).__name__}: {error}") from error
    require(len(found) == len(structures), f"{len(found)} evaluations of {len(structures)} structures")
    return found


def _check_shapes(found: Evaluation, atoms: Atoms, told: str) -> None:
    require(np.shape(found.forces) == (len(atoms), 3), f"{told}: forces of shape {np.shape(found.forces)}, not (n, 3)")
    require(np.shape(found.stress) == (3, 3), f"{told}: a stress of shape {np.shape(found.stress)}, not (3, 3)")
    finite = np.isfinite(found.energy) and np.isfinite(found.forces).all() and np.isfinite(found.stress).all()
    require(bool(finite), f"{told}: an energy, force or stress that is not finite")


def _check_slopes(
    evaluator: Evaluator, atoms: Atoms, here: Evaluation, step: float, tolerance: float, told: str
) -> None:
    """Along one random direction for the atoms, one for the strain; half along the force, so that neither is flat."""
    rng = np.random.default_rng(0)
    steepest, largest = float(np.abs(here.forces).max()), float(np.abs(here.stress).max())
    require(steepest > FLAT, f"{told}: no force above {FLAT} eV/Å, which shows nothing: move an atom")
    require(largest * atoms.get_volume() > FLAT, f"{told}: no stress, which shows nothing: strain the cell")
    direction = rng.normal(size=(len(atoms), 3)) + 3 * here.forces / steepest
    shift = step * direction / np.linalg.norm(direction)
    strain = rng.normal(size=(3, 3))
    strain = strain + strain.T + 6 * here.stress / largest
    strain *= step / np.linalg.norm(strain)

    def energy(sign: float, moved: bool) -> float:
        positions, cell = atoms.positions, atoms.cell.array
        deform = np.eye(3) + sign * strain
        near = (
            Atoms(atoms.numbers, positions + sign * shift, cell=cell, pbc=True)
            if moved
            else Atoms(atoms.numbers, positions @ deform, cell=cell @ deform, pbc=True)
        )
        return _alone(evaluator, near, told).energy

    for what, moved, expected in (
        ("forces", True, -float((here.forces * shift).sum())),
        ("the stress", False, float((here.stress * strain).sum()) * float(atoms.get_volume())),
    ):
        found = (energy(1, moved) - energy(-1, moved)) / 2
        wrong = f"{told}: {what} say that the energy changes by {expected:.6g} eV, it changes by {found:.6g}"
        require(abs(found - expected) <= tolerance * max(abs(expected), FLAT * step), wrong)


def _check_turned(evaluator: Evaluator, atoms: Atoms, here: Evaluation, compare: _Compare, told: str) -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    turned = Atoms(atoms.numbers, atoms.positions @ turn, cell=atoms.cell.array @ turn, pbc=True)
    expected = Evaluation(here.energy, here.forces @ turn, turn.T @ here.stress @ turn)
    compare.require(_alone(evaluator, turned, told), expected, f"{told}, turned")


def _check_order(evaluator: Evaluator, atoms: Atoms, here: Evaluation, compare: _Compare, told: str) -> None:
    order = np.arange(len(atoms))[::-1]
    other = Atoms(atoms.numbers[order], atoms.positions[order], cell=atoms.cell, pbc=True)
    expected = Evaluation(here.energy, here.forces[order], here.stress)
    compare.require(_alone(evaluator, other, told), expected, f"{told}, atoms in another order")


def _check_memory(evaluator: Evaluator, atoms: Atoms, here: Evaluation, compare: _Compare, told: str) -> None:
    moved = _plain(atoms)
    moved.positions += np.random.default_rng(3).uniform(-0.3, 0.3, (len(atoms), 3))
    with_memory = _alone(evaluator, moved, told, here.memory)
    compare.require(with_memory, _alone(evaluator, moved, told), f"{told}, with the memory of before a move")


def _check_batch(evaluator: Evaluator, structures: Sequence[Atoms], compare: _Compare) -> None:
    alone = [_alone(evaluator, atoms, f"structure {place}") for place, atoms in enumerate(structures)]
    for places in (range(len(structures)), range(len(structures) - 1, -1, -1)):
        found = _evaluate(evaluator, [structures[place] for place in places], [None] * len(structures))
        for place, each in zip(places, found, strict=True):
            require(not isinstance(each, Exception), f"structure {place} fails in a batch: {each}")
            assert isinstance(each, Evaluation)
            compare.require(each, alone[place], f"structure {place}, in a batch")


def _plain(atoms: Atoms) -> Atoms:
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
