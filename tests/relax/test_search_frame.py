from __future__ import annotations

import resource

import numpy as np
import pytest
from ase import Atoms
from ase.geometry import cellpar_to_cell

from xtalseek.relax.neighbours import find_neighbours
from xtalseek.relax.search_frame import CellTooThin, is_handy, search_frame


def scattered(seed: int, cell: np.ndarray, n_atoms: int = 6) -> Atoms:
    atoms = Atoms(f"C{n_atoms}", cell=cell, pbc=True)
    atoms.set_scaled_positions(np.random.default_rng(seed).random((n_atoms, 3)))
    return atoms


def sorted_lengths(atoms: Atoms, cutoff: float) -> np.ndarray:
    near = find_neighbours(atoms, cutoff, 0.0)
    vectors = near.vectors(atoms)
    assert (np.linalg.norm(vectors, axis=1) < cutoff + 1e-6).all()
    return np.sort(np.linalg.norm(vectors, axis=1))


@pytest.mark.parametrize("shear", [1, 7, 40])
def test_any_description_of_a_crystal_gives_the_same_pairs(shear: int) -> None:
    """Skewed, turned, with its atoms given anywhere: handy or not, vectors lead from atom to image as they stand."""
    compact = scattered(1, np.diag((4.0, 5.0, 6.0)))
    expected = sorted_lengths(compact, 4.5)
    assert len(expected) > 50
    rng = np.random.default_rng(shear)
    skew = np.array([[1, 0, 0], [shear, 1, 0], [-shear, shear + 1, 1]])
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    positions = compact.positions + rng.integers(-50, 50, (6, 3)) @ compact.cell.array
    for sign in (1, -1):
        strange = Atoms(compact.numbers, cell=sign * skew @ compact.cell.array @ turn, positions=positions @ turn)
        assert not is_handy(strange.positions, strange.cell.array, 4.5)
        np.testing.assert_allclose(sorted_lengths(strange, 4.5), expected, atol=1e-6)


def test_ordinary_cells_are_searched_as_they_stand() -> None:
    for parameters in ([4, 4, 4, 90, 90, 90], [3, 3, 5, 90, 90, 120], [20, 25, 30, 80, 95, 100]):
        atoms = scattered(2, np.array(cellpar_to_cell(parameters)))
        assert is_handy(atoms.positions, atoms.cell.array, 3.6)


@pytest.mark.parametrize(
    "parameters",
    [[2, 2, 200, 5, 60, 62], [200, 200, 2, 90, 90, 60], [60, 60, 60, 5, 5, 5], [2000, 3, 3, 90, 90, 90]],
)
def test_long_cells_that_lie_askew_fill_no_memory(parameters: list[float]) -> None:
    """As they stand, the grid of some of these takes gigabytes."""
    rng = np.random.default_rng(3)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    atoms = scattered(3, np.array(cellpar_to_cell(parameters)) @ turn, 50)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    find_neighbours(atoms, 6.0, 0.5)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_a_frame_is_the_same_crystal() -> None:
    atoms = scattered(5, np.array([[4.0, 0, 0], [37.0, 5, 0], [-21.0, 16, 6]]))
    frame = search_frame(atoms.positions, atoms.cell.array)
    assert abs(np.linalg.det(frame.cell)) == pytest.approx(atoms.get_volume())
    assert np.abs(frame.positions @ np.linalg.inv(frame.cell) - 0.5).max() <= 0.5 + 1e-9
    np.testing.assert_allclose(frame.cell, np.tril(frame.cell), atol=1e-9)


def test_atoms_on_their_own_images_are_told() -> None:
    with pytest.raises(CellTooThin, match="from its own periodic image"):
        find_neighbours(Atoms("C", cell=[1e-6, 1000, 1000], pbc=True), 3.0, 0.5)
