"""The plots of a run as PNG files, drawn without a display and without matplotlib's global state."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..files import write_atomic
from ..records import Record, Status
from ..search.store import Run
from .curves import Convergence, convergence
from .minima import believable
from .style import INK, MUTED, colour, dash, formula_text, log_ticks, tick_text

COSTS = (
    ("relaxations", "relaxations"),
    ("force_calls", "force calls"),
    ("seconds", "seconds of all processes"),
)
"""What a search costs: the array in `Convergence`, and words for it."""

_MPL_DASH = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}


def write_plots(run: Run, folder: Path | None = None) -> list[Path]:
    """Write convergence.png, status.png and energy-volume.png to `folder` (default RUN/plots); return their paths.

    Raises
    ------
    OSError : the folder cannot be written.
    """
    folder = run.path / "plots" if folder is None else folder
    figures = {
        "convergence.png": convergence_figure(run),
        "status.png": status_figure(run),
        "energy-volume.png": energy_volume_figure(run),
    }
    for name, figure in figures.items():
        write_atomic(folder / name, _png(figure))
    return [folder / name for name in figures]


def convergence_figure(run: Run) -> Figure:
    """The lowest enthalpy so far against relaxations, force calls and seconds, in three panels."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    panels = figure.subplots(1, len(COSTS), sharey=True)
    curves = convergence(run)
    ground = lowest_found(curves)
    for axes, (field, words) in zip(panels, COSTS, strict=True):
        for number, curve in enumerate(curves):
            steps = curve.steps
            axes.step(
                getattr(curve, field)[steps],
                curve.lowest[steps] - (ground or 0.0),
                where="post",
                color=INK if number == 0 else colour(number - 1),
                linestyle=_MPL_DASH[dash(number)],
                label=curve.source,
            )
        axes.set_xlabel(words)
        if ground is not None:
            ticks = log_ticks(*cost_range(curves, field))
            axes.set_xscale("log")
            axes.set_xticks(ticks, [tick_text(tick) for tick in ticks])
            axes.set_xticks([], minor=True)
        _plain(axes)
        if ground is None:
            _say_nothing(axes)
    panels[0].set_ylabel("lowest so far, eV/atom above the best")
    if len(curves) > 1:
        panels[0].legend(frameon=False)
    _title(figure, run, "convergence")
    return figure


def status_figure(run: Run) -> Figure:
    """How many candidates ended in which status."""
    counts = Counter(record.relaxation.status for record in run.records)
    shown = [status for status in Status if counts[status]] or [Status.CONVERGED]
    figure = Figure(figsize=(6, 0.9 + 0.4 * len(shown)), layout="constrained")
    axes = figure.subplots()
    colours = [colour(0) if status is Status.CONVERGED else colour(1) for status in shown]
    bars = axes.barh([s.value for s in shown], [counts[s] for s in shown], color=colours, height=0.6)
    axes.bar_label(bars, padding=4, color=INK)
    axes.invert_yaxis()
    axes.set_xlabel("candidates")
    axes.margins(x=0.1)
    _plain(axes)
    _title(figure, run, "how relaxations ended")
    return figure


def energy_volume_figure(run: Run) -> Figure:
    """Enthalpy against volume, per atom, of every converged relaxation that is believed."""
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    believed = believable(run)[0]
    for number, source in enumerate(run.config.source):
        volumes, heights = energy_volume(believed, source)
        axes.scatter(volumes, heights, s=22, color=colour(number), alpha=0.7, linewidths=0, label=source)
    axes.set_xlabel("volume, Å³/atom")
    axes.set_ylabel("enthalpy, eV/atom above the best")
    _plain(axes)
    if not believed:
        _say_nothing(axes)
    if len(run.config.source) > 1:
        axes.legend(frameon=False)
    _title(figure, run, "energy and volume")
    return figure


def energy_volume(believed: Sequence[Record], source: str) -> tuple[np.ndarray, np.ndarray]:
    """Volume (Å^3/atom) and enthalpy (eV/atom above the lowest of all sources) of a source's relaxations, (n,) each."""
    points = [
        (r.relaxation.atoms.get_volume() / len(r.relaxation.atoms), r.relaxation.enthalpy_per_atom, r.candidate.source)
        for r in believed
        if r.relaxation.atoms is not None and r.relaxation.enthalpy_per_atom is not None
    ]
    ground = min((height for _, height, _ in points), default=0.0)
    own = np.array([(volume, height - ground) for volume, height, of in points if of == source]).reshape(-1, 2)
    return own[:, 0], own[:, 1]


def cost_range(curves: Sequence[Convergence], cost: str) -> tuple[float, float]:
    """Where the curves begin and end on a logarithmic axis of one cost; free costs count as 0.01."""
    drawn = [getattr(curve, cost)[curve.steps] for curve in curves if len(curve.steps)]
    low = max(0.01, min((float(values[0]) for values in drawn), default=1.0))
    return low, max(low, max((float(values[-1]) for values in drawn), default=1.0))


def lowest_found(curves: Sequence[Convergence]) -> float | None:
    """The lowest enthalpy per atom on any curve, eV/atom; None where nothing converged."""
    lowest = [float(curve.lowest[-1]) for curve in curves if len(curve.steps)]
    return min(lowest, default=None)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="both", color="#e8ebee", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED)


def _say_nothing(axes: Axes) -> None:
    axes.text(0.5, 0.5, "nothing has converged", transform=axes.transAxes, ha="center", va="center", color=MUTED)


def _title(figure: Figure, run: Run, words: str) -> None:
    figure.suptitle(f"{formula_text(run.config.target.name)}: {words}", fontsize=11, color=INK)


def _png(figure: Figure) -> bytes:
    canvas, image = FigureCanvasAgg(figure), io.BytesIO()
    canvas.print_figure(image, format="png", dpi=150)
    return image.getvalue()
