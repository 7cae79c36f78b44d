"""Atoms too close are pushed apart without losing symmetry, or the structure is given up."""

from __future__ import annotations

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from ase.spacegroup import crystal

from xtalseek.proposals.unimat.repair import HOPELESS, MOST_GROWTH, keep_apart


def shortest(atoms: Atoms, pair: tuple[str, str]) -> float:
    first, second, distance = neighbor_list("ijd", atoms, 6.0)
    symbols = np.array(atoms.get_chemical_symbols())
    return min(
        d for a, b, d in zip(symbols[first], symbols[second], distance, strict=True) if tuple(sorted((a, b))) == pair
    )


def rutile(u: float) -> Atoms:
    return crystal(["Ti", "O"], [(0, 0, 0), (u, u, 0)], spacegroup=136, cellpar=[4.6, 4.6, 2.96, 90, 90, 90])


def test_a_structure_with_room_is_left_alone() -> None:
    atoms = rutile(0.305)
    kept = keep_apart(atoms, {("O", "Ti"): 1.7, ("O", "O"): 2.2})
    assert kept is not None
    assert not kept[1]
    assert np.array_equal(kept[0].positions, atoms.positions)


def test_atoms_are_pushed_apart_and_the_space_group_stays() -> None:
    atoms = rutile(0.37)  # O-O 1.69 Å
    limits = {("O", "O"): 2.2, ("O", "Ti"): 1.7, ("Ti", "Ti"): 2.5}
    assert shortest(atoms, ("O", "O")) < 1.7
    kept = keep_apart(atoms, limits)
    assert kept is not None
    assert kept[1]
    for pair, limit in limits.items():
        assert shortest(kept[0], pair) >= limit
    cell = (kept[0].cell.array, kept[0].get_scaled_positions(), kept[0].numbers)
    dataset = spglib.get_symmetry_dataset(cell, symprec=1e-3)
    assert dataset is not None
    assert dataset.number == 136


def test_an_atom_too_close_to_its_own_image_makes_the_cell_grow() -> None:
    copper = bulk("Cu", "fcc", a=3.4)  # 2.40 Å between neighbours
    kept = keep_apart(copper, {("Cu", "Cu"): 2.5})
    assert kept is not None
    assert shortest(kept[0], ("Cu", "Cu")) == pytest.approx(2.5, rel=2e-3)
    assert shortest(kept[0], ("Cu", "Cu")) >= 2.5
    assert keep_apart(copper, {("Cu", "Cu"): 2.404 * MOST_GROWTH * 1.01}) is None


def test_what_is_far_off_is_given_up() -> None:
    limit = 2.0
    pair = Atoms("OO", positions=[(0, 0, 0), (0.9 * HOPELESS * limit, 0, 0)], cell=[6, 6, 6], pbc=True)
    assert keep_apart(pair, {("O", "O"): limit}) is None
    pair.positions[1, 0] = 1.2 * HOPELESS * limit
    kept = keep_apart(pair, {("O", "O"): limit})
    assert kept is not None
    assert shortest(kept[0], ("O", "O")) >= limit


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_are_given_up(bad: float) -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.positions[0, 0] = bad
    assert keep_apart(atoms, {("Cu", "Cu"): 2.0}) is None


def test_every_pair_is_seen_in_slanted_cells() -> None:
    """Distances as ASE's neighbour list counts them: whatever is let through unchanged really is apart."""
    rng = np.random.default_rng(1)
    limits = {("H", "H"): 1.1}
    untouched = changed = 0
    for _ in range(200):
        cell = rng.normal(size=(3, 3)) * 1.5 + np.diag([4.0, 4.0, 4.0])
        if abs(np.linalg.det(cell)) < 12:
            continue
        n = int(rng.integers(1, 8))
        atoms = Atoms("H" * n, scaled_positions=rng.random((n, 3)) * 3 - 1, cell=cell, pbc=True)
        kept = keep_apart(atoms, limits)
        if kept is None:
            continue
        assert len(neighbor_list("i", kept[0], 1.1)) == 0
        untouched += not kept[1]
        changed += kept[1]
    assert untouched > 20
    assert changed > 20
