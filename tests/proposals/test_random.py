"""The random source: constraints obeyed, purity, bounded attempts, reasons in words."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.neighborlist import neighbor_list

from xtalseek.errors import InfeasibleTarget, InputError
from xtalseek.proposals import candidate_rng, make_source
from xtalseek.proposals.radii import VOLUME_RANGE, estimated_volume, guess_charges, minimum_distances, packing
from xtalseek.proposals.random import RandomSource
from xtalseek.proposals.random.feasibility import make_plan
from xtalseek.proposals.wyckoff import space_group
from xtalseek.records import Candidate, Target

TIGHT = {"Sr-Sr": 3.3, "Sr-Ti": 2.9, "Sr-O": 2.3, "Ti-Ti": 3.2, "Ti-O": 1.7, "O-O": 2.4}
TARGETS = {
    "Si8": Target("Si", (8, 8), min_distances={"Si-Si": 2.2}, volume_per_atom=(19.0, 21.0)),
    "Si-P1": Target("Si", (1, 8), symmetry_operations=(1, 1)),
    "TiO2": Target("TiO2", (1, 4)),
    "SrTiO3": Target("SrTiO3", (1, 2), min_distances=TIGHT, volume_per_atom=(12.0, 14.0), symmetry_operations=(2, 8)),
    "high": Target("MgAl2O4", (2, 2), symmetry_operations=(24, 48)),
    "one group": Target("LiFePO4", (4, 4), space_groups=(62,)),
}


def draw(target: Target, index: int, source: RandomSource | None = None) -> Candidate:
    return (source or RandomSource()).propose(target, index, candidate_rng(7, "random", index))


def drawn(candidate: Candidate) -> Atoms:
    assert candidate.atoms is not None, candidate.note
    return candidate.atoms


@pytest.fixture(scope="module", params=list(TARGETS.values()), ids=list(TARGETS))
def batch(request: pytest.FixtureRequest) -> tuple[Target, list[Candidate]]:
    return request.param, [draw(request.param, index) for index in range(25)]


def test_composition_order_and_volume(batch: tuple[Target, list[Candidate]]) -> None:
    target, candidates = batch
    low, high = make_plan(target).volume_per_atom
    for candidate in candidates:
        atoms = drawn(candidate)
        units = candidate.provenance["formula_units"]
        assert target.formula_units[0] <= units <= target.formula_units[1]
        expected = [s for s, n in target.composition.items() for _ in range(n * units)]
        assert atoms.get_chemical_symbols() == expected
        volume = atoms.get_volume() / len(atoms)
        assert volume == pytest.approx(candidate.provenance["volume_per_atom"], rel=1e-9)
        assert low - 1e-9 <= volume <= high + 1e-9
        assert atoms.pbc.all()
        assert np.linalg.det(atoms.cell.array) > 0


def test_minimum_distances_by_an_independent_neighbour_list(batch: tuple[Target, list[Candidate]]) -> None:
    target, candidates = batch
    distances = make_plan(target).distances
    for candidate in candidates:
        atoms = drawn(candidate)
        symbols = atoms.get_chemical_symbols()
        for first, second, length in zip(*neighbor_list("ijd", atoms, max(distances.values())), strict=True):
            a, b = sorted((symbols[first], symbols[second]))
            assert length >= distances[a, b] - 1e-6


def test_symmetry_is_at_least_what_was_asked_for(batch: tuple[Target, list[Candidate]]) -> None:
    target, candidates = batch
    for candidate in candidates:
        atoms = drawn(candidate)
        group = space_group(candidate.provenance["space_group_requested"])
        operations = candidate.provenance["operations"]
        assert operations == group.operations
        assert target.symmetry_operations[0] <= operations <= target.symmetry_operations[1]
        cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
        found: Any = spglib.get_symmetry_dataset(cell, symprec=1e-3)
        translations = (found.rotations == np.eye(3, dtype=int)).all(axis=(1, 2)).sum()
        # The point group asked for is a subgroup of the one found, so its order divides (Lagrange).
        assert len(found.rotations) // translations % operations == 0


def test_cells_are_reduced_and_well_shaped(batch: tuple[Target, list[Candidate]]) -> None:
    for candidate in batch[1]:
        cell = drawn(candidate).cell.array
        edges = np.linalg.norm(cell, axis=1)
        assert edges.max() / edges.min() <= 4.0 + 1e-9
        shortest = min(np.linalg.norm((np.array(n) - 2) @ cell) for n in np.ndindex(5, 5, 5) if n != (2, 2, 2))
        assert shortest == pytest.approx(edges.min(), rel=1e-9)


def test_candidate_is_a_pure_function_of_its_index() -> None:
    target = TARGETS["TiO2"]
    alone = draw(target, 5)
    source = RandomSource()
    after = [draw(target, index, source) for index in range(6)][5]
    assert drawn(alone) == drawn(after)
    assert alone.provenance == after.provenance
    assert drawn(draw(target, 4)) != drawn(alone)


def test_provenance_is_plain_json() -> None:
    candidate = draw(TARGETS["SrTiO3"], 0)
    provenance: dict[str, Any] = dict(candidate.provenance)
    assert json.loads(json.dumps(provenance)) == provenance
    assert sum(provenance["rejects"].values()) == provenance["attempts"] - 1
    assert candidate.name == "SrTiO3-random-000000"


def test_formula_units_and_operations_cover_their_ranges() -> None:
    candidates = [draw(Target("TiO2", (1, 4)), index) for index in range(120)]
    units = Counter(c.provenance["formula_units"] for c in candidates)
    # Uniform over four: fewer than 12 of 120 for one value happens by chance once in 10^5 for each.
    assert set(units) == {1, 2, 3, 4} and min(units.values()) >= 12
    assert {1, 2, 3, 4, 6, 8, 12} <= {c.provenance["operations"] for c in candidates}


def test_formula_units_that_no_group_can_hold_are_not_drawn() -> None:
    """P2_12_12_1 holds multiples of four only."""
    target = Target("Si", (1, 8), space_groups=(19,))
    assert make_plan(target).formula_units == (4, 8)
    assert {draw(target, index).provenance["formula_units"] for index in range(12)} == {4, 8}


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (
            Target("Si", min_distances={"Si-Si": 4.0}, volume_per_atom=(20, 20)),
            ("Si-Si 4", "volume_per_atom", "74.05%"),
        ),
        (Target("NaCl", min_distances={"Na-Na": 4, "Na-Cl": 4, "Cl-Cl": 4}), ("Na-Cl 4", "by default", "at least")),
        (Target("SrTiO3", min_distances={"Sr-Sr": 4.5}, volume_per_atom=(10, 12)), ("Sr-Sr 4.5", "shorter distances")),
        (Target("Si", (2, 2), space_groups=(19,)), ("P2_12_12_1 (19)", "Si2", "formula_units")),
        (Target("Si", (1, 3), symmetry_operations=(48, 48), space_groups=(230,)), ("Ia-3d (230)", "Si3")),
        (Target("Si", symmetry_operations=(5, 5)), ("symmetry_operations 5-5", "1, 2, 3, 4, 6, 8")),
        (Target("Si", symmetry_operations=(1, 4), space_groups=(225,)), ("Fm-3m (225) has 48", "widen")),
    ],
)
def test_the_impossible_is_refused_with_a_reason(target: Target, words: tuple[str, ...]) -> None:
    with pytest.raises(InfeasibleTarget) as caught:
        RandomSource().check(target)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_densest_packings_are_not_refused() -> None:
    """fcc with spheres touching: 0.7405 of the volume, possible in one structure."""
    target = Target("Cu", min_distances={"Cu-Cu": 2.5}, volume_per_atom=(2.5**3 / 2**0.5 * 1.0001,) * 2)
    RandomSource().check(target)
    with pytest.raises(InfeasibleTarget):
        RandomSource().check(Target("Cu", min_distances={"Cu-Cu": 2.5}, volume_per_atom=(2.5**3 / 2**0.5 * 0.999,) * 2))


def test_attempts_are_bounded_and_the_note_says_what_to_change() -> None:
    target = Target(
        "Si", (8, 8), min_distances={"Si-Si": 2.9}, volume_per_atom=(18.2, 18.2), symmetry_operations=(1, 1)
    )
    candidate = draw(target, 0, RandomSource(max_attempts=7))
    assert candidate.atoms is None
    assert candidate.provenance["attempts"] == 7
    assert sum(candidate.provenance["rejects"].values()) == 7
    for word in ("7 attempts", "Si-Si too close", "P1 (1)", "volume_per_atom"):
        assert word in candidate.note
    assert "\n" not in candidate.note


@pytest.mark.parametrize("value", [0, -1, 2.5, "many", True])
@pytest.mark.parametrize("field", ["max_attempts", "attempts_per_group"])
def test_options_are_checked(field: str, value: object) -> None:
    with pytest.raises(InputError, match=field):
        make_source("random", {field: value})


@pytest.mark.parametrize(
    ("composition", "volume"),
    # Å^3 per atom of the crystals at ambient conditions, from their lattice constants.
    [
        ({"Na": 1, "Cl": 1}, 5.640**3 / 8),
        ({"Si": 1}, 5.431**3 / 8),
        ({"Mg": 1, "O": 1}, 4.212**3 / 8),
        ({"Sr": 1, "Ti": 1, "O": 3}, 3.905**3 / 5),
        ({"Cu": 1}, 3.615**3 / 4),
        ({"Ti": 1, "O": 2}, 62.4 / 6),
    ],
)
def test_default_volumes_reach_real_crystals(composition: dict[str, int], volume: float) -> None:
    estimate = estimated_volume(composition)
    assert VOLUME_RANGE[0] * estimate < volume < VOLUME_RANGE[1] * estimate


def test_default_distances_allow_real_crystals_and_keep_like_charges_apart() -> None:
    real = {("Sr", "Sr"): 3.905, ("Sr", "Ti"): 3.382, ("O", "Sr"): 2.761, ("Ti", "Ti"): 3.905, ("O", "Ti"): 1.953}
    composition = {"Sr": 1, "Ti": 1, "O": 3}
    distances, _ = minimum_distances(composition, {}, 3.905**3)
    assert all(0.65 * length < distances[pair] < length for pair, length in real.items())
    assert 2.0 < distances["O", "O"] < 2.761
    assert guess_charges(composition) == {"O": -2, "Ti": 4, "Sr": 2}
    assert guess_charges({"Al": 1, "Ni": 3}) == {}


def test_default_distances_shrink_with_the_volume_but_given_ones_stay() -> None:
    composition = {"Na": 1, "Cl": 1}
    given = {("Cl", "Na"): 2.5}
    roomy, scale_roomy = minimum_distances(composition, given, 60.0)
    dense, scale_dense = minimum_distances(composition, given, 20.0)
    assert scale_roomy == 1.0 and scale_dense < 1.0
    assert dense["Cl", "Na"] == roomy["Cl", "Na"] == 2.5
    assert dense["Cl", "Cl"] == pytest.approx(scale_dense * roomy["Cl", "Cl"])
    assert packing(composition, dense, 20.0)[0] <= 0.6


def test_given_distances_hold_in_either_order() -> None:
    for pair in ("Ti-O", "O-Ti"):
        assert make_plan(Target("TiO2", min_distances={pair: 1.9})).distances["O", "Ti"] == 1.9
