"""Two sources on the same targets: which one needs fewer relaxations, by how much, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, norm, t

from ...errors import InputError
from .intervals import FEWEST_TARGETS, TAIL, Estimate
from .success import log_area

_RESAMPLES = 4000
_SEED = 20250103


@dataclass(frozen=True)
class WinTieLoss:
    """On how many targets the second of two sources did better, equally well, worse than the first.

    Attributes
    ----------
    p_value : two-sided exact sign test; ties are left out. None with fewer than 5 targets that are no tie.
    """

    wins: int
    ties: int
    losses: int
    p_value: float | None


def same_success_ratio(first: np.ndarray, second: np.ndarray) -> Estimate:
    """Relaxations of the second source for the success of the first: below 1 the second is faster.

    Half of the success that the weaker of the two reaches with all K relaxations is looked up on both curves of
    success, averaged over targets; the result is the quotient of the relaxations that each needs for it. (At the full
    success curves that come near 1 run side by side, and the quotient says little.) Targets that a source never hits
    need no guess: they only keep its curve low.

    The interval is a percentile bootstrap over targets, both sources together, widened for few targets (Hesterberg
    2015, doi:10.1080/00031305.2015.1089789).

    Parameters
    ----------
    first, second : (n_targets, K), the chance of a hit within 1 ... K relaxations, the same targets in both.

    Returns
    -------
    `low` is 0, `high` None, where resamples go so far that one source hits nothing: the ratio is open on that side.
    With fewer than 5 targets that either source hit, "too few" and no interval; where not both hit something no value.
    """
    _check(first, second)
    informative = int(((first[:, -1] > 0) | (second[:, -1] > 0)).sum())
    targets = len(first)
    words = (
        f"relaxations for half the success that the weaker source has after {first.shape[1]}; {targets} targets, "
        f"{informative} of them hit by either, are independent draws from those one asks about; bootstrap over targets"
    )
    value = float(_ratios(first.mean(axis=0)[None], second.mean(axis=0)[None])[0])
    if informative < FEWEST_TARGETS:
        return Estimate(_finite(value), None, None, f"{words}; too few targets for an interval")
    rng = np.random.default_rng(_SEED)
    weights = rng.multinomial(targets, np.full(targets, 1 / targets), size=_RESAMPLES) / targets
    drawn = _ratios(weights @ first, weights @ second)
    usable = drawn[~np.isnan(drawn)]
    # Percentiles of a bootstrap are too narrow by the factor between t and normal, and by sqrt((n-1)/n).
    tail = float(norm.cdf(-math.sqrt(informative / (informative - 1)) * t.isf(TAIL, informative - 1)))
    low = float(np.quantile(usable, tail, method="lower"))
    high = float(np.quantile(usable, 1 - tail, method="higher"))
    return Estimate(_finite(value), low, _finite(high), words)


def chance_ratio(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> Estimate:
    """Relaxations that the second source needs per hit, divided by those of the first: geometric mean over targets.

    Per target it is the quotient of the chances of a hit, from log((c + 1/2) / (n + 1/2)) for c hits in n relaxations,
    which is nearly unbiased from about three expected hits up (Pettigrew, Gart and Thomas 1986,
    doi:10.1093/biomet/73.2.425). A target that a source never hits counts as half a hit, which draws the ratio towards
    1: it then understates the difference. Targets that neither hits say nothing, and are left out. The interval is
    Student's for the mean of the logarithms, and so holds both the spread between targets and the chance within them.

    Parameters
    ----------
    first, second : (relaxations, hits), (n_targets,) each, the same targets in both.
    """
    (n_a, c_a), (n_b, c_b) = (tuple(np.asarray(v, dtype=float) for v in pair) for pair in (first, second))
    _check(n_a, n_b)
    told = (c_a > 0) | (c_b > 0)
    one_sided = int((told & ((c_a == 0) | (c_b == 0))).sum())
    words = (
        f"geometric mean over {int(told.sum())} targets that either source hit; {one_sided} were hit by one only and "
        "count as half a hit for the other, so the difference is rather larger; exchangeable relaxations, independent "
        "targets"
    )
    if not told.any():
        return Estimate(None, None, None, "too few: no target was hit by either source")
    logs = (np.log((c_a + 0.5) / (n_a + 0.5)) - np.log((c_b + 0.5) / (n_b + 0.5)))[told]
    mean = float(logs.mean())
    if len(logs) < FEWEST_TARGETS:
        return Estimate(math.exp(mean), None, None, f"{words}; too few targets for an interval")
    half = float(t.isf(TAIL, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs)))
    return Estimate(math.exp(mean), math.exp(mean - half), math.exp(mean + half), words)


def win_tie_loss(first: np.ndarray, second: np.ndarray) -> WinTieLoss:
    """Targets by which source has the larger area under success against log k, with a sign test.

    The test takes a source as likely to win a target as to lose it where both are equally good.

    Parameters
    ----------
    first, second : as for `same_success_ratio`.
    """
    _check(first, second)
    difference = log_area(second) - log_area(first)
    wins, losses = int((difference > 1e-12).sum()), int((difference < -1e-12).sum())
    decided = wins + losses
    p_value = float(binomtest(wins, decided).pvalue) if decided >= FEWEST_TARGETS else None
    return WinTieLoss(wins, len(difference) - decided, losses, p_value)


def verdict(ratio: Estimate) -> str:
    """What the interval of a ratio of relaxations (second to first) allows to say."""
    if ratio.low is None and ratio.high is None:
        return "too few"
    if ratio.high is not None and ratio.high < 1:
        return "faster"
    if ratio.low is not None and ratio.low > 1:
        return "slower"
    return "not told apart"


def _check(first: np.ndarray | Sequence[float], second: np.ndarray | Sequence[float]) -> None:
    if np.shape(first) != np.shape(second) or len(first) == 0:
        raise InputError("a paired comparison needs the same targets, at least one, and as many relaxations, of both")


def _ratios(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of mean curves (n, K), pair by pair; NaN where neither ever hits, 0 or infinity where one does not."""
    level = np.minimum(first[:, -1], second[:, -1]) / 2
    some = level > 0
    ratios = np.where(first[:, -1] > 0, np.inf, np.where(second[:, -1] > 0, 0.0, np.nan))
    ratios[some] = _needed(second[some], level[some]) / _needed(first[some], level[some])
    return ratios


def _needed(curves: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Relaxations for a level of success, between whole numbers by a straight line, from 0 at 0 relaxations."""
    rows = np.arange(len(curves))
    place = np.argmax(curves >= level[:, None], axis=1)
    below = np.where(place > 0, curves[rows, place - 1], 0.0)
    return place + (level - below) / (curves[rows, place] - below)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
