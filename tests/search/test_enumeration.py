from __future__ import annotations

import math
import subprocess
import sys
import time
from itertools import product

import pytest
from pymatgen.core import Composition, Element

from xtalseek.errors import InputError
from xtalseek.formula import parse_formula
from xtalseek.search.enumeration import Balance, enumerate_formulas, fitting_units, parse_system


def balances(system: str, max_atoms: int, subsystems: bool = False) -> dict[str, Balance]:
    found = enumerate_formulas(parse_system(system), max_atoms, subsystems=subsystems)
    return {entry.formula: entry.balance for entry in found}


@pytest.mark.parametrize(
    ("system", "formula", "balance"),
    [
        ("Na-Cl", "NaCl", Balance.NEUTRAL),
        ("Na-Cl", "Na2Cl", Balance.NONE),
        ("Mg-O", "MgO", Balance.NEUTRAL),
        ("Ti-O", "TiO2", Balance.NEUTRAL),
        ("Sr-Ti-O", "SrTiO3", Balance.NEUTRAL),
        ("Si-C", "SiC", Balance.NEUTRAL),
        ("Fe-O", "Fe2O3", Balance.NEUTRAL),
        ("Fe-O", "Fe3O4", Balance.MIXED_VALENCE),
        ("Pb-O", "Pb3O4", Balance.MIXED_VALENCE),
        ("Cu-O", "Cu2O", Balance.RARER_STATES),
        ("V-O", "VO2", Balance.RARER_STATES),
        ("V-O", "V3O5", Balance.RARER_STATES),
        ("Fe-O", "FeO3", Balance.NONE),
        ("O-P-Fe-Li", "LiFePO4", Balance.NEUTRAL),
        ("Li-Fe-P-O", "Li3Fe2P3O12", Balance.NEUTRAL),
        ("Li-Fe-P-O", "LiFe2P3O12", Balance.NONE),
    ],
)
def test_known_compounds_balance_as_chemists_balance_them(system: str, formula: str, balance: Balance) -> None:
    assert balances(system, 20)[formula] is balance


def test_metals_balance_nothing_and_all_come() -> None:
    found = balances("Cu-Al-Mg", 8)
    assert set(found.values()) == {Balance.NONE}
    assert "MgAlCu2" in found
    assert len(found) == len(by_brute_force(("Mg", "Al", "Cu"), 8))


def by_brute_force(symbols: tuple[str, ...], max_atoms: int) -> set[tuple[int, ...]]:
    return {
        counts
        for counts in product(range(1, max_atoms + 1), repeat=len(symbols))
        if sum(counts) <= max_atoms and math.gcd(*counts) == 1
    }


@pytest.mark.parametrize("symbols", [("Fe", "O"), ("Sn", "P", "S"), ("C", "H", "N", "O")])
def test_counts_and_balances_are_those_of_trying_everything(symbols: tuple[str, ...]) -> None:
    found = {}
    for entry in enumerate_formulas(symbols, 9):
        written = parse_formula(entry.formula)
        found[tuple(written[s] for s in symbols)] = entry.balance
        assert entry.atoms == sum(written.values()) <= 9
    assert found.keys() == by_brute_force(symbols, 9)

    def sums(one_state: bool, counts: tuple[int, ...], rarer: bool) -> bool:
        """Whether atoms can be given states that sum to zero: one state an element, or else one element in two."""
        elements = [Element(s) for s in symbols]
        states = [set(e.common_oxidation_states) | (set(e.icsd_oxidation_states) if rarer else set()) for e in elements]
        states = [s - {0} for s in states]
        if one_state:
            return any(sum(n * q for n, q in zip(counts, some, strict=True)) == 0 for some in product(*states))
        for i, n in enumerate(counts):
            for split in range(1, n):
                atoms = (*counts[:i], split, n - split, *counts[i + 1 :])
                for some in product(*states[:i], states[i], states[i], *states[i + 1 :]):
                    same_sign = some[i] * some[i + 1] > 0
                    if same_sign and sum(k * q for k, q in zip(atoms, some, strict=True)) == 0:
                        return True
        return False

    for counts, balance in found.items():
        if sums(True, counts, False):
            expected = Balance.NEUTRAL
        elif sums(False, counts, False):
            expected = Balance.MIXED_VALENCE
        elif sums(True, counts, True) or sums(False, counts, True):
            expected = Balance.RARER_STATES
        else:
            expected = Balance.NONE
        assert balance is expected, counts


def test_the_likely_come_first_then_the_small_and_a_limit_keeps_the_first() -> None:
    found = enumerate_formulas(("Li", "Fe", "P", "O"), 14)
    assert [(e.balance, e.atoms, e.formula) for e in found] == sorted((e.balance, e.atoms, e.formula) for e in found)
    assert enumerate_formulas(("O", "P", "Li", "Fe"), 14, limit=10) == found[:10]


def test_elements_stand_in_the_order_of_pymatgen() -> None:
    for entry in enumerate_formulas(("O", "H", "Na", "Xe", "C"), 8):
        theirs = Composition(entry.formula).as_reduced_dict()
        counts = parse_formula(entry.formula)
        assert counts == theirs
        assert list(counts) == sorted(counts, key=lambda symbol: Element(symbol).X)
    formulas = {e.formula for e in enumerate_formulas(("Li", "O"), 4)}
    assert "LiO" in formulas  # which pymatgen would write Li2O2, a formula of another size


def test_subsystems_are_of_two_elements_or_more() -> None:
    found = balances("Li-Fe-O", 6, subsystems=True)
    assert {"Li2O", "LiFeO2", "FeO", "LiFe"} <= set(found)
    assert not {"Li", "Fe", "O"} & set(found)
    assert {f for f in found if len(parse_formula(f)) == 3} == set(balances("Li-Fe-O", 6))


def test_cells_hold_no_more_atoms_than_allowed() -> None:
    assert fitting_units(None, 7, 20) == (1, 2)
    assert fitting_units((1, 4), 2, 20) == (1, 4)
    assert fitting_units((2, 8), 3, 20) == (2, 6)
    assert fitting_units((2, 4), 12, 20) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Li", "two or more"),
        ("Li-Li", "two or more different"),
        ("Li-fe", "unknown element"),
        ("", "unknown element"),
        ("Li--O", "unknown element"),
    ],
)
def test_a_wrong_system_is_told(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_system(text)


def test_too_few_or_too_many_atoms_are_told_before_any_work() -> None:
    with pytest.raises(InputError, match=r"max_atoms: 3 is too few for Li-Fe-P-O: give 4"):
        enumerate_formulas(("Li", "Fe", "P", "O"), 3)
    start = time.perf_counter()
    with pytest.raises(InputError, match=r"1,000,000 are allowed"):
        enumerate_formulas(("Li", "Fe", "P", "O", "S", "Mn", "Co", "Ni"), 60)
    assert time.perf_counter() - start < 1


def test_importing_it_imports_no_pymatgen() -> None:
    code = "import sys, xtalseek.search.campaign_config; sys.exit('pymatgen.core' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
