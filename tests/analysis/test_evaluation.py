"""All figures together, and which target a structure of another generator belongs to."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from xtalseek.analysis import validity
from xtalseek.analysis.assignment import assign, compositions, sample_name
from xtalseek.analysis.evaluation import evaluate_samples
from xtalseek.datasets import Dataset


def dataset(**structures: Atoms) -> Dataset:
    return Dataset(list(structures), list(structures.values()), np.full(len(structures), np.nan), [])


def test_a_perfect_generator_and_one_that_gives_up(rutile: Atoms, anatase: Atoms) -> None:
    references = [rutile, anatase]
    perfect = evaluate_samples(references, [[rutile], [anatase]], [1], coverage_cutoff=0.4)
    flat = perfect.to_json()
    wanted = {"match_rate@1": 1, "metre@1": 1, "structural_validity": 1, "cov_recall": 1, "cov_precision": 1}
    assert {key: flat[key] for key in wanted} == wanted
    for key in ("rmse@1", "crmse@1", "density_distance", "element_count_distance"):
        assert flat[key] == pytest.approx(0, abs=1e-6)
    assert flat["match_rate@1_atoms_6-10"] == 1
    assert (flat["targets_atoms_6-10"], flat["targets_atoms_1-5"], flat["match_rate@1_atoms_1-5"]) == (2, 0, None)
    nothing = evaluate_samples(references, [[None], [None]], [1]).to_json()
    assert set(nothing) == set(flat)
    assert (nothing["match_rate@1"], nothing["rmse@1"], nothing["crmse@1"]) == (0, None, 0.5)
    assert (nothing["structural_validity"], nothing["samples"], nothing["density_distance"]) == (0, 2, None)


def test_invalid_samples_count_only_without_the_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validity, "composition_is_valid", lambda composition: ("Cu", 1) not in composition)
    monkeypatch.setattr(validity, "smact_package", lambda: object())
    references = [bulk("Cu"), bulk("Al")]
    # Rows of unlike length: validity has to stay with its sample.
    found = evaluate_samples(references, [[None, bulk("Cu"), bulk("Cu")], [bulk("Al")]], [1, 3]).to_json()
    assert (found["match_rate@1"], found["match_rate@1_valid"]) == (0.5, 0.5)
    assert (found["match_rate@3"], found["match_rate@3_valid"]) == (1, 0.5)
    assert (found["structural_validity"], found["composition_validity"]) == (0.75, 0.25)


def test_what_was_not_measured_is_none_and_a_note_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validity, "smact_package", lambda: None)
    found = evaluate_samples([bulk("Cu")], [[bulk("Cu")]], [1])
    flat = found.to_json()
    assert flat["composition_validity"] is flat["match_rate@1_valid"] is flat["cov_recall"] is None
    assert any("pip install 'xtalseek[metrics]'" in line for line in found.lines())
    assert flat["match_rate@1"] == 1


def test_energies_are_compared_where_they_are_asked_for() -> None:
    wide, narrow = bulk("Cu", a=3.8), bulk("Cu", a=3.6)

    def energies(structures: list[Atoms]) -> np.ndarray:
        return np.array([atoms.get_volume() for atoms in structures])

    found = evaluate_samples([narrow], [[wide]], [1], energies=energies)
    assert found.energy_distance == pytest.approx((3.8**3 - 3.6**3) / 4)
    assert found.density_distance == pytest.approx(8.97 - 8.97 * (3.61 / 3.8) ** 3, rel=0.2)


def test_the_table_fits_eighty_columns() -> None:
    copper = bulk("Cu")
    found = evaluate_samples([copper] * 3, [[copper] * 20] * 3, [1, 5, 20], coverage_cutoff=0.4, seconds=7, bad_rows=2)
    lines = found.lines()
    assert max(map(len, lines)) <= 80
    assert "3 targets, 60 samples, 2 bad rows, 8.57 samples/s" in lines[0]


def test_generators_are_asked_for_the_primitive_cell(rutile: Atoms) -> None:
    assert compositions([bulk("NaCl", "rocksalt", a=5.64, cubic=True), rutile]) == [
        {"Na": 1, "Cl": 1},
        {"Ti": 2, "O": 4},
    ]


def test_structures_go_to_the_target_they_are_named_after(rutile: Atoms, anatase: Atoms) -> None:
    targets = dataset(one=rutile, two=anatase)
    found = Dataset(
        [sample_name("two", 2), "one", sample_name("two", 3), "one"],
        [anatase, rutile, rutile, anatase],
        np.zeros(4),
        [],
    )
    samples, unused = assign(found, targets, compositions(targets.structures))
    assert unused == 0
    # Two samples of "two" were given up: those that follow keep their rank.
    assert samples == [[rutile, anatase], [None, None, anatase, rutile]]


def test_unnamed_structures_go_to_targets_of_their_composition_in_order(rutile: Atoms, anatase: Atoms) -> None:
    copper = bulk("Cu")
    targets = dataset(a=rutile, b=anatase, c=copper)
    first, second, third = (anatase.copy() for _ in range(3))
    for number, atoms in enumerate((first, second, third)):
        atoms.positions[0, 0] += 0.01 * number
    found = Dataset(list("vwxyz"), [first, copper, second, bulk("Al"), third], np.zeros(5), [])
    samples, unused = assign(found, targets, compositions(targets.structures))
    assert samples == [[first, third], [second], [copper]]
    assert unused == 1
    larger = Dataset(["v", "w"], [rutile, rutile.repeat((1, 1, 2))], np.zeros(2), [])
    wanted = [{"Ti": 4, "O": 8}, {"Ti": 2, "O": 4}]
    assert [len(row) for row in assign(larger, dataset(a=rutile, b=anatase), wanted)[0]] == [1, 1]
