"""The report's interactive plots, as plain plotly figures."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
import plotly.graph_objects as go

from ..search.store import Run
from .bands import SourceBand, convergence_bands
from .curves import Convergence, convergence
from .minima import believable
from .plots import COSTS, cost_range, energy_volume, height_limit, lowest_found
from .style import INK, MUTED, RULE, SYMBOLS, colour, dash, log_ticks, see_through, tick_text

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def convergence_plots(run: Run) -> list[tuple[str, go.Figure]]:
    """The lowest enthalpy so far against each cost, for the whole run and each source: words for the cost, the plot.

    A curve is there in three ways: as it went, and as median and interquartile band over reorderings.
    """
    curves = convergence(run)
    ground = lowest_found(curves) or 0.0
    single, plots = convergence_bands(run, COSTS[0][0]), []
    for field, words in COSTS:
        figure = plain_figure(x=words, y="lowest so far, eV/atom above the best")
        bands = convergence_bands(run, field)
        for place, (curve, band) in enumerate(zip(curves, bands, strict=True)):
            _add_curve(figure, curve, band, ground, place, (field, words), alone=len(curves) == 1)
        ticks = log_ticks(*cost_range(curves, bands, field))
        figure.update_xaxes(type="log", tickvals=ticks, ticktext=[tick_text(tick) for tick in ticks])
        top = height_limit(curves, bands, single, ground)
        figure.update_yaxes(range=[-0.04 * top, top])
        plots.append((words, figure))
    return plots


def _add_curve(
    figure: go.Figure,
    curve: Convergence,
    band: SourceBand,
    ground: float,
    place: int,
    cost: tuple[str, str],
    alone: bool,
) -> None:
    """The band, its median, and the curve as it went; `place` 0 is the whole run."""
    if not len(curve.steps):
        return
    field, words = cost
    shade = (colour(0) if alone else INK) if place == 0 else colour(place - 1)
    name, group = escape(curve.source), f"curve{place}"
    inside = np.isfinite(band.upper)
    for heights, fill in ((band.upper, "none"), (band.lower, "tonexty")):
        figure.add_scatter(
            x=band.cost[inside],
            y=heights[inside] - ground,
            fill=fill,
            fillcolor=see_through(shade, 0.16),
            line={"width": 0, "shape": "hv"},
            mode="lines",
            hoverinfo="skip",
            name="middle half of the reorderings",
            legendgroup="band" if alone else group,
            showlegend=alone and fill != "none",
        )
    drawn = np.isfinite(band.median)
    figure.add_scatter(
        x=band.cost[drawn],
        y=band.median[drawn] - ground,
        name="median of the reorderings" if alone else name,
        legendgroup="median" if alone else group,
        mode="lines",
        line={"color": shade, "dash": dash(place), "width": 2.5, "shape": "hv"},
        hovertemplate=f"{name}, median<br>%{{y:.4f}} eV/atom above the best<br>after %{{x:.0f}} {words}<extra></extra>",
    )
    figure.add_scatter(
        x=getattr(curve, field)[curve.steps],
        y=curve.lowest[curve.steps] - ground,
        name="as it went" if alone else f"{name}, as it went",
        legendgroup="run" if alone else group,
        showlegend=alone,
        mode="lines+markers",
        marker={"size": 6, "color": "#ffffff", "line": {"width": 1.5, "color": INK if alone else shade}},
        line={"shape": "hv", "color": INK if alone else shade, "width": 1},
        hovertemplate=f"{name}, as it went<br>%{{y:.4f}} eV/atom above the best<br>after %{{x}} {words}<extra></extra>",
    )


def energy_volume_plot(run: Run, rows: Mapping[str, int]) -> go.Figure:
    """Enthalpy against volume, per atom, of every converged relaxation that is believed.

    Parameters
    ----------
    rows : by name of a relaxation, the row of its minimum in the report's table; those of others cannot be chosen.
    """
    figure = plain_figure(x="volume, Å³/atom", y="enthalpy, eV/atom above the best")
    believed = believable(run)[0]
    for place, source in enumerate(run.config.source):
        volumes, heights = energy_volume(believed, source)
        names = [record.name for record in believed if record.candidate.source == source]
        figure.add_scatter(
            x=np.round(volumes, 4).tolist(),
            y=np.round(heights, 5).tolist(),
            name=escape(source),
            mode="markers",
            marker={
                "color": see_through(colour(place), 0.45),
                "symbol": SYMBOLS[place % len(SYMBOLS)][0],
                "size": 9,
                "line": {"width": 1.2, "color": colour(place)},
            },
            text=[escape(name) for name in names],
            customdata=[rows.get(name, -1) for name in names],
            hovertemplate="%{text}<br>%{x:.3f} Å³/atom<br>%{y:.4f} eV/atom above the best<extra></extra>",
        )
    figure.update_layout(showlegend=len(run.config.source) > 1)
    return figure


def plain_figure(x: str, y: str) -> go.Figure:
    """An empty plot in the style of the report, with the titles of its axes."""
    axis = {
        "gridcolor": "#eceff1",
        "linecolor": RULE,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": RULE,
        "automargin": True,
        "title": {"font": {"size": 13}},
    }
    return go.Figure(
        layout={
            "template": "none",
            "font": {"family": FONT, "size": 12, "color": MUTED},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 56, "r": 12, "t": 12, "b": 48},
            "hoverlabel": {"font": {"family": FONT}},
            # Above the plot, where it covers no point.
            "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
            "xaxis": axis | {"title": {"text": x, "font": {"size": 13}}},
            "yaxis": axis | {"title": {"text": y, "font": {"size": 13}}},
        }
    )
