"""What a run found, in words and small tables: the headline, how sure it is, the funnel, statuses and sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..records import Record, Status
from ..search.completeness import Completeness, completeness
from ..search.config import SearchConfig
from ..search.progress import duration
from ..search.store import Run
from .curves import Convergence
from .minima import Minimum, believable
from .plots import COSTS
from .style import formula_text, number
from .summary import RunSummary
from .tables import nothing_converged

FEWEST_TO_JUDGE = 10
"""Believed relaxations below which nothing is said of what was not found."""


@dataclass(frozen=True)
class Stage:
    """A stage of the way from candidates to minima: how many got there, and how the others were lost."""

    name: str
    count: int
    lost: str


@dataclass(frozen=True)
class StatusRow:
    """How many candidates ended in a status, what to do about it, and what one of them said."""

    status: str
    count: int
    share: float
    advice: str
    example: str


@dataclass(frozen=True)
class SourceRow:
    """What one source brought to a run.

    Attributes
    ----------
    source : its name.
    candidates, converged : how many it proposed, and how many of them converged.
    minima : distinct minima that its relaxations ended in.
    first : those of them that it reached first, candidates taken in the order of the run.
    lowest_hits : how often it found the lowest of the whole run.
    lowest_enthalpy_per_atom : of its own, eV/atom; None where it has no minimum.
    seconds : of proposing and relaxing its candidates.
    """

    source: str
    candidates: int
    converged: int
    minima: int
    first: int
    lowest_hits: int
    lowest_enthalpy_per_atom: float | None
    seconds: float


@dataclass(frozen=True)
class Sureness:
    """How far to trust that nothing was missed.

    Attributes
    ----------
    figures : of the relaxations that converged and are believed.
    independent : whether candidates were drawn without regard to what was found, as the figures take for granted.
    """

    figures: Completeness
    independent: bool

    @property
    def judged(self) -> bool:
        """Whether there are enough relaxations to say anything of what was not found."""
        return self.figures.relaxations >= FEWEST_TO_JUDGE

    def sentences(self) -> list[str]:
        """The same in plain words."""
        f = self.figures
        times = "once" if f.lowest_found == 1 else f"{f.lowest_found} times"
        words = [f"The lowest minimum was found {times} in {f.relaxations} relaxations that converged."]
        if f.lowest_found == 1:
            words.append("It was found only once, so a lower one may well have been missed: search longer (raise -n).")
        if not self.judged:
            few = f"Fewer than {FEWEST_TO_JUDGE} relaxations say nothing about the minima that were not found."
            return [*words, few]
        words += [
            f"{f.singletons} of {f.minima} distinct minima {'was' if f.singletons == 1 else 'were'} found only once.",
            f"The chance that the next relaxation to converge ends in a minimum not found yet is about "
            f"{_percent(f.unseen)} ({_percent(f.unseen_low)} to {_percent(f.unseen_high)}, after Good and Turing, at "
            f"95\u00a0% confidence), in one that is lower below {_percent(f.lower_chance)}. What these sources never "
            "propose is not counted.",
        ]
        if not self.independent:
            words.append("Candidates depended on what was found before, so this is a rough guide only.")
        return words


def headline(summary: RunSummary, minima: Sequence[Minimum], run: Run) -> list[str]:
    """What was searched and what was found: a few sentences, the most important first."""
    target, config = run.config.target, run.config
    low, high = target.formula_units
    units = f"{low} formula unit{'s' if high > 1 else ''}" if low == high else f"{low} to {high} formula units"
    sources = f"source{'s' if len(config.source) > 1 else ''} {' and '.join(config.source)}"
    sentences = [
        f"The lowest-enthalpy structure of {formula_text(target.name)}, {units} per cell at "
        f"{target.pressure_gpa:g}\u00a0GPa, among {config.num} candidates from the {sources}, relaxed with "
        f"{config.relaxer}."
    ]
    believed = [m for m in minima if not m.suspicious]
    of_those = f"{summary.converged} of {summary.done} relaxations converged"
    if not believed:
        return [*sentences, nothing_converged(run)]
    best = believed[0]
    found = "once" if best.times_found == 1 else f"{best.times_found} times"
    sentences.append(
        f"The lowest of {len(believed)} distinct minima, {best.name}, has space group {best.space_group} and "
        f"{number(best.enthalpy_per_atom, 4)}\u00a0eV/atom and was found {found}; {of_those}."
    )
    if summary.state == "finished" and summary.done < summary.num:
        sentences.append(f"The search stopped after {summary.done} candidates, when enough was found ({config.until}).")
    elif summary.state != "finished":
        sentences.append(f"The search has done {summary.done} of {summary.num} candidates and is {summary.state}.")
    return sentences


def how_sure(minima: Sequence[Minimum], config: SearchConfig) -> Sureness | None:
    """How far to trust that nothing was missed; None where there is no minimum.

    Source: `search.completeness`.
    """
    found = [m.times_found for m in minima if not m.suspicious]
    if not found:
        return None
    return Sureness(completeness(found), config.schedule != "adaptive" and "shake" not in config.source)


def funnel(run: Run, minima: Sequence[Minimum]) -> list[Stage]:
    """From candidates to distinct minima."""
    tried = len(run.records)
    drawn = sum(r.candidate.atoms is not None for r in run.records)
    relaxed = sum(r.relaxation.energy is not None for r in run.records)
    converged = sum(r.relaxation.status is Status.CONVERGED for r in run.records)
    believed = len(believable(run)[0])
    distinct = sum(not m.suspicious for m in minima)
    return [
        Stage("drawn", drawn, _lost(tried - drawn, "could not be drawn")),
        Stage("relaxed", relaxed, _lost(drawn - relaxed, "got no energy")),
        Stage("converged", converged, _lost(relaxed - converged, "did not converge")),
        Stage("believed", believed, _lost(converged - believed, "lies too low to be true", "lie too low to be true")),
        Stage("distinct minima", distinct, _lost(believed - distinct, "was found before", "were found before")),
    ]


def status_rows(run: Run) -> list[StatusRow]:
    """How the relaxations ended, in the order of the statuses, none that did not occur."""
    counts = Counter(record.relaxation.status for record in run.records)
    messages: dict[Status, Counter[str]] = {status: Counter() for status in counts}
    for record in run.records:
        messages[record.relaxation.status][record.relaxation.message] += 1
    return [
        StatusRow(
            status=status.value,
            count=counts[status],
            share=100 * counts[status] / len(run.records),
            advice="" if status is Status.CONVERGED else status.advice,
            example="" if status is Status.CONVERGED else messages[status].most_common(1)[0][0],
        )
        for status in Status
        if counts[status]
    ]


def source_rows(run: Run, minima: Sequence[Minimum]) -> list[SourceRow]:
    """What each source brought, in the order of the run's configuration."""
    believed = [m for m in minima if not m.suspicious]
    order = {record.name: place for place, record in enumerate(run.records)}
    sources = {record.name: record.candidate.source for record in run.records}
    first = Counter(sources[min(m.members, key=order.__getitem__)] for m in believed)
    reached = Counter(source for m in believed for source in {sources[name] for name in m.members})
    hits = Counter(sources[name] for m in believed[:1] for name in m.members)
    records: dict[str, list[Record]] = {source: [] for source in run.config.source}
    for record in run.records:
        records.setdefault(record.candidate.source, []).append(record)
    heights: dict[str, list[float]] = {source: [] for source in records}
    for record in believable(run)[0]:
        if record.relaxation.enthalpy_per_atom is not None:
            heights[record.candidate.source].append(record.relaxation.enthalpy_per_atom)
    return [
        SourceRow(
            source=source,
            candidates=len(own),
            converged=sum(r.relaxation.status is Status.CONVERGED for r in own),
            minima=reached[source],
            first=first[source],
            lowest_hits=hits[source],
            lowest_enthalpy_per_atom=min(heights[source], default=None),
            seconds=sum(r.seconds for r in own),
        )
        for source, own in records.items()
    ]


def found_by(minimum: Minimum, sources: dict[str, str]) -> str:
    """How often each source found a minimum: "unimat 3, random 1".

    Parameters
    ----------
    sources : the source of each relaxation by name.
    """
    return ", ".join(f"{source} {n}" for source, n in Counter(sources[name] for name in minimum.members).most_common())


def reached(curve: Convergence, cost: str) -> str:
    """What it cost to come within 1 meV/atom of the lowest found: "23 relaxations", "5180 force calls", "9 min"."""
    first = int(np.argmax(curve.lowest <= curve.lowest[-1] + 0.001))
    amount = getattr(curve, cost)[first]
    if cost == "seconds":
        return duration(float(amount))
    words = dict(COSTS)[cost]
    return f"{amount} {words.removesuffix('s') if amount == 1 else words}"


def _lost(count: int, one: str, several: str = "") -> str:
    return f"{count} {one if count == 1 else several or one}" if count > 0 else ""


def _percent(share: float) -> str:
    """A chance in as many digits as mean something."""
    return f"{100 * share:.0f}\u00a0%" if share >= 0.095 or share == 0 else f"{100 * share:.1g}\u00a0%"
