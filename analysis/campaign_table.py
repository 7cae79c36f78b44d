"""A campaign's summary as text, as plain values and as CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from ..search.progress import duration
from .columns import aligned

if TYPE_CHECKING:
    from .campaign_summary import CampaignRow, CampaignSummary

WIDTH = 80
_TOLD = 10
"""Reasons that are listed."""
Column = tuple[str, "Callable[[CampaignRow], str]"]


def headline(summary: CampaignSummary) -> str:
    """How many compositions are in which state, and what was found, in one sentence."""
    states = Counter(row.state for row in summary.rows)
    told = ", ".join(f"{n} {state}" for state, n in states.most_common())
    found = [f"{len(summary.found)} with a minimum"]
    if any(row.seen is not None for row in summary.rows):
        found.append(f"{len(summary.novel)} of them not in the training data")
    if any(row.reference is not None for row in summary.rows):
        found.append(f"{len(summary.below)} with one below the reference")
    if any(row.above_hull is not None for row in summary.rows):
        found.append(f"{len(summary.stable)} stable")
    return f"{_count(len(summary.rows), 'composition')} ({told}): {', '.join(found)}"


def campaign_lines(summary: CampaignSummary, top: int) -> list[str]:
    """What came out in all, a line for each of the first `top` compositions, and notes."""
    rows, calls = summary.rows, sum(row.force_calls for row in summary.rows)
    shown = wrap(headline(summary), WIDTH)
    shown += [f"{_count(calls, 'force call')}, {duration(sum(row.seconds for row in rows))} of work in all processes"]
    columns = _columns(rows)
    table = [[heading for heading, _ in columns], *([cell(row) for _, cell in columns] for row in rows[:top])]
    shown += ["", *aligned(table, (0, 3))]
    if len(rows) > top:
        shown.append(f"... and {len(rows) - top} more in summary.csv")
    sources = summary.by_source()
    if len(sources) > 1:
        table = [["source", "compositions", "candidates", "lowest", "alone", "work"]]
        table += [
            [s.source, str(s.compositions), str(s.candidates), str(s.lowest), str(s.alone), duration(s.seconds)]
            for s in sources
        ]
        shown += ["", *aligned(table, (0,))]
    told = [f"{row.name}: {row.state}{f', {row.reason}' if row.reason else ''}" for row in rows if row.reason]
    notes = [*told[:_TOLD], *([f"... and {len(told) - _TOLD} more like these"] if len(told) > _TOLD else [])]
    notes += [summary.method] if summary.method else []
    return [*shown, "", *_legend(rows), *(line for note in [*notes, *summary.notes] for line in wrap(note, WIDTH))]


def _columns(rows: Sequence[CampaignRow]) -> list[Column]:
    """Those that have anything to tell."""
    columns: list[Column] = [
        ("composition", lambda row: row.name),
        ("done", lambda row: f"{row.done}/{row.num}" if row.done or row.state != "refused" else row.state),
        ("eV/atom", lambda row: _number(row.lowest, 1, 4)),
        ("symmetry", lambda row: row.space_group or "-"),
        ("found", lambda row: str(row.times_found or "-")),
    ]
    if any(row.formation is not None for row in rows):
        columns += [
            ("form.", lambda row: _number(row.formation, 1, 3)),
            ("hull", lambda row: _number(row.above_hull, 1000, 0)),
        ]
    if any(row.reference is not None for row in rows):
        columns += [
            ("ref.", lambda row: _number(row.above_reference, 1000, 0)),
            ("below", lambda row: "-" if row.below_reference is None else str(row.below_reference)),
        ]
    if any(row.seen is not None for row in rows):
        columns.append(("new", lambda row: "-" if row.seen is None else "no" if row.seen else "yes"))
    return columns


def _legend(rows: Sequence[CampaignRow]) -> list[str]:
    """What the columns after the first five mean."""
    words = []
    if any(row.formation is not None for row in rows):
        words.append("form.: of formation, eV/atom; hull: above it, meV/atom")
    if any(row.reference is not None for row in rows):
        words.append("ref.: lowest minus reference, meV/atom; below: minima > 1 meV/atom below it")
    if any(row.seen is not None for row in rows):
        words.append("new: not in the training data")
    return wrap("; ".join(words), WIDTH)


def campaign_json(summary: CampaignSummary) -> dict[str, Any]:
    """Plain values."""
    return {
        "campaign": str(summary.path),
        "states": dict(Counter(row.state for row in summary.rows)),
        "method": summary.method,
        "notes": list(summary.notes),
        "sources": [vars(source) for source in summary.by_source()],
        "compositions": [
            vars(row)
            | {
                "sources": [vars(source) for source in row.sources],
                "found_by": list(row.found_by),
                "above_reference": row.above_reference,
            }
            for row in summary.rows
        ],
    }


def rows_csv(rows: Sequence[CampaignRow]) -> str:
    """A line per composition; of each source its candidates and its lowest enthalpy (eV/atom)."""
    from_row = [name for name in _field_names(rows) if name != "sources"]
    sources = list(dict.fromkeys(own.source for row in rows for own in row.sources))
    per_source = [f"{source}_{what}" for source in sources for what in ("candidates", "lowest")]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*from_row, "above_reference", "found_by", *per_source], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = {name: getattr(row, name) for name in from_row}
        cells |= {"above_reference": row.above_reference, "found_by": "+".join(row.found_by)}
        for own in row.sources:
            cells[f"{own.source}_candidates"] = own.candidates
            cells[f"{own.source}_lowest"] = own.lowest_enthalpy_per_atom
        writer.writerow(cells)
    return text.getvalue()


def _field_names(rows: Sequence[CampaignRow]) -> list[str]:
    return [f.name for row in rows[:1] for f in fields(row)]


def _number(value: float | None, factor: float, digits: int) -> str:
    return "-" if value is None else f"{round(factor * value, digits) + 0.0:.{digits}f}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
