"""Match rates: the same crystal matches at distance zero, another one does not, and RMSE is the analytic one."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.io.ase import AseAtomsAdaptor

from xtalseek.analysis import matching
from xtalseek.analysis.matching import (
    everyone_matches,
    match_distances,
    match_rates,
    polymorph_distances,
    primitive_cell,
    primitive_cells,
    wilson,
)


def distances_of(samples: list[list[Atoms | None]], references: list[Atoms]) -> np.ndarray:
    return match_distances([primitive_cells(row) for row in samples], primitive_cells(references))


def closest_of(samples: list[list[Atoms | None]], references: list[Atoms]) -> np.ndarray:
    reduced, primitive = [primitive_cells(row) for row in samples], primitive_cells(references)
    closest = polymorph_distances(reduced, primitive, match_distances(reduced, primitive))
    assert closest is not None
    return closest


@pytest.mark.parametrize("shift", [0.05, 0.2, 0.6])
def test_rmse_of_a_shifted_atom_is_the_analytic_one(shift: float) -> None:
    """One of two atoms moved by d: the matcher takes the mean away, which leaves each d/2 off."""
    reference = bulk("CsCl", "cesiumchloride", a=4.12)
    moved = reference.copy()
    moved.positions[1, 0] += shift
    (rate,) = match_rates(distances_of([[moved]], [reference]), [1])
    assert rate.rate == 1
    assert rate.rmse == pytest.approx(shift / 2 / (reference.get_volume() / 2) ** (1 / 3), rel=1e-6)


def test_a_disguised_copy_matches_at_distance_zero(rutile: Atoms, anatase: Atoms) -> None:
    rng = np.random.default_rng(0)
    for atoms in (rutile, anatase):
        copy = make_supercell(atoms, [[1, 1, 0], [0, 1, 0], [0, 0, 2]])
        copy = copy[rng.permutation(len(copy))]
        copy.positions += rng.random(3) @ copy.cell.array
        copy.rotate(37.0, (1, 2, 3), rotate_cell=True)
        copy.wrap()
        # Volumes are scaled away, as in the benchmarks.
        copy.set_cell(copy.cell.array * 1.1, scale_atoms=True)
        assert distances_of([[copy]], [atoms])[0, 0] == pytest.approx(0, abs=1e-6)


def test_other_crystals_do_not_match(rutile: Atoms, anatase: Atoms) -> None:
    other_formula, other_element = rutile.copy(), rutile.copy()
    other_formula.symbols[0] = "O"
    other_element.symbols[rutile.symbols == "Ti"] = "Sn"
    samples: list[Atoms | None] = [anatase, other_formula, other_element, None]
    assert np.isnan(distances_of([samples], [rutile])).all()
    assert np.isfinite(distances_of([[rutile, *samples]], [rutile])[0, 0])


def test_distances_are_those_of_the_published_matcher(rutile: Atoms) -> None:
    published = StructureMatcher(ltol=0.3, stol=0.5, angle_tol=10)
    reference = AseAtomsAdaptor.get_structure(rutile)
    rng = np.random.default_rng(3)
    samples: list[Atoms] = []
    for noise in np.linspace(0, 0.9, 12):
        sample = rutile.repeat((1, 1, int(rng.integers(1, 3))))
        sample.rattle(noise, rng=rng)
        samples.append(sample)
    for _ in range(40):
        lengths, angles = rng.uniform(2.5, 7, 3), rng.uniform(65, 115, 3)
        sample = Atoms(rutile.numbers, scaled_positions=rng.random((6, 3)), cell=[*lengths, *angles], pbc=True)
        samples.append(sample)
    found = distances_of([[*samples]], [rutile])[0]
    wanted = [published.get_rms_dist(AseAtomsAdaptor.get_structure(sample), reference) for sample in samples]
    assert any(w is None for w in wanted)
    assert any(w is not None for w in wanted)
    assert found == pytest.approx([np.nan if w is None else w[0] for w in wanted], nan_ok=True)


def test_a_structure_that_is_no_crystal_matches_nothing(rutile: Atoms) -> None:
    flat, unknown, pressed = rutile.copy(), rutile.copy(), rutile.copy()
    flat.cell[2] = 0
    unknown.positions[0, 0] = np.nan
    pressed.positions[:] = 0
    thin = Atoms(rutile.numbers, scaled_positions=rutile.get_scaled_positions(), cell=[30, 30, 1e-7], pbc=True)
    chain = Atoms(rutile.numbers, scaled_positions=rutile.get_scaled_positions(), cell=[30, 30, 0.5], pbc=True)
    assert primitive_cell(flat) is None
    assert primitive_cell(unknown) is None
    assert np.isnan(distances_of([[flat, unknown, pressed, thin, chain, None]], [rutile])).all()


def test_match_rate_grows_with_k_and_rmse_takes_the_best_of_them() -> None:
    nan = np.nan
    distances = np.array([[nan, 0.3, 0.1, nan], [0.2, 0.4, 0.05, 0.5], [nan, nan, nan, nan], [nan, nan, nan, 0.4]])
    rates = match_rates(distances, [1, 2, 3, 4])
    assert [r.rate for r in rates] == [0.25, 0.5, 0.5, 0.75]
    assert [r.rmse for r in rates] == pytest.approx([0.2, 0.25, 0.075, (0.1 + 0.05 + 0.4) / 3])
    drawn = np.random.default_rng(0)
    many = np.where(drawn.random((50, 20)) < 0.1, drawn.random((50, 20)), nan)
    grown = [r.rate for r in match_rates(many, range(1, 21))]
    assert grown == sorted(grown)
    assert grown[0] < grown[-1]


def test_an_invalid_sample_counts_as_no_match() -> None:
    distances = np.array([[0.1, 0.3], [0.2, np.nan]])
    valid = np.array([[False, True], [False, True]])
    (first, both) = match_rates(distances, [1, 2], valid)
    assert (first.rate, first.rmse) == (0, None)
    assert (both.rate, both.rmse) == (0.5, 0.3)
    assert first.targets == 2


def test_metre_asks_for_every_polymorph_whoever_it_was_drawn_for(rutile: Atoms, anatase: Atoms) -> None:
    references = [rutile, anatase]
    swapped: list[list[Atoms | None]] = [[anatase], [rutile]]
    (rate,), (everyone,) = (
        match_rates(distances_of(swapped, references), [1]),
        everyone_matches(closest_of(swapped, references), [1]),
    )
    assert rate.rate == 0
    assert (everyone.metre, everyone.crmse) == (1, pytest.approx(0, abs=1e-6))
    same: list[list[Atoms | None]] = [[anatase], [anatase]]
    (everyone,) = everyone_matches(closest_of(same, references), [1])
    # The reference that nobody found counts the site tolerance, 0.5.
    assert (everyone.metre, everyone.crmse) == (0.5, pytest.approx(0.25, abs=1e-6))


def test_metre_at_k_counts_only_the_first_k_of_each_target(rutile: Atoms, anatase: Atoms) -> None:
    samples: list[list[Atoms | None]] = [[rutile, anatase], [None, None]]
    first, both = everyone_matches(closest_of(samples, [rutile, anatase]), [1, 2])
    assert (first.metre, both.metre) == (0.5, 1)


def test_metre_never_lies_below_the_match_rate_and_is_left_out_where_it_would_take_hours(
    rutile: Atoms, anatase: Atoms, monkeypatch: pytest.MonkeyPatch
) -> None:
    references = [rutile, anatase, bulk("Cu")]
    samples: list[list[Atoms | None]] = [[rutile], [rutile], [bulk("Cu")]]
    (rate,) = match_rates(distances_of(samples, references), [1])
    (everyone,) = everyone_matches(closest_of(samples, references), [1])
    assert everyone.metre >= rate.rate == pytest.approx(2 / 3)
    monkeypatch.setattr(matching, "MOST_EXTRA_PAIRS", 0)
    reduced, primitive = [primitive_cells(row) for row in samples], primitive_cells(references)
    pairs = [[primitive_cell(rutile)], [primitive_cell(rutile)]]
    twice = [primitive_cell(rutile)] * 2
    assert polymorph_distances(pairs, twice, np.zeros((2, 1))) is None
    assert polymorph_distances(reduced[2:], primitive[2:], np.zeros((1, 1))) is not None


def test_the_interval_is_wilsons() -> None:
    # Agresti & Coull 1998: 0 of 10 gives 0 to 0.2775; 5 of 10 gives 0.2366 to 0.7634.
    assert wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0, 0) == (0, 1)
