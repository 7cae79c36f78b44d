"""Edits do what they say, keep the minimum distances, and depend on nothing but the generator handed in.

Statistical tests use fixed seeds; each would raise a false alarm for one seed in 10,000 if its promise holds.
"""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from hypothesis import given, settings
from hypothesis import strategies as st

from xtalseek.errors import InfeasibleTarget
from xtalseek.proposals.random.edits import NoRoom, apply_edits
from xtalseek.proposals.recipe import Confinement, Edits, Recipe, Unit

SALT = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
DISTANCES = {("Cl", "Cl"): (2.0, 2.0), ("Cl", "Na"): (2.0, 2.0), ("Na", "Na"): (2.0, 2.0)}
WATER = molecule("H2O")


def single(symbol: str, **known: Any) -> Unit:
    return Unit((symbol,), np.zeros((1, 3)), **known)


def recipe(atoms: Atoms, edits: Edits = Edits(), units: list[Unit] | None = None, **known: Any) -> Recipe:  # noqa: B008
    listed = units or [single(symbol) for symbol in atoms.get_chemical_symbols()]
    return Recipe(tuple(listed), (1.0, 1.0), known.pop("min_distances", DISTANCES), edits=edits, **known)


def edit(atoms: Atoms, seed: int = 0, units: list[Unit] | None = None, known: Any = None, **edits: Any) -> Any:
    return apply_edits(atoms, recipe(atoms, Edits(**edits), units, **(known or {})), np.random.default_rng(seed))


def shortest(atoms: Atoms, reach: int = 3) -> float:
    """Shortest distance between any two atoms, brute force over periodic images."""
    images = np.array(list(product(range(-reach, reach + 1), repeat=3))) @ atoms.cell.array
    gaps = atoms.positions[:, None, None] - atoms.positions[None, :, None] + images
    lengths = np.linalg.norm(gaps, axis=-1)
    return float(lengths[lengths > 1e-9].min())


def test_nothing_asked_nothing_done() -> None:
    atoms, notes = edit(SALT)
    assert notes == ()
    np.testing.assert_allclose(atoms.positions, SALT.positions, atol=1e-12)
    assert atoms.get_chemical_symbols() == SALT.get_chemical_symbols()
    assert set(atoms.arrays) == {"numbers", "positions"}


def test_the_input_is_left_alone() -> None:
    before = SALT.copy()
    everything = Edits(("Na", "Cl"), 1.0, (1, "Cl"), 1.0, (single("Na"),), (0, 1.0), break_amplitude=0.1, vacuum=5.0)
    apply_edits(SALT, recipe(SALT, everything, supercell=np.diag([2, 1, 1])), np.random.default_rng(1))
    assert before == SALT


def test_supercell_repeats_the_crystal() -> None:
    rows = np.array([[1, 1, 0], [-1, 1, 0], [0, 0, 2]])
    atoms, notes = edit(SALT, known={"supercell": rows})
    assert notes == ("supercell of 4 cells",)
    np.testing.assert_allclose(atoms.cell.array, rows @ SALT.cell.array)
    assert Counter(atoms.get_chemical_symbols()) == {"Na": 16, "Cl": 16}
    assert shortest(atoms) == pytest.approx(2.8)
    # Copies come one after the other, each in the units' order.
    assert atoms.get_chemical_symbols() == SALT.get_chemical_symbols() * 4
    with pytest.raises(InfeasibleTarget, match="no volume"):
        edit(SALT, known={"supercell": np.ones((3, 3))})


def test_vacancies_are_of_the_species_and_all_alike_likely() -> None:
    gone: Counter[int] = Counter()
    for seed in range(400):
        atoms, notes = edit(SALT, seed, vacancies=(1, "Cl"))
        assert notes == ("1 Cl taken out",)
        assert Counter(atoms.get_chemical_symbols()) == {"Na": 4, "Cl": 3}
        left = {tuple(np.round(p, 6)) for p in atoms.positions}
        gone[next(i for i, p in enumerate(SALT.positions) if tuple(np.round(p, 6)) not in left)] += 1
    # 400 draws of 4: chi-squared with 3 degrees of freedom exceeds 21.1 once in 10,000.
    assert set(gone) <= set(np.flatnonzero(SALT.symbols == "Cl").tolist())
    assert sum((number - 100) ** 2 / 100 for number in gone.values()) < 21.1
    assert len(gone) == 4


