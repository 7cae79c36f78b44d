"""hit@k, success curves and their areas: against counting, closed forms and simulation."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from xtalseek.analysis.statistics.success import (
    ANY_ORDER,
    REORDERINGS,
    cost_curve,
    first_hits_as_run,
    first_hits_of_orders,
    hit_at_k,
    log_area,
    log_area_interval,
    success_curve,
)
from xtalseek.errors import InputError


def test_hit_at_k_counts_the_subsets_with_a_hit() -> None:
    for n, c in [(6, 0), (6, 1), (6, 2), (6, 5), (6, 6)]:
        hits = np.arange(n) < c
        counted = [np.mean([hits[list(s)].any() for s in combinations(range(n), k)]) for k in range(1, n + 1)]
        np.testing.assert_allclose(hit_at_k([n], [c], np.arange(1, n + 1))[0], counted, atol=1e-12)


def test_hit_at_k_is_unbiased_for_the_chance_of_a_hit_in_k() -> None:
    """4000 searches of 30 relaxations; the mean has a standard error below 0.008: five of them never fail by chance."""
    rng, chance = np.random.default_rng(1), 0.07
    hits = rng.binomial(30, chance, size=4000)
    ks = np.array([1, 5, 20, 30])
    np.testing.assert_allclose(hit_at_k(np.full(4000, 30), hits, ks).mean(axis=0), 1 - (1 - chance) ** ks, atol=0.04)


def test_hit_at_k_stays_exact_for_thousands_of_relaxations() -> None:
    (found,) = hit_at_k([6000], [3], [2000])
    assert found[0] == pytest.approx(1 - (4000 * 3999 * 3998) / (6000 * 5999 * 5998), rel=1e-9)


def test_more_than_was_relaxed_is_refused() -> None:
    with pytest.raises(InputError, match="hit@20 needs as many relaxations of each target: one has 12"):
        hit_at_k([50, 12], [1, 1], [5, 20])
    with pytest.raises(InputError, match="more hits than relaxations"):
        hit_at_k([5], [6], [1])


def test_area_is_one_for_a_first_hit_none_for_no_hit_and_known_between() -> None:
    rows = np.array([np.ones(50), np.zeros(50), np.arange(1, 51) >= 10])
    np.testing.assert_allclose(log_area(rows), [1, 0, 1 - math.log(10) / math.log(50)], atol=1e-12)
    np.testing.assert_array_equal(log_area(np.array([[0.3], [0.0]])), [0.3, 0.0])
    found = log_area_interval(rows)
    assert found.low is not None and found.value is not None and found.high is not None
    assert found.low < found.value < found.high


def test_median_relaxations_and_their_interval() -> None:
    """Targets with the same chance: all curves cross one half at ln 2 / -ln(1 - p) relaxations."""
    rng = np.random.default_rng(2)
    hits = rng.binomial(50, 0.1, size=200)
    curve = success_curve(np.arange(1, 51), hit_at_k(np.full(200, 50), hits, np.arange(1, 51)))
    median = curve.reached()
    assert median.low is not None and median.value is not None and median.high is not None
    assert median.low <= math.log(2) / -math.log(0.9) + 1 and median.high >= 6
    assert abs(median.value - 7) <= 1
    assert ANY_ORDER in median.assumptions
    rare = success_curve(np.arange(1, 4), np.tile([0.01, 0.02, 0.03], (30, 1))).reached()
    assert rare.value is None and rare.high is None


def test_costs_over_reorderings_follow_the_distribution_of_the_first_hit() -> None:
    """Costs of 1: first hits must be those of hit@k. 200 orders: standard error below 0.036, allowed are 4 of them."""
    hits = np.arange(30) < 4
    first = first_hits_of_orders(np.ones(30), hits)
    assert len(first.costs) == REORDERINGS and first.spent == 30
    shares = [(first.costs <= k).mean() for k in (1, 5, 10)]
    np.testing.assert_allclose(shares, hit_at_k([30], [4], [1, 5, 10])[0], atol=0.14)
    np.testing.assert_array_equal(first.costs, first_hits_of_orders(np.ones(30), hits).costs)
    assert (first.costs != first_hits_of_orders(np.ones(30), hits, target=1).costs).any()


def test_costs_as_run_end_with_the_first_hit() -> None:
    costs, hits = np.array([3.0, 4.0, 5.0]), np.array([False, True, True])
    first = first_hits_as_run([costs, costs], [hits, np.zeros(3, dtype=bool)])
    np.testing.assert_array_equal(first.costs, [7.0, np.inf])
    assert first.spent == 12


def test_cost_curve_never_falls_and_a_target_without_candidates_does_not_end_it() -> None:
    rng = np.random.default_rng(3)
    found = [first_hits_of_orders(rng.uniform(1, 9, 40), rng.random(40) < 0.2) for _ in range(5)]
    nothing = first_hits_of_orders(np.zeros(40), np.zeros(40, dtype=bool))
    curve = cost_curve([*found, nothing])
    assert curve is not None
    assert (np.diff(curve.share) >= 0).all() and (np.diff(curve.budget) > 0).all()
    assert curve.share[-1] == pytest.approx(5 / 6)
    assert cost_curve([nothing]) is None
