from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import all_changes
from ase.constraints import FixAtoms
from toy_potentials import Batched, Pairs, Poisoned

from xtalseek.records import Relaxation, Status
from xtalseek.relax import BatchRelaxer, RelaxSettings, as_they_end, in_flight
from xtalseek.relax.calculators import AseEvaluator
from xtalseek.relax.guards import StructureFellApart
from xtalseek.relax.potentials import Potential

RADII = np.full(120, 1.25)
FCC = bulk("Ar", "fcc", 3.7)
SETTINGS = RelaxSettings(max_steps=200, saddle_push=0.0)


class Pulling(Pairs):
    """Pulls every cell apart, or pushes it together."""

    direction = 1.0

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results["stress"] = np.array([-1.0, -1.0, -1.0, 0, 0, 0]) * self.direction
        self.results["forces"] = np.zeros_like(self.results["forces"])


class Pushing(Pulling):
    direction = -1.0


class Restless(Pairs):
    """Never comes to rest."""

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results["forces"] = np.ones_like(self.results["forces"])


class Apart(Pairs):
    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        raise StructureFellApart("an atom is alone")


def relaxer(calculator: Any, settings: RelaxSettings = SETTINGS, **more: Any) -> BatchRelaxer:
    return BatchRelaxer(Potential("toy", AseEvaluator(calculator), RADII, **more), settings)


def status_of(atoms: Atoms, calculator: Any, settings: RelaxSettings = SETTINGS, **more: Any) -> tuple[Status, str]:
    (result,) = relaxer(calculator, settings, **more).relax([atoms])
    return result.status, result.message


def coincident() -> Atoms:
    return Atoms("Ar2", positions=[(0, 0, 0), (0, 0, 0)], cell=[5, 5, 5], pbc=True)


@pytest.mark.parametrize(
    ("atoms", "calculator", "status", "told"),
    [
        (FCC, Pairs(), Status.CONVERGED, ""),
        (coincident(), Pairs(), Status.OVERLAP, "atoms overlap: Ar-Ar at 0.00"),
        (Atoms("Ar", cell=[1, 1, 1], pbc=True), Pairs(), Status.OVERLAP, "collapsed"),
        (Atoms("Ar", cell=[5, 5, 0.4], pbc=True), Pairs(), Status.OVERLAP, "Ar-Ar at 0.40"),
        (FCC, Pulling(), Status.EXPLODED, "grew to"),
        (FCC, Pushing(), Status.OVERLAP, "collapsed"),
        (FCC, Apart(), Status.EXPLODED, "an atom is alone"),
        (FCC, Restless(), Status.MAX_STEPS, "not converged after 200 steps"),
        (FCC, Poisoned(), Status.ERROR, "RuntimeError: the neural network melted"),
        (FCC * (2, 1, 1), Poisoned(), Status.NAN, "not finite"),
        (Atoms("Ar", cell=np.full((3, 3), np.nan), pbc=True), Pairs(), Status.NAN, "not finite"),
        (Atoms("Ar", cell=np.zeros((3, 3)), pbc=True), Pairs(), Status.OVERLAP, "collapsed"),
    ],
)
def test_every_way_to_end_is_a_status_with_a_message(atoms: Atoms, calculator: Any, status: Status, told: str) -> None:
    found, message = status_of(atoms, calculator)
    assert found == status
    assert told in message
    assert "\n" not in message
    assert found == Status.CONVERGED or found.advice in message


def test_a_relaxation_that_takes_too_long_is_a_timeout() -> None:
    assert status_of(FCC, Restless(), RelaxSettings(max_seconds=1e-9))[0] == Status.TIMEOUT


def test_an_energy_too_low_to_be_true_is_suspicious() -> None:
    status, message = status_of(FCC, Pairs(), energy_floor=lambda atoms: 0.0)
    assert status == Status.SUSPICIOUS
    assert "lies below 0.00" in message


