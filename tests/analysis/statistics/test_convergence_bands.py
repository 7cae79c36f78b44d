"""Convergence bands: the closed form against all orders, costs against relaxations, runs as they are."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from xtalseek.analysis.statistics.bands import band_of_runs, band_over_costs, band_over_relaxations
from xtalseek.errors import InputError


def test_band_is_that_of_all_subsets() -> None:
    energies = np.array([-1.0, np.nan, -3.0, -2.0, -2.5, np.nan, -0.5])
    band = band_over_relaxations(energies)
    np.testing.assert_array_equal(band.budget, np.arange(1, 8))
    known = np.where(np.isnan(energies), np.inf, energies)
    for k in range(1, 8):
        lowest = [known[list(s)].min() for s in combinations(range(7), k)]
        expected = np.quantile(lowest, [0.25, 0.5, 0.75], method="inverted_cdf")
        found = np.array([band.low[k - 1], band.median[k - 1], band.high[k - 1]])
        np.testing.assert_array_equal(found, np.where(np.isinf(expected), np.nan, expected))


def test_band_falls_ends_at_the_lowest_and_does_not_depend_on_the_order() -> None:
    energies = np.random.default_rng(0).normal(size=3000)
    band = band_over_relaxations(energies)
    assert band.budget[0] == 1 and band.budget[-1] == 3000
    for curve in (band.low, band.median, band.high):
        assert (np.diff(curve) <= 0).all()
        assert curve[-1] == energies.min()
    assert (band.low <= band.median).all() and (band.median <= band.high).all()
    np.testing.assert_array_equal(band.median, band_over_relaxations(energies[::-1]).median)


def test_costs_of_one_give_the_closed_form() -> None:
    """400 orders place a median within 7.5 % of probability (3 standard errors): between the quantiles there."""
    energies = np.random.default_rng(1).normal(size=40)
    exact, drawn = band_over_relaxations(energies), band_over_costs(energies, np.ones(40))
    whole = np.floor(drawn.budget * (1 + 1e-9)).astype(int)
    ranked = np.sort(energies)
    for k, found in zip(whole, drawn.median, strict=True):
        left = 40 - np.arange(1, 41)
        below = 1 - np.array([np.prod((n - np.arange(k)).clip(0) / (40 - np.arange(k))) for n in left])
        assert ranked[np.searchsorted(below, 0.425)] <= found <= ranked[np.searchsorted(below, 0.575)]
    assert drawn.median[-1] == exact.median[-1] == energies.min()
    np.testing.assert_array_equal(drawn.median, band_over_costs(energies, np.ones(40)).median)


def test_nothing_counts_before_its_cost_is_spent() -> None:
    band = band_of_runs([np.array([-1.0, -2.0])], [np.array([10.0, 30.0])])
    assert band.budget[0] == 10 and band.budget[-1] == 40
    np.testing.assert_array_equal(band.median, np.where(band.budget < 40, -1.0, -2.0))


def test_runs_keep_their_order_and_the_shortest_ends_the_band() -> None:
    runs = [np.array([-1.0, -5.0, -9.0]), np.array([-2.0, -3.0]), np.array([np.nan, -4.0])]
    band = band_of_runs(runs, [np.ones(len(r)) for r in runs])
    assert band.budget[-1] == 2
    assert (band.low[-1], band.median[-1], band.high[-1]) == (-5, -4, -3)
    assert band.median[0] == -1 and np.isnan(band.high[0])


def test_no_relaxation_is_refused_and_no_energy_is_nan() -> None:
    for call in (
        lambda: band_over_relaxations(np.array([])),
        lambda: band_over_costs(np.array([]), np.array([])),
        lambda: band_of_runs([], []),
    ):
        with pytest.raises(InputError, match="at least one relaxation"):
            call()
    assert np.isnan(band_over_relaxations(np.array([np.nan, np.nan])).median).all()
    assert np.isnan(band_over_costs(np.array([np.nan]), np.array([0.0])).median).all()