def test_vacancies_that_cannot_be_are_told() -> None:
    with pytest.raises(InfeasibleTarget, match=r"1 vacancies of Ti asked for, but there are 0 of them \(Cl4Na4\)"):
        edit(SALT, vacancies=(1, "Ti"))
    with pytest.raises(InfeasibleTarget, match="5 vacancies of Na"):
        edit(SALT, vacancies=(5, "Na"))
    with pytest.raises(InfeasibleTarget, match="leave no atom"):
        edit(SALT, vacancies=(8, ""))
    atoms, _ = edit(SALT, vacancies=(7, ""))
    assert len(atoms) == 1


def test_permuting_keeps_places_and_composition() -> None:
    seen = set()
    for seed in range(30):
        atoms, notes = edit(SALT, seed, permute=("Na", "Cl"))
        assert notes == ("8 atoms of Na, Cl permuted",)
        assert atoms.get_chemical_symbols() == SALT.get_chemical_symbols()
        assert {tuple(p) for p in np.round(atoms.positions, 6)} == {tuple(p) for p in np.round(SALT.positions, 6)}
        seen.add(tuple(sorted(map(tuple, np.round(atoms.positions[atoms.symbols == "Na"], 6)))))
    # 70 ways to choose the four places of Na: 30 draws give 24 of them on average, fewer than 15 once in 10,000.
    assert len(seen) >= 15


def test_a_fraction_of_zero_permutes_nothing() -> None:
    atoms, notes = edit(SALT, permute=("Na", "Cl"), permute_fraction=0.0)
    assert notes == ("nothing permuted: 0 of 8 atoms take part",)
    np.testing.assert_allclose(atoms.positions, SALT.positions, atol=1e-12)


def test_a_fraction_moves_no_more_than_its_share() -> None:
    large = SALT.repeat(2)
    for seed in range(10):
        atoms, _ = edit(large, seed, permute=("Na", "Cl"), permute_fraction=0.25)
        moved = np.linalg.norm(atoms.positions - large.positions, axis=1) > 1e-6
        assert moved.sum() <= 16


def test_permuting_keeps_the_minimum_distances_or_says_so() -> None:
    """Na may not be next to Na: of the permutations of 8 atoms only 2 in 70 decorations obey."""
    apart = DISTANCES | {("Na", "Na"): (3.0, 3.0), ("Cl", "Cl"): (3.0, 3.0)}
    good = 0
    for seed in range(10):
        try:
            atoms, _ = edit(SALT, seed, permute=("Na", "Cl"), known={"min_distances": apart})
        except NoRoom as error:
            assert "none of 50 permutations of Na, Cl keeps the minimum distances" in str(error)
        else:
            good += 1
            kinds = atoms[atoms.symbols == "Na"]
            assert shortest(kinds) > 3.0
    assert good
    with pytest.raises(InfeasibleTarget, match="no Ti to permute: the structure holds Cl, Na"):
        edit(SALT, permute=("Ti", "Na"))


def test_a_frozen_place_stays_frozen_when_species_swap() -> None:
    units = [single(symbol, frozen=index < 2) for index, symbol in enumerate(SALT.get_chemical_symbols())]
    places = {tuple(p) for p in np.round(SALT.positions[:2], 6)}
    for seed in range(5):
        atoms, notes = edit(SALT, seed, units, permute=("Na", "Cl"))
        assert notes[-1] == "2 atoms frozen"
        frozen = atoms.constraints[0].get_indices()
        assert {tuple(p) for p in np.round(atoms.positions[frozen], 6)} == places


def test_a_hole_is_empty_and_the_rest_is_there() -> None:
    large = SALT.repeat(2)
    for seed in range(10):
        atoms, notes = edit(large, seed, hole=3.5)
        gone = [p for p in large.positions if np.linalg.norm(atoms.positions - p, axis=1).min() > 1e-6]
        # A sphere of 3.5 Å holds 8.2 atoms of this crystal on average.
        assert 3 <= len(gone) <= 14
        assert notes[0].endswith("taken out of a hole of 3.5 Å")
        assert sum(int(part.split()[0]) for part in notes[0].split(" taken")[0].split(", ")) == len(gone)
    with pytest.raises(NoRoom, match="leaves no atom"):
        edit(SALT, hole=9.0)


