"""Validity as CDVAE measures it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from xtalseek.analysis import validity
from xtalseek.analysis.validity import (
    Composition,
    composition_is_valid,
    compositions_are_valid,
    reduced_composition,
    structure_is_valid,
    structures_are_valid,
)


def pair(distance: float) -> Atoms:
    """Two atoms so far apart across the border of a cell, and further inside it."""
    return Atoms("Ar2", positions=[[distance / 2, 1, 1], [4 - distance / 2, 1, 1]], cell=[4, 4, 4], pbc=True)


def test_atoms_nearer_than_half_an_angstrom_are_invalid_across_the_border_too() -> None:
    assert structure_is_valid(pair(0.51))
    assert not structure_is_valid(pair(0.49))
    assert not structure_is_valid(pair(0.0))


def test_cells_without_volume_and_broken_coordinates_are_invalid() -> None:
    good = bulk("NaCl", "rocksalt", a=5.64)
    flat, unknown = good.copy(), good.copy()
    flat.cell[2] = flat.cell[1]
    unknown.positions[0] = np.nan
    tiny = Atoms("H", cell=[0.4, 0.4, 0.4], pbc=True)  # 0.064 Å^3
    small = Atoms("H", cell=[0.5, 0.5, 0.5], pbc=True)  # 0.125 Å^3; its own images are not looked at, as in CDVAE
    found = structures_are_valid([good, flat, unknown, tiny, small, None, Atoms(cell=[3, 3, 3], pbc=True)])
    assert found.tolist() == [True, False, False, False, True, False, False]


def test_reduced_compositions_do_not_depend_on_the_cell() -> None:
    cell = bulk("NaCl", "rocksalt", a=5.64)
    assert reduced_composition(cell) == reduced_composition(cell.repeat((2, 3, 1))) == (("Cl", 1), ("Na", 1))


@pytest.mark.parametrize(
    ("composition", "valid"),
    [
        ((("Cl", 1), ("Na", 1)), True),
        ((("Cl", 1), ("Na", 2)), False),  # neutral only with Cl2+ and Na-, which Pauling's test forbids
        ((("O", 2), ("Ti", 1)), True),
        ((("F", 3), ("Ti", 7)), False),
        ((("Au", 1), ("Cu", 1)), True),  # an alloy
        ((("Si", 1),), True),
        ((("He", 1), ("Na", 1)), False),
    ],
)
def test_known_compositions(composition: Composition, valid: bool) -> None:
    pytest.importorskip("smact")
    assert composition_is_valid(composition) is valid


def test_it_is_smacts_own_answer() -> None:
    smact = pytest.importorskip("smact")
    from smact.screening import pauling_test

    def answer(composition: Composition) -> bool:
        symbols = [symbol for symbol, _ in composition]
        if len(symbols) == 1 or all(symbol in smact.metals for symbol in symbols):
            return True
        elements = [smact.Element(symbol) for symbol in symbols]
        charges = itertools.product(*(e.oxidation_states_smact14 or [] for e in elements))
        return any(
            sum(q * count for q, (_, count) in zip(choice, composition, strict=True)) == 0
            and pauling_test(choice, [e.pauling_eneg for e in elements])
            for choice in charges
        )

    rng = np.random.default_rng(0)
    common = np.array(["Li", "O", "Fe", "S", "Cl", "Ca", "Ti", "N", "P", "Si", "Al", "Cu", "Bi", "H"])
    drawn = []
    for _ in range(200):
        symbols = sorted(rng.choice(common, int(rng.integers(2, 4)), replace=False).tolist())
        drawn.append(tuple((symbol, int(rng.integers(1, 6))) for symbol in symbols))
    found = [composition_is_valid(composition) for composition in drawn]
    assert found == [answer(composition) for composition in drawn]
    assert 20 < sum(found) < 180


def test_without_smact_the_figure_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validity, "smact_package", lambda: None)
    assert compositions_are_valid([bulk("Cu")]) is None


def test_a_structure_that_was_never_made_has_no_valid_composition() -> None:
    pytest.importorskip("smact")
    found = compositions_are_valid([bulk("Cu"), None])
    assert found is not None
    assert found.tolist() == [True, False]
