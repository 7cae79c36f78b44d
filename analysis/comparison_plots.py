"""A comparison drawn: success against what it costs, ratios with intervals, and convergence target by target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..errors import InputError
from .comparison import Comparison
from .comparison_figures import AXES, PairFigures
from .comparison_runs import TargetKey
from .figures import plain_figure
from .plots import MPL_DASH, plain_axes, write_images
from .statistics.success import SuccessCurve
from .statistics.survival import KaplanMeier
from .style import INK, MUTED, colour, dash, log_ticks, see_through, tick_text

AXIS_WORDS: Mapping[str, str] = {
    "relaxations": "relaxations per target",
    "force_calls": "force calls per target",
    "seconds": "seconds per target, proposing included",
}
"""What a hit costs, by the names in `AXES`."""
_DIGITS = 4
_IN_A_ROW = 4
"""Names in a row of the legend on paper, which long ones still fill."""


def success_plot(comparison: Comparison, axis: str, as_run: bool = False) -> go.Figure:
    """Share of targets hit against one of `AXES`, with 95 % bands; a source without any hit has no curve.

    Parameters
    ----------
    as_run : by Kaplan and Meier in the order run, instead of averaged over orders.
    """
    figure = plain_figure(x=AXIS_WORDS[axis], y="targets hit, %")
    curves = _success_curves(comparison, axis, as_run)
    start, end = _range(curves)
    for place, source, budget, share, low, high in curves:
        known = np.isfinite(low)
        inside = _corners(low[known], high[known])
        name, shade = escape(source), colour(place)
        x, ends = budget[known][inside], (100 * low[known][inside], 100 * high[known][inside])
        _shade(figure, place, x, ends, f"{name}, 95 %")
        drawn = _corners(share)
        x, y = _from_zero(budget[drawn], share[drawn], start)
        figure.add_scatter(
            x=_short(x),
            y=_short(100 * y),
            name=name,
            legendgroup=f"source{place}",
            mode="lines",
            line={"color": shade, "dash": dash(place), "width": 2.5, "shape": "hv"},
            hovertemplate=f"{name}<br>%{{y:.0f}} % of the targets<br>"
            f"within %{{x:.4~g}} {AXIS_WORDS[axis]}<extra></extra>",
        )
    _log_axis(figure, start, end)
    figure.update_yaxes(range=[-3, 103], tickvals=[0, 25, 50, 75, 100])
    figure.update_layout(showlegend=True)
    return figure


def ratio_plot(pairs: Sequence[PairFigures], places: Mapping[str, int]) -> go.Figure | None:
    """Relaxations for the same success against the baseline, with intervals; None where no ratio is known, or
    one of the two hit nothing.

    Parameters
    ----------
    places : of each source among all, for its colour.
    """
    known = [p for p in pairs if p.ratio.value]
    if not known:
        return None
    ends = [end for p in known for end in (p.ratio.value, p.ratio.low, p.ratio.high) if end and math.isfinite(end)]
    low, high = min(0.5, *ends) / 1.3, max(2.0, *ends) * 1.3
    figure = plain_figure(x=f"relaxations, {escape(known[0].baseline)} = 1", y="")
    for pair in known:
        name, shade, value = escape(pair.source), colour(places[pair.source]), float(pair.ratio.value or 0)
        if pair.ratio.low is not None or pair.ratio.high is not None:
            # An interval that is open on a side runs out of the picture.
            figure.add_scatter(
                x=[pair.ratio.low or low / 10, high * 10 if pair.ratio.high is None else pair.ratio.high],
                y=[name, name],
                mode="lines",
                line={"color": shade, "width": 3},
                hoverinfo="skip",
            )
        figure.add_scatter(
            x=[value],
            y=[name],
            mode="markers",
            marker={"color": shade, "size": 12, "symbol": "diamond"},
            hovertemplate=f"{name}: %{{x:.2g}}, {pair.verdict}<extra></extra>",
        )
        # Above its line, where a long name has room on a phone too.
        figure.add_annotation(
            text=f"{name}: {pair.verdict}", x=0, xref="paper", y=name, xanchor="left", yshift=14, showarrow=False
        )
    figure.add_vline(x=1, line={"color": INK, "width": 1, "dash": "dot"})
    _log_axis(figure, low, high)
    figure.update_yaxes(range=[len(known) - 0.5, -0.8], title=None, showticklabels=False, ticks="")
    figure.update_layout(showlegend=False, margin={"l": 12, "t": 4})
    return figure


def target_plot(comparison: Comparison, target: TargetKey, axis: str) -> go.Figure:
    """The lowest so far above the reference, median and middle half of each source, on logarithmic axes.

    What is no higher than a hit is drawn at the height of one.
    """
    figure = plain_figure(x=AXIS_WORDS[axis], y="meV/atom above the reference")
    floor, places = comparison.within_mev, source_places(comparison)
    top, spans = 10 * floor, []
    for source, place in places.items():
        band = comparison.bands.get((target, source, axis))
        if band is None or not np.isfinite(band.median).any():
            continue
        name, shade = escape(source), colour(place)
        inside = np.isfinite(band.high)
        corners = _corners(band.low[inside], band.high[inside])
        low, high = (np.maximum(1000 * q[inside][corners], floor) for q in (band.low, band.high))
        _shade(figure, place, band.budget[inside][corners], (low, high), f"{name}, middle half")
        drawn = np.flatnonzero(np.isfinite(band.median))
        drawn = drawn[_corners(band.median[drawn])]
        heights = 1000 * band.median[drawn]
        figure.add_scatter(
            x=_short(band.budget[drawn]),
            y=_short(np.maximum(heights, floor)),
            customdata=_short(heights),
            name=name,
            legendgroup=f"source{place}",
            mode="lines",
            line={"color": shade, "dash": dash(place), "width": 2.5, "shape": "hv"},
            hovertemplate=f"{name}, median<br>%{{customdata:.4~g}} meV/atom above the reference<br>"
            f"after %{{x:.4~g}} {AXIS_WORDS[axis]}<extra></extra>",
        )
        top = max(top, float(heights[0]))
        spans += [float(band.budget[drawn[0]]), float(band.budget[-1])]
    positive = [span for span in spans if span > 0]
    _log_axis(figure, min(positive, default=1.0), max(positive, default=10.0))
    ticks = [tick for tick in log_ticks(floor, 1.3 * top) if tick > 1.5 * floor]
    figure.update_yaxes(
        type="log",
        range=[math.log10(floor) - 0.04 * math.log10(1.3 * top / floor), math.log10(1.3 * top)],
        tickvals=[floor, *ticks],
        ticktext=[f"hit, ≤{floor:g}", *(tick_text(tick) for tick in ticks)],
    )
    figure.update_layout(showlegend=True)
    return figure


def write_comparison_figures(comparison: Comparison, folder: Path) -> list[Path]:
    """Write the figures of a comparison for a paper, each as .png and .svg; return the paths.

    success: averaged over orders, as the table's hit@k. success-as-run: by Kaplan and Meier, in the order run.

    Raises
    ------
    InputError : the folder cannot be written.
    """
    figures = {
        "success": success_figure(comparison),
        "success-as-run": success_figure(comparison, as_run=True),
    }
    try:
        return write_images(figures, folder, ("png", "svg"))
    except OSError as error:
        raise InputError(f"figures {str(folder)!r} cannot be written: {error.strerror}") from error


def success_figure(comparison: Comparison, as_run: bool = False) -> Figure:
    """The three of `success_plot` side by side, on paper."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    panels = figure.subplots(1, len(AXES), sharey=True)
    for axes, axis in zip(panels, AXES, strict=True):
        _draw_success(axes, comparison, axis, as_run)
    panels[0].set_ylabel("targets hit, %")
    panels[0].set_ylim(-3, 103)
    handles, labels = max((axes.get_legend_handles_labels() for axes in panels), key=lambda found: len(found[0]))
    if handles:
        figure.legend(handles, labels, loc="outside upper left", ncols=_IN_A_ROW, frameon=False, fontsize="small")
    return figure


