"""The ranking of minima as AIRSS users know it: the lowest in full, the others relative to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from ..records import Status
from ..search.store import Run
from .columns import aligned
from .minima import MatchTolerances, Minimum

_TEXT_COLUMNS = (0, 4, 6)
_HEADER = ("name", "P/GPa", "V/fu Å^3", "H/fu eV", "formula", "Z", "space group", "found")


def rank_rows(minima: Sequence[Minimum], top: int | None = None) -> list[dict[str, Any]]:
    """The ranking as plain dicts, lowest first, suspicious minima last and without a rank.

    Enthalpies are absolute (`enthalpy_per_formula_unit`, eV; `enthalpy_per_atom`, eV/atom) and relative to the lowest
    believable minimum (`relative_enthalpy_per_formula_unit`; None where there is none, or the minimum is suspicious).

    Parameters
    ----------
    minima : as `find_minima` gives them.
    top : so many minima at most, suspicious ones not counted; None: all.
    """
    believed = [m for m in minima if not m.suspicious][:top]
    rows = []
    for rank, minimum in enumerate([*believed, *(m for m in minima if m.suspicious)], start=1):
        relative = minimum.enthalpy_per_formula_unit - believed[0].enthalpy_per_formula_unit if believed else None
        rows.append(
            {
                "rank": None if minimum.suspicious else rank,
                "name": minimum.name,
                "source": minimum.record.candidate.source,
                "pressure_gpa": minimum.record.relaxation.pressure_gpa,
                "volume_per_formula_unit": minimum.volume_per_formula_unit,
                "enthalpy_per_formula_unit": minimum.enthalpy_per_formula_unit,
                "relative_enthalpy_per_formula_unit": None if minimum.suspicious else relative,
                "enthalpy_per_atom": minimum.enthalpy_per_atom,
                "formula": minimum.formula,
                "formula_units": minimum.formula_units,
                "space_group": minimum.space_group,
                "space_group_number": minimum.space_group_number,
                "times_found": minimum.times_found,
                "members": list(minimum.members),
                "suspicious": minimum.suspicious,
            }
        )
    return rows


def rank_table(
    run: Run, minima: Sequence[Minimum], top: int | None = None, tolerances: MatchTolerances | None = None
) -> str:
    """The ranking as text in fixed columns, with the tolerances that decided what is the same minimum.

    Where nothing converged it says so, and what to do about it.
    """
    tolerances = tolerances or MatchTolerances()
    rows = rank_rows(minima, top)
    lines: list[str] = []
    ranked = [row for row in rows if not row["suspicious"]]
    suspicious = [row for row in rows if row["suspicious"]]
    if ranked:
        cells = [_cells(row, first=number == 0) for number, row in enumerate(ranked)]
        lines += aligned([_HEADER, *cells], _TEXT_COLUMNS)
        hidden = sum(not m.suspicious for m in minima) - len(ranked)
        if hidden:
            lines.append(f"... and {hidden} more (all: xtalseek rank {run.path})")
    else:
        lines += wrap(nothing_converged(run), 80)
    if suspicious:
        lines += ["", "Suspicious, not ranked:"]
        lines += [
            line
            for row in suspicious
            for line in wrap(
                f"{row['name']}  {row['enthalpy_per_formula_unit']:.5f} eV/fu  {row['space_group']}: "
                f"{row['suspicious']}",
                80, initial_indent="  ", subsequent_indent="    ",
            )
        ]  # fmt: skip
    if ranked:
        lines += [
            "",
            "H of the first is absolute, of the others relative to it.",
            *wrap(f"Same minimum: {tolerances}.", 80),
        ]
    return "\n".join(lines)


def nothing_converged(run: Run) -> str:
    """One line for a run without a believable minimum: the counts per status, and advice on the most frequent."""
    counts = Counter(record.relaxation.status for record in run.records)
    if not counts:
        return "No candidate has been relaxed yet."
    shown = ", ".join(f"{n} {status}" for status, n in counts.most_common())
    worst = next((status for status, _ in counts.most_common() if status is not Status.CONVERGED), Status.SUSPICIOUS)
    return f"Nothing has converged that can be ranked ({shown}). What to do about {worst}: {worst.advice}."


def _cells(row: dict[str, Any], first: bool) -> tuple[str, ...]:
    enthalpy = row["enthalpy_per_formula_unit"] if first else row["relative_enthalpy_per_formula_unit"]
    return (
        row["name"],
        f"{row['pressure_gpa']:.2f}",
        f"{row['volume_per_formula_unit']:.3f}",
        f"{enthalpy:.5f}",
        row["formula"],
        str(row["formula_units"]),
        row["space_group"],
        str(row["times_found"]),
    )
