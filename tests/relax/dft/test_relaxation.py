"""The driver, with an engine that takes milliseconds."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.units import GPa
from fake_dft import SLOPE, CutoffPairs, FakeEngine

from xtalseek.records import Relaxation, Status
from xtalseek.relax.dft.levels import LEVELS
from xtalseek.relax.dft.relaxation import DftSettings, cutoff_slope, pulay_stress, relax_with_dft

QUICK = DftSettings(LEVELS["quick"])


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


def relaxed(engine: FakeEngine, folder: Path, atoms: Atoms, settings: DftSettings = QUICK) -> Relaxation:
    return relax_with_dft(atoms, engine, settings, folder / "log" / "x.txt")


def test_the_slope_of_an_exponential_is_exact() -> None:
    low, middle, high = (5 * math.exp(-0.01 * cutoff) for cutoff in (405.0, 450.0, 495.0))
    assert cutoff_slope(low, middle, high, 45.0) == pytest.approx(-0.05 * math.exp(-4.5))


@pytest.mark.parametrize("energies", [(0.0, 0.0, 0.0), (-1.0, -1.0, -1.001), (-1.0, -1.1, -1.3), (-1.0, -0.9, -1.0)])
def test_energies_that_do_not_decay_give_the_central_difference(energies: tuple[float, float, float]) -> None:
    assert cutoff_slope(*energies, 45.0) == pytest.approx((energies[2] - energies[0]) / 90.0)


def test_the_corrected_stress_is_the_slope_of_the_energy_at_a_constant_cutoff() -> None:
    """Change a a little both ways: dE/dV by hand against the trace of the stress."""
    energies, volumes = [], []
    for a in (4.799, 4.801):
        atoms = bulk("NaCl", "rocksalt", a=a)
        atoms.calc = CutoffPairs(450.0)
        energies.append(atoms.get_potential_energy())
        volumes.append(atoms.get_volume())
    by_hand = (energies[1] - energies[0]) / (volumes[1] - volumes[0])
    atoms = bulk("NaCl", "rocksalt", a=4.8)
    atoms.calc = CutoffPairs(450.0)
    engines = atoms.get_stress(voigt=False).trace() / 3
    assert abs(engines - by_hand) > 5 * GPa
    corrected = engines + pulay_stress(450.0, SLOPE * len(atoms), atoms.get_volume())
    assert corrected == pytest.approx(by_hand, abs=0.01 * GPa)


def test_a_relaxation_ends_where_the_energy_is_lowest(engine: FakeEngine, tmp_path: Path) -> None:
    """And not where the engine's own stress vanishes."""
    ended = relaxed(engine, tmp_path, bulk("NaCl", "rocksalt", a=4.7))
    assert ended.status is Status.CONVERGED
    assert ended.atoms is not None and ended.energy is not None
    a = float((4 * ended.atoms.get_volume()) ** (1 / 3))

    def energy(a: float) -> float:
        atoms = bulk("NaCl", "rocksalt", a=a)
        atoms.calc = CutoffPairs(450.0)
        return float(atoms.get_potential_energy())

    lowest = min(np.arange(4.6, 5.0, 0.002), key=energy)
    assert a == pytest.approx(lowest, abs=0.01)
    assert ended.energy == pytest.approx(energy(a), abs=1e-6)
    assert ended.max_force is not None and ended.max_force <= QUICK.level.force_tolerance
    assert ended.max_stress_gpa is not None and ended.max_stress_gpa <= QUICK.level.stress_tolerance_gpa
    assert ended.force_calls == ended.steps + 3


def test_the_grid_stays_while_the_cell_moves(engine: FakeEngine, tmp_path: Path) -> None:
    relaxed(engine, tmp_path, bulk("NaCl", "rocksalt", a=4.7))
    assert len({job.grid for job in engine.jobs}) == 1
    assert [round(job.cutoff) for job in engine.jobs] == [450, 405, 495]


def test_what_other_cutoffs_write_is_kept_apart(engine: FakeEngine, tmp_path: Path) -> None:
    relaxed(engine, tmp_path, bulk("NaCl", "rocksalt", a=4.7))
    assert len({job.scratch for job in engine.jobs}) == len({job.log for job in engine.jobs}) == 3


def test_pressure_makes_it_smaller(engine: FakeEngine, tmp_path: Path) -> None:
    start = bulk("NaCl", "rocksalt", a=4.7)
    free = relaxed(engine, tmp_path, start).atoms
    pressed = relaxed(engine, tmp_path, start, replace(QUICK, pressure_gpa=20.0))
    assert free is not None and pressed.atoms is not None
    assert pressed.atoms.get_volume() < 0.99 * free.get_volume()
    assert pressed.pressure_gpa == 20.0


def test_a_single_point_leaves_the_structure_as_it_is(engine: FakeEngine, tmp_path: Path) -> None:
    start = bulk("NaCl", "rocksalt", a=4.3)
    ended = relaxed(engine, tmp_path, start, replace(QUICK, static=True))
    assert ended.status is Status.CONVERGED
    assert (ended.force_calls, ended.steps, len(engine.jobs)) == (1, 0, 1)
    assert ended.atoms is not None
    assert (ended.atoms.cell.array == start.cell.array).all()


def test_spin_starts_from_the_ions(engine: FakeEngine, tmp_path: Path) -> None:
    relaxed(engine, tmp_path, bulk("FeO", "rocksalt", a=4.0), replace(QUICK, static=True))
    relaxed(engine, tmp_path, bulk("MgO", "rocksalt", a=4.0), replace(QUICK, static=True))
    assert [moments.tolist() for moments in engine.moments] == [[4.0, 0.0], [0.0, 0.0]]


def chain(n_atoms: int) -> Atoms:
    return Atoms(["Na"] * n_atoms, positions=[(0, 0, 2.5 * i) for i in range(n_atoms)], cell=[3, 3, 2.5 * n_atoms])


def test_electrons_that_do_not_settle_are_a_status(engine: FakeEngine, tmp_path: Path) -> None:
    ended = relaxed(engine, tmp_path, chain(5))
    assert ended.status is Status.SCF
    assert ended.energy is None
    assert "not self-consistent after 150 steps" in ended.message
    assert Status.SCF.advice in ended.message


def test_any_other_exception_is_a_status_too(engine: FakeEngine, tmp_path: Path) -> None:
    ended = relaxed(engine, tmp_path, chain(7))
    assert ended.status is Status.ERROR
    assert "RuntimeError: the lattice melted" in ended.message
    assert "x.txt" in ended.message


def test_too_few_steps_and_too_little_time_keep_the_last_structure(engine: FakeEngine, tmp_path: Path) -> None:
    start = bulk("NaCl", "rocksalt", a=4.6)
    for settings, status in (
        (replace(QUICK, max_steps=1), Status.MAX_STEPS),
        (replace(QUICK, max_seconds=1e-9), Status.TIMEOUT),
    ):
        ended = relaxed(engine, tmp_path, start, settings)
        assert ended.status is status
        assert "--retry" in ended.message
        assert ended.atoms is not None and ended.energy is not None
    assert ended.steps == 0
