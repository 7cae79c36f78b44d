"""A campaign drawn: how stable its compositions are, and how completely they were searched."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from .campaign_summary import CampaignRow
from .figures import plain_figure
from .style import SYMBOLS, colour, formula_text, see_through

_BINS = 20
_KINDS = (
    (None, "training data unknown"),
    (False, "not in the training data"),
    (True, "in the training data"),
)
_TIMES = (("once", 1, 1), ("2 to 4 times", 2, 4), ("5 times or more", 5, 1 << 62))


def stability_plot(rows: Sequence[CampaignRow]) -> go.Figure | None:
    """Height above the hull against enthalpy of formation, a point for each composition; None where none is known."""
    known = [row for row in rows if row.formation is not None and row.above_hull is not None]
    if not known:
        return None
    figure = plain_figure(x="enthalpy of formation, eV/atom", y="above the hull, meV/atom")
    for place, (seen, words) in enumerate(_KINDS):
        own = [row for row in known if row.seen is seen]
        if own:
            figure.add_scatter(
                x=[round(row.formation or 0.0, 4) for row in own],
                y=[round(1000 * (row.above_hull or 0.0), 1) for row in own],
                name=words,
                mode="markers",
                marker={
                    "color": see_through(colour(place), 0.45),
                    "symbol": SYMBOLS[place][0],
                    "size": 8 if len(known) < 1000 else 5,
                    "line": {"width": 1, "color": colour(place)},
                },
                text=[escape(formula_text(row.name)) for row in own],
                hovertemplate="%{text}<br>formation %{x:.3f} eV/atom<br>"
                "%{y:.1f} meV/atom above the hull<extra></extra>",
            )
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(showlegend=any(row.seen is not None for row in known))
    return figure


def completeness_plot(rows: Sequence[CampaignRow]) -> go.Figure | None:
    """How many compositions have which chance that the next relaxation finds a new minimum, by how often the lowest
    was found; None where no search is long enough to tell."""
    known = [row for row in rows if row.unseen is not None]
    if not known:
        return None
    figure = plain_figure(x="chance that the next relaxation finds a new minimum, %", y="compositions")
    width = 100 / _BINS
    for place, (words, low, high) in enumerate(_TIMES):
        counts = [0] * _BINS
        for row in known:
            if low <= row.times_found <= high:
                counts[min(int((row.unseen or 0.0) * _BINS), _BINS - 1)] += 1
        figure.add_bar(
            x=[width * (n + 0.5) for n in range(_BINS)],
            y=counts,
            width=width,
            name=f"lowest found {words}",
            marker={"color": colour((1, 4, 0)[place]), "line": {"width": 1, "color": "#ffffff"}},
            hovertemplate=f"%{{y}} compositions, lowest found {words}<br>"
            f"%{{x:.1f}} ± {width / 2:g} % new<extra></extra>",
        )
    figure.update_layout(barmode="stack", showlegend=True)
    figure.update_xaxes(range=[0, 100])
    return figure
