"""A generated set against a convex hull and against what it was trained on, as the UniMat paper reports it.

Yang et al. 2024, "Scalable Diffusion for Materials Generation", arXiv:2311.09235: how many are stable or nearly so,
and formation energies of one source against another, composition by composition.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from scipy.stats import norm, t

from ..errors import InputError
from .duplicates import Crystal, CrystalMatcher, MatchTolerances, formula_key, unite
from .stability import TIE
from .statistics.intervals import binomial_interval

METASTABLE = (0.025, 0.1)
"""eV/atom above the hull up to which the paper counts a structure as metastable, strictly and loosely."""
FEWEST = 5
"""With fewer compositions there is no interval, and nothing is claimed."""
_RESAMPLES = 10_000


@dataclass(frozen=True)
class Share:
    """So many of so many.

    Attributes
    ----------
    low, high : 95 % interval of the share by Clopper and Pearson (1934, doi:10.1093/biomet/26.4.404), which takes
        structures for independent draws; None where they are not.
    """

    count: int
    total: int
    low: float | None
    high: float | None

    @property
    def value(self) -> float:
        """The share itself; NaN of nothing."""
        return self.count / self.total if self.total else math.nan


@dataclass(frozen=True)
class GeneratedSet:
    """What a generated set is worth; every share is of all structures that were generated.

    Attributes
    ----------
    stable : on the hull of known phases or below it.
    metastable : for each limit in `METASTABLE`, eV/atom, those no higher than it above the hull, stable ones too.
    unique : distinct crystals. The share falls as more are drawn, so it has no interval.
    novel : the same crystal as none in the training set; None without one.
    without_energy : structures whose relaxation gave no energy: they count as neither stable nor metastable.
    assumptions : in words.
    """

    stable: Share
    metastable: tuple[Share, ...]
    unique: Share
    novel: Share | None
    without_energy: int
    assumptions: str


@dataclass(frozen=True)
class FormationComparison:
    """Formation energies of the first source against the second, over the compositions that both have.

    Attributes
    ----------
    compositions : how many.
    difference : mean of first minus second, eV/atom: below 0 the first finds lower structures; None without any.
    low, high : its 95 % interval, from resampling compositions; None below `FEWEST`.
    lower : compositions where the first is lower, of those where they differ.
    assumptions : in words.
    """

    compositions: int
    difference: float | None
    low: float | None
    high: float | None
    lower: Share
    assumptions: str


def against_hull(
    structures: Sequence[Atoms | None],
    names: Sequence[str],
    above_hull: Sequence[float] | np.ndarray,
    training: Sequence[Atoms] | None = None,
    tolerances: MatchTolerances | None = None,
) -> GeneratedSet:
    """Count what is stable, metastable, unique and novel.

    Parameters
    ----------
    structures : relaxed; None where nothing was generated.
    names : unique.
    above_hull : of each, eV/atom above the hull of the known phases alone, so below 0 where it beats them
        (`Stability.decomposition` where it is one phase among known ones); NaN where there is no energy.
    training : what the generator has seen; only structures of the same reduced formula are compared.
    tolerances : of duplicates; energies play no part.

    Raises
    ------
    InputError : the three differ in length.
    """
    heights = np.asarray(above_hull, dtype=float)
    if not len(structures) == len(names) == len(heights):
        raise InputError(
            f"{len(structures)} structures, {len(names)} names and {len(heights)} energies: give one of each"
        )
    tolerances = tolerances or MatchTolerances()
    present = [place for place, atoms in enumerate(structures) if atoms is not None]
    shown = [atoms for atoms in structures if atoms is not None]
    groups = unite(shown, [names[place] for place in present], tolerances=tolerances)
    novel = None
    if training is not None:
        seen = _Known(training, {formula_key(atoms) for atoms in shown}, tolerances)
        novel = _share(sum(not seen.has(atoms) for atoms in shown), len(structures))
    total = len(structures)
    finite = np.isfinite(heights)
    return GeneratedSet(
        stable=_share(int((heights[finite] <= TIE).sum()), total),
        metastable=tuple(_share(int((heights[finite] <= limit + TIE).sum()), total) for limit in METASTABLE),
        unique=Share(len(groups), total, None, None),
        novel=novel,
        without_energy=int((~finite).sum()),
        assumptions=(
            "structures are independent draws; those without an energy or a structure count against each share; "
            f"the same crystal: {tolerances}, energies left aside"
        ),
    )


def compare_formation(first: Mapping[str, float], second: Mapping[str, float], seed: int = 0) -> FormationComparison:
    """Compare two sources by the formation energy (eV/atom) that each gives a composition, by reduced formula.

    The interval of the mean is a percentile bootstrap over compositions, widened for few of them as by Hesterberg 2015,
    doi:10.1080/00031305.2015.1089789.

    Parameters
    ----------
    first, second : finite values; compositions that only one has are left out.
    seed : of the resampling.
    """
    shared = sorted(first.keys() & second.keys())
    differences = np.array([first[formula] - second[formula] for formula in shared])
    n = len(differences)
    low = high = None
    if n >= FEWEST:
        rng = np.random.default_rng(seed)
        # In blocks, so that thousands of compositions need no gigabytes.
        blocks = [differences[rng.integers(n, size=(_RESAMPLES // 100, n))].mean(axis=1) for _ in range(100)]
        means = np.concatenate(blocks)
        tail = float(norm.cdf(math.sqrt(n / (n - 1)) * t.ppf(0.025, n - 1)))
        low, high = (float(x) for x in np.quantile(means, (tail, 1 - tail)))
    differing = int((np.abs(differences) > TIE).sum())
    words = "compositions are independent draws of those the sources will be asked for"
    if n < FEWEST:
        words += f"; too few ({n} of at least {FEWEST}) to claim anything"
    return FormationComparison(
        compositions=n,
        difference=float(differences.mean()) if n else None,
        low=low,
        high=high,
        lower=_share(int((differences < -TIE).sum()), differing),
        assumptions=words,
    )


class _Known:
    """Crystals to be found again, sorted by formula."""

    def __init__(self, crystals: Sequence[Atoms], formulas: set[object], tolerances: MatchTolerances) -> None:
        self._tolerances, self._matcher = tolerances, CrystalMatcher(tolerances)
        self._crystals: dict[object, list[Crystal]] = defaultdict(list)
        for atoms in crystals:
            if (key := formula_key(atoms)) in formulas and (crystal := Crystal.of(atoms, tolerances)) is not None:
                self._crystals[key].append(crystal)

    def has(self, atoms: Atoms) -> bool:
        crystal, matcher = Crystal.of(atoms, self._tolerances), self._matcher
        return crystal is not None and any(
            matcher.may_be_same(known, crystal) and matcher.same(known, crystal)
            for known in self._crystals[formula_key(atoms)]
        )


def _share(count: int, total: int) -> Share:
    if not total:
        return Share(count, total, None, None)
    found = binomial_interval(count, total)
    return Share(count, total, found.low, found.high)
