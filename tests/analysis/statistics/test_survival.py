"""Kaplan-Meier and log-rank: by hand, and by simulation of searches with a known chance of a hit."""

from __future__ import annotations

import numpy as np
import pytest

from xtalseek.analysis.statistics.survival import kaplan_meier, log_rank
from xtalseek.errors import InputError


def test_curve_by_hand() -> None:
    """Six targets: hits at 1, 2, 3; two ran out at 5, one at 2."""
    found = kaplan_meier([1, 2, 2, 3, 5, 5], [True, True, False, True, False, False])
    np.testing.assert_array_equal(found.times, [1, 2, 3, 5])
    survival = np.cumprod([5 / 6, 4 / 5, 2 / 3, 1])
    np.testing.assert_allclose(found.share, 1 - survival)
    # Greenwood's variance on the log-log scale at the second hit, written out.
    variance = 1 / (6 * 5) + 1 / (5 * 4)
    spread = 1.959964 * np.sqrt(variance) / abs(np.log(survival[1]))
    assert found.low[1] == pytest.approx(1 - survival[1] ** np.exp(-spread), rel=1e-5)
    assert found.high[1] == pytest.approx(1 - survival[1] ** np.exp(spread), rel=1e-5)
    assert found.median.value == 3


def test_without_censoring_the_share_is_that_of_counting() -> None:
    times = np.random.default_rng(0).integers(1, 30, size=25)
    found = kaplan_meier(times, np.ones(25, dtype=bool))
    np.testing.assert_allclose(found.share, [(times <= t).mean() for t in found.times])
    assert found.share[-1] == 1 and 0 < found.low[-1] < 1 and found.high[-1] == 1


def test_nothing_hit_reaches_nothing_and_says_so() -> None:
    found = kaplan_meier(np.full(8, 50.0), np.zeros(8, dtype=bool))
    assert (found.share == 0).all()
    assert found.high[0] == pytest.approx(1 - 0.025 ** (1 / 8), rel=1e-6)
    assert (found.median.value, found.median.low, found.median.high) == (None, None, None)


def test_few_targets_give_no_band() -> None:
    found = kaplan_meier([1, 2, 3, 4], [True] * 4)
    assert np.isnan(found.low).all() and found.median.low is None
    assert found.median.value == 2
    assert "too few" in found.assumptions
    assert log_rank((np.arange(4), np.ones(4)), (np.arange(4), np.ones(4))) is None
    with pytest.raises(InputError, match="at least one target"):
        kaplan_meier([], [])


def test_coverage_of_the_band_and_of_the_median_over_a_thousand_searches() -> None:
    """20 targets with one chance of 0.06, given up after 30 relaxations.

    With 1000 searches an interval of 95 % is seen below 0.925 with a chance of 0.02 %; the seed is fixed.
    """
    rng, chance = np.random.default_rng(11), 0.06
    times = rng.geometric(chance, size=(1000, 20))
    truth, median = 1 - (1 - chance) ** 10, 12  # 1 - 0.94^11 < 1/2 < 1 - 0.94^12
    at_10, at_median = [], []
    for row in times:
        found = kaplan_meier(np.minimum(row, 30), row <= 30)
        place = np.searchsorted(found.times, 10, side="right") - 1
        if place >= 0:
            at_10.append(found.low[place] <= truth <= found.high[place])
        low, high = found.median.low, found.median.high
        at_median.append((low is None or low <= median) and (high is None or median <= high))
    assert len(at_10) > 990
    assert np.mean(at_10) > 0.925
    assert np.mean(at_median) > 0.925


def test_log_rank_finds_a_difference_and_not_one_where_there_is_none() -> None:
    """1000 pairs of equal groups: p < 0.05 in about 5 %; 8 % would be four standard errors more."""
    rng = np.random.default_rng(5)
    ever = np.ones(20, dtype=bool)
    small = [log_rank((rng.geometric(0.1, 20), ever), (rng.geometric(0.1, 20), ever)) for _ in range(1000)]
    assert 0.02 < np.mean([p is not None and p < 0.05 for p in small]) < 0.08
    told = log_rank((rng.geometric(0.02, 20), ever), (rng.geometric(0.3, 20), ever))
    assert told is not None and told < 0.01
    assert log_rank((np.full(6, 9.0), np.zeros(6)), (np.full(6, 9.0), np.zeros(6))) is None