def source_places(comparison: Comparison) -> dict[str, int]:
    """The place of each source, which settles its colour and its line style in every plot."""
    return {figures.source: place for place, figures in enumerate(comparison.sources)}


def _draw_success(axes: Axes, comparison: Comparison, axis: str, as_run: bool) -> None:
    curves = _success_curves(comparison, axis, as_run)
    start, end = _range(curves)
    for place, source, budget, share, low, high in curves:
        shade = colour(place)
        x, y = _from_zero(budget, share, start)
        axes.step(x, 100 * y, where="post", color=shade, linestyle=MPL_DASH[dash(place)], label=source)
        axes.fill_between(budget, 100 * low, 100 * high, step="post", color=shade, alpha=0.13, linewidth=0)
    axes.set_xlabel(AXIS_WORDS[axis])
    plain_axes(axes)
    if curves:
        ticks = log_ticks(start, end)
        axes.set_xscale("log")
        axes.set_xlim(start, end * 1.05)
        axes.set_xticks(ticks, [tick_text(tick) for tick in ticks])
        axes.set_xticks([], minor=True)
    else:
        axes.text(0.5, 0.5, "no target was hit", transform=axes.transAxes, ha="center", va="center", color=MUTED)


_Curve = tuple[int, str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _success_curves(comparison: Comparison, axis: str, as_run: bool) -> list[_Curve]:
    """Place, source, budget, share, low and high of each curve that there is; budgets above 0."""
    found: list[_Curve] = []
    for place, figures in enumerate(comparison.sources):
        curve: SuccessCurve | KaplanMeier | None = figures.as_run[axis] if as_run else figures.success[axis]
        if curve is None:
            continue
        budget = np.maximum(np.asarray(curve.times if isinstance(curve, KaplanMeier) else curve.budget, float), 0.01)
        found.append((place, figures.source, budget, curve.share, curve.low, curve.high))
    return found


def _range(curves: Sequence[_Curve]) -> tuple[float, float]:
    """Where a logarithmic axis of costs begins and ends: at the first rise of a curve, at the end of the longest."""
    starts = [float(budget[share > 0][0]) for _, _, budget, share, _, _ in curves if (share > 0).any()]
    ends = [float(budget[-1]) for _, _, budget, _, _, _ in curves]
    end = max(ends, default=10.0)
    start = min(min(starts, default=end / 10), end / 2)
    return start if start == 1 else start / 1.5, end


def _from_zero(budget: np.ndarray, share: np.ndarray, start: float) -> tuple[np.ndarray, np.ndarray]:
    """The curve from `start` on: before its first point it is 0, for no smaller budget has brought a hit."""
    if budget[0] <= start:
        return budget, share
    return np.concatenate([[start], budget]), np.concatenate([[0.0], share])


def _log_axis(figure: go.Figure, low: float, high: float) -> None:
    high = max(high, 1.5 * low)
    room = 0.03 * math.log10(high / low)
    ticks = log_ticks(low, high)
    figure.update_xaxes(
        type="log",
        range=[math.log10(low) - room, math.log10(high) + room],
        tickvals=ticks,
        ticktext=[tick_text(tick) for tick in ticks],
    )


def _shade(figure: go.Figure, place: int, budget: np.ndarray, ends: tuple[np.ndarray, np.ndarray], name: str) -> None:
    """Fill between the lower and the upper of `ends` in the source's colour."""
    low, high = ends
    for values, fill in ((high, "none"), (low, "tonexty")):
        figure.add_scatter(
            x=_short(budget),
            y=_short(values),
            fill=fill,
            fillcolor=see_through(colour(place), 0.13),
            line={"width": 0, "shape": "hv"},
            mode="lines",
            hoverinfo="skip",
            name=name,
            legendgroup=f"source{place}",
            showlegend=False,
        )


def _corners(*values: np.ndarray) -> np.ndarray:
    """Indices of a step curve's points that carry it: the first, the last, and each where a value changes."""
    changes = np.any([np.diff(v) != 0 for v in values], axis=0)
    kept = np.concatenate([[True], changes]) if len(values[0]) else np.zeros(0, dtype=bool)
    kept[-1:] = True
    return np.flatnonzero(kept)


def _short(values: np.ndarray) -> list[float]:
    """Plain numbers of few digits, for a file that stays small."""
    return [float(f"{value:.{_DIGITS}g}") for value in values]
