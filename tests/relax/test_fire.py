from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.units import GPa
from toy_potentials import Pairs

from xtalseek.records import Relaxation, Status
from xtalseek.relax import AseRelaxer, RelaxSettings
from xtalseek.relax.calculators import AseEvaluator
from xtalseek.relax.fire import LARGEST_MOVE, LARGEST_STRAIN, fire_start, fire_step, generalised_force, move
from xtalseek.relax.potentials import Potential

TIGHT = RelaxSettings(force_tolerance=1e-4, stress_tolerance_gpa=1e-3, max_steps=2000)
RADII = np.full(120, 1.25)


def relaxer(settings: RelaxSettings = TIGHT) -> AseRelaxer:
    return AseRelaxer(Potential("toy", AseEvaluator(Pairs()), RADII), settings)


def rattled(seed: int, a: float = 3.8) -> Atoms:
    """A strained and shaken fcc cell of four atoms."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Ar", "fcc", a, cubic=True)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.08 * rng.normal(size=(3, 3))), scale_atoms=True)
    atoms.positions += 0.1 * rng.normal(size=(4, 3))
    return atoms


def relaxed(atoms: Atoms, settings: RelaxSettings = TIGHT) -> Relaxation:
    (result,) = relaxer(settings).relax([atoms])
    assert result.status == Status.CONVERGED, result.message
    return result


def test_the_toy_potential_gives_the_slopes_of_its_energy() -> None:
    """Forces and stress against finite differences: what the other tests here stand on."""
    atoms = rattled(0)
    atoms.calc = Pairs()
    forces, stress, h = atoms.get_forces(), atoms.get_stress(voigt=False), 1e-5
    for k in range(3):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.calc = Pairs()
            moved.positions[1, k] += sign * h
            energies.append(moved.get_potential_energy())
        assert forces[1, k] == pytest.approx(-(energies[0] - energies[1]) / (2 * h), abs=1e-6)
    for a, b in ((0, 0), (0, 1), (1, 2), (2, 2)):
        energies = []
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[a, b] += sign * h / 2
            strain[b, a] += sign * h / 2
            strained = atoms.copy()
            strained.calc = Pairs()
            strained.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            energies.append(strained.get_potential_energy())
        assert stress[a, b] * atoms.get_volume() == pytest.approx((energies[0] - energies[1]) / (2 * h), abs=1e-5)


def test_the_generalised_force_is_minus_the_slope_of_the_enthalpy() -> None:
    atoms, pressure, h = rattled(1), 20 * GPa, 1e-6

    def enthalpy(step: np.ndarray) -> float:
        moved = atoms.copy()
        moved.calc = Pairs()
        move(moved, step)
        return float(moved.get_potential_energy() + pressure * moved.get_volume())

    atoms.calc = Pairs()
    stress = atoms.get_stress(voigt=False)
    force = generalised_force(atoms.get_forces(), stress, pressure, atoms.get_volume())
    rng = np.random.default_rng(2)
    for _ in range(5):
        direction = rng.normal(size=force.shape)
        direction[4:] = (direction[4:] + direction[4:].T) / 2
        slope = (enthalpy(h * direction) - enthalpy(-h * direction)) / (2 * h)
        assert slope == pytest.approx(-np.vdot(force, direction), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_a_shaken_crystal_relaxes_to_a_stationary_point_below_its_start(seed: int) -> None:
    start = rattled(seed)
    start.calc = Pairs()
    result = relaxed(start)
    assert result.energy is not None
    assert result.energy < start.get_potential_energy()
    assert result.atoms is not None
    end = result.atoms.copy()
    end.calc = Pairs()
    assert end.get_potential_energy() == pytest.approx(result.energy, abs=1e-10)
    assert np.abs(end.get_forces()).max() <= TIGHT.force_tolerance
    assert np.abs(end.get_stress() / GPa).max() <= TIGHT.stress_tolerance_gpa


def test_the_energy_does_not_depend_on_how_the_crystal_is_turned_or_numbered() -> None:
    start = rattled(5)
    turned = start[[2, 0, 3, 1]]
    turned.rotate(37, (1, 2, 3), rotate_cell=True)
    assert relaxed(turned).energy == pytest.approx(relaxed(start).energy, abs=1e-6)


def test_pressure_shrinks_the_cell_until_the_stress_holds_it() -> None:
    pressure_gpa = 30.0
    settings = RelaxSettings(pressure_gpa, 1e-4, 1e-3, max_steps=2000)
    free, pressed = relaxed(rattled(0)), relaxed(rattled(0), settings)
    assert free.atoms is not None
    assert pressed.atoms is not None
    assert pressed.atoms.get_volume() < free.atoms.get_volume()
    end = pressed.atoms.copy()
    end.calc = Pairs()
    np.testing.assert_allclose(end.get_stress(voigt=False) / GPa, -pressure_gpa * np.eye(3), atol=2e-3)


def test_no_step_is_longer_than_allowed() -> None:
    atoms = bulk("Ar", "fcc", 4.0, cubic=True)
    before = atoms.copy()
    step = np.full((7, 3), 1e6)
    move(atoms, step)
    strain = atoms.cell.array @ np.linalg.inv(before.cell.array) - np.eye(3)
    assert np.abs(strain).max() <= LARGEST_STRAIN + 1e-12
    carried = before.positions @ (np.eye(3) + strain)
    assert np.linalg.norm(atoms.positions - carried, axis=1).max() <= LARGEST_MOVE * (1 + 3 * LARGEST_STRAIN)


def test_fire_stops_when_it_runs_uphill() -> None:
    state = fire_start(1)
    downhill = np.zeros((4, 3))
    downhill[0, 0] = 1.0
    for _ in range(3):
        state, _ = fire_step(state, downhill)
    assert state.velocity[0, 0] > 0
    turned, step = fire_step(state, -downhill)
    assert turned.time_step < state.time_step
    assert step[0, 0] < 0
