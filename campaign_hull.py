"""A campaign's summary: run folders read one at a time, references relaxed with their potential, one hull for all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .analysis.campaign_runs import UNREADABLE, Searched, campaign_runs
from .analysis.campaign_summary import REFUSED, CampaignRow, CampaignSummary, Novelty, idle_row, summarise_search
from .analysis.comparison_runs import TargetKey, read_references, target_of
from .analysis.hull_heights import heights
from .analysis.stability import Phase
from .errors import InputError
from .formula import parse_formula
from .hull import reference_entries
from .references import Method
from .relax.trust import require_typed
from .search.config import SearchConfig

_SHOWN = 5


@dataclass(frozen=True)
class Standards:
    """What the minima of a campaign are measured against.

    Attributes
    ----------
    reference : structures with energies, or run folders: the lowest known of each composition.
    hull : whether to relax the elements and to build the hull.
    phases : structures, or run folders, that compete on the hull besides the elements and the campaign's own.
    cache : where relaxed references are kept; None: `references.default_cache()`.
    typed : words of the command line, see `relax.trust.require_typed`.
    """

    reference: Sequence[str] = ()
    hull: bool = True
    phases: Sequence[str] = ()
    cache: Path | None = None
    typed: Collection[str] = ()


def summarise_campaign(
    folder: Path,
    searches: Mapping[str, SearchConfig] | None = None,
    standards: Standards | None = None,
    *,
    novelty: Mapping[str, Novelty] | None = None,
    asked: Mapping[str, int] | None = None,
    refused: Mapping[str, str] | None = None,
) -> CampaignSummary:
    """Where each composition of a campaign stands; it may be running.

    Run folders that cannot be read, and a hull that cannot be built, are told in the summary.

    Parameters
    ----------
    folder : of the campaign.
    searches : the campaign's, by name: their order is the table's, and those without a run folder are not begun.
    novelty : each composition against the training data, by name.
    asked : candidates asked for in all rounds, by name; of others what their run folders say.
    refused : compositions that were not searched, by name, and why.

    Raises
    ------
    InputError : the reference cannot be read, has no energies or is of another potential.
    """
    standards, asked, novelty = standards or Standards(), asked or {}, novelty or {}
    rows = _idle_rows(searches or {}, novelty, asked, refused or {})
    notes: list[str] = []
    groups: dict[float, list[_Alike]] = {}
    reference: dict[TargetKey, float] | None = None
    for searched in campaign_runs(folder):
        config = searched.runs[0].config if searched.runs else None
        if reference is None and config is not None:
            reference, passed_over = read_references(standards.reference, config)
            if passed_over:
                notes.append(f"references that had not converged do not count: {', '.join(passed_over)}")
        height = None if reference is None or config is None else reference.get(target_of(config))
        name, known = searched.name, novelty.get(searched.name)
        rows[name] = row = _row(searched, height, known, asked.get(name), rows.get(name))
        if config is not None and row.lowest is not None:
            _sort_in(groups.setdefault(row.pressure_gpa, []), name, Method.of(config))
        del searched  # before the next is read
    summary = CampaignSummary(folder, tuple(rows.values()), notes=tuple(notes))
    return _on_hulls(summary, groups, standards) if standards.hull else summary


def _idle_rows(
    searches: Mapping[str, SearchConfig],
    novelty: Mapping[str, Novelty],
    asked: Mapping[str, int],
    refused: Mapping[str, str],
) -> dict[str, CampaignRow]:
    """The compositions before anything is read of them."""
    rows = {
        name: idle_row(name, config.formula, config.pressure_gpa, asked.get(name, config.num))
        for name, config in searches.items()
    }
    for name, reason in refused.items():
        rows[name] = replace(rows.get(name, idle_row(name)), state=REFUSED, reason=reason)
    for name in rows.keys() & novelty.keys():
        rows[name] = replace(rows[name], seen=novelty[name].seen, novelty=novelty[name].words)
    return rows


def _on_hulls(
    summary: CampaignSummary, groups: Mapping[float, Sequence[_Alike]], standards: Standards
) -> CampaignSummary:
    """The rows with their heights, a hull for each pressure, of those compositions that most were relaxed like."""
    rows, methods, notes = {row.name: row for row in summary.rows}, [], list(summary.notes)
    for pressure, alike in groups.items():
        most = max(alike, key=lambda group: len(group.names))
        own = [row for row in rows.values() if row.name in most.names]
        measured, said = _measured(own, most.method, standards, str(summary.path))
        rows |= measured
        notes += [*_left_out(alike, most), *said]
        if measured:
            methods.append(most.method.relaxer + (f" at {pressure:g} GPa" if pressure else ""))
    words = f"All enthalpies of the hull by {', '.join(methods)}." if methods else ""
    return replace(summary, rows=tuple(rows.values()), method=words, notes=tuple(notes))


@dataclass
class _Alike:
    """Names of compositions whose enthalpies compare, for they were relaxed alike."""

    method: Method
    names: set[str] = field(default_factory=set)


def _sort_in(groups: list[_Alike], name: str, method: Method) -> None:
    """Into the group that was relaxed like it, or into one of its own."""
    alike = next((group for group in groups if not method.differences(group.method)), None)
    if alike is None:
        groups.append(alike := _Alike(method))
    alike.names.add(name)


def _left_out(groups: Sequence[_Alike], chosen: _Alike) -> list[str]:
    """Why some compositions are not on the hull of the others."""
    notes = []
    for group in groups:
        if group is not chosen:
            names = sorted(group.names)
            shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
            differing = "; ".join(group.method.differences(chosen.method))
            notes.append(f"left out of the hull, for {differing}: {shown}")
    return notes


def _row(
    searched: Searched, height: float | None, known: Novelty | None, asked: int | None, idle: CampaignRow | None
) -> CampaignRow:
    reason = searched.reason
    if searched.runs:
        try:
            row = summarise_search(searched.name, searched.runs, height, known, asked)
            if not row.done and idle is not None and idle.state == REFUSED:
                return idle
            return replace(row, reason=reason)
        except UNREADABLE as error:
            reason = f"{type(error).__name__}: {error}"
    return replace(idle or idle_row(searched.name), state="unreadable", reason=reason)


def _measured(
    rows: Sequence[CampaignRow], method: Method, standards: Standards, origin: str
) -> tuple[dict[str, CampaignRow], list[str]]:
    """Rows of one pressure with their heights, and notes; what cannot be measured stays as it was."""
    phases = [_phase(row) for row in rows]
    elements = sorted({symbol for phase in phases for symbol in phase.elements})
    try:
        require_typed(method.relaxer, method.options, standards.typed, origin)
        entries, notes = reference_entries(elements, standards.phases, method, standards.cache, optional=True)
    except InputError as error:
        return {}, [f"no hull: {error}"]
    phases += [
        Phase(f"reference {n}", Counter(entry.atoms.get_chemical_symbols()), entry.enthalpy_per_atom)
        for n, entry in enumerate(entries)
    ]
    pure = {symbol for phase in phases if len(phase.elements) == 1 for symbol in phase.elements}
    if lost := [symbol for symbol in elements if symbol not in pure]:
        notes.append(f"no formation energies with {', '.join(lost)}: no reference is known, or none converged")
    found = heights(phases)
    return {
        row.name: replace(row, formation=found[row.name].formation, above_hull=found[row.name].above_hull)
        for row in rows
        if row.name in found
    }, notes


def _phase(row: CampaignRow) -> Phase:
    assert row.lowest is not None
    return Phase(row.name, parse_formula(row.formula), row.lowest)