def test_a_distance_too_short_to_be_true_is_suspicious() -> None:
    big = BatchRelaxer(Potential("toy", AseEvaluator(Pairs()), np.full(120, 2.6)), SETTINGS)
    (result,) = big.relax([Atoms("Ar2", positions=[(0, 0, 0), (2.4, 0, 0)], cell=[8, 8, 8], pbc=True)])
    assert result.status == Status.SUSPICIOUS
    assert "too close to be believed" in result.message


def test_bad_structures_do_not_touch_their_neighbours_in_a_batch() -> None:
    batch = [FCC, coincident(), FCC * (2, 1, 1), FCC]
    results = relaxer(Poisoned()).relax([*batch[1:3], FCC * (3, 1, 1), coincident()])
    assert [r.status for r in results] == [Status.OVERLAP, Status.NAN, Status.CONVERGED, Status.OVERLAP]
    alone = relaxer(Poisoned()).relax([FCC * (3, 1, 1)])[0]
    assert results[2].energy == alone.energy


def test_the_structure_given_is_not_changed() -> None:
    start = bulk("Ar", "fcc", 3.9)
    before = start.copy()
    relaxer(Pairs()).relax([start])
    assert start == before
    assert start.calc is None


def test_a_converged_result_meets_both_criteria_and_counts_its_calls() -> None:
    (result,) = relaxer(Pairs()).relax([bulk("Ar", "fcc", 3.9)])
    assert result.max_force is not None
    assert result.max_stress_gpa is not None
    assert result.max_force <= SETTINGS.force_tolerance
    assert result.max_stress_gpa <= SETTINGS.stress_tolerance_gpa
    assert result.force_calls == result.steps + 1 > 1
    assert result.seconds > 0


def test_a_failed_relaxation_keeps_its_last_sound_structure() -> None:
    (result,) = relaxer(Pulling()).relax([FCC])
    assert result.atoms is not None
    assert result.energy is not None
    assert result.atoms.get_volume() < 5.01 * FCC.get_volume()


def batch_relaxer(evaluator: Batched, settings: RelaxSettings = SETTINGS) -> BatchRelaxer:
    return BatchRelaxer(Potential("toy", evaluator, RADII), settings)


def rattled(n: int) -> list[Atoms]:
    """Crystals of one to four atoms that take different numbers of steps to relax."""
    structures = []
    for seed in range(n):
        atoms = bulk("Ar", "fcc", 3.6 + 0.02 * seed) * (1 + seed % 4, 1, 1)
        atoms.positions += 0.1 * np.random.default_rng(seed).normal(size=atoms.positions.shape)
        structures.append(atoms)
    return structures


def test_a_batch_relaxes_each_structure_as_if_it_were_alone_and_refills_its_places() -> None:
    structures, evaluator = rattled(12), Batched(capacity=8)
    together = batch_relaxer(evaluator).relax(structures)
    alone = [batch_relaxer(Batched(capacity=0)).relax([atoms])[0] for atoms in structures]
    for one, other in zip(alone, together, strict=True):
        assert (one.status, one.energy, one.force_calls) == (other.status, other.energy, other.force_calls)
    # Never more atoms than fit, and more calls shared than if the whole batch waited for its slowest member.
    assert 1 < max(evaluator.given) <= 8
    assert sum(evaluator.given) == sum(r.force_calls for r in alone)
    assert len(evaluator.given) < 0.6 * sum(evaluator.given)


def test_a_batch_of_no_capacity_is_one_at_a_time() -> None:
    evaluator = Batched(capacity=0)
    batch_relaxer(evaluator).relax(rattled(3))
    assert set(evaluator.given) == {1}


def test_a_batch_that_does_not_fit_into_memory_is_halved_until_it_does_and_nothing_is_lost() -> None:
    structures, evaluator = rattled(12), Batched(capacity=1000, fits=3)
    results = batch_relaxer(evaluator).relax(structures)
    alone = [batch_relaxer(Batched(capacity=0)).relax([atoms])[0] for atoms in structures]
    assert [r.energy for r in results] == [r.energy for r in alone]
    assert max(evaluator.given) <= 3


