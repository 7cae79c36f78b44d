"""Fingerprints: the same for every description of a structure, different for different structures."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from xtalseek.proposals.substitution.fingerprint import distance, fingerprint

ROCKSALT = bulk("MgO", "rocksalt", a=4.2)
FLUORITE = bulk("MgOO", "fluorite", a=5.4)


def between(one: Atoms, other: Atoms) -> float:
    return distance(fingerprint(one, ["Mg", "O"]), fingerprint(other, ["Mg", "O"]))


def described_anew(atoms: Atoms) -> list[Atoms]:
    larger = atoms.copy()
    larger.set_cell(1.3 * atoms.cell.array, scale_atoms=True)
    turned = atoms.copy()
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    moved = atoms.copy()
    moved.positions += [0.3, 0.2, 0.9]
    moved.wrap()
    return [larger, turned, moved, atoms.repeat((1, 2, 1)), atoms[::-1]]


@pytest.mark.parametrize("atoms", [ROCKSALT, FLUORITE], ids=["rocksalt", "fluorite"])
def test_size_orientation_origin_cell_and_order_do_not_matter(atoms: Atoms) -> None:
    for same in described_anew(atoms):
        assert between(atoms, same) == pytest.approx(0, abs=1e-7)


def test_structures_are_told_apart() -> None:
    others = [bulk("MgO", kind, a=4.2) for kind in ("zincblende", "cesiumchloride", "wurtzite")]
    for n, one in enumerate([ROCKSALT, *others]):
        for other in [ROCKSALT, *others][n + 1 :]:
            assert between(one, other) > 0.02


def test_species_matter() -> None:
    swapped = FLUORITE.copy()
    swapped.set_chemical_symbols(["O", "Mg", "Mg"])
    hollow = FLUORITE.copy()
    assert between(hollow, swapped) > 0.02


def test_distance_grows_smoothly_with_displacement() -> None:
    start = ROCKSALT.repeat((2, 2, 2))
    direction = np.random.default_rng(0).standard_normal((len(start), 3))
    found = []
    for size in (0.001, 0.03, 0.1, 0.2):
        moved = start.copy()
        moved.positions += size * direction
        found.append(between(start, moved))
    assert found == sorted(found)
    assert found[0] < 1e-4
    assert found[-1] > 0.01
