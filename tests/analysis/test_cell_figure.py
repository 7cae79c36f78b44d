"""The cell that can be turned: as many spheres and sticks as the crystal has atoms and bonds, and all of it in view."""

from __future__ import annotations

import json

import numpy as np
import plotly.graph_objects as go
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import covalent_radii
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from xtalseek.analysis.cell_figure import STICK_RADIUS, cell_figure


def trace(figure: go.Figure, name: str) -> go.Mesh3d:
    (found,) = figure.select_traces({"name": name})
    return found


def bodies(mesh: go.Mesh3d) -> list[np.ndarray]:
    """The points of each body of a mesh: what no triangle joins is apart."""
    points = np.stack([mesh.x, mesh.y, mesh.z], axis=1)
    edges = np.concatenate([(mesh.i, mesh.j), (mesh.j, mesh.k)], axis=1)
    joined = coo_matrix((np.ones(edges.shape[1]), edges), shape=(len(points), len(points)))
    number, of = connected_components(joined, directed=False)
    return [points[of == body] for body in range(number)]


def volume(mesh: go.Mesh3d) -> float:
    """What the triangles enclose, Å^3: above 0 where they look outwards."""
    points = np.stack([mesh.x, mesh.y, mesh.z], axis=1).astype(float)
    return float(np.linalg.det(points[np.stack([mesh.i, mesh.j, mesh.k], axis=1)]).sum() / 6)


@pytest.fixture(scope="module")
def rock_salt() -> go.Figure:
    """From the primitive cell of two atoms."""
    return cell_figure(bulk("MgO", "rocksalt", a=4.2), ["Mg", "O"])


def test_rock_salt_has_its_spheres_on_the_cell(rock_salt: go.Figure) -> None:
    """The conventional cell: 8 corners and 6 faces of one kind; 12 edges and the middle of the other."""
    centres = {symbol: [body.mean(axis=0) for body in bodies(trace(rock_salt, symbol))] for symbol in ("Mg", "O")}
    assert sorted(map(len, centres.values())) == [13, 14]
    sites = np.concatenate([*centres.values()]) / 2.1
    assert np.abs(sites - np.round(sites)).max() < 0.01
    assert len({tuple(site) for site in np.round(sites).astype(int)}) == 27
    for symbol, number in (("Mg", 12), ("O", 8)):
        mesh, radius = trace(rock_salt, symbol), covalent_radii[number] / 2
        spheres = len(centres[symbol])
        assert 0.95 < volume(mesh) / (spheres * 4 / 3 * np.pi * radius**3) < 1
        assert len(set(mesh.text)) == spheres and all(text.startswith(f"{symbol} ") for text in mesh.text)


def test_rock_salt_has_its_bonds(rock_salt: go.Figure) -> None:
    """3 x 3 x 3 ions: 54 pairs of neighbours, half a lattice constant apart, and none between like ions."""
    sticks = bodies(trace(rock_salt, "bonds"))
    assert len(sticks) == 54
    for stick in sticks:
        assert np.sort(np.ptp(stick, axis=0))[-1] == pytest.approx(2.1, abs=1e-4)
        assert np.sort(np.ptp(stick, axis=0))[:2] == pytest.approx([2 * STICK_RADIUS] * 2, rel=0.06)


@pytest.mark.parametrize("turned", [False, True])
def test_everything_is_in_view_however_it_is_turned(turned: bool) -> None:
    atoms = Atoms("SiO", scaled_positions=[(0, 0, 0), (0.4, 0.5, 0.3)], cell=[3, 4, 9, 70, 80, 65], pbc=True)
    if turned:
        atoms.rotate(50, (1, 2, 3), rotate_cell=True)
    figure = cell_figure(atoms)
    reach = figure.layout.scene.xaxis.range[1]
    for name in ("Si", "O", "bonds"):
        for body in bodies(trace(figure, name)):
            assert np.linalg.norm(body, axis=1).max() <= reach
    edges = trace(figure, "cell")
    corners = np.stack([edges.x, edges.y, edges.z], axis=1)
    assert np.isfinite(corners).all(axis=1).sum() == 24 and np.nanmax(np.linalg.norm(corners, axis=1)) < reach
    assert list(trace(figure, "axes").text) == ["a", "b", "c"]


def test_an_atom_alone_has_no_bonds() -> None:
    figure = cell_figure(Atoms("Ar", cell=[9, 9, 9], pbc=True))
    assert len(bodies(trace(figure, "Ar"))) == 8
    assert len(trace(figure, "bonds").x) == 0


def test_large_cells_stay_light() -> None:
    atoms = bulk("Cu", cubic=True).repeat(4)
    atoms.rattle(0.1, seed=1)
    figure = cell_figure(atoms)
    assert len(bodies(trace(figure, "Cu"))) >= 256
    assert len(figure.to_json()) < 2_000_000
    assert json.loads(figure.to_json())["layout"]["scene"]["aspectmode"] == "manual"