def test_a_structure_that_alone_does_not_fit_into_memory_is_an_error() -> None:
    (result,) = batch_relaxer(Batched(capacity=100, fits=0)).relax([FCC])
    assert result.status == Status.ERROR
    assert "more memory than there is" in result.message


def test_an_evaluator_that_fails_as_a_whole_is_asked_about_each_alone() -> None:
    structures = [FCC, FCC * (2, 1, 1), FCC * (3, 1, 1)]
    results = batch_relaxer(Batched(capacity=100, poison=2)).relax(structures)
    assert [r.status for r in results] == [Status.CONVERGED, Status.ERROR, Status.CONVERGED]
    assert "one of you is poison" in results[1].message


def test_structures_join_while_others_are_under_way() -> None:
    under_way = batch_relaxer(Batched(capacity=3)).in_flight()
    first, second, third = rattled(3)
    under_way.add(7, third)
    assert not under_way.has_room
    while not (finished := under_way.advance()):
        pass
    assert [key for key, _ in finished] == [7]
    under_way.add(8, first)
    assert under_way.has_room
    assert under_way.advance() == []
    under_way.add(9, second)
    assert len(under_way) == 2
    keys = []
    while len(under_way):
        keys += [key for key, _ in under_way.advance()]
    assert sorted(keys) == [8, 9]


def test_a_loser_is_given_up_only_where_that_was_asked_for_and_a_better_one_is_known() -> None:
    (start,) = rattled(4)[3:]
    (full,) = batch_relaxer(Batched(0), RelaxSettings(optimiser="fire", force_tolerance=1e-4, saddle_push=0.0)).relax(
        [start]
    )
    assert full.enthalpy_per_atom is not None
    for window, lowest, status in (
        (0.5, full.enthalpy_per_atom - 2.0, Status.GIVEN_UP),
        (0.5, full.enthalpy_per_atom - 0.2, Status.CONVERGED),
        (0.5, None, Status.CONVERGED),
        (None, full.enthalpy_per_atom - 2.0, Status.CONVERGED),
    ):
        settings = RelaxSettings(optimiser="fire", force_tolerance=1e-4, saddle_push=0.0, early_stop_window=window)
        under_way = batch_relaxer(Batched(0), settings).in_flight()
        under_way.lowest = lowest
        under_way.add(0, start)
        while not (finished := under_way.advance()):
            pass
        ((_, result),) = finished
        assert result.status == status, (window, lowest)
        if status == Status.GIVEN_UP:
            assert result.force_calls < full.force_calls
            assert "above the best known" in result.message
            assert "--early-stop-window" in result.message


def test_a_relaxer_that_takes_lists_only_is_used_one_by_one() -> None:
    class Plain:
        def relax(self, structures: Sequence[Atoms]) -> list[Relaxation]:
            return [Relaxation(atoms, Status.CONVERGED, energy=float(len(atoms))) for atoms in structures]

    under_way = in_flight(Plain())
    under_way.add(3, FCC * (2, 1, 1))
    assert not under_way.has_room
    ((key, result),) = under_way.advance()
    assert (key, result.energy, len(under_way)) == (3, 2.0, 0)


def test_a_structure_that_symmetry_holds_on_a_saddle_point_is_pushed_off_unless_told_otherwise() -> None:
    """A simple cubic crystal of a pair potential is no minimum, but no force tells it so."""
    cubic = Atoms("Ar8", cell=[5, 5, 5], pbc=True, scaled_positions=np.indices((2, 2, 2)).reshape(3, -1).T / 2)
    cubic.positions += 0.3  # not on the origin
    held, pushed = (relaxer(Pairs(), settings).relax([cubic])[0] for settings in (SETTINGS, RelaxSettings()))
    assert held.status == pushed.status == Status.CONVERGED
    assert held.enthalpy_per_atom is not None
    assert pushed.enthalpy_per_atom is not None
    assert pushed.enthalpy_per_atom < held.enthalpy_per_atom - 0.5
    assert pushed.force_calls > held.force_calls


