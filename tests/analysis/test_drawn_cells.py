"""Structures as they are drawn: atoms on the faces of the cell repeated, links, and a still picture of both."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from xtalseek.analysis.cells import cell_edges, draw_cell
from xtalseek.analysis.sketch import sketch_svg


def test_drawn_cell_repeats_atoms_on_its_faces(rutile: Atoms) -> None:
    """Rutile: 9 titanium atoms (8 corners, centre); 4 oxygen atoms in the faces at z = 0 and z = 1, 2 inside."""
    drawing = draw_cell(rutile, ["Ti", "O"])
    assert drawing.species == ("Ti", "O")
    assert draw_cell(rutile, ["O", "H", "Ti"]).species == ("O", "Ti")
    assert np.bincount(drawing.kinds).tolist() == [9, 6]
    # Six bonds of the titanium in the centre; of those at the corners, all that stay within the cell.
    assert len(drawing.links) >= 6
    lengths = np.linalg.norm(np.diff(drawing.positions[drawing.links], axis=1)[:, 0], axis=1)
    assert lengths.min() > 1.8 and lengths.max() < 2.0  # Ti-O 1.95 and 1.98; not Ti-Ti, 2.96 Å along c


def test_drawing_is_centred_and_small_as_json(rutile: Atoms) -> None:
    drawing = draw_cell(rutile)
    data = json.loads(json.dumps(drawing.to_json()))
    corners = cell_edges(np.array(data["cell"])).reshape(-1, 3)
    assert np.abs(corners.mean(axis=0)).max() < 1e-9 and len(corners) == 24
    xyz = np.array(data["xyz"]).reshape(-1, 3)
    assert np.abs(xyz.mean(axis=0)).max() < 1e-3  # rutile has a centre of inversion in the middle of its cell
    assert np.abs(xyz - drawing.positions).max() <= 5.1e-4
    assert len(json.dumps(data)) < 2000


def test_large_cells_are_drawn_as_they_are() -> None:
    """The conventional cell of a large P1 structure would be drawn slowly: it is left as it is, never left out."""
    atoms = bulk("Cu", cubic=True).repeat(4)
    atoms.rattle(0.3, seed=1)
    drawing = draw_cell(atoms)
    assert len(drawing.positions) >= len(atoms)


def test_sketch_shows_every_atom_within_its_frame(rutile: Atoms) -> None:
    svg = sketch_svg(draw_cell(rutile), 'Rutile & "co" <b>', "k")
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == 'Rutile & "co" <b>'
    left, top, width, height = (float(v) for v in str(root.get("viewBox")).split())
    circles = [e for e in root.iter() if e.tag == "circle"]
    assert len(circles) == 15
    for circle in circles:
        x, y, r = (float(circle.get(name, "nan")) for name in ("cx", "cy", "r"))
        assert left <= x - r and x + r <= left + width and top <= y - r and y + r <= top + height
    named = {e.get("id") for e in root.iter() if e.tag == "radialGradient"}
    assert set(re.findall(r"url\(#(.+?)\)", svg)) == named == {"k-0", "k-1"}


@pytest.mark.parametrize("lattice", ["fcc", "bcc", "hcp"])
def test_elements_are_linked_to_their_neighbours(lattice: str) -> None:
    drawing = draw_cell(bulk("Fe", lattice, a=2.8, c=4.5 if lattice == "hcp" else None))
    assert len(drawing.links) > 0 and set(drawing.kinds.tolist()) == {0}


def test_metals_are_joined_where_there_is_nothing_else() -> None:
    """Rock salt: 54 pairs of unlike ions in its cell, and no two cations. Brass: its centre with eight corners."""
    for atoms, joined in ((bulk("MgO", "rocksalt", a=4.2), 54), (bulk("CuZn", "cesiumchloride", a=2.95), 8)):
        drawing = draw_cell(atoms)
        kinds = drawing.kinds[drawing.links]
        assert (kinds[:, 0] != kinds[:, 1]).sum() == joined
        if "O" in drawing.species:
            assert len(kinds) == joined
