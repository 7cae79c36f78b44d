"""The report of a campaign: one HTML file that opens anywhere without a network, and its summary as CSV and JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import InputError
from ..files import write_atomic
from ..search.campaign_files import CAMPAIGN_FILE
from ..search.config import SearchConfig, read_run_config
from ..search.progress import duration
from ..search.store import CONFIG_FILE
from .campaign_plots import completeness_plot, stability_plot
from .campaign_summary import REFUSED, CampaignRow, CampaignSummary
from .campaign_table import headline
from .citations import Citation, cite
from .comparison_cells import UNKNOWN
from .page import provenance, render
from .report import REPORT_FILE
from .style import formula_text, number

SUMMARY_CSV = "summary.csv"
SUMMARY_JSON = "summary.json"
_OF_ONE = ("composition", "formula", "num", "out")
"""Settings of single compositions."""
_LISTED = 20
"""New minima, and compositions of a round, that are listed."""
_TOLD = 50
"""Reasons that are listed."""


def write_campaign_summary(summary: CampaignSummary, folder: Path) -> tuple[Path, Path]:
    """Write FOLDER/summary.csv and FOLDER/summary.json, each whole or not at all; return their paths.

    Raises
    ------
    OSError : the folder cannot be written.
    """
    table, values = folder / SUMMARY_CSV, folder / SUMMARY_JSON
    write_atomic(table, summary.to_csv())
    write_atomic(values, json.dumps(summary.to_json()) + "\n")
    return table, values


def told_as_refused(folder: Path) -> dict[str, str]:
    """Compositions that the folder's last summary says were refused, and why; none where there is no summary."""
    try:
        rows = json.loads((folder / SUMMARY_JSON).read_bytes())["compositions"]
        return {str(row["name"]): str(row["reason"]) for row in rows if row["state"] == REFUSED}
    except (OSError, ValueError, KeyError, TypeError):  # not there yet, or damaged: it is made anew
        return {}


def write_campaign_report(summary: CampaignSummary, folder: Path, rounds: Sequence[Mapping[str, int]] = ()) -> Path:
    """Write FOLDER/report.html and return its path.

    Parameters
    ----------
    folder : of the campaign; its campaign.toml tells the provenance, or the first run folder where there is none.
    rounds : candidates by name of the composition, the first round first; empty: nothing is said of rounds.

    Raises
    ------
    OSError : the folder cannot be written.
    """
    write_atomic(folder / REPORT_FILE, _html(summary, folder, rounds))
    return folder / REPORT_FILE


@dataclass(frozen=True)
class Round:
    """A sharing of the budget: its number, the compositions that got any, candidates, and who got most of them."""

    number: int
    compositions: int
    candidates: int
    most: str


