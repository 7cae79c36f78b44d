from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.data import covalent_radii
from ase.units import GPa
from crystals import known_crystals
from toy_potentials import Pairs

from xtalseek.relax.neighbours import find_neighbours
from xtalseek.relax.optimisers import (
    LARGEST_MOVE,
    LARGEST_STRAIN,
    OPTIMISERS,
    Move,
    Optimiser,
    apply,
    generalised_force,
)
from xtalseek.relax.optimisers.contract import capped, moved, strain_length
from xtalseek.relax.optimisers.fire import fire_start, fire_step
from xtalseek.relax.optimisers.pair_springs import FLOOR, PairSprings, stiffness
from xtalseek.relax.optimisers.soft_spheres import pushed_apart, soft_spheres

FCC = -3.0677949195
"""eV/atom of the toy potential's fcc crystal."""
each_optimiser = pytest.mark.parametrize("name", list(OPTIMISERS))
quasi_newton = pytest.mark.parametrize("name", ["lbfgs", "preconditioned-lbfgs"])


class Noisy(Pairs):
    """As a learned potential in single precision."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(0)

    def calculate(self, atoms: Atoms | None = None, *rest: Any) -> None:
        super().calculate(atoms, *rest)
        self.results["energy"] += 1e-6 * len(self.results["forces"]) * self.rng.normal()
        self.results["forces"] += 1e-5 * self.rng.normal(size=self.results["forces"].shape)
        self.results["stress"] += 1e-6 * self.rng.normal(size=6)


class Kinked(Pairs):
    """The energy has a crease wherever an atom lies level with the first: forces jump across it and never vanish."""

    def calculate(self, atoms: Atoms | None = None, *rest: Any) -> None:
        super().calculate(atoms, *rest)
        assert atoms is not None
        heights = atoms.positions[1:, 2] - atoms.positions[0, 2]
        self.results["energy"] += 0.3 * float(np.abs(heights).sum())
        self.results["forces"][1:, 2] -= 0.3 * np.sign(heights)
        self.results["forces"][0, 2] += 0.3 * np.sign(heights).sum()


def steps(
    atoms: Atoms, optimiser: Optimiser, calculator: Pairs, pressure: float, most: int
) -> Iterator[tuple[float, float, float]]:
    """Relax `atoms` in place; of each force call the enthalpy (eV), the largest force and the largest stress (GPa)."""
    state = optimiser.start(atoms)
    for _ in range(most):
        asked = atoms.copy()
        asked.calc = calculator
        energy, forces, stress = asked.get_potential_energy(), asked.get_forces(), asked.get_stress(voigt=False)
        pushed = float(np.abs(stress + pressure * np.eye(3)).max() / GPa)
        yield float(energy + pressure * atoms.get_volume()), float(np.linalg.norm(forces, axis=1).max()), pushed
        before = atoms.positions.copy(), atoms.cell.array.copy()
        state, move = optimiser.step(state, atoms, energy, forces, stress, pressure)
        np.testing.assert_array_equal(atoms.positions, before[0])
        np.testing.assert_array_equal(atoms.cell.array, before[1])
        apply(atoms, move)


def relaxed(
    atoms: Atoms,
    name: str,
    calculator: Pairs | None = None,
    tolerances: tuple[float, float] = (1e-4, 1e-3),
    pressure: float = 0.0,
    most: int = 1000,
) -> tuple[Atoms, float, int]:
    """The minimum, its enthalpy in eV, and the force calls that it took."""
    atoms = atoms.copy()
    for calls, (enthalpy, force, stress) in enumerate(
        steps(atoms, OPTIMISERS[name], calculator or Pairs(), pressure, most), 1
    ):
        if force <= tolerances[0] and stress <= tolerances[1]:
            return atoms, enthalpy, calls
    raise AssertionError(f"{name} did not converge: {force} eV/Å, {stress} GPa")


def rattled(seed: int, strain: float = 0.08, shake: float = 0.1, a: float = 3.8) -> Atoms:
    """A strained and shaken fcc cell of four atoms."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Ar", "fcc", a, cubic=True)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain * rng.normal(size=(3, 3))), scale_atoms=True)
    atoms.positions += shake * rng.normal(size=(4, 3))
    return atoms


