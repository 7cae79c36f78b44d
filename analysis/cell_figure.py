"""A crystal structure as a plotly figure that can be turned: spheres, sticks and the edges of the cell.

The report's page draws the same from the same `Drawing`, in the browser, where a hundred structures would make a heavy
file; here are meshes ready made, for a notebook or a page of one's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import plotly.graph_objects as go
from ase import Atoms
from scipy.spatial import ConvexHull

from .cells import VIEW, Drawing, cell_edges, draw_cell
from .style import INK, MUTED

STICK_RADIUS = 0.09
_STICK_COLOUR = "#b4bcc3"
_STICK_SIDES = 10
_MANY_ATOMS = 80
_ZOOM = 1.5
"""Without perspective it is this that makes the cell fill its box, not the distance of the eye."""
_LIGHT = {
    "flatshading": False,
    "lighting": {"ambient": 0.42, "diffuse": 0.75, "specular": 0.8, "roughness": 0.25, "fresnel": 0},
    "lightposition": {"x": -1e5, "y": 1e5, "z": -500},  # from the upper left, and a little from the front
}


def cell_figure(atoms: Atoms, order: Sequence[str] = ()) -> go.Figure:
    """The conventional cell of a structure, atoms on its faces repeated; drag to turn it, scroll to zoom.

    Lengths in Å, the middle of the cell at the origin; what is drawn and joined is `draw_cell`'s choice. Traces
    are one mesh of spheres for each species, named by its symbol, a mesh of the near-neighbour links ("bonds"), the
    twelve edges ("cell") and the letters a, b, c ("axes").

    Parameters
    ----------
    atoms : periodic in three directions.
    order : symbols in the order in which species are listed; others follow in that of the structure.
    """
    drawing = draw_cell(atoms, order)
    return go.Figure(
        [*_spheres(drawing), _sticks(drawing), _edges(drawing.cell), _letters(drawing.cell)], layout=_layout(drawing)
    )


def _spheres(drawing: Drawing) -> list[go.Mesh3d]:
    points, faces = _ball(162 if len(drawing.kinds) <= _MANY_ATOMS else 42)
    meshes = []
    for kind, symbol in enumerate(drawing.species):
        centres = drawing.positions[drawing.kinds == kind]
        corners = (centres[:, None] + drawing.radii[kind] * points).reshape(-1, 3)
        labels = [f"{symbol} {x:.2f}, {y:.2f}, {z:.2f} Å" for x, y, z in centres.round(2) + 0.0]
        triangles = (faces + len(points) * np.arange(len(centres))[:, None, None]).reshape(-1, 3)
        text = [label for label in labels for _ in points]
        colour = drawing.colours[kind]
        meshes.append(_mesh(corners, triangles, name=symbol, color=colour, text=text, hoverinfo="text"))
    return meshes


def _sticks(drawing: Drawing) -> go.Mesh3d:
    """A tube without lids from middle to middle of each pair of linked atoms."""
    ends = drawing.positions[drawing.links]  # (n_links, 2, 3)
    along = ends[:, 1] - ends[:, 0]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    aside = np.where(np.abs(along[:, 2:]) < 0.9, [0.0, 0.0, 1.0], [1.0, 0.0, 0.0])
    across = np.cross(along, aside)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    turns = 2 * np.pi * np.arange(_STICK_SIDES)[:, None] / _STICK_SIDES
    rim = np.cos(turns) * across[:, None] + np.sin(turns) * np.cross(along, across)[:, None]
    corners = ends[:, :, None] + STICK_RADIUS * rim[:, None]  # (n_links, 2, sides, 3)
    side = np.arange(_STICK_SIDES)
    after, top = (side + 1) % _STICK_SIDES, side + _STICK_SIDES
    tube = np.concatenate([np.stack([side, after, top], 1), np.stack([after, after + _STICK_SIDES, top], 1)])
    triangles = tube + 2 * _STICK_SIDES * np.arange(len(ends))[:, None, None]
    return _mesh(corners.reshape(-1, 3), triangles.reshape(-1, 3), name="bonds", color=_STICK_COLOUR, hoverinfo="skip")


def _mesh(corners: np.ndarray, triangles: np.ndarray, **more: Any) -> go.Mesh3d:
    # Single precision halves what a notebook has to carry.
    x, y, z = corners.astype(np.float32).T
    i, j, k = triangles.astype(np.int32).T
    return go.Mesh3d(x=x, y=y, z=z, i=i, j=j, k=k, **_LIGHT, **more)


def _edges(cell: np.ndarray) -> go.Scatter3d:
    broken = np.concatenate([cell_edges(cell), np.full((12, 1, 3), np.nan)], axis=1).reshape(-1, 3)
    x, y, z = broken.T
    line = {"color": MUTED, "width": 3}
    return go.Scatter3d(x=x, y=y, z=z, name="cell", mode="lines", line=line, hoverinfo="skip")


def _letters(cell: np.ndarray) -> go.Scatter3d:
    """a, b and c, each 1.4 Å beyond its edge and a little off the cell."""
    lengths = np.linalg.norm(cell, axis=1)
    fractional = np.tile(-0.25 / lengths, (3, 1))
    np.fill_diagonal(fractional, 1 + 1.4 / lengths)
    x, y, z = ((fractional - 0.5) @ cell).T
    font = {"color": INK, "size": 15}
    return go.Scatter3d(x=x, y=y, z=z, name="axes", mode="text", text=["a", "b", "c"], textfont=font, hoverinfo="skip")


def _layout(drawing: Drawing) -> dict[str, Any]:
    """A cube that holds the structure however it is turned, seen without perspective and without axes."""
    reach = float(np.linalg.norm(cell_edges(drawing.cell), axis=2).max()) + max(drawing.radii)
    axis = {"visible": False, "showspikes": False, "range": [-reach, reach]}
    eye = 2 * np.array(VIEW) / np.linalg.norm(VIEW)
    return {
        "height": 480,
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "showlegend": False,
        "paper_bgcolor": "#ffffff",  # on a dark page the edges and letters would not be seen
        "scene": {
            "aspectmode": "manual",
            "aspectratio": dict.fromkeys("xyz", _ZOOM),
            "xaxis": axis,
            "yaxis": axis,
            "zaxis": axis,
            "dragmode": "orbit",
            "camera": {"eye": dict(zip("xyz", eye.tolist(), strict=True)), "projection": {"type": "orthographic"}},
        },
    }


@cache
def _ball(n_points: int) -> tuple[np.ndarray, np.ndarray]:
    """Points spread evenly over the unit sphere, (n_points, 3), and triangles that look outwards, (n_faces, 3)."""
    steps = np.arange(n_points) + 0.5
    height, turn = 1 - 2 * steps / n_points, np.pi * (1 + np.sqrt(5)) * steps
    flat = np.sqrt(1 - height**2)
    points = np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1)
    triangles = ConvexHull(points).simplices
    inwards = np.linalg.det(points[triangles]) < 0
    triangles[inwards] = triangles[inwards, ::-1]
    return points, triangles