@pytest.mark.parametrize(("total", "size", "expected"), [(0, 1, 0), (8, 1, 8), (-4, 2, -4), (3, 1, (2, 4)), (0, 0, 0)])
def test_moments_have_the_size_and_the_sum(total: float, size: float, expected: Any) -> None:
    atoms, _ = edit(SALT, spin=(total, size))
    moments = atoms.get_initial_magnetic_moments()
    np.testing.assert_allclose(np.abs(moments), size)
    assert moments.sum() in (expected if isinstance(expected, tuple) else (expected,))


def test_moments_are_random_and_bounded() -> None:
    assert len({tuple(edit(SALT, s, spin=(0, 1))[0].get_initial_magnetic_moments()) for s in range(10)}) > 3
    with pytest.raises(InfeasibleTarget, match="total spin of 9 needs more than 8 atoms"):
        edit(SALT, spin=(9, 1))


def test_moments_of_some_species_leave_the_others_without() -> None:
    atoms, notes = edit(SALT, spin=(2, 1), spin_species=("Na",))
    moments = atoms.get_initial_magnetic_moments()
    assert not moments[atoms.symbols == "Cl"].any()
    np.testing.assert_array_equal(np.sort(moments[atoms.symbols == "Na"]), [-1, 1, 1, 1])
    assert notes == ("magnetic moments of 1 on 4 atoms of Na, in all 2",)
    with pytest.raises(InfeasibleTarget, match="more than 4 atoms of Na of 1"):
        edit(SALT, spin=(5, 1), spin_species=("Na",))


def test_units_carry_their_moments_through_supercells_and_vacancies() -> None:
    units = [single(s, spin=2.5 if s == "Na" else 0.0) for s in SALT.get_chemical_symbols()]
    atoms, _ = edit(SALT, 0, units, {"supercell": np.diag([2, 1, 1])}, vacancies=(3, ""))
    np.testing.assert_array_equal(atoms.get_initial_magnetic_moments(), np.where(atoms.symbols == "Na", 2.5, 0.0))


def test_breaking_moves_all_but_frozen_atoms_within_the_amplitude() -> None:
    units = [single(symbol, frozen=index == 0) for index, symbol in enumerate(SALT.get_chemical_symbols())]
    atoms, notes = edit(SALT, 0, units, break_amplitude=0.2)
    gap = atoms.positions - SALT.positions
    gap -= np.rint(gap / 5.6) * 5.6
    moved = np.linalg.norm(gap, axis=1)
    assert moved[0] < 1e-9
    assert (moved[1:] > 0).all()
    assert moved.max() <= 0.2
    assert notes == ("atoms displaced by up to 0.2 Å", "1 atoms frozen")
    assert atoms.constraints[0].get_indices().tolist() == [0]


def test_breaking_moves_molecules_as_they_are() -> None:
    ice = WATER.copy()
    ice.set_cell([4, 4, 4])
    ice.pbc = True
    units = [Unit(("O", "H", "H"), WATER.positions - WATER.positions.mean(axis=0))]
    near = {("H", "H"): (2.0, 2.0), ("H", "O"): (1.8, 1.8), ("O", "O"): (2.4, 2.4)}
    ice.wrap()
    atoms, _ = edit(ice, 0, units, {"min_distances": near}, break_amplitude=0.3)
    inside = [
        atoms.get_distance(0, 1, mic=True),
        atoms.get_distance(0, 2, mic=True),
        atoms.get_distance(1, 2, mic=True),
    ]
    np.testing.assert_allclose(inside, [WATER.get_distance(*p) for p in ((0, 1), (0, 2), (1, 2))], atol=1e-9)
    assert np.abs(atoms.positions - ice.positions).max() > 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_crystals_keep_their_distances_through_all_edits(seed: int) -> None:
    atoms, notes = edit(
        SALT,
        seed,
        known={"supercell": np.array([[1, 1, 0], [0, 1, 0], [0, 0, 2]])},
        permute=("Na", "Cl"),
        vacancies=(2, "Cl"),
        hole=1.5,
        adatoms=(single("Cl"), single("Na")),
        break_amplitude=0.4,
    )
    assert shortest(atoms) >= 2.0 - 1e-6
    assert len(notes) == 6
    assert notes[1] == "1 Cl, 1 Na added as adatoms"


