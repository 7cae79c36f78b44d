"""The substitution source: likeliest first, each structure once, constraints obeyed, reasons in words."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk
from ase.io import write
from ase.neighborlist import neighbor_list
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter

from xtalseek.errors import InfeasibleTarget, InputError
from xtalseek.proposals import candidate_rng, make_source
from xtalseek.proposals.substitution import SubstitutionSource, _rankings
from xtalseek.records import Candidate, Target

AFLOW = SubstitutionSource()
MATCHER = StructureMatcher(ltol=0.3, stol=0.5, angle_tol=10)


@pytest.fixture
def known(tmp_path: Path) -> str:
    """Rock salt three times (twice with the same elements, once as a supercell), CsCl, zinc blende and fluorite."""
    structures = [
        bulk("CsCl", "cesiumchloride", a=4.12),
        bulk("NaCl", "rocksalt", a=5.64),
        bulk("KBr", "rocksalt", a=6.6, cubic=True),
        bulk("NaCl", "rocksalt", a=5.5).repeat((2, 1, 1)),
        bulk("ZnS", "zincblende", a=5.41),
        bulk("CaFF", "fluorite", a=5.46),
    ]
    write(tmp_path / "known.extxyz", structures)
    return str(tmp_path / "known.extxyz")


def draw(target: Target, index: int, source: SubstitutionSource = AFLOW, seed: int = 0) -> Candidate:
    return source.propose(target, index, candidate_rng(seed, "substitution", index))


def drawn(candidate: Candidate) -> Atoms:
    assert candidate.atoms is not None, candidate.note
    return candidate.atoms


def group(atoms: Atoms) -> int:
    found = spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), 0.01)
    assert found is not None
    return int(found.number)


def match(one: Atoms, other: Atoms) -> bool:
    adaptor = AseAtomsAdaptor()
    return bool(MATCHER.fit(adaptor.get_structure(one), adaptor.get_structure(other)))


@pytest.mark.parametrize(
    ("target", "known_one"),
    [
        (Target("MgO"), bulk("MgO", "rocksalt", a=4.21)),
        (Target("GaAs"), bulk("GaAs", "zincblende", a=5.65)),
        (Target("SrTiO3"), None),
    ],
    ids=["MgO", "GaAs", "SrTiO3"],
)
def test_well_known_structures_are_among_the_first_ten_of_aflow(target: Target, known_one: Atoms | None) -> None:
    if known_one is None:
        places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
        known_one = Atoms("SrTiO3", scaled_positions=places, cell=[3.905] * 3, pbc=True)
    first = [drawn(draw(target, index)) for index in range(10)]
    ratios = [atoms.get_volume() / len(atoms) * len(known_one) / known_one.get_volume() for atoms in first]
    assert any(0.75 < r < 1.3 and match(atoms, known_one) for r, atoms in zip(ratios, first, strict=True))


def test_candidates_are_the_same_in_any_order_and_after_others_were_forgotten() -> None:
    target, other = Target("ZnO", (1, 4)), Target("LiFeO2", (1, 4))
    forwards = [drawn(draw(target, index)) for index in (0, 3, 200)]
    _rankings.clear()
    draw(other, 2)
    backwards = [drawn(draw(target, index)) for index in (200, 3, 0)][::-1]
    for one, again in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(one.positions, again.positions)
        np.testing.assert_array_equal(one.cell.array, again.cell.array)


def test_a_candidate_that_is_changed_leaves_the_next_one_alone() -> None:
    first = drawn(draw(Target("ZnO"), 0))
    kept = first.positions.copy()
    first.positions += 1
    np.testing.assert_array_equal(drawn(draw(Target("ZnO"), 0)).positions, kept)


def test_atoms_stand_in_the_order_of_the_formula_and_provenance_says_where_from() -> None:
    target = Target("O3TiSr", (1, 4))
    for index in range(8):
        candidate = draw(target, index)
        units = candidate.provenance["formula_units"]
        assert 1 <= units <= 4
        assert drawn(candidate).get_chemical_symbols() == ["O"] * 3 * units + ["Ti"] * units + ["Sr"] * units
        assert np.linalg.det(drawn(candidate).cell.array) > 0
        told = json.loads(json.dumps(candidate.provenance))
        assert told["space_group_requested"] == group(drawn(candidate))
        assert told["rank"] == index
        assert told["round"] == 0


def test_the_likest_come_first_and_each_structure_once(known: str) -> None:
    source = SubstitutionSource(prototypes=known)
    first = [draw(Target("KCl"), index, source) for index in range(3)]
    assert [group(drawn(c)) for c in first] == [225, 221, 216]
    assert first[0].provenance["substitutions"] in ({"Na": "K"}, {"Br": "Cl"})
    assert [c.provenance["unlikeness"] for c in first] == sorted(c.provenance["unlikeness"] for c in first)
    assert draw(Target("KCl"), 3, source).provenance["round"] == 1


def test_of_equally_alike_ones_the_most_stable_comes_first(tmp_path: Path) -> None:
    forms = {"zincblende": 216, "cesiumchloride": 221, "rocksalt": 225}
    for best in forms:
        with (tmp_path / f"{best}.csv").open("w") as file:
            rows = csv.writer(file)
            rows.writerow(["material_id", "formation_energy_per_atom", "cif"])
            for kind in forms:
                cif = str(CifWriter(AseAtomsAdaptor.get_structure(bulk("ZnS", kind, a=5.0))))
                rows.writerow([kind, -1.1 if kind == best else -1.0, cif])
        source = SubstitutionSource(prototypes=str(tmp_path / f"{best}.csv"))
        assert group(drawn(draw(Target("CdS"), 0, source))) == forms[best]


def test_both_ways_to_place_two_elements_count_where_they_differ(known: str) -> None:
    """Fluorite has one place for one element; rock salt's two places are alike."""
    source = SubstitutionSource(prototypes=known)
    found = [draw(Target("Li2O"), index, source) for index in range(2)]
    assert [c.provenance["round"] for c in found] == [0, 1]
    assert drawn(found[0]).get_chemical_symbols() == ["Li", "Li", "O"]


