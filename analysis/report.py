"""The report of a run: one HTML file that opens anywhere without a network, and the lowest structures as files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from ..files import write_atomic
from ..formats import cif_text, res_text, safe_name
from ..records import Status
from ..search.progress import duration
from ..search.store import CONFIG_FILE, Run
from ..structure_files import write_folder
from .cells import draw_cell
from .curves import Convergence, convergence
from .figures import convergence_plots, energy_volume_plot
from .minima import MatchTolerances, Minimum, find_minima
from .plots import COSTS, write_plots
from .style import formula_text, number, options_html, space_group_html
from .summary import RunSummary, summarise
from .symmetry import SYMPREC
from .tables import nothing_converged, rank_rows

REPORT_FILE = "report.html"
BEST_FOLDER = "best"
_DRAWN = 6
_LISTED = 100
_DOUBTED = 20


@dataclass(frozen=True)
class StatusRow:
    """How many candidates ended in a status, what to do about it, and what one of them said."""

    status: str
    count: int
    share: float
    advice: str
    example: str


def write_report(
    run: Run, png: bool = False, minima: Sequence[Minimum] | None = None, tolerances: MatchTolerances | None = None
) -> Path:
    """Write RUN/report.html and return its path.

    Parameters
    ----------
    run : as read by `load_run`; it may be running, and nothing need have converged.
    png : write the same plots to RUN/plots/*.png too.
    minima : as `find_minima(run, tolerances)` gives them, where they are already known.
    tolerances : what counts as the same minimum.

    Raises
    ------
    OSError : the run folder cannot be written.
    """
    tolerances = tolerances or MatchTolerances()
    minima = find_minima(run, tolerances) if minima is None else minima
    write_atomic(run.path / REPORT_FILE, _html(run, minima, tolerances))
    if png:
        write_plots(run)
    return run.path / REPORT_FILE


def write_best(run: Run, top: int = 10, minima: Sequence[Minimum] | None = None) -> Path:
    """Write the lowest minima as RUN/best/RANK-NAME.cif and .res, in place of earlier ones; return the folder.

    Files of the user's in that folder stay.

    Raises
    ------
    InputError : the folder cannot be written.
    """
    minima = find_minima(run) if minima is None else minima
    believed = [m for m in minima if not m.suspicious][:top]
    frames = {f"{rank:02d}-{safe_name(m.name)}": m.frame for rank, m in enumerate(believed, start=1)}
    folder = run.path / BEST_FOLDER
    write_folder(folder, {name: cif_text(frame) for name, frame in frames.items()}, ".cif")
    write_folder(folder, {name: res_text(frame) for name, frame in frames.items()}, ".res")
    return folder


def _html(run: Run, minima: Sequence[Minimum], tolerances: MatchTolerances) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "formula": formula_text,
        "space_group": space_group_html,
        "options": options_html,
        "plot": _plot_json,
    }
    summary = summarise(run)
    believed = [m for m in minima if not m.suspicious]
    rows = rank_rows(minima)
    doubted = [row for row in rows if row["suspicious"]]
    curves = convergence(run)
    return environment.get_template("report.html").render(
        run=run,
        target=run.config.target,
        summary=summary,
        headline=headline(summary, minima, run),
        nothing=None if believed else nothing_converged(run),
        statuses=_status_rows(run),
        ranked=[row for row in rows if not row["suspicious"]][:_LISTED],
        unlisted=max(0, len(believed) - _LISTED),
        suspicious=doubted[:_DOUBTED],
        more_suspicious=max(0, len(doubted) - _DOUBTED),
        curves=[(words, figure, reached(curves[0], field)) for field, words, figure in convergence_plots(curves)]
        if believed
        else [],
        scatter=energy_volume_plot(run) if believed else None,
        drawings=[
            (m, draw_cell(m.atoms), m.enthalpy_per_atom - believed[0].enthalpy_per_atom) for m in believed[:_DRAWN]
        ],
        tolerances=str(tolerances),
        symprec=SYMPREC,
        work=duration(summary.seconds),
        config_text=(run.path / CONFIG_FILE).read_text(encoding="utf-8"),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        plotly_js=Markup(get_plotlyjs()),
    )


def headline(summary: RunSummary, minima: Sequence[Minimum], run: Run) -> list[str]:
    """What was searched, what was found and how far to trust it: a few sentences, the most important first."""
    target, config = run.config.target, run.config
    low, high = target.formula_units
    units = f"{low} formula unit{'s' if high > 1 else ''}" if low == high else f"{low} to {high} formula units"
    sources = f"source{'s' if len(config.source) > 1 else ''} {' and '.join(config.source)}"
    sentences = [
        f"Searched for the lowest-enthalpy structure of {formula_text(target.name)}, {units} per cell at "
        f"{target.pressure_gpa:g} GPa, among {config.num} candidates from {sources}, relaxed with {config.relaxer}."
    ]
    believed = [m for m in minima if not m.suspicious]
    of_those = f"{summary.converged} of {summary.done} relaxations converged"
    if not believed:
        return [*sentences, nothing_converged(run)]
    best = believed[0]
    found = "once" if best.times_found == 1 else f"{best.times_found} times"
    sentences.append(
        f"The lowest of {len(believed)} distinct minima is {best.name}, space group {best.space_group}, at "
        f"{number(best.enthalpy_per_atom, 4)} eV/atom, found {found}; {of_those}."
    )
    if best.times_found == 1:
        sentences.append("It was found only once, so a lower one may well have been missed: search longer (raise -n).")
    if summary.state != "finished":
        sentences.append(f"The search has done {summary.done} of {summary.num} candidates and is {summary.state}.")
    return sentences


def reached(curve: Convergence, cost: str) -> str:
    """What it cost to come within 1 meV/atom of the lowest found: "23 relaxations", "5180 force calls", "9 min"."""
    first = int(np.argmax(curve.lowest <= curve.lowest[-1] + 0.001))
    amount = getattr(curve, cost)[first]
    if cost == "seconds":
        return duration(float(amount))
    words = dict(COSTS)[cost]
    return f"{amount} {words.removesuffix('s') if amount == 1 else words}"


def _status_rows(run: Run) -> list[StatusRow]:
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


def _plot_json(figure: go.Figure) -> Markup:
    """A figure as JSON that can stand inside a script element: nothing in it can end the element."""
    text = json.dumps(json.loads(figure.to_json()), separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
