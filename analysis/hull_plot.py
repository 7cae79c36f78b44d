"""The convex hull drawn: two elements as energy against composition, three as a triangle, four as a tetrahedron."""

from __future__ import annotations

import io
from html import escape

import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..errors import InputError
from .hull_table import Hull, HullRow
from .style import INK, MUTED, RULE, colour, formula_text

FORMATS = ("png", "svg", "html")
"""Suffixes that a plot of the hull can be written to."""

_HIGHEST = 200.0
"""meV/atom above the hull at which the colours end."""
_SCALE = "cividis"
_CORNERS = {
    3: np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]]),
    4: np.array(
        [[0, 0, 0], [1, 0, 0], [0.5, np.sqrt(3) / 2, 0], [0.5, np.sqrt(3) / 6, np.sqrt(2 / 3)]],
        dtype=float,
    ),
}
_VIEW = np.array([[0.95, -0.12], [0.10, 0.42], [0.0, 0.88]])
"""Of the tetrahedron on paper: where x, y and z point."""


def hull_figure(hull: Hull) -> go.Figure:
    """The hull as an interactive plot.

    Raises
    ------
    InputError : fewer than 2 or more than 4 elements.
    """
    _check(hull)
    return _binary_plotly(hull) if len(hull.elements) == 2 else _simplex_plotly(hull)


def hull_image(hull: Hull, format: str) -> bytes:
    """The same as a file of a format in `FORMATS`.

    Raises
    ------
    InputError : fewer than 2 or more than 4 elements.
    """
    if format == "html":
        page: str = hull_figure(hull).to_html(include_plotlyjs=True, full_html=True)
        return page.encode()
    canvas, image = FigureCanvasAgg(hull_drawing(hull)), io.BytesIO()
    canvas.print_figure(image, format=format, dpi=150)
    return image.getvalue()


def hull_drawing(hull: Hull) -> Figure:
    """The hull on paper.

    Raises
    ------
    InputError : fewer than 2 or more than 4 elements.
    """
    _check(hull)
    figure = Figure(figsize=(6, 4.6), layout="constrained")
    axes = figure.subplots()
    if len(hull.elements) == 2:
        _binary_drawing(hull, axes)
    else:
        _simplex_drawing(hull, figure, axes)
    figure.suptitle(f"{hull.name}: convex hull at 0 K", fontsize=11, color=INK)
    return figure


def _check(hull: Hull) -> None:
    if not 2 <= len(hull.elements) <= 4:
        raise InputError(f"a hull of {len(hull.elements)} elements ({hull.name}) cannot be drawn: 2 to 4 can")


def _label(row: HullRow) -> str:
    stable = "stable" if row.above_hull == 0 else f"{1000 * row.above_hull:.1f} meV/atom above the hull"
    end = "" if row.above_hull == 0 else f"<br>decomposes to {escape(' + '.join(row.products))}"
    group = escape(row.space_group)
    head = f"{formula_text(row.formula)}, {group}<br>{escape(row.name)} ({escape(row.source)})"
    return f"{head}<br>{row.formation:.4f} eV/atom, {stable}{end}"


def _fraction(row: HullRow, element: str) -> float:
    return row.composition.get(element, 0) / sum(row.composition.values())


def _kinds(hull: Hull) -> list[tuple[str, list[HullRow], str, str]]:
    """What is drawn alike: words, rows, colour, and marker of plotly."""
    above = [row for row in hull.rows if row.above_hull > 0]
    kinds = [
        ("stable", [row for row in hull.rows if row.above_hull == 0], colour(0), "circle"),
        ("above the hull, searched", [row for row in above if row.source != "reference"], colour(1), "diamond"),
        ("above the hull, reference", [row for row in above if row.source == "reference"], MUTED, "x"),
    ]
    return [kind for kind in kinds if kind[1]]


def _hull_line(hull: Hull) -> tuple[list[float], list[float]]:
    """Of two elements: the stable phases from left to right."""
    points = sorted((_fraction(r, hull.elements[1]), r.formation) for r in hull.rows if r.above_hull == 0)
    return [x for x, _ in points], [y for _, y in points]


def _binary_plotly(hull: Hull) -> go.Figure:
    figure = go.Figure()
    x, y = _hull_line(hull)
    figure.add_scatter(
        x=x, y=y, mode="lines", line={"color": INK, "width": 1.5}, hoverinfo="skip", showlegend=False, name="hull"
    )
    for words, rows, shade, marker in _kinds(hull):
        figure.add_scatter(
            x=[_fraction(row, hull.elements[1]) for row in rows],
            y=[row.formation for row in rows],
            name=words,
            mode="markers",
            marker={"color": shade, "symbol": marker, "size": 10},
            text=[_label(row) for row in rows],
            hovertemplate="%{text}<extra></extra>",
        )
    axis = {"gridcolor": "#eceff1", "linecolor": RULE, "zeroline": False, "automargin": True}
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": MUTED, "size": 12},
        margin={"l": 56, "r": 12, "t": 12, "b": 48},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        xaxis=axis | {"title": {"text": f"fraction of {hull.elements[1]}"}, "range": [-0.03, 1.03]},
        yaxis=axis | {"title": {"text": "formation enthalpy, eV/atom"}},
    )
    return figure


