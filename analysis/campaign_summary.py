"""A campaign at one moment: a row per composition, small enough that ten thousand of them fit in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ..formula import parse_formula
from ..records import Record
from ..search.store import Run
from .campaign_table import campaign_json, campaign_lines, rows_csv
from .findings import SourceRow, how_sure, source_rows
from .minima import find_minima
from .summary import summarise

BELOW = 0.001
"""eV/atom; a minimum is new where it lies further than this below the reference."""
NOT_BEGUN, REFUSED = "not begun", "refused"


class Novelty(Protocol):
    """What is known of a composition and the data that a model was trained on."""

    @property
    def seen(self) -> bool:
        """Whether the composition is in that data."""

    @property
    def words(self) -> str:
        """The same for a person, in one line."""


@dataclass(frozen=True)
class CampaignRow:
    """What became of one composition. Energies are enthalpies, eV/atom; None where there is none to tell.

    Attributes
    ----------
    name : of the composition in the campaign: the target's, with the pressure behind it where there is one.
    formula : one formula unit. atoms_per_formula_unit : atoms in it; 0 where the formula cannot be read.
    pressure_gpa : external pressure.
    state : "finished", "running", "stopped", "not begun", "refused" or "unreadable".
    reason : of the last two, and of a round that could not be read; empty otherwise.
    folder : run folder of the lowest minimum (of the first round where there is none), below the campaign's.
    rounds : run folders that were read.
    done, num, converged : candidates with a result, asked for, and converged.
    minima : distinct believable ones.
    lowest : enthalpy of the lowest. lowest_name : its candidate. space_group, times_found : of it.
    sources : what each source brought.
    unseen : chance that the next relaxation finds a new minimum; None before enough relaxations have converged.
    missed_lower : chance to have missed a lower minimum as easy to find as the lowest (`search.completeness`).
    force_calls, seconds : cost; seconds of proposing and relaxing, summed over processes.
    torn_lines : lines of the journals that could not be read.
    reference : the lowest known from elsewhere.
    below_reference : distinct minima more than 1 meV/atom below the reference; None without one.
    seen, novelty : whether the composition is in the model's training data, and words on it; None and empty if unknown.
    formation : enthalpy of formation from the elements. above_hull : height above the hull; 0 for a stable one.
    """

    name: str
    formula: str
    atoms_per_formula_unit: int
    pressure_gpa: float
    state: str
    reason: str = ""
    folder: str = ""
    rounds: int = 0
    done: int = 0
    num: int = 0
    converged: int = 0
    minima: int = 0
    lowest: float | None = None
    lowest_name: str = ""
    space_group: str = ""
    times_found: int = 0
    sources: tuple[SourceRow, ...] = ()
    unseen: float | None = None
    missed_lower: float | None = None
    force_calls: int = 0
    seconds: float = 0.0
    torn_lines: int = 0
    reference: float | None = None
    below_reference: int | None = None
    seen: bool | None = None
    novelty: str = ""
    formation: float | None = None
    above_hull: float | None = None

    @property
    def found_by(self) -> tuple[str, ...]:
        """Sources that found the lowest minimum."""
        return tuple(source.source for source in self.sources if source.lowest_hits)

    @property
    def above_reference(self) -> float | None:
        """The lowest minus the reference: negative for a new minimum."""
        return None if self.lowest is None or self.reference is None else self.lowest - self.reference


def idle_row(
    name: str, formula: str = "", pressure_gpa: float = 0.0, num: int = 0, state: str = NOT_BEGUN, reason: str = ""
) -> CampaignRow:
    """A composition without results: not begun, refused, or with a run folder that cannot be read."""
    try:
        atoms = sum(parse_formula(formula).values())
    except ValueError:  # it is refused for that
        atoms = 0
    return CampaignRow(name, formula or name, atoms, pressure_gpa, state, reason, num=num)


def summarise_search(
    name: str,
    runs: Sequence[Run],
    reference: float | None = None,
    novelty: Novelty | None = None,
    asked: int | None = None,
) -> CampaignRow:
    """What the search of one composition has come to.

    Parameters
    ----------
    name : the composition's.
    runs : its run folders, one per round; at least one. Candidates of later ones are called after their folder.
    reference : enthalpy to be compared with, eV/atom.
    novelty : the composition against the training data.
    asked : candidates asked for in all rounds; default: what the run folders say.
    """
    run = _united(runs, asked)
    minima = find_minima(run)
    summary, sure = summarise(run), how_sure(minima, run.config)
    believed = [m for m in minima if not m.suspicious]
    best = believed[0] if believed else None
    homes = {record.name: one.path for one in runs for record in _records(one, first=one is runs[0])}
    home = runs[0].path if best is None else homes[best.name]
    below = None if reference is None else sum(m.enthalpy_per_atom < reference - BELOW for m in believed)
    return CampaignRow(
        name=name,
        formula=run.config.target.formula,
        atoms_per_formula_unit=sum(run.config.target.composition.values()),
        pressure_gpa=run.config.pressure_gpa,
        state=summary.state,
        folder=f"runs/{home.name}",
        rounds=len(runs),
        done=summary.done,
        num=summary.num,
        converged=summary.converged,
        minima=len(believed),
        lowest=None if best is None else best.enthalpy_per_atom,
        lowest_name="" if best is None else best.name,
        space_group="" if best is None else best.space_group,
        times_found=0 if best is None else best.times_found,
        sources=tuple(source_rows(run, minima)),
        unseen=sure.figures.unseen if sure is not None and sure.judged else None,
        missed_lower=None if sure is None else sure.figures.missed_lower,
        force_calls=summary.force_calls,
        seconds=summary.seconds,
        torn_lines=run.torn_lines,
        reference=reference,
        below_reference=below,
        seen=None if novelty is None else novelty.seen,
        novelty="" if novelty is None else novelty.words,
    )


def _united(runs: Sequence[Run], asked: int | None) -> Run:
    """All rounds as one run."""
    first = runs[0]
    config = replace(
        first.config,
        num=sum(run.config.num for run in runs) if asked is None else asked,
        source=tuple(dict.fromkeys(source for run in runs for source in run.config.source)),
    )
    return replace(
        first,
        config=config,
        records=tuple(record for run in runs for record in _records(run, first=run is first)),
        torn_lines=sum(run.torn_lines for run in runs),
    )


def _records(run: Run, first: bool) -> Sequence[Record]:
    """Of a later round called after its folder: each round numbers its candidates from 0."""
    if first:
        return run.records
    return [replace(r, candidate=replace(r.candidate, target=run.path.name)) for r in run.records]


@dataclass(frozen=True)
class SourceTotal:
    """What one source brought to all compositions.

    Attributes
    ----------
    compositions, candidates : searched by it, and proposed by it.
    lowest, alone : compositions whose lowest minimum it found, and no other source did.
    seconds : of proposing and relaxing its candidates.
    """

    source: str
    compositions: int
    candidates: int
    lowest: int
    alone: int
    seconds: float


@dataclass(frozen=True)
class CampaignSummary:
    """All compositions of a campaign.

    Attributes
    ----------
    path : the campaign folder.
    rows : one per composition, in the campaign's order.
    method : what the enthalpies of the hull were made with, in words; empty where there is no hull.
    notes : lines that belong below the table.
    """

    path: Path
    rows: tuple[CampaignRow, ...]
    method: str = ""
    notes: tuple[str, ...] = ()

    @property
    def found(self) -> list[CampaignRow]:
        """Compositions with a minimum."""
        return [row for row in self.rows if row.lowest is not None]

    @property
    def novel(self) -> list[CampaignRow]:
        """Those of them that are not in the training data."""
        return [row for row in self.found if row.seen is False]

    @property
    def below(self) -> list[CampaignRow]:
        """Those with a minimum below the reference."""
        return [row for row in self.found if row.below_reference]

    @property
    def stable(self) -> list[CampaignRow]:
        """Those on the hull."""
        return [row for row in self.found if row.above_hull == 0]

    def by_source(self) -> list[SourceTotal]:
        """The sources, in the order in which the rows name them."""
        totals: dict[str, SourceTotal] = {}
        for row in self.rows:
            for own in row.sources:
                so_far = totals.get(own.source, SourceTotal(own.source, 0, 0, 0, 0, 0.0))
                hit = own.source in row.found_by
                totals[own.source] = SourceTotal(
                    own.source,
                    so_far.compositions + (own.candidates > 0),
                    so_far.candidates + own.candidates,
                    so_far.lowest + hit,
                    so_far.alone + (hit and len(row.found_by) == 1),
                    so_far.seconds + own.seconds,
                )
        return list(totals.values())

    def lines(self, top: int = 40) -> list[str]:
        """For a terminal: what came out in all, a line for each of the first `top` compositions, notes."""
        return campaign_lines(self, top)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return campaign_json(self)

    def to_csv(self) -> str:
        """A line per composition; of each source its candidates and its lowest enthalpy (eV/atom)."""
        return rows_csv(self.rows)
