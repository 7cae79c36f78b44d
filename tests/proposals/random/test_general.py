"""The general generator obeys every recipe: cells, symmetry, rigid units, regions, distances; attempts are bounded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.neighborlist import neighbor_list

from xtalseek.errors import InputError
from xtalseek.proposals.random.cells import draw_cell
from xtalseek.proposals.random.general import draw_general
from xtalseek.proposals.random.settings import setting
from xtalseek.proposals.random.shapes import SYSTEMS
from xtalseek.proposals.recipe import Confinement, Drawn, Recipe, Unit
from xtalseek.proposals.wyckoff import groups_by_operations

CARBON = {("C", "C"): (1.4, 1.4)}


def atom(symbol: str = "C", **fields: Any) -> Unit:
    return Unit((symbol,), np.zeros((1, 3)), label=symbol, **fields)


def carbon(count: int = 4, **fields: Any) -> Recipe:
    return Recipe((atom(),) * count, (10.0 * count, 11.0 * count), CARBON, **fields)


def structure(drawn: Drawn) -> Atoms:
    assert drawn.atoms is not None, drawn
    return drawn.atoms


def draw(recipe: Recipe, seed: int = 0, **options: Any) -> Atoms:
    return structure(draw_general(recipe, np.random.default_rng(seed), **options))


def shortest(atoms: Atoms) -> float:
    return float(neighbor_list("d", atoms, 4.0).min())


def is_symmetric(atoms: Atoms, drawn: Drawn, symprec: float = 1e-4) -> bool:
    """Whether at least the operations that were asked for are there, modulo lattice translations."""
    found = spglib.get_symmetry((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=symprec)
    assert found is not None
    return len(found["rotations"]) >= drawn.operations


WATER = Unit(
    ("O", "H", "H"),
    np.array([[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]]),
    label="water",
)
WET = {("H", "H"): (1.6, 1.6), ("H", "O"): (1.7, 1.7), ("O", "O"): (2.5, 2.5)}


@pytest.mark.slow
@pytest.mark.parametrize("operations", [(1, 1), (2, 4), (6, 12), (16, 48)])
def test_distances_volume_and_symmetry_are_kept(operations: tuple[int, int]) -> None:
    recipe = carbon(8, groups=groups_by_operations(*operations))
    for seed in range(15):
        drawn = draw_general(recipe, np.random.default_rng(seed), 2000)
        atoms = structure(drawn)
        assert shortest(atoms) >= 1.4 - 1e-6
        assert 80 <= atoms.get_volume() <= 88
        assert drawn.volume == pytest.approx(atoms.get_volume())
        assert drawn.group in recipe.groups[drawn.operations]
        assert is_symmetric(atoms, drawn), drawn


def test_random_cells_fit_every_group() -> None:
    rng = np.random.default_rng(0)
    for number in range(1, 231):
        group = setting(number)
        cell, transform, found = draw_cell(rng, group.system, group.centring, group.basis, 100.0, 0.4, 0.5, True)
        rotations = np.linalg.inv(transform).T @ group.rotations @ transform.T
        metric = cell @ cell.T
        moved = np.swapaxes(rotations, 1, 2) @ metric @ rotations
        assert found and np.linalg.det(cell) == pytest.approx(100), number
        np.testing.assert_allclose(moved, np.broadcast_to(metric, moved.shape), atol=1e-6, err_msg=str(number))
        reduced = spglib.niggli_reduce(cell, 1e-6)
        assert np.sort(np.linalg.norm(np.array(reduced, dtype=float), axis=1)) == pytest.approx(
            np.sort(np.linalg.norm(cell, axis=1))
        )


def test_given_cell_is_kept_exactly() -> None:
    cell = np.array([[0.0, 3.0, 3.0], [3.0, 0.0, 3.0], [3.0, 3.0, 0.0]])
    atoms = draw(carbon(3, cell=cell, cell_amplitude=0.0))
    assert (atoms.cell.array == cell).all()
    assert shortest(atoms) >= 1.4 - 1e-6


def test_given_cell_is_displaced_by_no_more_than_its_amplitude() -> None:
    cell = np.diag([3.0, 4.0, 5.0])
    for seed in range(10):
        shift = draw(carbon(3, cell=cell, cell_amplitude=0.5, fixed_axes="ab"), seed).cell.array - cell
        assert (shift[:2] == 0).all()
        assert 0 < np.linalg.norm(shift[2]) <= 0.5


def test_given_volume_is_all_that_a_cell_without_amplitude_gives_but_for_fixed_axes() -> None:
    cell = np.diag([3.0, 4.0, 5.0])
    loose = draw(carbon(4, cell=cell, cell_amplitude=None))
    assert 40 <= loose.get_volume() <= 44
    assert not np.allclose(loose.cell.lengths(), [3, 4, 5], atol=0.1)
    fixed = draw(carbon(4, cell=cell, cell_amplitude=None, fixed_axes="ab"))
    np.testing.assert_allclose(fixed.cell.array[:2], cell[:2])
    assert 40 <= fixed.get_volume() <= 44


def test_given_cell_keeps_only_the_groups_it_can_have() -> None:
    skew = np.array([[3.0, 0.1, 0.2], [0.3, 4.0, 0.1], [0.2, 0.5, 5.0]])
    groups = {2: (3, 6)}
    assert draw_general(carbon(4, cell=skew, cell_amplitude=0.0, groups=groups), np.random.default_rng(0)).rejects == {
        "cell": 500
    }
    recipe = carbon(4, cell=np.diag([3.0, 4.0, 5.0]), cell_amplitude=0.3, groups=groups)
    drawn = draw_general(recipe, np.random.default_rng(0))
    assert is_symmetric(structure(drawn), drawn)


def test_cell_constraints() -> None:
    cubic = draw(carbon(cell_constraints=(-1, -1, -1, 90, 90, 90)))
    np.testing.assert_allclose(cubic.cell.cellpar(), [np.cbrt(cubic.get_volume())] * 3 + [90] * 3)
    mixed = draw(carbon(cell_constraints=(3.0, 0, 0, -1, -1, 80))).cell.cellpar()
    assert mixed[0] == pytest.approx(3) and mixed[3] == pytest.approx(mixed[4]) and mixed[5] == pytest.approx(80)


def test_crystal_systems() -> None:
    shapes = {
        "Mono": lambda p: abs(p[3:] - 90).min() < 1e-6,
        "Orth": lambda p: np.allclose(p[3:], 90),
        "Tetra": lambda p: np.allclose(p[3:], 90) and np.isclose(p[0], p[1]),
        "Hexa": lambda p: np.allclose(p[3:], [90, 90, 120]) and np.isclose(p[0], p[1]),
        "Rhom": lambda p: np.ptp(p[:3]) < 1e-6 and np.ptp(p[3:]) < 1e-6,
        "Cubi": lambda p: np.ptp(p[:3]) < 1e-6 and np.allclose(p[3:], 90),
    }
    for name, is_right in shapes.items():
        assert is_right(draw(carbon(crystal_system=name)).cell.cellpar()), name
    assert set(shapes) | {"Tric"} == set(SYSTEMS)
    with pytest.raises(InputError, match="Cubic"):
        draw(carbon(crystal_system="Cubic"))


def test_slack_and_overlap() -> None:
    lowest = [shortest(draw(carbon(4, slack=0.3), seed)) for seed in range(20)]
    assert min(lowest) >= 0.7 * 1.4 - 1e-6
    assert min(lowest) < 1.0
    for seed in range(10):
        atoms = draw(carbon(4, slack=0.3, overlap=0.1), seed)
        lengths = neighbor_list("d", atoms, 1.4) / 1.4
        assert ((lengths**-6 - 1) ** 2).sum() / 2 / len(atoms) <= 0.1 + 1e-9
        assert not len(lengths) or lengths.min() >= 0.7 - 1e-6


def test_soft_spheres_adapt_the_cell_and_keep_volume_and_symmetry() -> None:
    recipe = replace(
        carbon(8, slack=0.5, overlap=1e-6, groups=groups_by_operations(2, 8)), volume=(26.0, 26.0), compact=False
    )
    kept, lost = 0, 0
    for seed in range(12):
        for faithful in (False, True):
            drawn = draw_general(replace(recipe, adapt_cell=True), np.random.default_rng(seed), 2000, faithful)
            atoms = structure(drawn)
            assert atoms.get_volume() == pytest.approx(26)
            if faithful:
                lost += not is_symmetric(atoms, drawn)
            else:
                kept += is_symmetric(atoms, drawn)
    assert kept == 12
    assert lost > 0


@pytest.mark.parametrize("groups", [{1: (1,)}, {2: (2, 4, 7)}, {4: (14, 19, 29)}])
def test_rigid_units_keep_their_shape_on_general_positions(groups: dict[int, tuple[int, ...]]) -> None:
    recipe = Recipe((WATER,) * 4, (120.0, 140.0), WET, groups=groups)
    inner = sorted(np.linalg.norm(WATER.offsets[i] - WATER.offsets[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    for seed in range(4):
        drawn = draw_general(recipe, np.random.default_rng(seed))
        atoms = structure(drawn)
        assert atoms.get_chemical_symbols() == ["O", "H", "H"] * 4
        for start in range(0, 12, 3):
            around = [atoms.get_distance(start + i, start + j, mic=True) for i, j in ((0, 1), (0, 2), (1, 2))]
            np.testing.assert_allclose(sorted(around), inner, atol=1e-6)
        first, second, lengths = neighbor_list("ijd", atoms, {("H", "H"): 1.6, ("H", "O"): 1.7, ("O", "O"): 2.5})
        apart = first // 3 != second // 3
        assert not apart.any(), lengths[apart]
        assert is_symmetric(atoms, drawn)


def test_rigid_units_take_no_special_positions() -> None:
    recipe = Recipe((WATER,) * 3, (120.0, 140.0), WET, groups={2: (6,)})
    assert draw_general(recipe, np.random.default_rng(0), 30).rejects == {"sites": 30}


def test_units_land_where_they_are_told() -> None:
    cell = np.diag([6.0, 6.0, 6.0])
    still = atom("Na", position=np.array([0.5, 0.5, 0.5]), amplitude=0.0, pushed=False)
    near = atom("Cl", position=np.zeros(3), amplitude=0.7)
    recipe = Recipe((still, near, *(atom(),) * 8), (216.0, 216.0), CARBON, cell=cell, cell_amplitude=0.0)
    recipe = replace(recipe, min_distances={**CARBON, ("C", "Na"): (2.0, 2.0)})
    for seed in range(10):
        atoms = draw(recipe, seed)
        np.testing.assert_allclose(atoms.positions[0], 3, atol=1e-12)
        away = atoms.positions[1] - cell[0, 0] * np.rint(atoms.positions[1] / 6)
        assert np.linalg.norm(away) <= 0.7
        assert min(atoms.get_distances(0, range(2, 10), mic=True)) >= 2 - 1e-6


def test_cluster_is_not_periodic_and_stays_within_its_sphere() -> None:
    recipe = replace(carbon(8, cluster=True), volume=(200.0, 200.0))
    atoms = draw(recipe)
    assert not atoms.pbc.any()
    radius = np.cbrt(3 * 200 / (4 * np.pi))
    assert atoms.get_all_distances().max() <= 2 * radius + 1.5
    assert shortest(atoms) >= 1.4 - 1e-6
    inside = atoms.get_positions()
    assert (inside.min(axis=0) >= 4.99).all() and (inside.max(axis=0) <= atoms.cell.lengths() - 4.99).all()


def test_confinement_without_a_push() -> None:
    recipe = replace(carbon(3, confinement=Confinement((np.inf, np.inf, 1.0))), volume=(200.0, 200.0))
    recipe = replace(recipe, push=False, cell=np.diag([5.0, 5.0, 8.0]), cell_amplitude=0.0)
    heights = draw(recipe).positions[:, 2]
    assert np.abs((heights + 4) % 8 - 4).max() <= 1.0


def test_general_only_and_occupation() -> None:
    groups = {2: (6,)}
    assert draw_general(carbon(3, groups=groups, general_only=True), np.random.default_rng(0), 20).rejects == {
        "sites": 20
    }
    half = replace(carbon(4, groups=groups), units=(atom(occupation=0.5),) * 2 + (atom("Si"),) * 2)
    for seed in range(5):
        drawn = draw_general(half, np.random.default_rng(seed))
        atoms = structure(drawn)
        found = spglib.get_symmetry_dataset(
            (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=1e-4
        )
        assert found is not None
        assert found.site_symmetry_symbols[0].strip(".") != "1"


def test_more_sites() -> None:
    recipe = carbon(8, groups={4: (25,)}, more_sites=(2, 2))
    orbits = set()
    for seed in range(5):
        atoms = draw(recipe, seed, max_attempts=3000)
        found = spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), 1e-4)
        assert found is not None
        orbits.add(len(set(found.crystallographic_orbits)))
    assert max(orbits) == 4


def test_radii_replace_distances() -> None:
    recipe = Recipe((atom(radius=1.0), atom(radius=0.9), atom()), (60.0, 60.0), CARBON)
    atoms = draw(recipe)
    assert atoms.get_distance(0, 1, mic=True) >= 1.9 - 1e-6
    assert atoms.get_distance(0, 2, mic=True) >= 1.7 - 1e-6


def test_ranges_of_distances_are_drawn_anew_but_act_as_their_lower_end_where_faithful() -> None:
    recipe = replace(carbon(6), min_distances={("C", "C"): (1.0, 1.7)})
    ours = [shortest(draw(recipe, seed)) for seed in range(40)]
    theirs = [shortest(draw(recipe, seed, faithful=True)) for seed in range(40)]
    assert min(ours) >= 1.0 - 1e-6
    assert np.mean(ours) > 1.25 > 1.15 > np.mean(theirs)


def test_hopeless_recipes_end_and_say_why() -> None:
    crowded = Recipe((atom(),) * 4 + (atom("O"),) * 4, (30.0, 30.0), {**CARBON, ("C", "O"): (3.0, 3.0)})
    drawn = draw_general(crowded, np.random.default_rng(0), 25)
    assert drawn.atoms is None and drawn.attempts == 25
    assert sum(drawn.rejects.values()) == 25 == sum(drawn.rejects_by_group.values())
    assert max(drawn.rejects, key=lambda reason: drawn.rejects[reason]) == "C-O"
    assert drawn.rejects_by_group == {1: 25}


def test_without_push_overlaps_are_thrown_away() -> None:
    drawn = draw_general(carbon(6, push=False), np.random.default_rng(0), 5000)
    assert shortest(structure(drawn)) >= 1.4 - 1e-6
    assert drawn.rejects["C-C"] > 0


def test_bond_angles_and_coordination() -> None:
    drawn = draw_general(carbon(4, bond_angles=(80.0, 180.0)), np.random.default_rng(0), 3000)
    assert drawn.rejects["bond angles"] > 0
    units = (atom(coordination=(2, 4)),) * 4
    drawn = draw_general(replace(carbon(4), units=units), np.random.default_rng(1), 3000)
    assert drawn.atoms is not None


def test_draws_are_pure() -> None:
    recipe = Recipe((WATER,) * 2, (70.0, 80.0), WET, groups=groups_by_operations(1, 2))
    first, second = (draw(recipe, 3) for _ in range(2))
    draw(carbon(4), 5)
    assert (first.positions == second.positions).all() and (first.cell.array == second.cell.array).all()
    assert not np.allclose(first.cell.array, draw(recipe, 4).cell.array)