def _places(hull: Hull, rows: tuple[HullRow, ...]) -> np.ndarray:
    """Of phases in the triangle or tetrahedron, (n, 2 or 3)."""
    shares = np.array([[_fraction(row, element) for element in hull.elements] for row in rows])
    return shares.reshape(-1, len(hull.elements)) @ _CORNERS[len(hull.elements)]


def _tie_ends(hull: Hull) -> list[tuple[np.ndarray, np.ndarray]]:
    places = dict(zip([row.name for row in hull.rows], _places(hull, hull.rows), strict=True))
    return [(places[a], places[b]) for a, b in hull.ties]


def _simplex_plotly(hull: Hull) -> go.Figure:
    figure = go.Figure()
    depth = len(hull.elements) == 4
    scatter = figure.add_scatter3d if depth else figure.add_scatter
    lines: list[list[float | None]] = [[], [], []]
    for one, other in _tie_ends(hull):
        for axis in range(len(one)):
            lines[axis] += [float(one[axis]), float(other[axis]), None]
    scatter(
        **dict(zip("xyz" if depth else "xy", lines, strict=False)),
        mode="lines",
        line={"color": INK, "width": 1.5},
        hoverinfo="skip",
        showlegend=False,
        name="tie lines",
    )
    # Those on the hull last, over the others of their formulas.
    rows = tuple(sorted(hull.rows, key=lambda row: -row.above_hull))
    heights = [min(1000 * row.above_hull, _HIGHEST) for row in rows]
    scatter(
        **dict(zip("xyz", _places(hull, rows).T.tolist(), strict=False)),
        mode="markers",
        name="phases",
        showlegend=False,
        marker={
            "color": heights,
            "colorscale": _SCALE,
            "cmin": 0,
            "cmax": _HIGHEST,
            "size": [(6 if depth else 12) - (2 if row.above_hull else 0) for row in rows],
            "symbol": ["circle" if row.above_hull == 0 else "diamond" for row in rows],
            "line": {"color": INK, "width": 1},
            "colorbar": {"title": {"text": "meV/atom above the hull"}, "thickness": 12},
        },
        text=[_label(row) for row in rows],
        hovertemplate="%{text}<extra></extra>",
    )
    corners = _CORNERS[len(hull.elements)]
    middle = corners.mean(axis=0)
    scatter(
        **dict(zip("xyz", (middle + 1.12 * (corners - middle)).T.tolist(), strict=False)),
        mode="text",
        text=list(hull.elements),
        textfont={"size": 15, "color": INK},
        hoverinfo="skip",
        showlegend=False,
        name="elements",
    )
    hidden = {"visible": False}
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": MUTED, "size": 12},
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        xaxis=hidden,
        yaxis=hidden | {"scaleanchor": "x"},
        scene={"xaxis": hidden, "yaxis": hidden, "zaxis": hidden, "aspectmode": "data"},
    )
    return figure


def _binary_drawing(hull: Hull, axes: Axes) -> None:
    axes.plot(*_hull_line(hull), color=INK, linewidth=1.2, zorder=1)
    markers = {"circle": "o", "diamond": "D", "x": "x"}
    for words, rows, shade, marker in _kinds(hull):
        x, y = [_fraction(row, hull.elements[1]) for row in rows], [row.formation for row in rows]
        axes.scatter(x, y, s=34, color=shade, marker=markers[marker], label=words, zorder=2)
    for row in hull.rows:
        if row.above_hull == 0 and row.lowest:
            at = (_fraction(row, hull.elements[1]), row.formation)
            axes.annotate(formula_text(row.formula), at, (0, -14), textcoords="offset points", ha="center", color=INK)
    axes.set_xlabel(f"fraction of {hull.elements[1]}")
    axes.set_ylabel("formation enthalpy, eV/atom")
    axes.margins(y=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=MUTED)
    axes.legend(frameon=False, fontsize=8)


def _simplex_drawing(hull: Hull, figure: Figure, axes: Axes) -> None:
    view = _VIEW if len(hull.elements) == 4 else np.eye(2)
    for ends in _tie_ends(hull):
        axes.plot(*(np.array(ends) @ view).T, color=INK, linewidth=1.0, zorder=1)
    rows = tuple(sorted(hull.rows, key=lambda row: -row.above_hull))
    places = _places(hull, rows) @ view
    for stable, marker, size in ((False, "D", 22), (True, "o", 50)):
        chosen = [n for n, row in enumerate(rows) if (row.above_hull == 0) == stable]
        heights = [min(1000 * rows[n].above_hull, _HIGHEST) for n in chosen]
        x, y = places[chosen].T
        drawn = axes.scatter(
            x, y, s=size, c=heights, marker=marker, cmap=_SCALE, vmin=0, vmax=_HIGHEST, edgecolors=INK, zorder=2
        )
    figure.colorbar(drawn, ax=axes, label="meV/atom above the hull", shrink=0.7)
    axes.set_aspect("equal")
    axes.margins(0.08)
    axes.set_axis_off()
