"""A still picture of a structure as SVG: small, sharp at any size, and there also on paper."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup, escape

from .cells import VIEW, Drawing, cell_edges

_MARGIN = 0.15
_EDGE_PIECES = 10
_LINK_WIDTH = 0.16


def sketch_svg(drawing: Drawing, title: str, key: str) -> Markup:
    """The structure seen from `VIEW`, without perspective, far things behind near ones.

    Parameters
    ----------
    drawing : as `draw_cell` makes it.
    title : what a reader hears who does not see it.
    key : a word that no other sketch of the page has, for the names of its colours.
    """
    to_right, to_top, to_eye = _axes()
    projection = np.array([to_right, -to_top, to_eye])
    radii = np.array(drawing.radii)[drawing.kinds]
    atoms = drawing.positions @ projection.T
    pieces = _pieces(drawing, radii) @ projection.T
    ends = pieces[..., :2].reshape(-1, 2)
    low = np.minimum((atoms[:, :2] - radii[:, None]).min(axis=0), ends.min(axis=0)) - _MARGIN
    high = np.maximum((atoms[:, :2] + radii[:, None]).max(axis=0), ends.max(axis=0)) + _MARGIN
    n_links = len(drawing.links)
    shapes = [
        (float(z), f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{r:.2f}" fill="url(#{key}-{kind})"/>')
        for (x, y, z), r, kind in zip(atoms, radii, drawing.kinds, strict=True)
    ]
    shapes += [
        (float(a[2] + b[2]) / 2, f'<path d="M{a[0]:.2f} {a[1]:.2f}L{b[0]:.2f} {b[1]:.2f}"{style}/>')
        for number, (a, b) in enumerate(pieces)
        for style in [f' stroke="#aab3ba" stroke-width="{_LINK_WIDTH}"' if number < n_links else ""]
    ]
    gradients = "".join(
        f'<radialGradient id="{key}-{kind}" cx=".36" cy=".32" r=".75"><stop offset="0" stop-color="{_mix(c, 0.75)}"/>'
        f'<stop offset=".45" stop-color="{c}"/><stop offset="1" stop-color="{_mix(c, -0.45)}"/></radialGradient>'
        for kind, c in enumerate(drawing.colours)
    )
    body = "".join(shape for _, shape in sorted(shapes, key=lambda item: item[0]))
    box = " ".join(f"{v:.2f}" for v in (*low, *(high - low)))
    return Markup(
        f'<svg class="sketch" viewBox="{box}" role="img" aria-label="{escape(title)}">'
        f"<defs>{gradients}</defs>"
        f'<g stroke="#5b6670" stroke-width=".05" stroke-linecap="round">{body}</g></svg>'
    )


def _axes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Directions to the right, to the top and to the eye, of length one."""
    to_eye = np.array(VIEW) / np.linalg.norm(VIEW)
    to_right = np.cross([0.0, 0.0, 1.0], to_eye)
    to_right /= np.linalg.norm(to_right)
    return to_right, np.cross(to_eye, to_right), to_eye


def _pieces(drawing: Drawing, radii: np.ndarray) -> np.ndarray:
    """Links from surface to surface, then the cell's edges in short pieces, each with a depth: (n_pieces, 2, 3)."""
    first, second = drawing.positions[drawing.links[:, 0]], drawing.positions[drawing.links[:, 1]]
    direction = second - first
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    inset = 0.8 * radii[drawing.links]
    links = np.stack([first + inset[:, :1] * direction, second - inset[:, 1:] * direction], axis=1)
    along = np.linspace(0, 1, _EDGE_PIECES + 1)[:, None]
    edges = [start + along * (end - start) for start, end in cell_edges(drawing.cell)]
    return np.concatenate([links, *(np.stack([line[:-1], line[1:]], axis=1) for line in edges)])


def _mix(colour: str, amount: float) -> str:
    """A colour on the way to white (amount up to 1) or to black (down to -1)."""
    channels = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    goal = 255 if amount > 0 else 0
    return "#" + "".join(f"{round(c + abs(amount) * (goal - c)):02x}" for c in channels)
