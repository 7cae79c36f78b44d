"""Time to the first hit in the order that was run, with targets that were never hit as censored: Kaplan and Meier."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import CensoredData, ecdf, logrank

from ...errors import InputError
from .intervals import CONFIDENCE, FEWEST_TARGETS, Estimate, binomial_interval


@dataclass(frozen=True, eq=False)
class KaplanMeier:
    """Share of targets hit by a time: 1 - S of Kaplan and Meier (1958, doi:10.1080/01621459.1958.10501452).

    Attributes
    ----------
    times : (n,), where hits happened or targets ran out; the share is 0 before the first.
    share : (n,), from that time on.
    low, high : (n,), 95 % band by Greenwood's variance on the log-log scale; where the share is 0 or 1, which has no
        variance, the exact binomial interval of the targets still at risk. NaN with fewer than 5 targets.
    median : time by which half of the targets are hit, with the interval of Brookmeyer and Crowley (1982,
        doi:10.2307/2530286); None: not reached.
    assumptions : in words.
    """

    times: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray
    median: Estimate
    assumptions: str


def kaplan_meier(times: Sequence[float] | np.ndarray, hit: Sequence[bool] | np.ndarray) -> KaplanMeier:
    """The success curve of targets that were each run once.

    Parameters
    ----------
    times : (n_targets,), cost of the first hit, or all that was spent where there was none.
    hit : (n_targets,), whether there was one.

    Raises
    ------
    InputError : no targets.
    """
    t, event = np.asarray(times, dtype=float), np.asarray(hit, dtype=bool)
    if len(t) == 0:
        raise InputError("a success curve needs at least one target")
    words = (
        f"{len(t)} independent targets, one run each in the order run; targets never hit count up to where they ran "
        "out, which must have nothing to do with how hard they are"
    )
    found = ecdf(CensoredData.right_censored(t, ~event)).sf
    points, share = found.quantiles, 1 - found.probabilities
    if len(t) < FEWEST_TARGETS:
        words += f"; too few targets for a band (fewer than {FEWEST_TARGETS})"
        low = high = np.full(len(points), np.nan)
    else:
        # Where the curve is 0 or 1 the formula divides by zero, and scipy warns; those places are filled in below.
        with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            band = found.confidence_interval(CONFIDENCE, method="log-log")
        low, high = 1 - band.high.probabilities, 1 - band.low.probabilities
        for place in np.flatnonzero((share <= 0) | (share >= 1) | ~np.isfinite(low) | ~np.isfinite(high)):
            at_risk = int((t >= points[place]).sum())
            exact = binomial_interval(round(share[place] * at_risk), at_risk)
            low[place], high[place] = exact.low, exact.high
        # A band by targets at risk may turn back at the ends; the share itself never does.
        low, high = np.maximum.accumulate(low), np.minimum.accumulate(high[::-1])[::-1]
    median = Estimate(_first(points, share), _first(points, high), _first(points, low), words)
    return KaplanMeier(points, share, low, high, median, words)


def log_rank(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> float | None:
    """Two-sided p-value of the log-rank test that two groups of targets are hit equally fast.

    It takes the groups as unrelated. For two sources on the same targets that is cautious: easy targets are easy for
    both, which the test counts as noise.

    Parameters
    ----------
    first, second : (times, hit) as for `kaplan_meier`.

    Returns
    -------
    None with fewer than 5 targets in a group, or without any hit.
    """
    if min(len(first[0]), len(second[0])) < FEWEST_TARGETS or not (np.any(first[1]) or np.any(second[1])):
        return None
    groups = [CensoredData.right_censored(t, ~np.asarray(hit, dtype=bool)) for t, hit in (first, second)]
    return float(logrank(*groups).pvalue)


def _first(points: np.ndarray, share: np.ndarray) -> float | None:
    """Where a share reaches one half; the small allowance is for rounding in products of fractions."""
    reached = share >= 0.5 - 1e-12
    return float(points[np.argmax(reached)]) if reached.any() else None
