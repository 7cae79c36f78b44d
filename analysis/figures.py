"""The report's interactive plots, as plain plotly figures."""

from __future__ import annotations

from html import escape

import plotly.graph_objects as go

from ..search.store import Run
from .curves import Convergence
from .minima import believable
from .plots import COSTS, cost_range, energy_volume, lowest_found
from .style import INK, MUTED, RULE, colour, dash, log_ticks, tick_text

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def convergence_plots(curves: list[Convergence]) -> list[tuple[str, str, go.Figure]]:
    """The lowest enthalpy so far against each cost: the cost's name in `Convergence`, words for it, and the plot."""
    ground = lowest_found(curves) or 0.0
    plots = []
    for field, words in COSTS:
        figure = _figure(x=words, y="eV/atom above the best")
        for number, curve in enumerate(curves):
            steps = curve.steps
            figure.add_scatter(
                x=getattr(curve, field)[steps],
                y=curve.lowest[steps] - ground,
                name=escape(curve.source),
                mode="lines",
                line={
                    "shape": "hv",
                    "color": INK if number == 0 else colour(number - 1),
                    "dash": dash(number),
                    "width": 2,
                },
                hovertemplate=f"%{{y:.4f}} eV/atom above the best<br>after %{{x}} {words}<extra></extra>",
            )
        figure.update_layout(showlegend=len(curves) > 1)
        ticks = log_ticks(*cost_range(curves, field))
        figure.update_xaxes(type="log", tickvals=ticks, ticktext=[tick_text(tick) for tick in ticks])
        figure.update_yaxes(rangemode="tozero")
        plots.append((field, words, figure))
    return plots


def energy_volume_plot(run: Run) -> go.Figure:
    """Enthalpy against volume, per atom, of every converged relaxation that is believed."""
    figure = _figure(x="volume, Å³/atom", y="enthalpy, eV/atom above the best")
    believed = believable(run)[0]
    for number, source in enumerate(run.config.source):
        volumes, heights = energy_volume(believed, source)
        figure.add_scatter(
            x=volumes,
            y=heights,
            name=escape(source),
            mode="markers",
            marker={"color": colour(number), "size": 8, "opacity": 0.7, "line": {"width": 0}},
            text=[escape(r.name) for r in believed if r.candidate.source == source],
            hovertemplate="%{text}<br>%{x:.3f} Å³/atom<br>%{y:.4f} eV/atom above the best<extra></extra>",
        )
    figure.update_layout(showlegend=len(run.config.source) > 1)
    return figure


def _figure(x: str, y: str) -> go.Figure:
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
            "legend": {"x": 1, "y": 1, "xanchor": "right", "yanchor": "top", "bgcolor": "rgba(255,255,255,0.8)"},
            "xaxis": axis | {"title": {"text": x, "font": {"size": 13}}},
            "yaxis": axis | {"title": {"text": y, "font": {"size": 13}}},
        }
    )
