from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import all_changes
from toy_potentials import Pairs, Poisoned

from xtalseek.records import Status
from xtalseek.relax import AseRelaxer, RelaxSettings
from xtalseek.relax.calculators import AseEvaluator
from xtalseek.relax.guards import StructureFellApart
from xtalseek.relax.potentials import Potential

RADII = np.full(120, 1.25)
FCC = bulk("Ar", "fcc", 3.7)
SETTINGS = RelaxSettings(max_steps=200)


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


def relaxer(calculator: Any, settings: RelaxSettings = SETTINGS, **more: Any) -> AseRelaxer:
    return AseRelaxer(Potential("toy", AseEvaluator(calculator), RADII, **more), settings)


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
    big = AseRelaxer(Potential("toy", AseEvaluator(Pairs()), np.full(120, 2.6)), SETTINGS)
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
