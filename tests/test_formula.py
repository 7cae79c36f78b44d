from __future__ import annotations

import pytest

from xtalseek.errors import InputError
from xtalseek.formula import pair_key, parse_formula, reduced_formula


@pytest.mark.parametrize(
    ("formula", "counts"),
    [
        ("SrTiO3", {"Sr": 1, "Ti": 1, "O": 3}),
        ("Ca(OH)2", {"Ca": 1, "O": 2, "H": 2}),
        ("Ca3(PO4)2", {"Ca": 3, "P": 2, "O": 8}),
        ("K(Al(OH)2)3", {"K": 1, "Al": 3, "O": 6, "H": 6}),
        ("CO", {"C": 1, "O": 1}),
        ("Co", {"Co": 1}),
    ],
)
def test_formulas(formula: str, counts: dict[str, int]) -> None:
    assert parse_formula(formula) == counts
    assert list(parse_formula(formula)) == list(counts)


@pytest.mark.parametrize(
    ("formula", "told"),
    [
        ("Xx2O", "unknown element"),
        ("srtio3", "is not a formula"),
        ("Sr0.5TiO3", "is not a formula"),
        ("", "is not a formula"),
        ("Ti O2", "is not a formula"),
        ("TiO2; rm -rf", "is not a formula"),
        ("TiO0", "counts nothing"),
        ("Ti(O", "never closed"),
        ("TiO)2", "never opened"),
        ("()2", "is not a formula"),
    ],
)
def test_bad_formulas_are_told_in_one_line(formula: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        parse_formula(formula)
    assert "\n" not in str(caught.value)
    assert repr(formula) in str(caught.value)


def test_the_nearest_element_is_suggested() -> None:
    with pytest.raises(InputError, match="did you mean 'Si'"):
        parse_formula("Sii")


def test_reduced_formula() -> None:
    assert reduced_formula({"Ti": 4, "O": 8}) == ("TiO2", 4)
    assert reduced_formula({"Si": 8}) == ("Si", 8)
    assert reduced_formula({"H": 2, "O": 1}) == ("H2O", 1)


def test_pairs_have_one_key_in_either_order() -> None:
    assert pair_key("Ti-O") == pair_key("O - Ti") == ("O", "Ti")
    for bad in ("TiO", "Ti-", "Ti-Qq", "Ti-O-O"):
        with pytest.raises(InputError, match="not a pair"):
            pair_key(bad)
