"""The fast generator of bulk crystals: everything a recipe asks is obeyed, purely, within bounded attempts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.neighborlist import neighbor_list

from xtalseek.proposals import candidate_rng
from xtalseek.proposals.random.bulk import draw_bulk
from xtalseek.proposals.random.lattice import draw_cell, metric_average, reduce_metric
from xtalseek.proposals.recipe import Drawn, Recipe, Unit
from xtalseek.proposals.wyckoff import groups_by_operations, space_group

DRAWS = 15


def recipe(
    formula: str, volume: tuple[float, float], minima: dict[str, float | tuple[float, float]], **changes: Any
) -> Recipe:
    """Atoms of a formula such as "Sr Ti O O O"; minima such as {"O-Ti": 1.7} or a range."""
    units = tuple(Unit((symbol,), np.zeros((1, 3))) for symbol in formula.split())
    ranges = {
        (pair.split("-")[0], pair.split("-")[1]): d if isinstance(d, tuple) else (d, d) for pair, d in minima.items()
    }
    return Recipe(units, volume, ranges, **changes)


def operations(low: int, high: int, *only: int) -> dict[int, tuple[int, ...]]:
    return groups_by_operations(low, high, only)


SILICON: dict[str, float | tuple[float, float]] = {"Si-Si": 2.2}
TIGHT: dict[str, float | tuple[float, float]] = {
    "Sr-Sr": 3.3, "Sr-Ti": 2.9, "O-Sr": 2.3, "Ti-Ti": 3.2, "O-Ti": 1.7, "O-O": 2.4,
}  # fmt: skip
RANGES: dict[str, float | tuple[float, float]] = {"Na-Na": (2.5, 3.2), "Cl-Na": (2.0, 2.6), "Cl-Cl": (2.8, 3.4)}
LITHIUM: dict[str, float | tuple[float, float]] = {
    "Fe-Fe": 2.8, "Fe-Li": 2.6, "Fe-P": 2.6, "Fe-O": 1.8, "Li-Li": 2.6, "Li-P": 2.4, "Li-O": 1.7, "P-P": 2.6,
    "O-P": 1.4, "O-O": 2.2,
}  # fmt: skip
SPINEL: dict[str, float | tuple[float, float]] = {
    "Mg-Mg": 2.7, "Al-Mg": 2.5, "Mg-O": 1.7, "Al-Al": 2.4, "Al-O": 1.6, "O-O": 2.1,
}  # fmt: skip
RECIPES = {
    "Si8 P1": recipe("Si " * 8, (152, 168), SILICON),
    "Si8 2-4": recipe("Si " * 8, (152, 168), SILICON, groups=operations(2, 4)),
    "Si8 any": recipe("Si " * 8, (152, 168), SILICON, groups=operations(1, 48)),
    "SrTiO3": recipe("Sr Ti O O O", (57, 63), TIGHT, groups=operations(4, 48)),
    "SrTiO3 mixed order": recipe("O Sr O Ti O O Sr Ti O O", (114, 126), TIGHT, groups=operations(2, 8)),
    "ranges": recipe("Na Cl " * 4, (190, 240), RANGES, groups=operations(1, 12)),
    "high": recipe("Mg Mg Al Al Al Al " + "O " * 8, (130, 160), SPINEL, groups=operations(24, 48)),
    "one group": recipe("Li " * 4 + "Fe " * 4 + "P " * 4 + "O " * 16, (280, 320), LITHIUM, groups={8: (62,)}),
    "not compact": recipe("Na Cl " * 2, (95, 120), RANGES, groups=operations(1, 48), compact=False),
    "slack": recipe("Si " * 8, (152, 168), {"Si-Si": 2.5}, groups=operations(1, 4), slack=0.1),
    "like edges": recipe("Si " * 4, (76, 84), SILICON, groups=operations(1, 4), lengths_ratio=0.8),
    "long reach": recipe("Cu", (10, 10.5), {"Cu-Cu": 2.3}, groups=operations(1, 48)),
    "chiral": recipe("Si " * 4, (76, 84), SILICON, groups={4: (76, 78)}),
}


@pytest.fixture(scope="module", params=list(RECIPES.values()), ids=list(RECIPES))
def batch(request: pytest.FixtureRequest) -> tuple[Recipe, list[Drawn]]:
    return request.param, [draw_bulk(request.param, candidate_rng(7, "random", index)) for index in range(DRAWS)]


def made(drawn: Drawn) -> Atoms:
    assert drawn.atoms is not None, drawn.rejects
    return drawn.atoms


@pytest.mark.slow
def test_recipes_are_for_this_generator(batch: tuple[Recipe, list[Drawn]]) -> None:
    assert batch[0].is_bulk


def test_composition_order_and_volume(batch: tuple[Recipe, list[Drawn]]) -> None:
    asked, draws = batch
    for drawn in draws:
        atoms = made(drawn)
        assert atoms.get_chemical_symbols() == [unit.symbols[0] for unit in asked.units]
        assert atoms.get_volume() == pytest.approx(drawn.volume, rel=1e-9)
        assert asked.volume[0] <= drawn.volume <= asked.volume[1]
        assert atoms.pbc.all() and np.linalg.det(atoms.cell.array) > 0
        fractional = np.linalg.solve(atoms.cell.array.T, atoms.positions.T).T
        assert (fractional > -1e-9).all() and (fractional < 1 + 1e-9).all()


def test_minimum_distances_by_an_independent_neighbour_list(batch: tuple[Recipe, list[Drawn]]) -> None:
    """Of a range, the low end is what is sure."""
    asked, draws = batch
    for drawn in draws:
        atoms = made(drawn)
        symbols = atoms.get_chemical_symbols()
        most = max(high for _, high in asked.min_distances.values())
        for i, j, distance in zip(*neighbor_list("ijd", atoms, most), strict=True):
            low, _ = asked.min_distances[min(symbols[i], symbols[j]), max(symbols[i], symbols[j])]
            assert distance >= (1 - asked.slack) * low - 1e-6


def test_symmetry_is_at_least_what_was_asked(batch: tuple[Recipe, list[Drawn]]) -> None:
    asked, draws = batch
    for drawn in draws:
        assert drawn.group in asked.groups[drawn.operations]
        assert space_group(drawn.group).operations == drawn.operations
        atoms = made(drawn)
        found: Any = spglib.get_symmetry_dataset(
            (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=1e-3
        )
        translations = (found.rotations == np.eye(3, dtype=int)).all(axis=(1, 2)).sum()
        # The point group asked for is a subgroup of the one found, so its order divides (Lagrange).
        assert len(found.rotations) // translations % drawn.operations == 0


def test_cells_are_reduced_and_edges_alike(batch: tuple[Recipe, list[Drawn]]) -> None:
    asked, draws = batch
    shifts = [np.array(n) - 2 for n in np.ndindex(5, 5, 5) if n != (2, 2, 2)]
    for drawn in draws:
        cell = made(drawn).cell.array
        edges = np.linalg.norm(cell, axis=1)
        low = asked.lengths_ratio / 2
        assert edges.max() / edges.min() <= (1 - low) / low * (1 + 1e-6)
        if asked.compact:
            assert min(np.linalg.norm(n @ cell) for n in shifts) == pytest.approx(edges.min(), rel=1e-9)


def test_one_stream_gives_one_structure_and_nothing_is_kept(batch: tuple[Recipe, list[Drawn]]) -> None:
    """Drawn again in reverse, from an equal recipe: the same to the last bit."""
    asked, draws = batch
    for index in (4, 0):
        again = draw_bulk(replace(asked), candidate_rng(7, "random", index))
        assert made(again) == made(draws[index])
        assert (again.attempts, again.rejects, again.group) == (
            draws[index].attempts,
            draws[index].rejects,
            draws[index].group,
        )
    assert made(draws[0]) != made(draws[1])


def test_rejects_are_counted_with_their_reasons(batch: tuple[Recipe, list[Drawn]]) -> None:
    asked, draws = batch
    symbols = list(dict.fromkeys(unit.symbols[0] for unit in asked.units))
    pairs = {f"{a}-{b}" for i, a in enumerate(symbols) for b in symbols[i:]}
    for drawn in draws:
        assert sum(drawn.rejects.values()) == sum(drawn.rejects_by_group.values()) == drawn.attempts - 1
        assert set(drawn.rejects) <= {"cell", "sites"} | pairs
        assert set(drawn.rejects_by_group) <= {n for members in asked.groups.values() for n in members}


def test_attempts_are_bounded_and_say_why() -> None:
    """2.9 Å in 18.2 Å^3 per atom is near the densest packing, never met by chance."""
    dense = recipe("Si " * 8, (145.6, 145.6), {"Si-Si": 2.9})
    drawn = draw_bulk(dense, candidate_rng(1, "random", 0), max_attempts=7)
    assert drawn.atoms is None
    assert drawn.attempts == 7 and drawn.rejects == {"Si-Si": 7} and drawn.rejects_by_group == {1: 7}


def test_groups_that_cannot_hold_the_atoms_cost_one_attempt_each() -> None:
    """P2_12_12_1 holds multiples of four only."""
    drawn = draw_bulk(recipe("Si Si", (40, 40), SILICON, groups={4: (19,)}), candidate_rng(1, "random", 0), 9, 5)
    assert drawn.atoms is None and drawn.attempts == 9 and drawn.rejects == {"sites": 9}
    either = recipe("Si Si", (40, 40), SILICON, groups={1: (1,), 4: (19,)})
    assert all(draw_bulk(either, candidate_rng(1, "random", i)).group == 1 for i in range(20))


def test_cells_too_small_for_their_own_images_are_said_to_be_the_reason() -> None:
    drawn = draw_bulk(recipe("Cu", (10, 10), {"Cu-Cu": 3.0}), candidate_rng(1, "random", 0), max_attempts=5)
    assert drawn.atoms is None and drawn.rejects == {"cell": 5}


def test_operations_are_uniform_and_groups_uniform_among_them() -> None:
    """Roomy recipes fail hardly ever, so that what is drawn shows. False alarms: below once in 10^5 for each bound."""
    roomy = recipe("Si " * 48, (4800, 4800), {"Si-Si": 0.5}, groups=operations(1, 4))
    draws = [draw_bulk(roomy, candidate_rng(3, "random", i)) for i in range(600)]
    counts = Counter(d.operations for d in draws)
    assert set(counts) == {1, 2, 3, 4} and all(103 <= n <= 200 for n in counts.values())  # 150 +- 4.4 deviations
    of_three = Counter(d.group for d in draws if d.operations == 3)
    assert set(of_three) == {143, 144, 145, 146}
    quarter = sum(of_three.values()) / 4
    assert all(abs(n - quarter) <= 4.4 * (0.75 * quarter) ** 0.5 for n in of_three.values())


def test_volumes_and_distances_fill_their_ranges() -> None:
    """Pushing makes the shortest distance land just above the minimum drawn: the range shows in its spread."""
    ranged = recipe("Si " * 8, (120, 240), {"Si-Si": (1.6, 2.4)})
    draws = [draw_bulk(ranged, candidate_rng(5, "random", i)) for i in range(200)]
    volumes = np.array([d.volume for d in draws])
    # Uniform: a mean off by five deviations, or a tenth of the range empty at an end, below once in 10^6.
    assert abs(volumes.mean() - 180) < 5 * 120 / (12 * 200) ** 0.5
    assert volumes.min() < 132 and volumes.max() > 228
    shortest = np.array([neighbor_list("d", made(d), 4.0).min() for d in draws])
    assert shortest.min() >= 1.6 - 1e-6
    assert (shortest < 1.9).mean() > 0.15 and (shortest > 2.2).mean() > 0.1


def test_angles_are_as_wide_as_flatness_says() -> None:
    """Without reduction the angles are those drawn: V / abc is at least the flatness, and comes close to it."""
    for flatness in (0.2, 0.8):
        wide = recipe("Si", (30, 30), {"Si-Si": 0.1}, compact=False, flatness=flatness)
        cells = [made(draw_bulk(wide, candidate_rng(2, "random", i))).cell for i in range(150)]
        found = [cell.volume / np.prod(cell.lengths()) for cell in cells]
        assert flatness - 1e-9 <= min(found) <= flatness + 0.05


def test_spins_stay_with_their_units() -> None:
    units = tuple(Unit(("Fe",), np.zeros((1, 3)), spin=spin) for spin in (2.0, -2.0, 2.0, -2.0))
    magnetic = Recipe(units, (48, 52), {("Fe", "Fe"): (2.1, 2.1)}, groups=operations(2, 2))
    atoms = made(draw_bulk(magnetic, candidate_rng(1, "random", 0)))
    assert atoms.get_initial_magnetic_moments().tolist() == [2, -2, 2, -2]


@pytest.mark.parametrize("number", [1, 5, 15, 43, 88, 146, 166, 194, 217, 227])
def test_drawn_cells_keep_the_group(number: int) -> None:
    numbers = np.random.default_rng(number).random((64, 6))
    good, cell, drawn = draw_cell(numbers, metric_average(number), 50.0, 1.0, 0.4, 0.5, True)
    assert good
    assert np.linalg.det(cell) == pytest.approx(50.0) and np.linalg.det(drawn) == pytest.approx(50.0)
    transform = cell @ np.linalg.inv(drawn)
    assert np.allclose(transform, np.rint(transform), atol=1e-9)
    metric = drawn @ drawn.T
    for rotation in space_group(number).rotations:
        assert np.allclose(rotation.T @ metric @ rotation, metric)


def test_reduction_of_a_skewed_cell_finds_the_shortest_vectors() -> None:
    cubic = np.eye(3) * 16.0
    skew = np.array([[1, 7, -12], [0, 1, 9], [0, 0, 1]]).astype(float)
    reduced, transform = reduce_metric(skew @ cubic @ skew.T)
    assert np.allclose(reduced, cubic)
    assert round(np.linalg.det(transform)) == 1


@pytest.mark.parametrize("number", [76, 78, 144, 145])
def test_handedness_survives_the_reduction(number: int) -> None:
    """P4_1 stays P4_1 and does not become P4_3. Three orbits on the only position, the general one, have no more."""
    count = space_group(number).operations
    one = recipe("Si " * (3 * count), (60.0 * count, 60.0 * count), {"Si-Si": 1.8}, groups={count: (number,)})
    for index in range(6):
        atoms = made(draw_bulk(one, candidate_rng(4, "random", index)))
        cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
        found: Any = spglib.get_symmetry_dataset(cell, symprec=1e-4)
        assert found.number == number