def test_a_structure_on_a_saddle_point_is_not_given_up_before_it_was_pushed_off() -> None:
    """At rest it is far above the best known, for long enough to be judged; where it ends it is the best."""
    cubic = Atoms("Ar8", cell=[6.4, 6.4, 6.4], pbc=True, scaled_positions=np.indices((2, 2, 2)).reshape(3, -1).T / 2)
    settings = replace(SETTINGS, optimiser="fire", max_steps=1000, stress_tolerance_gpa=1e-6, early_stop_window=0.5)
    (pushed,) = relaxer(Pairs(), replace(settings, saddle_push=0.02)).relax([cubic])
    assert pushed.enthalpy_per_atom is not None
    for push, status in ((0.0, Status.GIVEN_UP), (0.02, Status.CONVERGED)):
        under_way = relaxer(Pairs(), replace(settings, saddle_push=push)).in_flight()
        under_way.lowest = pushed.enthalpy_per_atom
        ((_, result),) = as_they_end(under_way, [cubic])
        assert result.status == status
    assert result.enthalpy_per_atom == pushed.enthalpy_per_atom


@pytest.mark.parametrize("optimiser", ["fire", "preconditioned-lbfgs", "two-point"])
def test_frozen_atoms_keep_their_fractional_places_and_the_others_come_to_rest(optimiser: str) -> None:
    (start,) = rattled(4)[3:]
    start.positions[2] += (0.3, 0.2, -0.3)
    start.set_constraint(FixAtoms(indices=[1, 2]))
    settings = replace(SETTINGS, optimiser=optimiser, force_tolerance=1e-3, saddle_push=0.02)
    (held,) = relaxer(Pairs(), settings).relax([start])
    start.set_constraint()
    (free,) = relaxer(Pairs(), settings).relax([start])
    assert held.status == free.status == Status.CONVERGED
    assert held.atoms is not None
    moved = held.atoms.get_scaled_positions() - start.get_scaled_positions()
    assert np.abs((moved - np.rint(moved))[[1, 2]]).max() < 1e-9
    assert np.abs((moved - np.rint(moved))[[0, 3]]).max() > 1e-3
    assert held.enthalpy_per_atom is not None and free.enthalpy_per_atom is not None
    assert held.enthalpy_per_atom > free.enthalpy_per_atom + 1e-3


def test_a_push_off_a_true_minimum_changes_nothing_but_the_count_of_calls() -> None:
    settings = replace(SETTINGS, force_tolerance=1e-3, stress_tolerance_gpa=0.01)
    (plain,) = relaxer(Pairs(), settings).relax([FCC * (2, 2, 2)])
    (pushed,) = relaxer(Pairs(), replace(settings, saddle_push=0.02)).relax([FCC * (2, 2, 2)])
    assert pushed.status == Status.CONVERGED
    assert pushed.enthalpy_per_atom == pytest.approx(plain.enthalpy_per_atom, abs=1e-4)
    assert pushed.force_calls > plain.force_calls


def test_atoms_that_overlap_are_pushed_apart_before_the_potential_is_asked_where_that_is_wanted() -> None:
    crowded = bulk("Ar", "fcc", 3.7) * (2, 2, 2)
    crowded.positions[1] = crowded.positions[0] + (0.3, 0.1, 0.0)
    assert status_of(crowded, Pairs())[0] == Status.OVERLAP
    (healed,) = relaxer(Pairs(), replace(SETTINGS, push_apart=0.8)).relax([crowded])
    assert healed.status == Status.CONVERGED
    (nothing,) = relaxer(Pairs(), replace(SETTINGS, push_apart=0.8)).relax([Atoms(cell=[3, 3, 3], pbc=True)])
    assert nothing.status == Status.ERROR