def test_an_adatom_in_a_crystal_is_nearly_in_contact() -> None:
    near = dict.fromkeys(DISTANCES, (2.2, 2.2))
    atoms, _ = edit(SALT, 1, adatoms=(single("Na"),), known={"min_distances": near})
    assert len(atoms) == 9
    assert 2.2 - 1e-6 <= shortest(atoms) < 2.25


def test_an_adatom_without_room_is_told() -> None:
    near = dict.fromkeys(DISTANCES, (2.7, 2.7))
    with pytest.raises(NoRoom, match="no free place for Na found"):
        edit(SALT, adatoms=(single("Na"),), known={"min_distances": near})


def test_an_adatom_lands_on_the_slab_in_contact() -> None:
    slab = fcc111("Al", (2, 2, 3), vacuum=None, periodic=True)
    slab.pbc = True
    height = float(slab.cell.cellpar()[2])
    near = {("Al", "Al"): (2.5, 2.5), ("Al", "O"): (1.8, 1.8), ("O", "O"): (2.2, 2.2)}
    for seed in range(8):
        atoms, notes = edit(slab, seed, adatoms=(single("O"), single("O")), vacuum=8.0, known={"min_distances": near})
        assert notes == ("2 O added as adatoms", "8 Å of vacuum added along c")
        top = slab.positions[:, 2].max()
        oxygen = atoms.positions[atoms.symbols == "O"]
        assert (oxygen[:, 2] > top).all()
        assert (oxygen[:, 2] <= top + 1.8 + 2.2).all()
        for place in oxygen:
            others = atoms[[i for i, p in enumerate(atoms.positions) if not np.allclose(p, place)]]
            reach = np.array([1.8 if s == "Al" else 2.2 for s in others.get_chemical_symbols()])
            images = np.array(list(product((-1, 0, 1), repeat=3))) @ atoms.cell.array
            gaps = np.linalg.norm(others.positions[:, None] + images - place, axis=-1).min(axis=1) - reach
            assert gaps.min() >= -1e-6
        first = oxygen[0]
        images = np.array(list(product((-1, 0, 1), repeat=3))) @ atoms.cell.array
        metal = atoms.positions[atoms.symbols == "Al"]
        assert np.linalg.norm(metal[:, None] + images - first, axis=-1).min() == pytest.approx(1.8, abs=1e-6)
        assert atoms.cell.array[2, 2] >= height + 8.0 + (oxygen[:, 2].max() - top) - 1e-9


def test_vacuum_is_added_along_c_of_a_tilted_cell() -> None:
    tilted = SALT.copy()
    tilted.set_cell(SALT.cell.array + np.array([[0, 0, 0], [0, 0, 0], [2, 1, 0]]))
    atoms, _ = edit(tilted, vacuum=10.0)
    np.testing.assert_allclose(atoms.cell.array[:2], tilted.cell.array[:2])
    assert atoms.get_volume() / 5.6**2 == pytest.approx(15.6)
    assert abs(np.cross(atoms.cell.array[2], tilted.cell.array[2])).max() < 1e-9


def test_a_confined_slab_is_not_torn_by_the_vacuum() -> None:
    """Its middle is the origin, so wrapping puts half of it at the top of the cell."""
    pair = Atoms("Na2", positions=[(0, 0, 1.2), (0, 0, 8.8)], cell=[5, 5, 10], pbc=True)
    atoms, _ = edit(pair, vacuum=10.0, known={"confinement": Confinement((np.inf, np.inf, 2.0))})
    assert atoms.get_distance(0, 1, mic=True) == pytest.approx(2.4)
    assert atoms.cell.array[2, 2] == pytest.approx(20)


def test_a_cluster_ends_in_the_middle_with_vacuum_around() -> None:
    cluster = Atoms("NaCl", positions=[(0.5, 5, 5), (7.7, 5, 5)], cell=[10, 10, 10], pbc=True)
    atoms, notes = edit(cluster, vacuum=6.0, known={"cluster": True})
    assert notes == ("6 Å of vacuum added around the cluster",)
    np.testing.assert_allclose(atoms.cell.cellpar(), [16, 16, 16, 90, 90, 90])
    assert atoms.get_distance(0, 1) == pytest.approx(2.8)
    np.testing.assert_allclose(atoms.positions.mean(axis=0), [8, 8, 8])


