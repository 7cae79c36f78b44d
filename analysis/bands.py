"""How much the order of its relaxations matters to a search: bands of "lowest so far" over random reorderings.

Another seed would have drawn the same kinds of candidates in another order. The bands say how far the course of the
search hangs on that. They say nothing of minima that no relaxation reached: every reordering ends at the run's own
lowest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..records import Record
from ..search.store import Run
from .curves import WHOLE_RUN
from .minima import believable

REORDERINGS = 200
QUARTILES = (0.25, 0.5, 0.75)
_POINTS = 120


@dataclass(frozen=True, eq=False)
class Band:
    """Median and quartiles of the lowest enthalpy so far. All arrays have the shape (n_points,).

    Attributes
    ----------
    source : the source, or `WHOLE_RUN`.
    cost : what had been spent, rising.
    lower, median, upper : eV/atom; inf where that share of the reorderings has found nothing yet.
    """

    source: str
    cost: np.ndarray
    lower: np.ndarray
    median: np.ndarray
    upper: np.ndarray


def convergence_bands(run: Run, cost: str, reorderings: int = REORDERINGS, seed: int = 0) -> list[Band]:
    """The band of the whole run, followed by one per source where there are several, as `convergence` orders them.

    Parameters
    ----------
    run : as read by `load_run`.
    cost : "relaxations", "force_calls" or "seconds", as the arrays of `Convergence` are called.
    reorderings : random orders that are drawn.
    seed : of those orders; the same seed gives the same band.
    """
    believed = {record.name for record in believable(run)[0]}
    several = len(run.config.source) > 1
    bands = [_band(WHOLE_RUN if several else run.config.source[0], run.records, believed, cost, reorderings, seed)]
    if several:
        for source in run.config.source:
            own = [record for record in run.records if record.candidate.source == source]
            bands.append(_band(source, own, believed, cost, reorderings, seed))
    return bands


def lowest_over_orders(
    heights: np.ndarray, costs: np.ndarray, at: np.ndarray, reorderings: int = REORDERINGS, seed: int = 0
) -> np.ndarray:
    """Quartiles of the lowest height found when `at` has been spent, over random orders: (3, n_points).

    Parameters
    ----------
    heights : (n,), eV/atom; inf for a relaxation that found nothing.
    costs : (n,), of each relaxation, not negative.
    at : (n_points,).
    """
    orders = np.random.default_rng(seed).permuted(np.tile(np.arange(len(heights)), (reorderings, 1)), axis=1)
    lowest = np.minimum.accumulate(heights[orders], axis=1)
    spent = np.cumsum(costs[orders], axis=1)
    # Sums of the same numbers in another order differ in their last digits.
    finished = np.array([np.searchsorted(row, at * (1 + 1e-9), side="right") for row in spent])
    nothing = np.full((reorderings, 1), np.inf)
    found = np.take_along_axis(np.hstack([nothing, lowest]), finished, axis=1)
    # Order statistics, not interpolated: between a number and infinity there is nothing.
    return np.sort(found, axis=0)[[int(np.ceil(q * reorderings)) - 1 for q in QUARTILES]]


def _band(source: str, records: Sequence[Record], believed: set[str], cost: str, reorderings: int, seed: int) -> Band:
    heights = np.array([r.relaxation.enthalpy_per_atom if r.name in believed else np.inf for r in records], dtype=float)
    if not np.isfinite(heights).any():
        none = np.array([])
        return Band(source, none, none, none, none)
    costs = np.array([_cost(record, cost) for record in records], dtype=float)
    total, first = float(costs.sum()), float(costs.min())
    at = np.geomspace(max(first, total / 1e4, 0.01), max(total, 0.01), _POINTS)
    if cost == "relaxations":
        at = np.unique(np.round(at))
    return Band(source, at, *lowest_over_orders(heights, costs, at, reorderings, seed))


def _cost(record: Record, cost: str) -> float:
    if cost == "relaxations":
        return 1.0
    if cost == "force_calls":
        return float(record.relaxation.force_calls)
    return record.candidate.seconds + record.relaxation.seconds
