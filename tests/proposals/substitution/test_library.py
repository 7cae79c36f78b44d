"""Prototypes: AFLOW's are all there, and each is reduced to the primitive cell it has."""

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from xtalseek.errors import InputError
from xtalseek.formula import ELEMENTS
from xtalseek.proposals.substitution.library import Prototype, anonymous, anonymous_formula, load_library
from xtalseek.proposals.substitution.similarity import SCALE, unlikeness


def test_aflow_prototypes_have_the_groups_in_their_names() -> None:
    """AFLOW's labels name the Pearson symbol and the space group: AB_cF8_225_a_b."""
    prototypes = [p for group in load_library(()).prototypes.values() for p in group]
    assert len(prototypes) > 250
    small = [p for p in prototypes if len(p.atoms) <= 12]
    groups = [(p.primitive.group if p.primitive else 0, int(p.name.split("_")[2])) for p in small]
    wrong = [pair for pair in groups if pair[0] != pair[1]]
    assert len(wrong) <= 0.05 * len(small), wrong


@pytest.mark.parametrize(("kind", "group"), [("rocksalt", 225), ("zincblende", 216), ("wurtzite", 186)])
def test_primitive_cells_of_supercells(kind: str, group: int) -> None:
    small = bulk("ZnS", kind, a=4.0)
    primitive = Prototype("x", small.repeat((2, 1, 3))).primitive
    assert primitive is not None
    assert len(primitive.atoms) == len(small)
    assert primitive.group == group
    assert primitive.atoms.get_volume() == pytest.approx(small.get_volume())
    assert np.linalg.det(primitive.atoms.cell.array) > 0
    assert primitive.orbits.tolist() == [len(small) // 2] * len(small)


def test_anonymous_formulas() -> None:
    assert anonymous({"Sr": 2, "Ti": 2, "O": 6}) == (1, 1, 3)
    assert anonymous_formula({"O": 4, "Mg": 1, "Al": 2}) == "AB2C4"


def test_files_are_read_and_missing_ones_named(tmp_path: Path) -> None:
    write(tmp_path / "known.extxyz", [bulk("NaCl", "rocksalt", a=5.6), bulk("Si")])
    library = load_library((str(tmp_path / "known.extxyz"),))
    assert set(library.prototypes) == {(1, 1), (1,)}
    with pytest.raises(InputError, match=r"none\.csv"):
        load_library((str(tmp_path / "none.csv"),))


def test_scale_holds_every_element_once_and_puts_alike_ones_together() -> None:
    places = SCALE.split()
    assert sorted(places) == sorted(ELEMENTS)
    assert unlikeness("Sr", "Sr") == 0
    assert unlikeness("Sr", "Ca") == unlikeness("Ca", "Sr") < unlikeness("Sr", "Ti")
    for alike in (("Zr", "Hf"), ("Nb", "Ta"), ("Se", "Te"), ("Cl", "Br"), ("K", "Rb")):
        assert unlikeness(*alike) == min(unlikeness(alike[0], other) for other in places if other != alike[0])
