"""Lowest energy so far, as it would have gone in other orders of the same relaxations: median and quartiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from ...errors import InputError
from .success import ANY_ORDER, AS_RUN

QUARTILES = (0.25, 0.5, 0.75)
REORDERINGS = 400
_SEED = 20250104
_GRID = 200


@dataclass(frozen=True, eq=False)
class Band:
    """The lowest energy within a budget. Arrays have the shape (n_budgets,).

    Attributes
    ----------
    budget : relaxations, force calls or seconds.
    low, median, high : quartiles, in the energies' unit; NaN where so many orders have no energy yet.
    assumptions : in words.
    """

    budget: np.ndarray
    low: np.ndarray
    median: np.ndarray
    high: np.ndarray
    assumptions: str


def band_over_relaxations(energies: np.ndarray) -> Band:
    """The lowest of k relaxations drawn without putting back, exactly, from order statistics.

    P(lowest of k is at or below the j-th lowest of n) = 1 - C(n-j, k) / C(n, k).

    Parameters
    ----------
    energies : (n_relaxations,); NaN: no energy that counts.

    Raises
    ------
    InputError : no relaxations.
    """
    n = len(energies)
    if n == 0:
        raise InputError("a convergence band needs at least one relaxation")
    ranked = np.sort(np.where(np.isnan(energies), np.inf, energies))
    k = _whole_grid(n)
    quartiles = np.empty((len(QUARTILES), len(k)))
    left = n - np.arange(1, n + 1)
    for column, number in enumerate(k):
        logs = gammaln(left + 1) - gammaln(np.maximum(left - number, 0) + 1) - gammaln(n + 1) + gammaln(n - number + 1)
        below = np.where(left < number, 1.0, -np.expm1(logs))
        # The allowance is for rounding: with k = n the probability of the lowest is 1 and must be found.
        quartiles[:, column] = ranked[np.searchsorted(below, np.array(QUARTILES) - 1e-12)]
    return _made(k, quartiles, ANY_ORDER)


def band_over_costs(energies: np.ndarray, costs: np.ndarray) -> Band:
    """The same against force calls or seconds, over `REORDERINGS` random orders that are the same in every call.

    Parameters
    ----------
    energies, costs : (n_relaxations,); a relaxation counts once all of its cost is spent.
    """
    if len(energies) == 0:
        raise InputError("a convergence band needs at least one relaxation")
    rng = np.random.default_rng(_SEED)
    orders = rng.permuted(np.tile(np.arange(len(energies)), (REORDERINGS, 1)), axis=1)
    return _band(list(energies[orders]), list(costs[orders]), f"{ANY_ORDER}, of which {REORDERINGS} were drawn")


def band_of_runs(energies: Sequence[np.ndarray], costs: Sequence[np.ndarray]) -> Band:
    """The same over several runs, each in its own order: for sources that learn from what was found.

    Parameters
    ----------
    energies, costs : of each run; costs of 1 give relaxations. The band ends where the shortest run ends.
    """
    if not energies or min(map(len, energies)) == 0:
        raise InputError("a convergence band needs at least one relaxation of every run")
    return _band(energies, costs, f"{AS_RUN}; {len(energies)} runs")


def _band(energies: Sequence[np.ndarray], costs: Sequence[np.ndarray], words: str) -> Band:
    spent = [np.cumsum(c, dtype=float) for c in costs]
    lowest = [np.minimum.accumulate(np.where(np.isnan(e), np.inf, e)) for e in energies]
    start, end = min(s[0] for s in spent), min(s[-1] for s in spent)
    grid = np.geomspace(max(start, end / 1000), end, _GRID) if end > 0 else np.zeros(1)
    grid[-1] = end  # rounding must not cut off the last relaxation
    courses = np.array(
        [
            np.concatenate([[np.inf], low])[np.searchsorted(s * (1 - 1e-12), grid, side="right")]
            for s, low in zip(spent, lowest, strict=True)
        ]
    )
    return _made(grid, np.quantile(courses, QUARTILES, axis=0, method="inverted_cdf"), words)


def _whole_grid(n: int) -> np.ndarray:
    """1 ... n, thinned evenly on a log scale where that is many."""
    if n <= _GRID:
        return np.arange(1, n + 1)
    return np.unique(np.geomspace(1, n, _GRID).round().astype(int))


def _made(budget: np.ndarray, quartiles: np.ndarray, words: str) -> Band:
    low, median, high = np.where(np.isfinite(quartiles), quartiles, np.nan)
    return Band(budget, low, median, high, words)
