"""Intervals of shares and of means over targets that hold for few targets too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from ...errors import InputError

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
FEWEST_TARGETS = 5
"""With fewer targets than this nothing is claimed that rests on large numbers."""
_DRAWS = 8000
_SEED = 20250101


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes
    ----------
    value : the estimate; None: not reached, or not known.
    low, high : ends of the interval; None: open on that side, or no interval where `assumptions` says "too few".
    assumptions : what it rests on, in words.
    """

    value: float | None
    low: float | None
    high: float | None
    assumptions: str


def binomial_interval(successes: int, trials: int) -> Estimate:
    """A share with its exact interval (Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404).

    Raises
    ------
    InputError : no trial, or more successes than trials.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise InputError(f"{successes} successes in {trials} trials: allowed are 0 to as many as there are trials")
    found = binomtest(int(successes), int(trials)).proportion_ci(CONFIDENCE, method="exact")
    words = f"exact (Clopper-Pearson), {trials} independent trials of one chance"
    return Estimate(successes / trials, float(found.low), float(found.high), words)


def mean_interval(values: Sequence[float] | np.ndarray) -> Estimate:
    """The mean over targets of a share (0 to 1) that each target gives, with an interval for targets drawn like these.

    The interval is a Bayesian bootstrap over targets (Rubin 1981, doi:10.1214/aos/1176345338) with one more target, at
    0 for the lower end and at 1 for the upper one: the bound of Gaffke, see Learned-Miller and Thomas
    (arXiv:1905.06208). Where all values are 0 or 1 it is that of Clopper and Pearson; unlike a plain bootstrap it stays
    honest for few targets, and for targets that all agree.

    Raises
    ------
    InputError : no target, or a value outside 0 to 1.
    """
    mean, low, high = mean_bands(np.asarray(values, dtype=float)[:, None])
    return Estimate(float(mean[0]), float(low[0]), float(high[0]), mean_words(len(values)))


def mean_words(targets: int) -> str:
    """What `mean_interval` and `mean_bands` assume."""
    return (
        f"{targets} targets, independent draws from the targets one asks about, all weighing the same; "
        "bootstrap over targets with one more at the worst value"
    )


def mean_bands(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`mean_interval` of many columns at once.

    Parameters
    ----------
    values : (n_targets, n), each 0 to 1.

    Returns
    -------
    mean, low, high : (n,) each; the intervals hold for each column, not for all together.
    """
    if len(values) == 0:
        raise InputError("a mean over targets needs at least one target")
    if not ((values >= 0) & (values <= 1)).all():
        raise InputError("a share lies between 0 and 1")
    # Gamma variates are weights of a Dirichlet distribution once divided by their sum; the last is the added target's.
    weights = np.random.default_rng(_SEED).standard_exponential((_DRAWS, len(values) + 1))
    weights /= weights.sum(axis=1, keepdims=True)
    drawn = weights[:, :-1] @ values
    low = np.quantile(drawn, TAIL, axis=0)
    drawn += weights[:, -1:]
    mean = values.mean(axis=0)
    # The ends come from random draws: where all targets agree, rounding must not put the mean outside.
    return mean, np.minimum(low, mean), np.maximum(np.quantile(drawn, 1 - TAIL, axis=0), mean)
