"""The figures of a run as PNG and SVG files, drawn without a display and without matplotlib's global state."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..errors import InputError
from ..files import write_atomic
from ..records import Record, Status
from ..search.store import Run
from .bands import SourceBand, convergence_bands
from .curves import Convergence, convergence
from .minima import believable
from .style import INK, MUTED, SYMBOLS, colour, dash, formula_text, log_ticks, tick_text

COSTS = (
    ("relaxations", "relaxations"),
    ("force_calls", "force calls"),
    ("seconds", "seconds of all processes"),
)
"""What a search costs: the array in `Convergence`, and words for it."""

MPL_DASH = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
"""Line styles as plotly and as matplotlib call them."""


def write_plots(run: Run, folder: Path | None = None) -> list[Path]:
    """Write convergence.png, status.png and energy-volume.png to `folder` (default RUN/plots); return their paths.

    Raises
    ------
    OSError : the folder cannot be written.
    """
    return write_images(_figures(run), run.path / "plots" if folder is None else folder, ("png",))


def write_figures(run: Run, folder: Path, hull: Figure | None = None) -> list[Path]:
    """Write the figures of a run for a paper: convergence, status and energy-volume, each as .png and .svg.

    Parameters
    ----------
    run : as read by `load_run`; where nothing has converged the figures say so.
    folder : made where it is missing; files of the same names are replaced.
    hull : a hull that is drawn already, written as hull.png and hull.svg.

    Returns
    -------
    The paths of the files.

    Raises
    ------
    InputError : the folder cannot be written.
    """
    figures = _figures(run) | ({} if hull is None else {"hull": hull})
    try:
        return write_images(figures, folder, ("png", "svg"))
    except OSError as error:
        raise InputError(f"figures {str(folder)!r} cannot be written: {error.strerror}") from error


def _figures(run: Run) -> dict[str, Figure]:
    return {
        "convergence": convergence_figure(run),
        "status": status_figure(run),
        "energy-volume": energy_volume_figure(run),
    }


def write_images(figures: Mapping[str, Figure], folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write each figure as NAME.FORMAT in every format; return the paths."""
    paths = []
    for name, figure in figures.items():
        for format in formats:
            paths.append(folder / f"{name}.{format}")
            write_atomic(paths[-1], _image(figure, format))
    return paths


def convergence_figure(run: Run) -> Figure:
    """The lowest enthalpy so far against relaxations, force calls and seconds, in three panels.

    Each curve as it went (thin, with dots), and as median and interquartile band over reorderings of the relaxations.
    """
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    panels = figure.subplots(1, len(COSTS), sharey=True)
    curves = convergence(run)
    ground = lowest_found(curves)
    single, top = convergence_bands(run, COSTS[0][0]), 0.0
    for axes, (field, words) in zip(panels, COSTS, strict=True):
        bands = convergence_bands(run, field)
        for number, (curve, band) in enumerate(zip(curves, bands, strict=True)):
            shade, steps = INK if number == 0 else colour(number - 1), curve.steps
            low, middle, high = (heights - (ground or 0.0) for heights in (band.lower, band.median, band.upper))
            style = MPL_DASH[dash(number)]
            axes.step(band.cost, _finite(middle), where="post", color=shade, linestyle=style, label=curve.source)
            axes.fill_between(band.cost, _finite(low), _finite(high), step="post", color=shade, alpha=0.15, linewidth=0)
            spent, lowest = getattr(curve, field)[steps], curve.lowest[steps] - (ground or 0.0)
            axes.step(spent, lowest, where="post", color=shade, linewidth=0.8, marker="o", ms=3, mfc="white")
        axes.set_xlabel(words)
        if ground is not None:
            top = max(top, height_limit(curves, bands, single, ground))
            axes.set_ylim(-0.04 * top, top)
            ticks = log_ticks(*cost_range(curves, bands, field))
            axes.set_xscale("log")
            axes.set_xticks(ticks, [tick_text(tick) for tick in ticks])
            axes.set_xticks([], minor=True)
        plain_axes(axes)
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
    plain_axes(axes)
    _title(figure, run, "how relaxations ended")
    return figure


def energy_volume_figure(run: Run) -> Figure:
    """Enthalpy against volume, per atom, of every converged relaxation that is believed."""
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    believed = believable(run)[0]
    for number, source in enumerate(run.config.source):
        volumes, heights = energy_volume(believed, source)
        mark = SYMBOLS[number % len(SYMBOLS)][1]
        axes.scatter(volumes, heights, s=22, color=colour(number), marker=mark, alpha=0.6, linewidths=0.5, label=source)
    axes.set_xlabel("volume, Å³/atom")
    axes.set_ylabel("enthalpy, eV/atom above the best")
    plain_axes(axes)
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


def cost_range(curves: Sequence[Convergence], bands: Sequence[SourceBand], cost: str) -> tuple[float, float]:
    """Where curves and medians begin and end on a logarithmic axis of one cost; free costs count as 0.01."""
    drawn = [getattr(curve, cost)[curve.steps] for curve in curves if len(curve.steps)]
    drawn += [band.cost[np.isfinite(band.median)] for band in bands if np.isfinite(band.median).any()]
    low = max(0.01, min((float(values[0]) for values in drawn), default=1.0))
    return low, max(low, max((float(values[-1]) for values in drawn), default=1.0))


def height_limit(
    curves: Sequence[Convergence], bands: Sequence[SourceBand], single: Sequence[SourceBand], ground: float
) -> float:
    """Where the axis of heights ends, eV/atom above `ground`: a little above the highest start of a curve or a median.

    The upper quartile may begin far higher, with what few cheap and bad relaxations found: it is cut, but not below
    where it begins in `single`, the bands that count relaxations.
    """
    starts = [float(curve.lowest[curve.steps[0]]) for curve in curves if len(curve.steps)]
    starts += [float(band.median[np.isfinite(band.median)][0]) for band in bands if np.isfinite(band.median).any()]
    starts += [float(band.upper[np.isfinite(band.upper)][0]) for band in single if np.isfinite(band.upper).any()]
    return max(1.15 * (max(starts, default=ground) - ground), 0.001)


def lowest_found(curves: Sequence[Convergence]) -> float | None:
    """The lowest enthalpy per atom on any curve, eV/atom; None where nothing converged."""
    lowest = [float(curve.lowest[-1]) for curve in curves if len(curve.steps)]
    return min(lowest, default=None)


def _finite(heights: np.ndarray) -> np.ndarray:
    """The same with NaN, which is not drawn, in place of infinity."""
    return np.where(np.isfinite(heights), heights, np.nan)


def plain_axes(axes: Axes) -> None:
    """No frame, a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="both", color="#e8ebee", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED)


def _say_nothing(axes: Axes) -> None:
    axes.text(0.5, 0.5, "nothing has converged", transform=axes.transAxes, ha="center", va="center", color=MUTED)


def _title(figure: Figure, run: Run, words: str) -> None:
    figure.suptitle(f"{formula_text(run.config.target.name)}: {words}", fontsize=11, color=INK)


def _image(figure: Figure, format: str) -> bytes:
    canvas, image = FigureCanvasAgg(figure), io.BytesIO()
    # Without a date the same run gives the same file.
    canvas.print_figure(image, format=format, dpi=150, metadata={"Date": None} if format == "svg" else None)
    return image.getvalue()