def test_the_toy_potential_gives_the_slopes_of_its_energy() -> None:
    """Forces and stress against finite differences: what the other tests here stand on."""
    atoms = rattled(0)
    atoms.calc = Pairs()
    forces, stress, h = atoms.get_forces(), atoms.get_stress(voigt=False), 1e-5
    for k in range(3):
        energies = []
        for sign in (1, -1):
            shifted = atoms.copy()
            shifted.calc = Pairs()
            shifted.positions[1, k] += sign * h
            energies.append(shifted.get_potential_energy())
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
        shifted = atoms.copy()
        apply(shifted, moved(atoms, step))
        shifted.calc = Pairs()
        return float(shifted.get_potential_energy() + pressure * shifted.get_volume())

    asked = atoms.copy()
    asked.calc = Pairs()
    force = generalised_force(asked.get_forces(), asked.get_stress(voigt=False), pressure, atoms.get_volume())
    for direction in symmetric_steps(5):
        slope = (enthalpy(h * direction) - enthalpy(-h * direction)) / (2 * h)
        assert slope == pytest.approx(-np.vdot(force, direction), rel=1e-4, abs=1e-5)


@each_optimiser
@pytest.mark.parametrize("seed", range(3))
def test_a_shaken_crystal_relaxes_to_the_perfect_one(name: str, seed: int) -> None:
    """Stationary by the tolerances, and the energy known."""
    _, enthalpy, _ = relaxed(rattled(seed), name)
    assert enthalpy / 4 == pytest.approx(FCC, abs=1e-6)


@each_optimiser
@pytest.mark.parametrize("seed", range(3))
def test_a_wild_start_finds_fcc_too(name: str, seed: int) -> None:
    """Strained by a fifth, atoms shaken by a sixth of their distance: nothing of the crystal is left."""
    _, enthalpy, _ = relaxed(rattled(seed, strain=0.2, shake=0.4), name)
    assert enthalpy / 4 == pytest.approx(FCC, abs=1e-6)


@quasi_newton
def test_near_a_minimum_fire_needs_four_times_as_many_force_calls(name: str) -> None:
    for seed in range(3):
        *_, calls = relaxed(rattled(seed, strain=0.02, shake=0.05), name)
        *_, of_fire = relaxed(rattled(seed, strain=0.02, shake=0.05), "fire")
        assert 4 * calls < of_fire


@each_optimiser
def test_neither_turning_nor_numbering_nor_the_choice_of_cell_matters(name: str) -> None:
    start = rattled(5)
    turned = start[[2, 0, 3, 1]]
    turned.rotate(37, (1, 2, 3), rotate_cell=True)
    doubled = make_supercell(start, [[1, 0, 0], [0, 1, 0], [0, 0, 2]])
    _, enthalpy, calls = relaxed(start, name)
    _, of_turned, calls_of_turned = relaxed(turned, name)
    _, of_doubled, calls_of_doubled = relaxed(doubled, name)
    assert of_turned == pytest.approx(enthalpy, abs=1e-7)
    assert of_doubled / 2 == pytest.approx(enthalpy, abs=1e-7)
    # Rounding grows along the way, but the path is the same one.
    assert calls_of_turned == pytest.approx(calls, rel=0.1, abs=2)
    assert calls_of_doubled == pytest.approx(calls, rel=0.1, abs=2)


@each_optimiser
def test_pressure_shrinks_the_cell_until_the_stress_holds_it(name: str) -> None:
    pressure = 30 * GPa
    free, *_ = relaxed(rattled(0), name)
    pressed, enthalpy, _ = relaxed(rattled(0), name, pressure=pressure)
    assert pressed.get_volume() < free.get_volume()
    pressed.calc = Pairs()
    np.testing.assert_allclose(pressed.get_stress(voigt=False) / GPa, -30 * np.eye(3), atol=2e-3)
    free.calc = Pairs()
    assert enthalpy < free.get_potential_energy() + pressure * free.get_volume()


