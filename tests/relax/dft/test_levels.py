"""Accuracy levels: k-point grids by density, moments to start from."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from crystals import known_crystals

from xtalseek.errors import InputError
from xtalseek.relax.dft.levels import LEVELS, initial_moments, kpoint_grid, level_called


@pytest.mark.parametrize("density", [1.0, 1.5, 3.0, 4.0])
def test_every_axis_has_the_density_and_hardly_more(density: float) -> None:
    for name, atoms in known_crystals().items():
        lengths = 2 * np.pi * np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
        grid = np.array(kpoint_grid(atoms, density))
        assert (grid >= density * lengths - 1e-5).all(), name
        assert (grid < density * lengths + 2).all(), name
        assert all(n == 1 or n % 2 == 0 for n in grid), name


def test_a_longer_cell_needs_fewer_points() -> None:
    silicon = bulk("Si", a=5.431)
    double = make_supercell(silicon, np.diag([2, 2, 1]))
    assert kpoint_grid(silicon, 2.9) == (6, 6, 6)
    assert kpoint_grid(double, 2.9) == (4, 4, 6)
    assert kpoint_grid(bulk("Ar", "fcc", a=40.0), 1.0) == (1, 1, 1)


def test_mp_like_has_the_density_of_the_materials_project() -> None:
    """64 k-points in an Å^-3 of the reciprocal cell."""
    level = LEVELS["mp-like"]
    assert level.kpoint_density**3 == 64
    assert level.cutoff == 520


def test_finer_levels_ask_for_more() -> None:
    quick, normal = LEVELS["quick"], LEVELS["normal"]
    assert quick.cutoff < normal.cutoff
    assert quick.kpoint_density < normal.kpoint_density
    assert quick.energy_tolerance > normal.energy_tolerance


def test_an_unknown_level_names_the_others() -> None:
    with pytest.raises(InputError, match=r"'quik': allowed are mp-like, normal, quick; did you mean 'quick'"):
        level_called("quik")


def test_spin_only_where_an_element_asks_for_it() -> None:
    assert initial_moments(bulk("NaCl", "rocksalt", a=5.64)) is None
    assert initial_moments(bulk("Cu")) is None
    oxide = initial_moments(bulk("FeO", "rocksalt", a=4.33))
    assert oxide is not None
    assert oxide.tolist() == [4.0, 0.0]


def test_pure_oxygen_starts_as_a_triplet() -> None:
    oxygen = Atoms("O2", positions=[(0, 0, 0), (0, 0, 1.2)], cell=[8, 8, 8], pbc=True)
    moments = initial_moments(oxygen)
    assert moments is not None
    assert moments.sum() == 2.0
