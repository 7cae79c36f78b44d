"""Convergence: the lowest enthalpy found so far, against what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..records import Record
from ..search.store import Run
from .minima import believable

WHOLE_RUN = "all sources"


@dataclass(frozen=True, eq=False)
class Convergence:
    """The course of a search, or of one of its sources. All arrays have the shape (n_relaxations,).

    Candidates come in the order of their numbers, not of their finishing, so that the curve does not depend on how many
    processes shared the work, and costs add up as if one process had done it all.

    Attributes
    ----------
    source : the source, or `WHOLE_RUN`.
    relaxations : 1, 2, 3, ... every candidate counts, whatever became of it.
    force_calls : evaluations of the potential so far.
    seconds : seconds so far for proposing and relaxing, summed over all processes.
    lowest : lowest enthalpy per atom so far, eV/atom; NaN until the first relaxation that converged and is believed.
    """

    source: str
    relaxations: np.ndarray
    force_calls: np.ndarray
    seconds: np.ndarray
    lowest: np.ndarray

    @property
    def steps(self) -> np.ndarray:
        """Where the curve changes, and its end: all that is needed to draw it. Indices, shape (n_steps,)."""
        if not np.isfinite(self.lowest).any():
            return np.array([], dtype=int)
        first = int(np.argmax(np.isfinite(self.lowest)))
        falls = first + 1 + np.flatnonzero(np.diff(self.lowest[first:]) < 0)
        return np.unique(np.concatenate([[first], falls, [len(self.lowest) - 1]]))


def convergence(run: Run) -> list[Convergence]:
    """The curve of the whole run, followed by one per source where there are several."""
    believed = {record.name for record in believable(run)[0]}
    curves = [_curve(WHOLE_RUN if len(run.config.source) > 1 else run.config.source[0], run.records, believed)]
    if len(run.config.source) > 1:
        for source in run.config.source:
            curves.append(_curve(source, [r for r in run.records if r.candidate.source == source], believed))
    return curves


def _curve(source: str, records: Sequence[Record], believed: set[str]) -> Convergence:
    heights = [r.relaxation.enthalpy_per_atom if r.name in believed else None for r in records]
    lowest = np.fmin.accumulate(np.array([np.nan if h is None else h for h in heights], dtype=float))
    return Convergence(
        source=source,
        relaxations=np.arange(1, len(records) + 1),
        force_calls=np.cumsum([r.relaxation.force_calls for r in records], dtype=int),
        seconds=np.cumsum([r.seconds for r in records], dtype=float),
        lowest=lowest,
    )
