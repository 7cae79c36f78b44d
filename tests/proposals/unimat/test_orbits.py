"""Crystals as orbits: nothing is lost, and equal crystals have equal descriptions."""

import numpy as np
import pytest
from ase import Atoms
from ase.spacegroup import crystal
from crystals import disguised, hexagonal, known_crystals
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.io.ase import AseAtomsAdaptor
from running import ROOT

from xtalseek.datasets import read_dataset
from xtalseek.proposals.unimat.orbits import ELECTRONEGATIVITY_ORDER, NoDescriptionError, Orbits, to_atoms, to_orbits
from xtalseek.proposals.unimat.setting import setting

CRYSTALS = known_crystals()
GROUPS = {
    "copper": 225, "magnesium": 194, "diamond": 227, "rocksalt": 225, "caesium chloride": 221, "zincblende": 216,
    "fluorite": 225, "perovskite": 221, "half-Heusler": 216, "pyrite": 205, "rutile": 136, "wurtzite": 186,
    "quartz": 152, "molybdenite": 194, "corundum": 167, "calomel": 139, "tilted perovskite": 62, "baddeleyite": 14,
    "tenorite": 15, "with an inversion": 2, "without symmetry": 1,
}  # fmt: skip
MP_VALIDATION = ROOT.parent / "shared" / "data" / "mp" / "val.csv.gz"
SAMPLE = 100
TOLERANCE = 0.1
"""Å: the loosest symmetry tolerance, within which spglib moves atoms, not always in the same way."""


def rms(first: Atoms, second: Atoms) -> float:
    """Displacement that makes one of the other, in units of (volume per atom)^(1/3); infinite where none does."""
    plain = [Atoms(a.numbers, a.positions, cell=a.cell, pbc=True) for a in (first, second)]
    matcher = StructureMatcher(scale=False, stol=0.1, ltol=0.05, angle_tol=2)
    found = matcher.get_rms_dist(*map(AseAtomsAdaptor.get_structure, plain))
    return float("inf") if found is None else float(found[0])


def assert_same(first: Orbits, second: Orbits) -> None:
    assert first.number == second.number
    np.testing.assert_array_equal(first.elements, second.elements)
    np.testing.assert_array_equal(first.positions, second.positions)
    np.testing.assert_allclose(first.cell, second.cell, rtol=1e-4)
    difference = first.coordinates - second.coordinates
    moved = (difference - np.rint(difference)) * first.cell[:3]
    assert np.abs(moved).max() < TOLERANCE


@pytest.mark.parametrize("name", CRYSTALS)
def test_nothing_is_lost(name: str) -> None:
    orbits = to_orbits(CRYSTALS[name])
    assert orbits.number == GROUPS[name]
    back = to_atoms(orbits)
    assert rms(back, CRYSTALS[name]) < 0.01
    assert len(back) == orbits.counts.sum()
    assert len(back) * len(setting(orbits.number).centring) >= len(CRYSTALS[name])
    assert back.get_volume() / len(back) == pytest.approx(CRYSTALS[name].get_volume() / len(CRYSTALS[name]), rel=1e-3)


@pytest.mark.parametrize("name", CRYSTALS)
def test_equal_crystals_have_equal_descriptions(name: str) -> None:
    rng = np.random.default_rng(len(name))
    wanted = to_orbits(CRYSTALS[name])
    for _ in range(5):
        assert_same(to_orbits(disguised(CRYSTALS[name], rng)), wanted)
    assert_same(to_orbits(to_atoms(wanted)), wanted)


def test_elements_come_by_electronegativity_and_positions_in_order() -> None:
    for atoms in CRYSTALS.values():
        orbits = to_orbits(atoms)
        rank = ELECTRONEGATIVITY_ORDER[orbits.elements]
        keys = list(zip(rank.tolist(), orbits.positions.tolist(), strict=True))
        assert keys == sorted(keys)
    assert to_orbits(CRYSTALS["half-Heusler"]).elements.tolist() == [22, 28, 50]


def test_polar_origin_lies_at_the_first_orbit() -> None:
    assert to_orbits(CRYSTALS["wurtzite"]).coordinates[0, 2] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(to_orbits(CRYSTALS["without symmetry"]).coordinates[0], 0, atol=1e-6)


def test_left_and_right_handed_quartz_are_told_apart() -> None:
    right = CRYSTALS["quartz"]
    left = Atoms(right.numbers, scaled_positions=-right.get_scaled_positions(), cell=hexagonal(4.913, 5.405), pbc=True)
    assert (to_orbits(right).number, to_orbits(left).number) == (152, 154)


@pytest.mark.parametrize("number", [160, 166])
def test_every_atom_of_a_rhombohedral_mirror_comes_back(number: int) -> None:
    """Sites (y/2, y, z), where y and y + 1 are different sites: mp-369 came back as another crystal."""
    for x in np.linspace(0.03, 0.97, 9):
        sites = [(0, 0, 0), (x, 2 * x, 0.22)]
        atoms = crystal(("Tb", "Al"), sites, spacegroup=number, cellpar=hexagonal(7.0, 17.0), primitive_cell=True)
        orbits = to_orbits(atoms)
        assert orbits.number == number
        assert rms(to_atoms(orbits), atoms) < 1e-3


@pytest.mark.parametrize("shift", [0.01, 0.5])
def test_another_crystal_has_another_description(shift: float) -> None:
    other = CRYSTALS["rutile"].copy()
    other.set_cell(other.cell.array * [[1, 1, 1], [1, 1, 1], [1 + shift, 1 + shift, 1 + shift]], scale_atoms=True)
    with pytest.raises(AssertionError):
        assert_same(to_orbits(other), to_orbits(CRYSTALS["rutile"]))


def test_atoms_in_one_place_are_told() -> None:
    with pytest.raises(NoDescriptionError):
        to_orbits(Atoms("NaCl", positions=[(0, 0, 0), (0, 0, 0)], cell=[3, 4, 5], pbc=True))


@pytest.mark.skipif(not MP_VALIDATION.exists(), reason="no ../shared/data here")
def test_nothing_is_lost_of_real_crystals() -> None:
    structures = read_dataset([MP_VALIDATION]).sample(SAMPLE, seed=1).structures
    assert len(structures) == SAMPLE
    for atoms in structures:
        orbits = to_orbits(atoms)
        assert rms(to_atoms(orbits), atoms) < 0.02
