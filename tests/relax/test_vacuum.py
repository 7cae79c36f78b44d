from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene, molecule
from ase.data import covalent_radii
from crystals import disguised, known_crystals

from xtalseek.relax.vacuum import VACUUM_GAP, dimensions


def in_box(atoms: Atoms, *lengths: float) -> Atoms:
    return Atoms(atoms.numbers, positions=atoms.positions, cell=lengths, pbc=True)


def in_long_cell(atoms: Atoms) -> Atoms:
    return Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)


def graphite(height: float) -> Atoms:
    """AB-stacked; experiment: layers 3.35 Å apart."""
    a = 2.46
    cell = [[a, 0, 0], [-a / 2, a * 3**0.5 / 2, 0], [0, 0, 2 * height]]
    places = [(0, 0, 0.25), (1 / 3, 2 / 3, 0.25), (0, 0, 0.75), (2 / 3, 1 / 3, 0.75)]
    return Atoms("C4", scaled_positions=places, cell=cell, pbc=True)


@pytest.mark.parametrize(
    ("atoms", "expected"),
    [
        (bulk("Cu"), 3),
        (graphite(3.35), 3),
        (graphite(4.5), 3),  # as loose as a potential without dispersion leaves it
        (graphite(9.0), 2),
        (in_box(molecule("N2"), 4.0, 4.0, 4.2), 3),
        (in_box(molecule("C60"), 10.0, 10.0, 10.0), 3),
        (in_box(molecule("N2"), 9.0, 9.0, 9.0), 0),
        (in_box(molecule("H2O"), 9.0, 9.0, 3.0), 1),
        (bulk("Ar", "fcc", 5.31), 3),
        (bulk("Xe", "fcc", 6.2), 3),
        (in_long_cell(graphene(vacuum=10)), 2),
        (Atoms("Ar", cell=[20, 20, 20], pbc=True), 0),
    ],
)
def test_crystals_of_every_bonding_are_told_from_pieces(atoms: Atoms, expected: int) -> None:
    assert dimensions(atoms, covalent_radii) == expected


@pytest.mark.parametrize("name", ["molybdenite", "calomel", "quartz"])
def test_the_description_does_not_matter(name: str) -> None:
    """Skewed supercells in any orientation, crystals and the same ones with a gap."""
    rng = np.random.default_rng(8)
    crystal = known_crystals()[name]
    split = crystal.copy()
    split.set_scaled_positions(crystal.get_scaled_positions())
    cell = split.cell.array.copy()
    cell[2] *= 1 + 12 / np.linalg.norm(cell[2])
    split.set_cell(cell)
    for _ in range(3):
        assert dimensions(disguised(crystal, rng), covalent_radii) == 3
        assert dimensions(disguised(split, rng), covalent_radii) == 2


def test_pieces_that_are_endless_in_different_directions_make_no_crystal() -> None:
    """A chain along x and one along y, far apart."""
    crossed = Atoms("C16", positions=[(1.5 * n, 0, 0) for n in range(8)] + [(0, 1.5 * n, 8) for n in range(8)],
                    cell=[12, 12, 16], pbc=True)  # fmt: skip
    assert dimensions(crossed, covalent_radii) == 1


def test_a_gap_counts_from_the_contact_radii() -> None:
    reach = 2 * covalent_radii[14] + VACUUM_GAP
    for extra, expected in ((-0.01, 3), (0.01, 2)):
        assert dimensions(Atoms("Si", cell=[2.4, 2.4, reach + extra], pbc=True), covalent_radii) == expected