def _html(summary: CampaignSummary, folder: Path, rounds: Sequence[Mapping[str, int]]) -> str:
    rows = summary.rows
    with_hull = any(row.formation is not None for row in rows)
    with_reference = any(row.reference is not None for row in rows)
    with_novelty = any(row.seen is not None for row in rows)
    cited, uncited = _cited(summary, folder)
    below = sorted(summary.below, key=lambda row: row.above_reference or 0.0)
    return render(
        "campaign.html",
        summary=summary,
        title=folder.resolve().name,
        headline=headline(summary),
        states=Counter(row.state for row in rows),
        done=sum(row.done for row in rows),
        force_calls=sum(row.force_calls for row in rows),
        work=duration(sum(row.seconds for row in rows)),
        with_hull=with_hull,
        with_reference=with_reference,
        with_novelty=with_novelty,
        filters=_filters(with_hull, with_reference, with_novelty),
        columns=_columns(with_hull, with_reference, with_novelty),
        rows=[_shown(row, folder, with_hull, with_reference, with_novelty) for row in rows],
        below=[(formula_text(row.name), row) for row in below[:_LISTED]],
        more_below=max(0, len(below) - _LISTED),
        reasons=[row for row in rows if row.reason][:_TOLD],
        more_reasons=max(0, sum(bool(row.reason) for row in rows) - _TOLD),
        stability=stability_plot(rows),
        completeness=completeness_plot(rows),
        sources=summary.by_source(),
        rounds=[_round(n, budget) for n, budget in enumerate(rounds, start=1)],
        torn=sum(row.torn_lines for row in rows),
        provenance=_provenance(summary, folder),
        cited=cited,
        uncited=uncited,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _columns(with_hull: bool, with_reference: bool, with_novelty: bool) -> list[tuple[str, str, str]]:
    """Headings of the table in two lines, and the class of their cells."""
    hull = [("Formation", "eV/atom", "n"), ("Above hull", "meV/atom", "n")] if with_hull else []
    reference = [("Above ref.", "meV/atom", "n"), ("Minima", "below ref.", "n")] if with_reference else []
    return [
        ("Composition", "", ""),
        ("State", "", ""),
        ("Done", "of asked", "n"),
        ("Lowest", "eV/atom", "n"),
        ("Space group", "", ""),
        ("Times", "found", "n"),
        ("Minima", "", "n"),
        *hull,
        *reference,
        *([("Training data", "", "")] if with_novelty else []),
        ("New next", "%", "n"),
        ("Found by", "", ""),
        ("Work", "", "n"),
    ]


def _filters(with_hull: bool, with_reference: bool, with_novelty: bool) -> list[tuple[str, str]]:
    """What the table can be narrowed down to: flag and words."""
    return [
        *([("new", "not in the training data")] if with_novelty else []),
        *([("below", "below the reference")] if with_reference else []),
        *([("stable", "on the hull")] if with_hull else []),
        ("open", "not finished"),
    ]


def _shown(row: CampaignRow, folder: Path, with_hull: bool, with_reference: bool, with_novelty: bool) -> list[Any]:
    """A line of the table for the page's script: the link to the report (empty: there is none), what filters ask for,
    and the cells: a text, or a text and the number it is sorted by."""
    flags = {
        "new": row.seen is False,
        "below": bool(row.below_reference),
        "stable": row.above_hull == 0,
        "open": row.state != "finished",
    }
    hull = [_cell(row.formation, 1, 3), _cell(row.above_hull, 1000, 1)] if with_hull else []
    below = [_cell(row.above_reference, 1000, 1), _cell(row.below_reference, 1, 0)] if with_reference else []
    with_report = row.folder and (folder / row.folder / REPORT_FILE).is_file()
    return [
        quote(f"{row.folder}/{REPORT_FILE}") if with_report else "",
        [name for name, is_so in flags.items() if is_so],
        formula_text(row.name),
        row.state,
        [f"{row.done}/{row.num}", row.done],
        _cell(row.lowest, 1, 4),
        row.space_group or UNKNOWN,
        [str(row.times_found), row.times_found],
        [str(row.minima), row.minima],
        *hull,
        *below,
        *([row.novelty or UNKNOWN] if with_novelty else []),
        _cell(row.unseen, 100, 0),
        ", ".join(row.found_by) or UNKNOWN,
        [duration(row.seconds), round(row.seconds)],
    ]


def _cell(value: float | None, factor: float, digits: int) -> tuple[str, float | None]:
    if value is None:
        return UNKNOWN, None
    return number(round(factor * value, digits) + 0.0, digits), round(value, 7)


def _round(number: int, budget: Mapping[str, int]) -> Round:
    shares = sorted(((n, name) for name, n in budget.items() if n), key=lambda share: (-share[0], share[1]))
    most = ", ".join(f"{formula_text(name)} {n}" for n, name in shares[:_LISTED])
    return Round(number, len(shares), sum(n for n, _ in shares), most + (", …" if len(shares) > _LISTED else ""))


def _first_config(summary: CampaignSummary) -> Path | None:
    """Of the first composition that has a run folder."""
    return next((summary.path / row.folder / CONFIG_FILE for row in summary.rows if row.folder), None)


def _provenance(summary: CampaignSummary, folder: Path) -> list[tuple[str, str]]:
    """What all searches share: settings, versions, hardware."""
    file = folder / CAMPAIGN_FILE
    path = file if file.is_file() else _first_config(summary)
    try:
        said = [] if path is None else provenance(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [("settings", f"cannot be read any more: {error}")]
    return [(term, text) for term, text in said if term not in _OF_ONE]


def _cited(summary: CampaignSummary, folder: Path) -> tuple[list[Citation], list[str]]:
    """The publications behind the first composition's search, with the sources of all."""
    path = _first_config(summary)
    if path is None:
        return [], []
    try:
        config: SearchConfig = read_run_config(path)
    except (OSError, InputError):
        return [], []
    sources = tuple(source.source for source in summary.by_source()) or config.source
    return cite(replace(config, source=sources), estimated=any(row.unseen is not None for row in summary.rows))
