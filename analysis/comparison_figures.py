"""Figures of one source over its targets, of two against each other, and of one on one target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .comparison_runs import Outcome, TargetKey
from .generated import FormationComparison, compare_formation
from .statistics.bands import Band, band_of_runs, band_over_costs, band_over_relaxations
from .statistics.intervals import Estimate, binomial_interval, mean_interval
from .statistics.pairs import WinTieLoss, chance_ratio, same_success_ratio, verdict, win_tie_loss
from .statistics.success import (
    ANY_ORDER,
    AS_RUN,
    FirstHits,
    SuccessCurve,
    cost_curve,
    first_hits_as_run,
    first_hits_of_orders,
    hit_at_k,
    log_area_interval,
    success_curve,
)
from .statistics.survival import KaplanMeier, kaplan_meier, log_rank

KS = (1, 5, 20, 50)
WITHIN_MEV = (1.0, 10.0, 25.0)
AXES = ("relaxations", "force_calls", "seconds")


@dataclass(frozen=True, eq=False)
class SourceFigures:
    """One source over its targets. Shares are 0 to 1.

    Attributes
    ----------
    exchangeable : its figures are averages over all orders of its relaxations; else they are of the order run.
    relaxations : of all targets together. depth : those that every target has at least.
    converged : share of relaxations with an energy that is believed, mean over targets.
    any_converged : share of targets with at least one such.
    hits : hit@k by k; None where a target has fewer than k relaxations.
    within : by meV/atom above the reference, the share of targets hit within `depth` relaxations.
    success : by axis (`AXES`), the share of targets hit within a budget; None without any hit.
    as_run : by axis, the same by Kaplan and Meier from the first run of each target in the order run.
    median : by axis, the budget that hits half of the targets, from `success`.
    area : under success against log k, k = 1 ... `depth`.
    """

    source: str
    exchangeable: bool
    targets: int
    relaxations: int
    depth: int
    converged: Estimate
    any_converged: Estimate
    hits: Mapping[int, Estimate | None]
    within: Mapping[float, Estimate]
    success: Mapping[str, SuccessCurve | None]
    as_run: Mapping[str, KaplanMeier]
    median: Mapping[str, Estimate]
    area: Estimate


@dataclass(frozen=True, eq=False)
class PairFigures:
    """A source against the baseline, over the targets of both.

    Attributes
    ----------
    depth : relaxations per target that are compared.
    ratio : relaxations for the same success, source / baseline (`statistics.pairs.same_success_ratio`).
    chance_ratio : relaxations per hit, geometric mean over targets; None unless both are exchangeable.
    outcome : targets won, tied and lost, with the sign test.
    log_rank : p-value of the log-rank test, in the order run; None: too few.
    verdict : "faster", "slower", "not told apart" or "too few": what the interval of `ratio` allows to say.
    formation : formation energies of the lowest structures that each found with so many relaxations, in the order run.
    """

    source: str
    baseline: str
    targets: int
    depth: int
    ratio: Estimate
    chance_ratio: Estimate | None
    outcome: WinTieLoss
    log_rank: float | None
    verdict: str
    formation: FormationComparison


@dataclass(frozen=True)
class TargetRow:
    """One source on one target; enthalpies in eV/atom.

    Attributes
    ----------
    hits : relaxations no higher than the reference + `within`. hit_share : per relaxation, with its exact interval.
    first_* : cost of the first hit in the order run, first run; None: no hit.
    above_reference_mev : the lowest, meV/atom.
    """

    target: str
    pressure_gpa: float
    source: str
    runs: int
    relaxations: int
    converged: int
    hits: int
    hit_share: float
    hit_share_low: float | None
    hit_share_high: float | None
    hits_within_10_mev: int
    hits_within_25_mev: int
    first_relaxations: float | None
    first_force_calls: float | None
    first_seconds: float | None
    force_calls: int
    seconds: float
    lowest: float | None
    reference: float
    above_reference_mev: float | None


References = Mapping[TargetKey, float]


def source_figures(found: Sequence[Outcome], references: References, within_mev: float) -> SourceFigures:
    """One source over its targets, an outcome each."""
    depth, order = min(o.depth for o in found), _order(found[0])
    chances = {mev: _success(found, references, mev, depth) for mev in dict.fromkeys((within_mev, *WITHIN_MEV))}
    success = chances[within_mev]
    curves: dict[str, SuccessCurve | None] = {"relaxations": success_curve(np.arange(1, depth + 1), success, order)}
    if not success[:, -1].any():
        curves["relaxations"] = None
    for axis in AXES[1:]:
        firsts = [_first_hits(o, references[o.target], within_mev, axis, n) for n, o in enumerate(found)]
        curves[axis] = cost_curve(firsts, order)
    never = Estimate(None, None, None, "no target was hit")
    converged = [np.isfinite(o.enthalpies) for o in found]
    return SourceFigures(
        source=found[0].source,
        exchangeable=found[0].exchangeable,
        targets=len(found),
        relaxations=sum(len(o.enthalpies) for o in found),
        depth=depth,
        converged=mean_interval([float(c.mean()) for c in converged]),
        any_converged=binomial_interval(sum(bool(c.any()) for c in converged), len(found)),
        hits={k: _in_order(mean_interval(success[:, k - 1]), order) if k <= depth else None for k in KS},
        within={mev: _in_order(mean_interval(chance[:, -1]), order) for mev, chance in chances.items()},
        success=curves,
        as_run={axis: kaplan_meier(*_times(found, references, within_mev, axis)) for axis in AXES},
        median={axis: never if curve is None else curve.reached(0.5) for axis, curve in curves.items()},
        area=_in_order(log_area_interval(success), order),
    )


def pair_figures(
    baseline: Sequence[Outcome], other: Sequence[Outcome], references: References, within_mev: float
) -> PairFigures | None:
    """Two sources over the targets of both; None where they share none."""
    shared = {o.target for o in baseline} & {o.target for o in other}
    if not shared:
        return None
    first, second = (
        sorted((o for o in side if o.target in shared), key=lambda o: o.target) for side in (baseline, other)
    )
    depth = min(o.depth for o in (*first, *second))
    a, b = (_success(side, references, within_mev, depth) for side in (first, second))
    ratio = same_success_ratio(a, b)
    chances = None
    if first[0].exchangeable and second[0].exchangeable:
        chances = chance_ratio(_counts(first, references, within_mev), _counts(second, references, within_mev))
    times = [_times(side, references, within_mev, "relaxations") for side in (first, second)]
    return PairFigures(
        source=second[0].source,
        baseline=first[0].source,
        targets=len(shared),
        depth=depth,
        ratio=ratio,
        chance_ratio=chances,
        outcome=win_tie_loss(a, b),
        log_rank=log_rank(times[0], times[1]),
        verdict=verdict(ratio),
        formation=compare_formation(_lowest_after(second, depth), _lowest_after(first, depth)),
    )


def _lowest_after(outcomes: Sequence[Outcome], depth: int) -> dict[str, float]:
    """The lowest enthalpy, eV/atom, of each target's first `depth` relaxations; that of its elements drops out."""
    heights = {f"{o.target.formula} {o.target.pressure_gpa:g}": o.enthalpies[:depth] for o in outcomes}
    return {target: float(np.nanmin(h)) for target, h in heights.items() if np.isfinite(h).any()}


