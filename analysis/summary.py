"""How far a run is: counts, best, rate, and whether anything still works on it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..records import Record, Status
from ..search.found import found_in
from ..search.progress import duration
from ..search.store import CONFIG_FILE, Run
from .minima import believable

_QUIET_SECONDS = 120.0
_QUIET_CANDIDATES = 10.0
_RATE_WINDOW = 50


@dataclass(frozen=True)
class RunSummary:
    """A run at one moment.

    Attributes
    ----------
    path : the run folder.
    target : what is searched for, as a name.
    sources : its sources.
    state : "finished" (all candidates are done, or the stopping rule is met), "running" or "stopped". A run folder
        holds no lock that says so: "running" means that a relaxation ended (or the folder was made) more recently than
        120 s or ten times what a candidate takes.
    done, num : candidates with a result, and asked for.
    counts : candidates per status, without zeros, the most frequent first.
    best_name : the lowest believable relaxation; empty where there is none.
    best_enthalpy_per_atom : its enthalpy, eV/atom.
    best_enthalpy_per_formula_unit : eV per formula unit as the user wrote it.
    force_calls : evaluations of the potential in all.
    seconds : seconds of proposing and relaxing, summed over processes.
    candidates_per_hour : rate of late; None where it is not known.
    seconds_left : estimate from that rate; None unless running.
    torn_lines : lines of the journal that could not be read.
    """

    path: str
    target: str
    sources: tuple[str, ...]
    state: str
    done: int
    num: int
    counts: dict[Status, int]
    best_name: str
    best_enthalpy_per_atom: float | None
    best_enthalpy_per_formula_unit: float | None
    force_calls: int
    seconds: float
    candidates_per_hour: float | None
    seconds_left: float | None
    torn_lines: int

    @property
    def converged(self) -> int:
        """Candidates that converged."""
        return self.counts.get(Status.CONVERGED, 0)

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return vars(self) | {
            "sources": list(self.sources),
            "counts": {status.value: n for status, n in self.counts.items()},
        }

    def lines(self) -> list[str]:
        """The same as lines of text for a terminal."""
        share = 100 * self.done / self.num
        counts = ", ".join(f"{n} {status}" for status, n in self.counts.items())
        lines = [
            f"{self.path}: {self.target}, {self.state}",
            f"done      {self.done} of {self.num} candidates ({share:.0f} %) from {', '.join(self.sources)}",
            f"statuses  {counts or 'none yet'}",
        ]
        if self.best_enthalpy_per_atom is None:
            lines.append("lowest    none: nothing has converged yet")
        else:
            lines.append(f"lowest    {self.best_enthalpy_per_atom:.5f} eV/atom, {self.best_name}")
        lines.append(f"cost      {self.force_calls} force calls, {duration(self.seconds)} of work in all processes")
        if self.candidates_per_hour is not None:
            left = "" if self.seconds_left is None else f", about {duration(self.seconds_left)} left"
            lines.append(f"rate      {rate_text(self.candidates_per_hour)}{left}")
        if self.state == "stopped":
            lines.append("next      give the same search command again to go on")
        if self.torn_lines:
            lines.append(
                f"journal   {self.torn_lines} lines unreadable (torn by a kill); their candidates are drawn again"
            )
        return lines


def rate_text(per_hour: float) -> str:
    """A rate in few digits: "1900 candidates/hour", "0.52 candidates/hour"."""
    return f"{per_hour:.0f} candidates/hour" if per_hour >= 100 else f"{per_hour:.3g} candidates/hour"


def summarise(run: Run, now: float | None = None) -> RunSummary:
    """How far a run is.

    Parameters
    ----------
    run : as read by `load_run`.
    now : seconds since 1970; None: the clock.
    """
    now = time.time() if now is None else now
    done, num = len(run.records), run.config.num
    quiet = _quiet_seconds(run.records)
    started = (run.path / CONFIG_FILE).stat().st_mtime
    newest = max((r.finished for r in run.records), default=started)
    enough = run.config.until != "" and found_in(run.records).enough(run.config.stopping_rule)
    state = "finished" if done >= num or enough else "running" if now - newest <= quiet else "stopped"
    rate = _candidates_per_hour(run.records, quiet)
    best = min(believable(run)[0], key=_height, default=None)
    height = None if best is None else best.relaxation.enthalpy_per_atom
    return RunSummary(
        path=str(run.path),
        target=run.config.target.name,
        sources=run.config.source,
        state=state,
        done=done,
        num=num,
        counts=dict(Counter(r.relaxation.status for r in run.records).most_common()),
        best_name="" if best is None else best.name,
        best_enthalpy_per_atom=height,
        best_enthalpy_per_formula_unit=None if height is None else height * sum(run.config.target.composition.values()),
        force_calls=sum(r.relaxation.force_calls for r in run.records),
        seconds=sum(r.seconds for r in run.records),
        candidates_per_hour=rate,
        seconds_left=3600 * (num - done) / rate if rate and state == "running" else None,
        torn_lines=run.torn_lines,
    )


def _height(record: Record) -> tuple[float, str]:
    height = record.relaxation.enthalpy_per_atom
    assert height is not None
    return height, record.name


def _quiet_seconds(records: Sequence[Record]) -> float:
    """A silence longer than this means that nothing works on the run any more."""
    if not records:
        return _QUIET_SECONDS
    typical = float(np.median([r.seconds for r in records]))
    return max(_QUIET_SECONDS, _QUIET_CANDIDATES * typical)


def _candidates_per_hour(records: Sequence[Record], quiet: float) -> float | None:
    """From the last candidates to finish, not reaching back over a silence: a resumed run stood still in between."""
    finished = np.sort([r.finished for r in records])[-_RATE_WINDOW:]
    silences = np.flatnonzero(np.diff(finished) > quiet)
    if len(silences):
        finished = finished[silences[-1] + 1 :]
    if len(finished) < 2 or finished[-1] <= finished[0]:
        return None
    return float(3600 * (len(finished) - 1) / (finished[-1] - finished[0]))