def test_adatoms_of_a_cluster_touch_it() -> None:
    cluster = Atoms("Na", positions=[(5, 5, 5)], cell=[10, 10, 10], pbc=True)
    for seed in range(5):
        atoms, _ = edit(cluster, seed, known={"cluster": True}, adatoms=(single("Cl"),) * 6)
        lengths = atoms.get_all_distances() + 99 * np.eye(7)
        np.testing.assert_allclose(lengths.min(axis=1), 2.0, atol=1e-6)
        assert shortest(atoms) >= 2.0 - 1e-6


def test_rigid_adatoms_keep_their_shape() -> None:
    near = {("H", "H"): (1.8, 1.8), ("H", "O"): (1.6, 1.6), ("O", "O"): (2.4, 2.4)}
    for pair in ("Cl", "Na"):
        near |= {("Cl", "H") if pair == "Cl" else ("H", "Na"): (2.0, 2.0), (pair, "O"): (2.2, 2.2)}
    offsets = WATER.positions - WATER.positions.mean(axis=0)
    unit = Unit(("O", "H", "H"), offsets, label="water")
    atoms, notes = edit(SALT, 0, adatoms=(unit, unit), vacuum=9.0, known={"min_distances": DISTANCES | near})
    assert notes[0] == "2 water added as adatoms"
    for start in (8, 11):
        assert atoms.get_distance(start, start + 1, mic=True) == pytest.approx(WATER.get_distance(0, 1))
        assert atoms.get_distance(start + 1, start + 2, mic=True) == pytest.approx(WATER.get_distance(1, 2))


def test_slack_and_drawn_distances_count() -> None:
    near = dict.fromkeys(DISTANCES, (2.0, 3.5))
    apply_edits(SALT, recipe(SALT, Edits(("Na", "Cl")), min_distances=near), np.random.default_rng(0))
    drawn = dict.fromkeys(DISTANCES, 2.9)
    with pytest.raises(NoRoom):
        apply_edits(SALT, recipe(SALT, Edits(("Na", "Cl")), min_distances=near), np.random.default_rng(0), drawn)
    wide = [single(symbol, radius=2.0) for symbol in SALT.get_chemical_symbols()]
    with pytest.raises(NoRoom):
        apply_edits(SALT, recipe(SALT, Edits(("Na", "Cl")), wide, slack=0.29), np.random.default_rng(0))
    apply_edits(SALT, recipe(SALT, Edits(("Na", "Cl")), wide, slack=0.31), np.random.default_rng(0))
    loose = recipe(SALT, Edits(("Na", "Cl")), min_distances=near, slack=0.1)
    apply_edits(SALT, loose, np.random.default_rng(0), drawn)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_any_edit_of_any_crystal_is_pure_and_keeps_promises(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cell = rng.uniform(-1.5, 1.5, (3, 3)) + np.diag(rng.uniform(3, 6, 3))
    start = Atoms("NaCl", scaled_positions=rng.random((2, 3)), cell=cell, pbc=True)
    free = shortest(start)
    near = dict.fromkeys(DISTANCES, (0.9 * free, free))
    asked = Edits(
        permute=("Na", "Cl") if rng.random() < 0.5 else (),
        vacancies=(int(rng.integers(1, 3)), "Na") if rng.random() < 0.5 else None,
        adatoms=(single("Cl"),) * int(rng.integers(0, 3)),
        break_amplitude=float(rng.choice([0, 0.3])),
        vacuum=float(rng.choice([0, 7])),
    )
    plan = recipe(start, asked, min_distances=near, supercell=np.diag(rng.integers(1, 3, 3)))

    def outcome() -> tuple[Any, Any]:
        try:
            return apply_edits(start, plan, np.random.default_rng(seed))
        except InfeasibleTarget as error:
            return None, str(error)

    (atoms, notes), (again, same) = outcome(), outcome()
    assert notes == same
    assert atoms == again
    if atoms is not None:
        cells = round(np.linalg.det(plan.supercell))  # type: ignore[arg-type]
        taken = asked.vacancies[0] if asked.vacancies else 0
        assert Counter(atoms.get_chemical_symbols()) == +Counter(Na=cells - taken, Cl=cells + len(asked.adatoms))
        if len(atoms) > 1:
            assert shortest(atoms) >= 0.9 * free - 1e-6