@each_optimiser
@pytest.mark.parametrize("squeeze", [0.6, 1.0])
def test_no_step_is_longer_than_allowed(name: str, squeeze: float) -> None:
    """Also from a start with forces of thousands of eV/Å."""
    atoms = rattled(3)
    atoms.set_cell(squeeze * atoms.cell.array, scale_atoms=True)
    optimiser, state = OPTIMISERS[name], OPTIMISERS[name].start(atoms)
    visited = [atoms.copy()]
    for _ in range(40):
        asked = atoms.copy()
        asked.calc = Pairs()
        now = asked.get_potential_energy(), asked.get_forces(), asked.get_stress(voigt=False)
        state, move = optimiser.step(state, atoms, *now, 0.0)
        # A step may be taken back: the next one then starts from where that one did.
        assert any(is_allowed(start, move) for start in visited)
        apply(atoms, move)
        visited.append(atoms.copy())


@each_optimiser
@pytest.mark.parametrize("tolerances", [(0.05, 0.1), (0.001, 0.01)])
def test_noise_of_single_precision_stops_nobody(name: str, tolerances: tuple[float, float]) -> None:
    _, enthalpy, _ = relaxed(rattled(1), name, Noisy(), tolerances)
    assert enthalpy / 4 == pytest.approx(FCC, abs=1e-3)


@each_optimiser
def test_a_crease_in_the_energy_is_survived(name: str) -> None:
    """No tolerance can be met there; what counts is that the energy ends up where it is lowest."""
    lowest = min(enthalpy for enthalpy, *_ in steps(rattled(1), OPTIMISERS["fire"], Kinked(), 0.0, 200))
    reached = [enthalpy for enthalpy, *_ in steps(rattled(1), OPTIMISERS[name], Kinked(), 0.0, 150)]
    assert np.isfinite(reached).all()
    assert min(reached) / 4 < lowest / 4 + 0.001
    assert max(reached[-30:]) / 4 < lowest / 4 + 0.01


@quasi_newton
def test_a_step_far_uphill_is_taken_back_and_shortened(name: str) -> None:
    atoms, optimiser = rattled(2), OPTIMISERS[name]
    forces, stress = 0.3 * np.random.default_rng(0).normal(size=(4, 3)), np.zeros((3, 3))
    state, first = optimiser.step(optimiser.start(atoms), atoms, -10.0, forces, stress, 0.0)
    there = atoms.copy()
    apply(there, first)
    _, second = optimiser.step(state, there, -9.0, -forces, stress, 0.0)
    assert 0 < longest_step(atoms, second) < 0.3 * longest_step(atoms, first)


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


@pytest.mark.parametrize("crystal", ["perovskite", "without symmetry", "copper"])
def test_the_springs_resist_what_stretches_them(crystal: str) -> None:
    """The matrix against the pair vectors of a crystal really deformed, doubled cells against single ones."""
    atoms = known_crystals()[crystal]
    n_atoms, matrix = len(atoms), stiffness(atoms)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-10)
    assert np.linalg.eigvalsh(matrix)[0] > -1e-9
    shift = np.vstack([np.ones((n_atoms, 3)), np.zeros((3, 3))]).ravel()
    np.testing.assert_allclose(matrix @ shift, 0, atol=1e-9)
    twice = make_supercell(atoms, np.diag([1, 1, 2]), order="cell-major")
    for step in symmetric_steps(3, n_atoms):
        strain = step[n_atoms:] / strain_length(n_atoms)
        doubled = np.vstack([step[:n_atoms], step[:n_atoms], strain * strain_length(2 * n_atoms)])
        energy = step.ravel() @ matrix @ step.ravel()
        assert doubled.ravel() @ stiffness(twice) @ doubled.ravel() == pytest.approx(2 * energy)
        solved = PairSprings.of(atoms).solve((matrix @ step.ravel()).reshape(step.shape) + FLOOR * step)
        np.testing.assert_allclose(solved, step, atol=1e-8)


