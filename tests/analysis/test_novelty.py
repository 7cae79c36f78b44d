"""How new a composition is, against distances worked out by hand, and at the scale of a campaign."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from xtalseek.analysis import novelty
from xtalseek.analysis.novelty import composition_novelty, zero_shot
from xtalseek.errors import InputError
from xtalseek.formula import parse_formula

TRAINING = frozenset({"SrTiO3", "Sr2TiO4", "CaTiO3", "TiO2", "NaCl", "KCl", "Al2O3"})


@pytest.mark.parametrize("formula", ["SrTiO3", "O3TiSr", "Sr4Ti4O12", "(SrTi)2O6"])
def test_a_composition_is_seen_in_whatever_way_it_is_written(formula: str) -> None:
    found = composition_novelty(formula, TRAINING)
    assert (found.seen, found.system_seen, found.prototype_seen) == (True, 2, 2)
    assert (found.nearest, found.distance) == ("SrTiO3", 0.0)
    assert found.words == f"seen; {'-'.join(parse_formula(formula))} seen 2 times"


def test_other_proportions_of_known_elements_are_unseen() -> None:
    found = composition_novelty("Sr3Ti2O7", TRAINING)
    assert not found.seen
    assert found.system_seen == 2
    assert found.prototype_seen == 0
    # Fractions 3/12, 2/12, 7/12 against 2/7, 1/7, 4/7: three of 84 atoms differ; against SrTiO3 four.
    assert found.nearest == "Sr2TiO4"
    assert found.distance == pytest.approx(3 / 84)
    assert found.words == "unseen; Sr-Ti-O seen 2 times"
    assert composition_novelty("Na3Cl", TRAINING).words == "unseen; Na-Cl seen once"


@pytest.mark.parametrize(
    ("formula", "nearest", "distance"),
    [
        ("BaTiO3", "CaTiO3", 0.2),  # SrTiO3 is as near, and later by name
        ("KBr", "KCl", 0.5),
        ("Ti", "TiO2", 2 / 3),
        ("KNaCl2", "KCl", 0.25),
    ],
)
def test_the_nearest_shares_most_atoms(formula: str, nearest: str, distance: float) -> None:
    found = composition_novelty(formula, TRAINING)
    assert (found.seen, found.system_seen) == (False, 0)
    assert found.nearest == nearest
    assert found.distance == pytest.approx(distance)
    assert found.words == f"unseen; {'-'.join(parse_formula(formula))} unseen; nearest {nearest}"


def test_nothing_in_common() -> None:
    for training in (TRAINING, frozenset[str]()):
        found = composition_novelty("GaAs", training)
        assert (found.nearest, found.distance) == (None, 1.0)
        assert found.words == "unseen; Ga-As unseen; nearest none"
    assert composition_novelty("GaAs", TRAINING).prototype_seen == 2


def test_one_composition_written_twice_counts_once() -> None:
    found = composition_novelty("ZrO2", frozenset({"TiO2", "Ti2O4", "O2Ti"}))
    assert found.prototype_seen == 1
    assert composition_novelty("TiO3", frozenset({"TiO2", "Ti2O4"})).system_seen == 1


def test_zero_shot_keeps_the_order_and_the_words() -> None:
    asked = ["Ti2O4", "GaAs", "Cl2Na2", "Sr3Ti2O7", "GaAs"]
    assert zero_shot(asked, TRAINING) == ["GaAs", "Sr3Ti2O7", "GaAs"]
    assert zero_shot(asked, frozenset()) == asked


def test_what_is_no_formula_is_told() -> None:
    with pytest.raises(InputError, match="'Xy2'"):
        composition_novelty("Xy2", TRAINING)
    with pytest.raises(InputError, match="'salt'"):
        zero_shot(["NaCl"], frozenset({"salt"}))


def test_distances_are_the_least_of_all_for_random_compositions() -> None:
    """Against the definition, term by term, over every pair."""
    rng = np.random.default_rng(0)
    elements = ["Li", "Fe", "P", "O", "S", "Na", "Mn"]

    def random_formula() -> str:
        chosen = rng.choice(elements, rng.integers(1, 5), replace=False)
        return "".join(f"{symbol}{rng.integers(1, 9)}" for symbol in chosen)

    def distance(one: str, other: str) -> float:
        p, q = (parse_formula(formula) for formula in (one, other))
        atoms, others = sum(p.values()), sum(q.values())
        return 0.5 * sum(abs(p.get(e, 0) / atoms - q.get(e, 0) / others) for e in elements)

    training = frozenset(random_formula() for _ in range(100))
    for formula in (random_formula() for _ in range(50)):
        found = composition_novelty(formula, training)
        least = min(distance(formula, known) for known in training)
        assert found.distance == pytest.approx(least, abs=1e-9)
        if found.nearest is not None:
            assert distance(formula, found.nearest) == pytest.approx(least, abs=1e-9)


def test_ten_thousand_compositions_against_twenty_thousand_take_one_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question then looks only at the compositions that share an element."""
    made: list[int] = []

    class Counting(novelty._Index):
        def __init__(self, training: frozenset[str]) -> None:
            made.append(len(training))
            super().__init__(training)

    monkeypatch.setattr(novelty, "_Index", Counting)
    metals, others = ["Li", "Na", "K", "Mg", "Ca", "Sr", "Ba", "Al", "Ga", "Ti"], ["O", "S", "Se", "F", "Cl"]
    numbers = range(1, 8)
    training = frozenset(
        f"{a}{n}{b}{m}{x}{o}"
        for a, b in itertools.combinations(metals, 2)
        for x in others
        for n, m, o in itertools.product(numbers, numbers, numbers)
        if (n + m + o) % 3 == 0
    )
    assert len(training) > 20_000
    asked = [f"{a}{n}{x}{m}" for a in metals for x in others for n in range(1, 15) for m in range(1, 15)]
    found = [composition_novelty(formula, training) for formula in asked]
    assert len(found) == 9_800
    assert all(one.nearest is not None and one.system_seen == 0 for one in found)
    assert made == [len(training)]
