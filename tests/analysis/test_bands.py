"""Bands of "lowest so far" over reorderings, against the exact law of the lowest of k drawn without replacement."""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np
import pytest
from ase import Atoms

from xtalseek.analysis import convergence
from xtalseek.analysis.bands import QUARTILES, convergence_bands, lowest_over_orders
from xtalseek.records import Record, Status
from xtalseek.search.store import Run

MakeRun = Callable[..., Run]
MakeRecord = Callable[..., Record]


def test_quartiles_follow_the_exact_law() -> None:
    """P(lowest of k of n lies above rank r) = C(n - r, k) / C(n, k).

    4,000 orders know a probability to 0.008 (one standard error at most); the quartiles that were drawn must be exact
    ones for probabilities within 4 standard errors: with 3 x 40 of them a false alarm in 120 of 1.6e4 runs at worst,
    and the seed is fixed.
    """
    n, orders = 40, 4000
    heights = np.random.default_rng(5).permutation(np.arange(1.0, n + 1))
    found = lowest_over_orders(heights, np.ones(n), np.arange(1.0, n + 1), orders, seed=1)
    for k in range(1, n + 1):
        below = np.array([1 - comb(n - r, k) / comb(n, k) for r in range(n + 1)])
        for q, height in zip(QUARTILES, found[:, k - 1], strict=True):
            rank = int(height)
            assert below[rank] >= q - 0.032 and below[rank - 1] <= q + 0.032


def test_failures_count_as_cost_and_find_nothing() -> None:
    heights = np.array([np.inf] * 9 + [1.0])
    lower, median, upper = lowest_over_orders(heights, np.ones(10), np.arange(1.0, 11), 1000)
    assert np.isinf(upper[:6]).all() and np.isfinite(upper[8:]).all()  # found with chance k / 10 after k
    assert np.isinf(median[:3]).all() and np.isfinite(median[6:]).all()
    assert np.isfinite(lower[4:]).all()


def test_costs_are_those_of_the_relaxations() -> None:
    """The only one that finds anything costs 90 of 100: nothing is found for less, whatever the order."""
    heights, costs = np.array([1.0, np.inf]), np.array([90.0, 10.0])
    found = lowest_over_orders(heights, costs, np.array([10.0, 89.0, 90.0, 100.0]), 101)
    assert np.isinf(found[:, :2]).all()
    assert found[0, 2] == 1.0 and np.isinf(found[2, 2])
    assert (found[:, 3] == 1.0).all()


@pytest.mark.parametrize("cost", ["relaxations", "force_calls", "seconds"])
def test_bands_end_where_the_curves_end_and_are_reproducible(
    make_run: MakeRun, disguises: list[Record], cost: str
) -> None:
    run = make_run(disguises)
    (band,), (curve,) = convergence_bands(run, cost), convergence(run)
    assert band.source == curve.source
    assert band.cost[-1] == pytest.approx(getattr(curve, cost)[-1])
    assert band.lower[-1] == band.median[-1] == band.upper[-1] == curve.lowest[-1]
    assert (np.diff(band.median[np.isfinite(band.median)]) <= 0).all()
    assert (band.lower <= band.median).all() and (band.median <= band.upper).all()
    again = convergence_bands(run, cost)[0]
    assert (again.median == band.median).all()


def test_one_band_per_source_and_none_where_nothing_converged(
    make_run: MakeRun, make_record: MakeRecord, rutile: Atoms
) -> None:
    records = [
        make_record(0, rutile, -8.0, source="random"),
        make_record(0, rutile, None, Status.NAN, source="seeds"),
    ]
    bands = convergence_bands(make_run(records, {"source": ["random", "seeds"]}), "relaxations")
    assert [(band.source, len(band.cost)) for band in bands] == [("all sources", 2), ("random", 1), ("seeds", 0)]
