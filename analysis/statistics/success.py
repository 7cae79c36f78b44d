"""How many relaxations to the first hit: success curves from all orders in which the relaxations could have come.

The relaxations of a source that draws independently could have come in any order. Averaging over all orders uses every
relaxation; it gives hit@k, the chance that k relaxations hold a hit, without bias (the estimator is known as pass@k:
Chen et al. 2021, arXiv:2107.03374). `survival` is the other view, which takes the order that was run and assumes
nothing about it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from ...errors import InputError
from .intervals import Estimate, mean_bands, mean_interval, mean_words

ANY_ORDER = "relaxations of a target are exchangeable, averaged over all their orders"
AS_RUN = "relaxations in the order run"
REORDERINGS = 200
"""For costs, which have no closed form."""
_SEED = 20250102
_GRID = 200


def hit_at_k(
    relaxations: Sequence[int] | np.ndarray, hits: Sequence[int] | np.ndarray, k: Sequence[int] | np.ndarray
) -> np.ndarray:
    """The chance that k of a target's relaxations, drawn without putting back, hold a hit: 1 - C(n-c, k) / C(n, k).

    Parameters
    ----------
    relaxations, hits : of each target, (n_targets,).
    k : (n_k,)

    Returns
    -------
    (n_targets, n_k), each an unbiased estimate of 1 - (1 - p)^k for a target with the chance p per relaxation.

    Raises
    ------
    InputError : a k above a target's number of relaxations: it would have to be extrapolated.
    """
    n, c, ks = (np.asarray(values, dtype=float) for values in (relaxations, hits, k))
    if (c > n).any() or (c < 0).any():
        raise InputError("more hits than relaxations, or fewer than none")
    if ks.size and (ks.max() > n.min() or ks.min() < 1):
        raise InputError(f"hit@{ks.max():g} needs as many relaxations of each target: one has {n.min():g}")
    misses = (n - c)[:, None]
    left = misses - ks
    logs = gammaln(misses + 1) - gammaln(np.maximum(left, 0) + 1)
    logs -= gammaln(n + 1)[:, None] - gammaln(n[:, None] - ks + 1)
    return np.clip(np.where(left < 0, 1.0, -np.expm1(logs)), 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class SuccessCurve:
    """Share of targets hit within a budget. Arrays have the shape (n_budgets,).

    Attributes
    ----------
    budget : relaxations, force calls or seconds per target.
    share : mean over targets of the chance of a hit within the budget.
    low, high : 95 % band, budget by budget.
    assumptions : in words.
    """

    budget: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray
    assumptions: str

    def reached(self, level: float = 0.5) -> Estimate:
        """The smallest budget at which the curve reaches `level`, and at which the ends of its band do.

        None in the result: not reached with what was spent.
        """
        value, first, last = (_first(self.budget, y >= level) for y in (self.share, self.high, self.low))
        return Estimate(value, first, last, f"{self.assumptions}; where the curve and its band reach {level:g}")


def success_curve(budget: np.ndarray, success: np.ndarray, order: str = ANY_ORDER) -> SuccessCurve:
    """The curve from the chances of the single targets.

    Parameters
    ----------
    budget : (n_budgets,), rising. success : (n_targets, n_budgets), each 0 to 1.
    order : `ANY_ORDER` or `AS_RUN`.
    """
    return SuccessCurve(np.asarray(budget), *mean_bands(success), f"{order}; {mean_words(len(success))}")


def log_area(success: np.ndarray) -> np.ndarray:
    """Area under success against log k from k = 1 to K, divided by log K: 0 never, 1 at the first relaxation.

    Parameters
    ----------
    success : (n_targets, K), the chance of a hit within k = 1 ... K.

    Returns
    -------
    (n_targets,); with K = 1 the success itself.
    """
    most = success.shape[1]
    if most == 1:
        return success[:, 0]
    widths = np.diff(np.log(np.arange(1, most + 1))) / math.log(most)
    return np.clip(success[:, :-1] @ widths, 0.0, 1.0)


def log_area_interval(success: np.ndarray) -> Estimate:
    """The mean over targets of `log_area`."""
    return mean_interval(log_area(success))


@dataclass(frozen=True, eq=False)
class FirstHits:
    """What one target's first hit costs, in several orders of its relaxations or in several runs.

    Attributes
    ----------
    costs : (n_orders,); infinity: no hit.
    spent : the cost of all relaxations, of the cheapest run where there are several.
    """

    costs: np.ndarray
    spent: float


def first_hits_of_orders(costs: np.ndarray, hits: np.ndarray, target: int = 0) -> FirstHits:
    """The cost up to and with the first hit in `REORDERINGS` random orders, the same each time it is called.

    Parameters
    ----------
    costs, hits : of each relaxation of one target, (n_relaxations,), numbers and booleans.
    target : its number: each gets orders of its own, so that what chance is in them averages out over targets.
    """
    if not hits.any():
        return FirstHits(np.full(REORDERINGS, np.inf), float(costs.sum()))
    orders = np.random.default_rng([_SEED, target]).permuted(np.tile(np.arange(len(costs)), (REORDERINGS, 1)), axis=1)
    spent = np.cumsum(costs[orders], axis=1)
    first = np.argmax(hits[orders], axis=1)
    return FirstHits(spent[np.arange(REORDERINGS), first], float(costs.sum()))


def first_hits_as_run(costs: Sequence[np.ndarray], hits: Sequence[np.ndarray]) -> FirstHits:
    """The cost up to and with the first hit of each run of one target, relaxations in the order run."""
    firsts = [float(np.cumsum(c)[np.argmax(h)]) if h.any() else math.inf for c, h in zip(costs, hits, strict=True)]
    return FirstHits(np.array(firsts), min(float(c.sum()) for c in costs))


def cost_curve(targets: Sequence[FirstHits], order: str = ANY_ORDER) -> SuccessCurve | None:
    """Success against a cost, up to what half of the targets spent; None where no hit came before that.

    A target that ran out earlier without a hit, as where nothing could be drawn at all, counts as not hit.
    """
    known = np.concatenate([t.costs for t in targets])
    end = float(np.median([t.spent for t in targets]))
    known = np.unique(known[np.isfinite(known) & (known <= end)])
    if len(known) == 0:
        return None
    if len(known) > _GRID:
        known = known[np.unique(np.linspace(0, len(known) - 1, _GRID).round().astype(int))]
    success = np.array([(t.costs[:, None] <= known).mean(axis=0) for t in targets])
    return success_curve(known, success, order)


def _first(budget: np.ndarray, reached: np.ndarray) -> float | None:
    return float(budget[np.argmax(reached)]) if reached.any() else None