def test_the_own_formula_is_left_out_when_asked(known: str) -> None:
    open_book, fair = SubstitutionSource(prototypes=known), SubstitutionSource(prototypes=known, same_formula=False)
    assert draw(Target("NaCl"), 0, open_book).provenance["substitutions"] == {}
    assert draw(Target("NaCl"), 0, open_book).provenance["unlikeness"] == 0
    assert drawn(draw(Target("NaCl"), 0, open_book)).get_volume() == pytest.approx(5.64**3 / 4)
    assert draw(Target("NaCl"), 0, fair).provenance["substitutions"] != {}


def test_several_files_count_together(known: str, tmp_path: Path) -> None:
    write(tmp_path / "more.extxyz", bulk("AgI", "wurtzite", a=4.6))
    both = SubstitutionSource(prototypes=f"{known}:{tmp_path / 'more.extxyz'}")
    target = Target("KCl", (1, 2))
    assert {group(drawn(draw(target, index, both))) for index in range(4)} == {186, 216, 221, 225}


def test_volumes_distances_and_groups_asked_for_are_obeyed() -> None:
    target = Target("MgO", (1, 4), min_distances={"Mg-O": 2.05, "O-O": 2.6}, volume_per_atom=(9.0, 12.0))
    for index in range(12):
        atoms = drawn(draw(target, index))
        assert 9.0 - 1e-9 <= atoms.get_volume() / len(atoms) <= 12.0 + 1e-9
        first, second, lengths = neighbor_list("ijd", atoms, 3.0)
        for i, j, length in zip(first, second, lengths, strict=True):
            pair = {atoms.symbols[i], atoms.symbols[j]}
            assert length >= {"MgO": 2.05, "O": 2.6}.get("".join(sorted(pair)), 0.0) - 1e-9
    for index in range(3):
        assert group(drawn(draw(Target("MgO", (1, 4), space_groups=(186, 216)), index))) in (186, 216)
        assert group(drawn(draw(Target("MgO", (1, 4), symmetry_operations=(48, 48)), index))) >= 221


def test_after_the_last_the_list_goes_round_shaken(known: str) -> None:
    source, target = SubstitutionSource(prototypes=known), Target("KCl", min_distances={"K-Cl": 2.9})
    still, moved = drawn(draw(target, 0, source)), draw(target, 3, source)
    assert (moved.provenance["rank"], moved.provenance["round"]) == (0, 1)
    assert group(drawn(moved)) == 1
    assert drawn(moved).get_volume() == pytest.approx(still.get_volume())
    assert drawn(moved).get_distance(0, 1, mic=True) >= 2.9
    assert match(drawn(moved), still)
    again, otherwise = draw(target, 3, source), draw(target, 3, source, seed=1)
    np.testing.assert_array_equal(drawn(again).positions, drawn(moved).positions)
    assert np.abs(drawn(otherwise).positions - drawn(moved).positions).max() > 0.01


def test_a_shake_that_would_break_the_symmetry_asked_for_is_not_made(known: str) -> None:
    source, target = SubstitutionSource(prototypes=known), Target("KCl", symmetry_operations=(24, 48))
    count = next(n for n in range(9) if draw(target, n, source).provenance["round"])
    assert count == 3
    assert draw(target, count, source).atoms is None
    assert "symmetry" in draw(target, count, source).note


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Target("SrTiO3"), "type ABC3: give"),
        (Target("KCl", (3, 5)), "formula units"),
        (Target("KCl", space_groups=(62,)), "symmetry"),
        (Target("KCl", min_distances={"K-Cl": 4.0}, volume_per_atom=(20, 25)), "too close"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(known: str, target: Target, words: str) -> None:
    source = SubstitutionSource(prototypes=known)
    with pytest.raises(InfeasibleTarget, match=words):
        source.check(target)
    with pytest.raises(InfeasibleTarget, match=words):
        draw(target, 0, source)


@pytest.mark.parametrize("options", [{"prototypes": "none.csv"}, {"same_formula": 1}, {"prototypes": 3}, {"scale": 2}])
def test_senseless_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        make_source("substitution", options)
