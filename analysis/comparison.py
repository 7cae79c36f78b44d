"""Sources head to head: which one finds low structures sooner, by how much, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, unknown
from ..search.store import Run
from .comparison_figures import (
    AXES,
    KS,
    PairFigures,
    SourceFigures,
    TargetRow,
    convergence_band,
    pair_figures,
    source_figures,
    target_row,
)
from .comparison_runs import Outcome, TargetKey, check_settings, outcomes, read_references
from .comparison_table import comparison_json, comparison_lines, rows_csv
from .statistics.bands import Band


@dataclass(frozen=True, eq=False)
class Comparison:
    """How sources fare against one another: what `compare_runs` returns, and what tables and reports are made from.

    Attributes
    ----------
    within_mev : what counts as a hit, meV/atom above the reference.
    reference_words : where the references are from.
    runs : run folders.
    sources : figures of each source over all targets: success, cost, areas, with 95 % intervals.
    pairs : each source against the baseline, with a verdict in words.
    rows : each target and source by itself.
    notes : what a reader should know.
    outcomes : relaxations in order, which the figures were made from.
    references : enthalpy that counts as the lowest of each target, eV/atom.
    """

    within_mev: float
    reference_words: str
    runs: tuple[str, ...]
    sources: tuple[SourceFigures, ...]
    pairs: tuple[PairFigures, ...]
    rows: tuple[TargetRow, ...]
    notes: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    references: Mapping[TargetKey, float]

    @cached_property
    def bands(self) -> dict[tuple[TargetKey, str, str], Band]:
        """Lowest enthalpy above the reference (eV/atom) by target, source and axis (`AXES`): for drawing."""
        return {
            (o.target, o.source, axis): convergence_band(o, self.references[o.target], axis)
            for o in self.outcomes
            for axis in AXES
        }

    def lines(self) -> list[str]:
        """The tables as text, with the assumptions in words below."""
        return comparison_lines(self)

    def to_json(self) -> dict[str, Any]:
        """Plain values: every figure with its interval, and the curves."""
        return comparison_json(self)

    def to_csv(self) -> str:
        """One row per target and source."""
        return rows_csv(self.rows)


def compare_runs(
    runs: Sequence[Run],
    references: Sequence[str | Path] = (),
    within_mev: float = 1.0,
    baseline: str | None = None,
) -> Comparison:
    """Compare the sources of run folders, over all targets that these search.

    Parameters
    ----------
    runs : as read by `load_run`; several may search the same target, with other sources or as replicas (other seeds).
    references : run folders and structure files that hold the structure to be found for each target, relaxed with the
        same potential; none: the lowest that any source found.
    within_mev : a relaxation is a hit where it is no higher than the reference + this, meV/atom.
    baseline : the source that the others are compared with; None: the first.

    Raises
    ------
    InputError : runs relaxed differently, a target without a reference, an unknown baseline, nothing relaxed yet.
    """
    if not runs:
        raise InputError("nothing to compare: give at least one run folder")
    check_settings(runs)
    found, notes = outcomes(runs)
    if not found:
        raise InputError("nothing to compare: no candidate has been relaxed yet")
    heights, words = _references(found, references, runs, notes)
    found = [o for o in found if o.target in heights]
    if not found:
        raise InputError(
            "nothing to compare: no relaxation of any target has converged, so there is nothing to be found"
        )
    by_source: dict[str, list[Outcome]] = {}
    for outcome in found:
        by_source.setdefault(outcome.source, []).append(outcome)
    if baseline is not None and baseline not in by_source:
        raise unknown("--baseline", baseline, by_source)
    first = baseline or next(iter(by_source))
    others = [source for source in by_source if source != first]
    pairs = [(source, pair_figures(by_source[first], by_source[source], heights, within_mev)) for source in others]
    notes += [f"{source} and {first} have no target in common" for source, pair in pairs if pair is None]
    rows = tuple(target_row(o, heights[o.target], within_mev) for o in sorted(found, key=lambda o: o.target))
    notes += _below_reference(rows, within_mev)
    notes += [note for source in (first, *others) for note in _short(by_source[source])]
    return Comparison(
        within_mev=within_mev,
        reference_words=words,
        runs=tuple(str(run.path) for run in runs),
        sources=tuple(source_figures(by_source[s], heights, within_mev) for s in (first, *others)),
        pairs=tuple(pair for _, pair in pairs if pair is not None),
        rows=rows,
        notes=tuple(notes),
        outcomes=tuple(found),
        references={target: heights[target] for target in sorted({o.target for o in found})},
    )


def _references(
    found: Sequence[Outcome], paths: Sequence[str | Path], runs: Sequence[Run], notes: list[str]
) -> tuple[dict[TargetKey, float], str]:
    """The enthalpy to be reached for each target, and words for where it is from."""
    targets = sorted({o.target for o in found})
    if paths:
        heights, passed_over = read_references(paths, runs[0].config)
        missing = [str(target) for target in targets if target not in heights]
        if missing:
            but = f" (not converged, so not counted: {', '.join(passed_over)})" if passed_over else ""
            raise InputError(
                f"no reference for {', '.join(missing)}{but}: add a structure of each, relaxed with "
                f"{runs[0].config.relaxer} at its pressure, or leave --reference out"
            )
        return heights, f"references: {', '.join(map(str, paths))}, taken to be relaxed with {runs[0].config.relaxer}"
    lowest: dict[TargetKey, float] = {}
    for outcome in found:
        for height in outcome.enthalpies[np.isfinite(outcome.enthalpies)]:
            lowest[outcome.target] = min(float(height), lowest.get(outcome.target, math.inf))
    absent = [str(target) for target in targets if target not in lowest]
    if absent:
        notes.append(f"left out, for no relaxation converged: {', '.join(absent)}")
    return lowest, "no --reference: hits are relative to the lowest that any of these sources found"


def _short(found: Sequence[Outcome]) -> list[str]:
    """Where one target with few relaxations keeps hit@k from being known."""
    least = min(found, key=lambda o: o.depth)
    if not any(least.depth < k <= max(o.depth for o in found) for k in KS):
        return []
    return [
        f"{least.source}: only {least.depth} relaxations of {least.target}, so K is {least.depth} for all its targets"
    ]


def _below_reference(rows: Sequence[TargetRow], within_mev: float) -> list[str]:
    lower = [r for r in rows if r.above_reference_mev is not None and r.above_reference_mev < -within_mev]
    if not lower:
        return []
    told = ", ".join(f"{r.target} by {-(r.above_reference_mev or 0):.0f} meV/atom ({r.source})" for r in lower[:5])
    more = f" and {len(lower) - 5} more" if len(lower) > 5 else ""
    return [f"lower than the reference: {told}{more}; these count as hits"]
