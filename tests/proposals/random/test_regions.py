"""Regions are filled evenly, rotations are even over SO(3), and neighbours are counted with their periodic images.

Statistical tests use fixed seeds; each would raise a false alarm for one seed in 10,000 if its promise holds.
"""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell, molecule
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.transform import Rotation

from xtalseek.errors import InfeasibleTarget
from xtalseek.proposals.random.regions import (
    bond_angles_ok,
    coordination_ok,
    minimum_distances,
    neighbours,
    place_centre,
    random_rotation,
)
from xtalseek.proposals.recipe import Confinement, Unit

ALARM = 1e-4
SKEWED = np.array([[3.0, 0, 0], [1.4, 2.8, 0], [-1.3, 1.1, 4.0]])
LONG = np.diag([4.0, 5.0, 9.0])


def unit(**known: object) -> Unit:
    return Unit(("Si",), np.zeros((1, 3)), **known)  # type: ignore[arg-type]


def centres(unit: Unit, cell: np.ndarray, confinement: Confinement | None = None, count: int = 2000) -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.array([place_centre(unit, cell, confinement, rng) for _ in range(count)])


def is_uniform(values: np.ndarray, low: float = 0.0, high: float = 1.0) -> bool:
    return bool(stats.kstest((values - low) / (high - low), "uniform").pvalue > ALARM)


def test_free_units_fill_the_cell() -> None:
    fractional = centres(unit(), SKEWED) @ np.linalg.inv(SKEWED)
    assert all(is_uniform(fractional[:, axis]) for axis in range(3))


def test_a_position_without_amplitude_is_no_bound() -> None:
    fractional = centres(unit(position=np.full(3, 0.5)), SKEWED) @ np.linalg.inv(SKEWED)
    assert all(is_uniform(fractional[:, axis]) for axis in range(3))


def test_amplitude_zero_is_right_there() -> None:
    place = np.array([0.1, 0.2, 0.7])
    np.testing.assert_allclose(centres(unit(position=place, amplitude=0.0), SKEWED, count=3), [place @ SKEWED] * 3)


def test_a_shell_is_filled_by_volume_in_all_directions() -> None:
    place = np.array([0.1, 0.2, 0.7])
    away = centres(unit(position=place, amplitude=2.0, least_amplitude=1.0), SKEWED) - place @ SKEWED
    lengths = np.linalg.norm(away, axis=1)
    assert lengths.min() >= 1 - 1e-12
    assert is_uniform(lengths**3, 1, 8)
    assert all(is_uniform(away[:, axis] / lengths, -1, 1) for axis in range(3))


def test_no_room_between_amplitudes_is_told() -> None:
    with pytest.raises(InfeasibleTarget, match=r"H3 must be at least 2 Å.*amplitude 1 Å"):
        centres(unit(position=np.zeros(3), amplitude=1.0, least_amplitude=2.0, label="H3"), SKEWED)
    with pytest.raises(InfeasibleTarget, match=r"at least 2 Å.*box of amplitudes 1 x 1 x 1 Å"):
        centres(unit(position=np.zeros(3), box=(1, 1, 1), least_amplitude=2.0), SKEWED)


def test_a_box_takes_the_spheres_place() -> None:
    place = np.array([0.5, 0.5, 0.25])
    found = centres(unit(position=place, amplitude=9.0, box=(0.0, 1.5, -1)), LONG)
    away = found - place @ LONG
    assert np.abs(away[:, 0]).max() == 0
    assert is_uniform(away[:, 1], -1.5, 1.5)
    assert is_uniform(found[:, 2], 0, 9)


def test_a_box_keeps_the_least_amplitude() -> None:
    away = centres(unit(position=np.zeros(3), box=(1, 1, 1), least_amplitude=1.0), LONG, count=500)
    assert np.linalg.norm(away, axis=1).min() >= 1
    assert np.abs(away).max() <= 1


def test_an_ellipsoid_is_filled_evenly() -> None:
    radii = np.array([1.0, 2.0, 3.0])
    inside = centres(unit(), LONG, Confinement((1, 2, 3))) / radii
    lengths = np.linalg.norm(inside, axis=1)
    assert is_uniform(lengths**3)
    assert all(is_uniform(inside[:, axis] / lengths, -1, 1) for axis in range(3))


def test_a_cylinder_is_a_disc_and_the_cells_length() -> None:
    found = centres(unit(), LONG, Confinement((1.5, 1.5, np.inf)))
    assert is_uniform((found[:, :2] ** 2).sum(axis=1), 0, 1.5**2)
    assert is_uniform(found[:, 2], -4.5, 4.5)


def test_a_slab_is_as_wide_as_the_cell() -> None:
    found = centres(unit(), LONG, Confinement((np.inf, np.inf, 1.0)))
    assert is_uniform(found[:, 2], -1, 1)
    assert is_uniform(found[:, 0] / 4, -0.5, 0.5)
    assert is_uniform(found[:, 1] / 5, -0.5, 0.5)


def test_a_position_of_its_own_goes_before_the_confinement() -> None:
    found = centres(unit(position=np.full(3, 0.5), amplitude=0.0), LONG, Confinement((1, 1, 1)), count=2)
    np.testing.assert_allclose(found, [[2, 2.5, 4.5]] * 2)