def test_a_stretched_bond_is_stiffer_along_than_across_and_stiffer_when_short() -> None:
    def along_and_across(distance: float) -> tuple[float, float]:
        atoms = Atoms("Si2", positions=[(0, 0, 0), (distance, 0, 0)], cell=[20, 20, 20], pbc=True)
        matrix = stiffness(atoms)
        return matrix[0, 0], matrix[1, 1]

    along, across = along_and_across(2 * covalent_radii[14])
    assert along > 5 * across > 0
    assert along_and_across(2.0)[0] > along


def test_overlapping_atoms_are_pushed_apart_and_others_left_alone() -> None:
    rng = np.random.default_rng(0)
    crowded = Atoms("Si8O8", cell=np.diag([4.0, 5.0, 6.0]), scaled_positions=rng.random((16, 3)), pbc=True)
    pushed = pushed_apart(crowded, covalent_radii, 0.7)
    touching = 0.7 * (covalent_radii[pushed.numbers][:, None] + covalent_radii[pushed.numbers])
    distances = pushed.get_all_distances(mic=True)
    np.fill_diagonal(distances, np.inf)
    assert (distances >= touching - 1e-9).all()
    assert pushed.get_volume() < 3 * crowded.get_volume()
    crystal = known_crystals()["perovskite"]
    np.testing.assert_array_equal(pushed_apart(crystal, covalent_radii, 0.7).positions, crystal.positions)
    # An atom that overlaps only with its own images makes the cell grow.
    flat = pushed_apart(Atoms("Si", cell=[1.2, 5, 5], pbc=True), covalent_radii, 0.7)
    assert flat.cell.lengths()[0] >= 0.7 * 2 * covalent_radii[14]


def test_soft_spheres_give_the_slopes_of_their_energy() -> None:
    atoms, radii, h = rattled(4), np.full(4, 1.6), 1e-6
    near = find_neighbours(atoms, 3.2, 0.5)
    energy, forces, stress = soft_spheres(atoms, radii, near)
    force = generalised_force(forces, stress, 0.0, atoms.get_volume())
    assert energy > 0
    for direction in symmetric_steps(3):
        energies = []
        for sign in (1, -1):
            shifted = atoms.copy()
            apply(shifted, moved(atoms, sign * h * direction))
            energies.append(soft_spheres(shifted, radii, near)[0])
        assert (energies[0] - energies[1]) / (2 * h) == pytest.approx(-np.vdot(force, direction), rel=1e-4, abs=1e-5)


def symmetric_steps(number: int, n_atoms: int = 4) -> Iterator[np.ndarray]:
    """Random steps (n_atoms + 3, 3)."""
    rng = np.random.default_rng(2)
    for _ in range(number):
        step = rng.normal(size=(n_atoms + 3, 3))
        step[n_atoms:] = (step[n_atoms:] + step[n_atoms:].T) / 2
        yield step


def longest_step(atoms: Atoms, move: Move) -> float:
    """The longest move of an atom beyond the strain, or the largest strain, as a fraction of what is allowed."""
    deformation = np.linalg.solve(atoms.cell.array, move.cell)
    moves = move.positions @ np.linalg.inv(deformation) - atoms.positions
    furthest, strain = np.linalg.norm(moves, axis=1).max(), np.abs(deformation - np.eye(3)).max()
    return float(max(furthest / LARGEST_MOVE, strain / LARGEST_STRAIN))


def is_allowed(atoms: Atoms, move: Move) -> bool:
    """Not too long, and the cell is strained without being turned."""
    deformation = np.linalg.solve(atoms.cell.array, move.cell)
    return longest_step(atoms, move) <= 1 + 1e-9 and np.allclose(deformation, deformation.T, atol=1e-9)


def test_a_step_is_shortened_as_a_whole() -> None:
    step = np.full((7, 3), 1e6)
    short = capped(step)
    np.testing.assert_allclose(short / short[0, 0], step / step[0, 0])
    assert np.linalg.norm(short[:4], axis=1).max() <= LARGEST_MOVE * (1 + 1e-9)
    assert np.abs(short[4:]).max() / strain_length(4) <= LARGEST_STRAIN * (1 + 1e-9)