def target_row(outcome: Outcome, reference: float, within_mev: float) -> TargetRow:
    """One source on one target."""
    heights = outcome.enthalpies
    hits, in_10, in_25 = (int(is_hit(heights, reference, mev).sum()) for mev in (within_mev, 10.0, 25.0))
    share = binomial_interval(hits, len(heights))
    lowest = float(np.nanmin(heights)) if np.isfinite(heights).any() else None
    first = {axis: _first_as_run(outcome, reference, within_mev, axis) for axis in AXES}
    return TargetRow(
        target=outcome.target.name or outcome.target.formula,
        pressure_gpa=outcome.target.pressure_gpa,
        source=outcome.source,
        runs=len(outcome.series),
        relaxations=len(heights),
        converged=int(np.isfinite(heights).sum()),
        hits=hits,
        hit_share=hits / len(heights),
        hit_share_low=share.low if outcome.exchangeable else None,
        hit_share_high=share.high if outcome.exchangeable else None,
        hits_within_10_mev=in_10,
        hits_within_25_mev=in_25,
        first_relaxations=first["relaxations"],
        first_force_calls=first["force_calls"],
        first_seconds=first["seconds"],
        force_calls=int(sum(s.force_calls.sum() for s in outcome.series)),
        seconds=float(sum(s.seconds.sum() for s in outcome.series)),
        lowest=lowest,
        reference=reference,
        above_reference_mev=None if lowest is None else 1000 * (lowest - reference),
    )


