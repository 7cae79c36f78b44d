"""A crystal structure drawn in three dimensions: atoms, near-neighbour links and the edges of its cell."""

from __future__ import annotations

from itertools import product

import numpy as np
import plotly.graph_objects as go
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.data.colors import jmol_colors
from ase.neighborlist import natural_cutoffs, neighbor_list

from .style import INK
from .symmetry import conventional_cell

_MOST_ATOMS = 200
_DRAWING_PIXELS = 230.0


def draw_cell(atoms: Atoms) -> go.Figure:
    """The conventional cell (where it is of drawable size) with the atoms on its faces, edges and corners repeated.

    Spheres are sized by covalent radius and coloured as in Jmol. Lines join mutual near neighbours: atoms that each lie
    within 15 % of the other's shortest distance, both measured in sums of covalent radii.
    """
    conventional = conventional_cell(atoms)
    drawn = conventional if len(conventional) <= _MOST_ATOMS else atoms
    whole = _closed(drawn)
    corners = np.array(list(product((0.0, 1.0), repeat=3))) @ drawn.cell.array
    pixels = float(_DRAWING_PIXELS / np.linalg.norm(np.ptp(corners, axis=0)))
    order = list(dict.fromkeys(atoms.get_chemical_symbols()))
    diameters = {symbol: _diameter(symbol, pixels) for symbol in order}
    figure = go.Figure()
    edges = [(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1]
    figure.add_scatter3d(**_lines(corners, edges), line={"color": "#7d8790", "width": 2}, hoverinfo="skip")
    figure.add_scatter3d(
        **_links(whole, _near_neighbours(drawn, whole), {s: d / (2 * pixels) for s, d in diameters.items()}),
        line={"color": "#b4bcc3", "width": 5},
        hoverinfo="skip",
    )
    for symbol in order:
        own = whole.positions[np.array(whole.get_chemical_symbols()) == symbol]
        red, green, blue = (round(255 * c) for c in jmol_colors[atomic_numbers[symbol]])
        figure.add_scatter3d(
            x=own[:, 0],
            y=own[:, 1],
            z=own[:, 2],
            name=symbol,
            mode="markers",
            marker={
                "size": diameters[symbol],
                "sizemode": "diameter",
                "color": f"rgb({red},{green},{blue})",
                "line": {"color": INK, "width": 1},
                "opacity": 1,
            },
            hovertemplate=f"{symbol}<br>%{{x:.3f}}, %{{y:.3f}}, %{{z:.3f}} Å<extra></extra>",
        )
    hidden = {"visible": False}
    camera = {"eye": {"x": 1.15, "y": 1.7, "z": 0.6}, "projection": {"type": "orthographic"}}
    figure.update_layout(
        template="none",
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        paper_bgcolor="rgba(0,0,0,0)",
        scene={"aspectmode": "data", "xaxis": hidden, "yaxis": hidden, "zaxis": hidden, "camera": camera},
        legend={"orientation": "h", "y": 0.0, "x": 0.5, "xanchor": "center", "itemsizing": "constant"},
        showlegend=True,
    )
    return figure


def _diameter(symbol: str, pixels: float) -> float:
    """Of an atom, in pixels, where an Å is `pixels` wide: half its covalent size, for a view into the cell."""
    return float(np.clip(covalent_radii[atomic_numbers[symbol]] * pixels, 5, 30))


def _links(atoms: Atoms, pairs: list[tuple[int, int]], radii: dict[str, float]) -> dict:
    """Lines between atoms from surface to surface (radii in Å): drawn on to the centres they would show through."""
    ends = []
    for pair in pairs:
        first, second = atoms.positions[list(pair)]
        direction = (second - first) / np.linalg.norm(second - first)
        inset = [0.8 * radii[atoms.symbols[number]] for number in pair]
        ends += [first + inset[0] * direction, second - inset[1] * direction]
    points = np.array(ends).reshape(-1, 3)
    return _lines(points, [(2 * number, 2 * number + 1) for number in range(len(pairs))])


def _lines(points: np.ndarray, pairs: list[tuple[int, int]]) -> dict:
    """One trace of many separate lines: plotly breaks a line at None."""
    coordinates: list[list[float | None]] = [[], [], []]
    for first, second in pairs:
        for axis in range(3):
            coordinates[axis] += [float(points[first, axis]), float(points[second, axis]), None]
    x, y, z = coordinates
    return {"x": x, "y": y, "z": z, "mode": "lines", "showlegend": False}


def _closed(atoms: Atoms, tolerance: float = 0.01) -> Atoms:
    """The atoms of one cell, and the images of those on its faces, edges and corners on the opposite ones.

    The array `origin` says which atom of `atoms` each one is.
    """
    fractional = atoms.get_scaled_positions() % 1.0
    fractional[fractional > 1 - tolerance] -= 1.0
    images = [
        (number, f + shift)
        for number, f in enumerate(fractional)
        for shift in np.array(list(product((0, 1), repeat=3)))
        if all(abs(f[axis]) < tolerance for axis in range(3) if shift[axis])
    ]
    origin = np.array([number for number, _ in images])
    closed = Atoms(atoms.numbers[origin], scaled_positions=[f for _, f in images], cell=atoms.cell, pbc=False)
    closed.set_array("origin", origin)
    return closed


def _near_neighbours(atoms: Atoms, closed: Atoms) -> list[tuple[int, int]]:
    """Pairs of atoms of `closed` to join; what is near is judged in the periodic crystal `atoms`."""
    radii = covalent_radii[atoms.numbers]
    i, j, distance = neighbor_list("ijd", atoms, natural_cutoffs(atoms, mult=1.3))
    nearest = np.full(len(atoms), np.inf)
    np.minimum.at(nearest, i, distance / (radii[i] + radii[j]))
    origin = closed.get_array("origin")
    gaps = closed.positions[:, None] - closed.positions[None]
    reduced = np.linalg.norm(gaps, axis=2) / (radii[origin][:, None] + radii[origin][None])
    limit = 1.15 * np.minimum(nearest[origin][:, None], nearest[origin][None])
    first, second = np.nonzero(np.triu(np.isfinite(limit) & (reduced <= limit), k=1))
    return [(int(a), int(b)) for a, b in zip(first, second, strict=True)]