def test_rotations_are_even_over_all_orientations() -> None:
    rng = np.random.default_rng(2)
    rotations = np.array([random_rotation(None, rng) for _ in range(3000)])
    np.testing.assert_allclose(
        rotations @ rotations.swapaxes(1, 2), np.broadcast_to(np.eye(3), rotations.shape), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    # Each entry of a random rotation is uniform; the angle's density is (1 - cos) / pi.
    assert all(is_uniform(rotations[:, row, column], -1, 1) for row in range(3) for column in range(3))
    angles = np.linalg.norm(Rotation.from_matrix(rotations).as_rotvec(), axis=1)
    assert is_uniform((angles - np.sin(angles)) / np.pi)


def test_small_turns_are_small_and_about_any_axis() -> None:
    rng = np.random.default_rng(3)
    vectors = Rotation.from_matrix([random_rotation(20.0, rng) for _ in range(2000)]).as_rotvec(degrees=True)
    angles = np.linalg.norm(vectors, axis=1)
    assert angles.max() <= 20
    assert is_uniform(angles, 0, 20)
    assert all(is_uniform(vectors[:, axis] / angles, -1, 1) for axis in range(3))
    np.testing.assert_array_equal(random_rotation(0.0, rng), np.eye(3))


def test_the_same_seed_draws_the_same() -> None:
    here = unit(position=np.zeros(3), amplitude=1.0)
    np.testing.assert_array_equal(centres(here, SKEWED, count=5), centres(here, SKEWED, count=5))


CRYSTALS = [("C", "diamond", 3.57, 4, 109.4712), ("Po", "sc", 3.35, 6, 90.0), ("Cu", "fcc", 3.61, 12, 60.0)]


@pytest.mark.parametrize(("symbol", "lattice", "edge", "count", "angle"), CRYSTALS)
def test_neighbours_of_textbook_crystals(symbol: str, lattice: str, edge: float, count: int, angle: float) -> None:
    """Also in the primitive cell, where an atom is its own neighbour twelve times."""
    atoms = bulk(symbol, lattice, a=edge)
    units = [Unit((symbol,), np.zeros((1, 3)), coordination=(count, count))] * len(atoms)
    assert coordination_ok(atoms, units, {})
    wrong = [Unit((symbol,), np.zeros((1, 3)), coordination=(count + 1, 99))] * len(atoms)
    assert not coordination_ok(atoms, wrong, {})
    largest = 180.0 if lattice != "diamond" else angle + 0.01
    assert bond_angles_ok(atoms, (angle - 0.01, largest), {})
    assert not bond_angles_ok(atoms, (angle + 0.01, 180), {})
    assert not bond_angles_ok(atoms, (0, largest - 0.1), {})
    assert bond_angles_ok(atoms, None, {})


def test_minimum_distances_count_where_they_are_larger_than_radii() -> None:
    atoms = bulk("Po", "sc", a=3.35)
    twelve_more = [Unit(("Po",), np.zeros((1, 3)), coordination=(18, 18))]
    assert not coordination_ok(atoms, twelve_more, {("Po", "Po"): 3.3})
    assert coordination_ok(atoms, twelve_more, {("Po", "Po"): 4.0})  # 4.74 Å lies within 4.8 Å
    assert coordination_ok(atoms, [Unit(("Po",), np.zeros((1, 3)), coordination=(18, 18), radius=2.0)], {})


def test_only_units_that_ask_are_counted() -> None:
    atoms = molecule("CH4", vacuum=5, pbc=True)
    carbon = Unit(("C",), np.zeros((1, 3)), coordination=(4, 4))
    hydrogen = Unit(("H",), np.zeros((1, 3)))
    assert coordination_ok(atoms, [carbon] + [hydrogen] * 4, {})
    assert not coordination_ok(atoms, [carbon, Unit(("H",) * 4, np.zeros((4, 3)), coordination=(2, 4))], {})


def test_a_pair_with_one_radius_keeps_it_and_half_of_the_others_own_distance() -> None:
    wanted = minimum_distances(["O", "Ti"], {("O", "O"): 2.4, ("O", "Ti"): 1.7}, np.array([np.nan, 1.0]))
    np.testing.assert_allclose(wanted, [[2.4, 2.2], [2.2, 2.0]])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_neighbours_do_not_depend_on_the_choice_of_cell(seed: int) -> None:
    """A skewed cell, its reduced one and a supercell of it describe one crystal."""
    rng = np.random.default_rng(seed)
    cell = rng.uniform(-1, 1, (3, 3)) + np.diag(rng.uniform(2, 5, 3))
    atoms = Atoms("TiO2", scaled_positions=rng.random((3, 3)), cell=cell, pbc=True)
    skew = np.array([[1, 0, 0], [rng.integers(-3, 4), 1, 0], [rng.integers(-3, 4), rng.integers(-3, 4), 1]])
    other = Atoms("TiO2", positions=atoms.positions, cell=skew @ cell, pbc=True)
    double = make_supercell(atoms, np.diag([2, 1, 1]))
    counts = [
        np.bincount(neighbours(a, np.full((len(a),) * 2, 3.0))[0], minlength=len(a)) for a in (atoms, other, double)
    ]
    np.testing.assert_array_equal(counts[0], counts[1])
    np.testing.assert_array_equal(np.tile(counts[0], 2), counts[2])
