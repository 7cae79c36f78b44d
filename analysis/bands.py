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
from .statistics.bands import band_over_costs, band_over_relaxations


@dataclass(frozen=True, eq=False)
class SourceBand:
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


def convergence_bands(run: Run, cost: str) -> list[SourceBand]:
    """The band of the whole run, followed by one per source where there are several, as `convergence` orders them.

    Parameters
    ----------
    run : as read by `load_run`.
    cost : "relaxations", "force_calls" or "seconds", as the arrays of `Convergence` are called.
    """
    believed = {record.name for record in believable(run)[0]}
    several = len(run.config.source) > 1
    bands = [_band(WHOLE_RUN if several else run.config.source[0], run.records, believed, cost)]
    if several:
        for source in run.config.source:
            own = [record for record in run.records if record.candidate.source == source]
            bands.append(_band(source, own, believed, cost))
    return bands


def _band(source: str, records: Sequence[Record], believed: set[str], cost: str) -> SourceBand:
    heights = np.array([r.relaxation.enthalpy_per_atom if r.name in believed else np.nan for r in records], dtype=float)
    if not np.isfinite(heights).any():
        none = np.array([])
        return SourceBand(source, none, none, none, none)
    if cost == "relaxations":
        band = band_over_relaxations(heights)
    else:
        costs = [r.relaxation.force_calls if cost == "force_calls" else r.seconds for r in records]
        band = band_over_costs(heights, np.array(costs, dtype=float))
    quartiles = (np.where(np.isnan(q), np.inf, q) for q in (band.low, band.median, band.high))
    return SourceBand(source, np.maximum(band.budget, 0.01), *quartiles)
