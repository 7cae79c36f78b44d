"""Completeness: formulas by hand, intervals and stopping rules against searches whose minima are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xtalseek.errors import InputError
from xtalseek.search.completeness import completeness, parse_rule

CHANCES = {
    "20 equal": np.full(20, 1 / 20),
    "100 equal": np.full(100, 1 / 100),
    "50 uneven": (1 / np.arange(1, 51)) / (1 / np.arange(1, 51)).sum(),
    "few large, many small": 0.7 ** np.arange(30) / (0.7 ** np.arange(30)).sum(),
}


def test_figures_by_hand() -> None:
    """Ten relaxations: minima found 4, 2, 2, 1, 1 times."""
    found = completeness([4, 1, 2, 1, 2])
    assert (found.relaxations, found.minima, found.singletons, found.doubletons) == (10, 5, 2, 2)
    assert found.unseen == pytest.approx(0.2)
    assert found.all_minima == pytest.approx(5 + 0.9 * 2 * 2 / (2 * 2))
    assert found.missed_lower == 1 / 16
    assert found.lower_chance == pytest.approx(1 - 0.05**0.1)
    assert (1 - found.lower_chance) ** 10 == pytest.approx(0.05)


def test_chao_interval_as_published() -> None:
    """Chao 1987: with T unseen and its variance s2, T / C to T C above the seen, C = exp(1.96 sqrt(ln(1 + s2/T2)))."""
    times = [1] * 12 + [2] * 4 + [3] * 8
    found = completeness(times)
    n, ratio = 44, 12 / 4
    unseen = (n - 1) / n * 12**2 / (2 * 4)
    a = (n - 1) / n
    variance = 4 * (a * ratio**2 / 2 + a**2 * ratio**3 + a**2 * ratio**4 / 4)
    factor = math.exp(1.959964 * math.sqrt(math.log(1 + variance / unseen**2)))
    assert found.all_minima == pytest.approx(24 + unseen)
    assert found.all_minima_low == pytest.approx(24 + unseen / factor)
    assert found.all_minima_high == pytest.approx(24 + unseen * factor)


def test_nothing_found_and_all_found_often() -> None:
    nothing = completeness([])
    assert (nothing.unseen, nothing.missed_lower, nothing.all_minima_high) == (1, 1, math.inf)
    assert "nothing can be said" in nothing.lines()[0]
    complete = completeness([40, 30, 30])
    assert complete.unseen == complete.unseen_low == 0
    assert complete.unseen_high == pytest.approx(-math.log(0.025) / 100)  # exact Poisson limit of no singletons
    assert complete.all_minima == 3 and complete.all_minima_high == pytest.approx(3, abs=1e-6)
    with pytest.raises(InputError, match="at least once"):
        completeness([3, 0])


@pytest.mark.parametrize("model", CHANCES)
@pytest.mark.parametrize("relaxations", [50, 200])
def test_unseen_interval_covers_the_unseen_over_a_thousand_searches(model: str, relaxations: int) -> None:
    """An interval of exactly 95 % would be below 0.925 in 1000 with a chance of 0.02 %. The seed is fixed."""
    chances = CHANCES[model]
    rng = np.random.default_rng(4)
    covered, bounded = [], []
    for counts in rng.multinomial(relaxations, chances, size=1000):
        found = completeness(counts[counts > 0].tolist())
        covered.append(found.unseen_low <= chances[counts == 0].sum() <= found.unseen_high)
        bounded.append(found.all_minima_low <= len(chances))
    assert np.mean(covered) > 0.925
    assert np.mean(bounded) > 0.9  # a lower bound of the number of minima


def test_chao_interval_covers_where_minima_are_equal() -> None:
    """100 equal minima, 150 relaxations: the lower bound is then the number itself."""
    rng = np.random.default_rng(6)
    found = [completeness(c[c > 0].tolist()) for c in rng.multinomial(150, CHANCES["100 equal"], size=1000)]
    assert np.mean([f.all_minima_low <= 100 <= f.all_minima_high for f in found]) > 0.9
    assert np.mean([f.all_minima for f in found]) == pytest.approx(100, abs=4)


def test_a_lower_minimum_as_likely_is_missed_with_the_chance_told_even_when_stopping_on_it() -> None:
    """Searches that stop when their lowest minimum was found 5 times; the two lowest have the same chance.

    4000 searches: standard error of 1/32 is 0.003.
    """
    rng = np.random.default_rng(8)
    rule = parse_rule("found-5-times")
    wrong = []
    for _ in range(4000):
        draws = rng.choice(4, size=400, p=[0.1, 0.1, 0.3, 0.5])  # 0 lies lowest
        counts = np.zeros(4, dtype=int)
        for draw in draws:
            counts[draw] += 1
            lowest = int(np.argmax(counts > 0))
            if counts[lowest] >= 5 and completeness(counts[counts > 0].tolist()).should_stop(rule):
                break
        # 2 and 3 are likelier than 0: the chance told holds for a lower minimum as likely as the lowest found.
        if lowest in (0, 1):
            wrong.append(lowest == 1)
    assert np.mean(wrong) == pytest.approx(1 / 32, abs=0.012)


def test_the_chance_of_something_lower_is_bounded() -> None:
    """30 draws of numbers: the mass below their lowest exceeds the bound in 5 % of searches. Standard error 0.0034."""
    lowest = np.random.default_rng(9).random((4000, 30)).min(axis=1)
    bound = completeness([1] * 30).lower_chance
    assert (lowest > bound).mean() == pytest.approx(0.05, abs=0.014)


@pytest.mark.parametrize("model", ["20 equal", "few large, many small"])
def test_stopping_on_unseen_is_rarely_wrong_though_asked_after_every_relaxation(model: str) -> None:
    """200 searches: how many stop with more than 5 % unseen. 10 % would be five errors more than what was measured."""
    chances, rule = CHANCES[model], parse_rule("unseen<0.05")
    rng = np.random.default_rng(10)
    wrong = []
    for _ in range(200):
        counts = np.zeros(len(chances), dtype=int)
        for number, draw in enumerate(rng.choice(len(chances), size=2000, p=chances), start=1):
            counts[draw] += 1
            if number >= 74 and completeness(counts[counts > 0].tolist()).should_stop(rule):
                break
        wrong.append(chances[counts == 0].sum() > 0.05)
    assert np.mean(wrong) < 0.1


def test_unseen_needs_74_relaxations_and_found_needs_the_lowest() -> None:
    unseen, found = parse_rule("unseen<0.05"), parse_rule("found-5-times")
    assert not completeness([73]).should_stop(unseen)
    assert completeness([74]).should_stop(unseen)
    assert not completeness([4, 60]).should_stop(found)
    assert completeness([5, 1, 1, 1]).should_stop(found)
    either = parse_rule(" unseen < .05 | found-5-times ")
    assert (either.times_found, either.unseen) == (5, 0.05)
    assert completeness([5]).should_stop(either) and completeness([3, 80]).should_stop(either)
    assert not completeness([]).should_stop(either)


@pytest.mark.parametrize(
    "text",
    ["", "found-1-times", "found-many-times", "unseen<0", "unseen<1", "unseen>0.1", "found-5-times|", "sometime",
     "found-5-times|found-6-times", "unseen<0.1|unseen<0.2", "unseen<nan"],
)  # fmt: skip
def test_nonsense_is_told_in_one_line_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match=r"until: cannot use .* for example found-5-times\|unseen<0.05") as told:
        parse_rule(text)
    assert "\n" not in str(told.value)
