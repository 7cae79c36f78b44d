"""Intervals of shares and of means: closed forms, and coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from xtalseek.analysis.statistics.intervals import binomial_interval, mean_bands, mean_interval
from xtalseek.errors import InputError


def test_binomial_interval_is_where_the_tails_hold_two_and_a_half_percent() -> None:
    found = binomial_interval(3, 20)
    assert found.value == 0.15
    assert found.low is not None and found.high is not None
    assert binom.sf(2, 20, found.low) == pytest.approx(0.025, abs=1e-6)
    assert binom.cdf(3, 20, found.high) == pytest.approx(0.025, abs=1e-6)
    assert binomial_interval(0, 9).low == 0
    assert binomial_interval(9, 9).high == 1


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 5)])
def test_impossible_counts_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(InputError, match="successes in"):
        binomial_interval(successes, trials)


@pytest.mark.parametrize(("ones", "targets"), [(0, 6), (3, 10), (20, 20), (1, 1)])
def test_mean_of_zeros_and_ones_has_the_exact_binomial_interval(ones: int, targets: int) -> None:
    exact, found = binomial_interval(ones, targets), mean_interval([1.0] * ones + [0.0] * (targets - ones))
    assert found.value == exact.value
    # 8000 draws place a tail of 2.5 % within 0.5 % (3 sigma); at these shares that moves an end by less than 0.03.
    assert found.low == pytest.approx(exact.low, abs=0.03)
    assert found.high == pytest.approx(exact.high, abs=0.03)


def test_interval_is_the_same_each_time_narrows_with_targets_and_does_not_depend_on_their_order() -> None:
    values = np.random.default_rng(0).random(40)
    bands = [np.ravel(mean_bands(v[:, None])) for v in (values[:10], np.repeat(values[:10], 4))]
    assert bands[1][2] - bands[1][1] < 0.7 * (bands[0][2] - bands[0][1])
    assert mean_interval(values) == mean_interval(values)
    shuffled, straight = mean_interval(values[::-1]), mean_interval(values)
    assert shuffled.low == pytest.approx(straight.low, abs=0.02)


def test_means_outside_a_share_or_of_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        mean_interval([0.2, 1.2])
    with pytest.raises(InputError, match="at least one target"):
        mean_interval([])


@pytest.mark.parametrize(("targets", "shape"), [(5, (0.3, 2.0)), (20, (0.1, 5.0))])
def test_coverage_over_a_thousand_synthetic_searches(targets: int, shape: tuple[float, float]) -> None:
    """Success of one relaxation and of the best of 20, chances per target from a beta distribution, 40 relaxations.

    An interval of exactly 95 % would fall below 0.93 in 1000 with a chance of 0.3 %; this one is conservative. The seed
    is fixed.
    """
    rng = np.random.default_rng(7)
    many = rng.beta(*shape, size=400_000)
    truth = np.array([many.mean(), (1 - (1 - many) ** 20).mean()])
    chances = rng.beta(*shape, size=(1000, targets))
    hits = rng.binomial(40, chances)
    n = np.arange(41)
    in_20 = 1 - np.array([np.prod((40 - c - np.arange(20)).clip(0) / (40 - np.arange(20))) for c in n])
    inside = []
    for row in hits:
        _, low, high = mean_bands(np.stack([row / 40, in_20[row]], axis=1))
        inside.append((low <= truth) & (truth <= high))
    assert (np.mean(inside, axis=0) > 0.93).all()
