"""The report of a run: one HTML file that opens anywhere without a network, and the lowest structures as files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from ase.geometry import cell_to_cellpar
from ase.units import _amu
from markupsafe import Markup, escape

from ..files import write_atomic
from ..formats import cif_text, res_text, safe_name
from ..search.progress import duration
from ..search.store import CONFIG_FILE, Run
from ..structure_files import write_folder
from .cells import VIEW, draw_cell
from .citations import cite
from .curves import convergence
from .figures import convergence_plots, energy_volume_plot
from .findings import found_by, funnel, headline, how_sure, reached, source_rows, status_rows
from .minima import MatchTolerances, Minimum, find_minima
from .page import provenance, render
from .plots import COSTS, write_plots
from .sketch import sketch_svg
from .style import number, space_group_html
from .summary import summarise
from .symmetry import SYMPREC
from .tables import nothing_converged, rank_rows

REPORT_FILE = "report.html"
BEST_FOLDER = "best"
_SKETCHED = 6
_LISTED = 100
_DOUBTED = 20


@dataclass(frozen=True, eq=False)
class Shown:
    """A minimum as the page shows it.

    Attributes
    ----------
    title : what it is, in one line.
    above_lowest, above_hull : meV/atom; None where no hull was given.
    volume_per_atom : Å^3.
    found_by : how often by which source.
    facts : terms and texts to stand beside the drawing.
    drawing : for the page's script.
    sketch, thumb : still pictures, large and small; empty but for the lowest few.
    """

    minimum: Minimum
    title: str
    above_lowest: float
    above_hull: float | None
    volume_per_atom: float
    found_by: str
    facts: list[tuple[str, str]]
    drawing: dict[str, Any]
    sketch: Markup
    thumb: Markup


def write_report(
    run: Run,
    png: bool = False,
    minima: Sequence[Minimum] | None = None,
    tolerances: MatchTolerances | None = None,
    hull: go.Figure | None = None,
    above_hull: Mapping[str, float] | None = None,
) -> Path:
    """Write RUN/report.html and return its path.

    Parameters
    ----------
    run : as read by `load_run`; it may be running, and nothing need have converged.
    png : write the same plots to RUN/plots/*.png too.
    minima : as `find_minima(run, tolerances)` gives them, where they are already known.
    tolerances : what counts as the same minimum.
    hull : a plot of the convex hull, to be shown.
    above_hull : distance to the hull by name of a minimum, eV/atom, for the table.

    Raises
    ------
    OSError : the run folder cannot be written.
    """
    tolerances = tolerances or MatchTolerances()
    minima = find_minima(run, tolerances) if minima is None else minima
    write_atomic(run.path / REPORT_FILE, _html(run, minima, tolerances, hull, above_hull or {}))
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


def _html(
    run: Run,
    minima: Sequence[Minimum],
    tolerances: MatchTolerances,
    hull: go.Figure | None,
    above_hull: Mapping[str, float],
) -> str:
    summary = summarise(run)
    believed = [m for m in minima if not m.suspicious]
    shown = _shown(run, believed[:_LISTED], above_hull)
    doubted = [row for row in rank_rows(minima) if row["suspicious"]]
    rows = {name: row for row, m in enumerate(believed[:_LISTED]) for name in m.members}
    sure = how_sure(minima, run.config)
    config_text = (run.path / CONFIG_FILE).read_text(encoding="utf-8")
    cited, uncited = cite(run.config, estimated=sure is not None and sure.judged)
    return render(
        "report.html",
        run=run,
        target=run.config.target,
        summary=summary,
        headline=_typeset(headline(summary, minima, run), believed),
        sure=sure,
        nothing=None if believed else nothing_converged(run),
        stages=funnel(run, minima),
        statuses=status_rows(run),
        sources=source_rows(run, minima) if believed else [],
        shown=shown,
        structures=[item.drawing for item in shown],
        columns=_columns(bool(above_hull)),
        with_hull=bool(above_hull),
        view=json.dumps(VIEW),
        unlisted=max(0, len(believed) - _LISTED),
        suspicious=doubted[:_DOUBTED],
        more_suspicious=max(0, len(doubted) - _DOUBTED),
        curves=convergence_plots(run) if believed else [],
        costs=", ".join(reached(convergence(run)[0], field) for field, _ in COSTS) if believed else "",
        scatter=energy_volume_plot(run, rows) if believed else None,
        hull=hull,
        tolerances=str(tolerances),
        symprec=SYMPREC,
        work=duration(summary.seconds),
        provenance=provenance(config_text),
        config_text=config_text,
        cited=cited,
        uncited=uncited,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _typeset(sentences: Sequence[str], believed: Sequence[Minimum]) -> list[Markup]:
    """The sentences with the lowest's space group in its printed form."""
    texts = [escape(sentence) for sentence in sentences]
    for minimum in believed[:1]:
        words = "space group "
        symbol = escape(words + minimum.space_group)
        texts = [text.replace(symbol, words + space_group_html(minimum.space_group)) for text in texts]
    return texts


def _columns(with_hull: bool) -> list[tuple[str, str, str]]:
    """Headings of the table of minima in two lines, and the class of their cells."""
    hull = [("Above hull", "meV/atom", "n")] if with_hull else []
    return [
        ("Rank", "", "n"),
        ("Space group", "", ""),
        ("Above lowest", "meV/atom", "n"),
        *hull,
        ("Times", "found", "n"),
        ("Enthalpy", "eV/atom", "n"),
        ("Volume", "Å³/atom", "n"),
        ("fu", "per cell", "n"),
        ("Found by", "", ""),
        ("Name", "", ""),
    ]


def _shown(run: Run, believed: Sequence[Minimum], above_hull: Mapping[str, float]) -> list[Shown]:
    sources = {record.name: record.candidate.source for record in run.records}
    shown = []
    for row, minimum in enumerate(believed):
        drawing = draw_cell(minimum.atoms, list(run.config.target.composition))
        above = 1000 * (minimum.enthalpy_per_atom - believed[0].enthalpy_per_atom)
        over_hull = above_hull.get(minimum.name)
        group = f"{minimum.space_group} ({minimum.space_group_number})"
        title = f"Minimum {row + 1}: {minimum.formula}, space group {group}"
        by = found_by(minimum, sources) if len(run.config.source) > 1 else run.config.source[0]
        volume = float(minimum.atoms.get_volume()) / len(minimum.atoms)
        a, b, c, alpha, beta, gamma = (float(value) for value in cell_to_cellpar(drawing.cell))
        density = float(minimum.atoms.get_masses().sum() / minimum.atoms.get_volume()) * _amu * 1e27
        facts = [
            ("Enthalpy", f"{number(minimum.enthalpy_per_atom, 4)} eV/atom"),
            ("Above the lowest", f"{above:.1f} meV/atom"),
            *([] if over_hull is None else [("Above the hull", f"{number(1000 * over_hull, 1)} meV/atom")]),
            ("Volume", f"{volume:.2f} Å³/atom"),
            ("Density", f"{density:.2f} g/cm³"),
            ("a, b, c", f"{a:.3f}, {b:.3f}, {c:.3f} Å"),
            ("α, β, γ", f"{alpha:.1f}°, {beta:.1f}°, {gamma:.1f}°"),
            ("Found", f"{minimum.times_found}×, by {by}"),
            ("Name", minimum.name),
        ]
        shown.append(
            Shown(
                minimum=minimum,
                title=title,
                above_lowest=above,
                above_hull=None if over_hull is None else 1000 * over_hull,
                volume_per_atom=volume,
                found_by=by,
                facts=facts,
                drawing=drawing.to_json() | {"title": title, "facts": facts},
                sketch=sketch_svg(drawing, title, f"s{row}") if row < _SKETCHED else Markup(""),
                thumb=sketch_svg(drawing, title, f"t{row}") if row < _SKETCHED else Markup(""),
            )
        )
    return shown