def convergence_band(outcome: Outcome, reference: float, axis: str) -> Band:
    """Lowest enthalpy so far above the reference, eV/atom."""
    if not outcome.exchangeable:
        return band_of_runs([s.enthalpies - reference for s in outcome.series], outcome.costs(axis))
    heights = outcome.enthalpies - reference
    if axis == "relaxations":
        return band_over_relaxations(heights)
    return band_over_costs(heights, np.concatenate(outcome.costs(axis)))


def is_hit(enthalpies: np.ndarray, reference: float, within_mev: float) -> np.ndarray:
    """Which are no higher than the reference + `within_mev`; NaN is none. A nanoelectronvolt is left to rounding."""
    return np.nan_to_num(enthalpies, nan=np.inf) <= reference + within_mev / 1000 + 1e-9


def _in_order(estimate: Estimate, order: str) -> Estimate:
    return replace(estimate, assumptions=f"{order}; {estimate.assumptions}")


def _order(outcome: Outcome) -> str:
    return ANY_ORDER if outcome.exchangeable else AS_RUN


def _success(found: Sequence[Outcome], references: References, mev: float, depth: int) -> np.ndarray:
    """The chance of a hit within 1 ... depth relaxations, (n_targets, depth)."""
    if found[0].exchangeable:
        n, c = _counts(found, references, mev)
        return hit_at_k(n, c, np.arange(1, depth + 1))
    return np.array(
        [
            np.mean(
                [np.logical_or.accumulate(is_hit(s.enthalpies, references[o.target], mev)[:depth]) for s in o.series],
                axis=0,
            )
            for o in found
        ]
    )


def _counts(found: Sequence[Outcome], references: References, mev: float) -> tuple[np.ndarray, np.ndarray]:
    hits = [is_hit(o.enthalpies, references[o.target], mev).sum() for o in found]
    return np.array([len(o.enthalpies) for o in found]), np.array(hits)


def _first_hits(outcome: Outcome, reference: float, mev: float, axis: str, number: int) -> FirstHits:
    hits = [is_hit(s.enthalpies, reference, mev) for s in outcome.series]
    if outcome.exchangeable:
        return first_hits_of_orders(np.concatenate(outcome.costs(axis)), np.concatenate(hits), number)
    return first_hits_as_run(outcome.costs(axis), hits)


def _first_as_run(outcome: Outcome, reference: float, mev: float, axis: str) -> float | None:
    """Of the first run; None: no hit."""
    hits = is_hit(outcome.series[0].enthalpies, reference, mev)
    return float(np.cumsum(outcome.costs(axis)[0])[np.argmax(hits)]) if hits.any() else None


def _times(found: Sequence[Outcome], references: References, mev: float, axis: str) -> tuple[np.ndarray, np.ndarray]:
    """Cost of the first hit in each target's first run, or all that it spent; and whether there was a hit."""
    firsts = [_first_as_run(o, references[o.target], mev, axis) for o in found]
    spent = [float(o.costs(axis)[0].sum()) for o in found]
    times = [total if first is None else first for first, total in zip(firsts, spent, strict=True)]
    return np.array(times), np.array([first is not None for first in firsts])
