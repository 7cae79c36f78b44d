from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import chemical_symbols, covalent_radii
from crystals import known_crystals

from xtalseek.datasets import read_dataset
from xtalseek.records import Status
from xtalseek.relax.guards import (
    CROWD_TRIPLETS,
    Watch,
    closest_contact,
    geometry_fault,
    start_fault,
    suspicion,
)
from xtalseek.relax.vacuum import dimensions

MP_VAL = Path(__file__).parents[3] / "shared" / "data" / "mp" / "val.csv.gz"
KNOWN = frozenset(chemical_symbols[1:95])


def test_images_of_one_atom_are_a_pair() -> None:
    flat = Atoms("Si", cell=[4, 4, 0.9], pbc=True)
    found = closest_contact(flat, covalent_radii, below=0.5)
    assert found is not None
    assert found[0] == pytest.approx(0.9 / (2 * covalent_radii[14]))
    assert found[1] == "Si-Si at 0.90 Å"


def test_the_nearest_pair_is_measured_against_its_radii() -> None:
    """H-H at 0.6 is nearer to touching than Cs-Cs at 1.5, though it is shorter."""
    atoms = Atoms("H2Cs2", positions=[(0, 0, 0), (0.6, 0, 0), (5, 5, 5), (6.5, 5, 5)], cell=[10, 10, 10], pbc=True)
    found = closest_contact(atoms, covalent_radii, below=1.5)
    assert found is not None
    assert found[1].startswith("Cs-Cs")


@pytest.mark.parametrize(
    "crystal",
    [
        bulk("Si"),
        bulk("C", "diamond", 3.567),
        bulk("W"),
        bulk("U", "bcc", 3.47),
        bulk("NaCl", "rocksalt", 5.64),
        bulk("CsF", "rocksalt", 6.0),
        bulk("MgO", "rocksalt", 3.3),  # about 300 GPa
        Atoms("N2", positions=[(0, 0, 0), (1.1, 0, 0)], cell=[3.5, 3.5, 3.5], pbc=True),
        Atoms("H2", positions=[(0, 0, 0), (0.74, 0, 0)], cell=[3, 3, 3], pbc=True),
    ],
)
def test_real_crystals_pass(crystal: Atoms) -> None:
    assert geometry_fault(crystal, covalent_radii, crystal.get_volume()) is None
    assert suspicion(crystal, -1.0, covalent_radii, energy_floor=-100.0) is None


def test_skewed_cells_are_seen_through() -> None:
    """The same crystal in a very skewed cell is as sound as in a compact one, and as bad when it is bad."""
    shear = np.array([[1, 0, 0], [11, 1, 0], [-7, 9, 1]])
    for a, faulty in ((5.43, False), (1.2, True)):
        compact = bulk("Si", "diamond", a)
        skewed = Atoms("Si2", positions=compact.positions, cell=shear @ compact.cell.array, pbc=True)
        fault = geometry_fault(skewed, covalent_radii, compact.get_volume())
        assert (fault is not None) == faulty


def test_what_is_not_finite_is_nan() -> None:
    atoms = bulk("Si")
    atoms.positions[0, 0] = np.inf
    fault = geometry_fault(atoms, covalent_radii, 40.0)
    assert fault is not None
    assert fault[0] == Status.NAN


def test_a_watch_says_what_a_fresh_look_says_and_keeps_its_list() -> None:
    """Along a path that ends in an overlap, by ever larger moves of atoms and cell."""
    atoms = bulk("NaCl", "rocksalt", 5.6, cubic=True)
    rng, watch, kept, faults = np.random.default_rng(4), Watch(covalent_radii, atoms.get_volume()), 0, []
    for _ in range(400):
        before = watch.neighbours
        watch, fault = watch.check(atoms)
        fresh = geometry_fault(atoms, covalent_radii, 5.6**3)
        assert (fault is None) == (fresh is None)
        assert fault is None or fresh is None or fault[0] == fresh[0]
        kept += before is not None and watch.neighbours is before
        faults.append(fault)
        atoms.positions += rng.normal(scale=0.03, size=atoms.positions.shape)
        atoms.positions[1] += (atoms.positions[0] - atoms.positions[1]) * 0.005
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(scale=0.003, size=(3, 3))), scale_atoms=True)
        if fault is not None:
            break
    assert faults[-1] is not None
    assert faults[-1][0] == Status.OVERLAP
    assert len(faults) > 50
    assert kept > 0.5 * len(faults)


def test_a_watch_costs_next_to_nothing_while_its_list_holds() -> None:
    atoms = bulk("NaCl", "rocksalt", 5.6, cubic=True)
    watch, _ = Watch(covalent_radii, atoms.get_volume()).check(atoms)
    least = math.inf
    for _ in range(200):
        start = time.perf_counter()
        again, fault = watch.check(atoms)
        least = min(least, time.perf_counter() - start)
        assert again is watch
        assert fault is None
    assert least < 1e-3  # 0.09 ms where it was written; ASE's list took 4


def hydrogen(n_side: int, volume: float) -> Atoms:
    """A simple cubic lattice of hydrogen with so many Å^3 for each atom."""
    return Atoms("H", cell=np.eye(3) * volume ** (1 / 3), pbc=True) * (n_side, n_side, n_side)


@pytest.mark.parametrize(
    ("atoms", "status", "told"),
    [
        (Atoms(cell=[3, 3, 3], pbc=True), Status.ERROR, "no atoms"),
        (Atoms([0, 8], positions=[(0, 0, 0), (2, 0, 0)], cell=[4, 4, 4], pbc=True), Status.ERROR, "atomic number 0"),
        (Atoms([119], cell=[4, 4, 4], pbc=True), Status.ERROR, "atomic number 119"),
        (Atoms([-1], cell=[4, 4, 4], pbc=True), Status.ERROR, "atomic number -1"),
        (bulk("Am", "fcc", 4.9), Status.ERROR, "not made for Am"),
        (Atoms("Si", cell=[3, 3, 0], pbc=True), Status.OVERLAP, "collapsed"),
        (Atoms("Si", cell=[[3, 0, 0], [0, 3, 0], [3, 3, 0]], pbc=True), Status.OVERLAP, "collapsed"),
        (Atoms("Si", cell=[[3, 0, 0], [0, 3, 0], [0, 0, math.nan]], pbc=True), Status.NAN, "not finite"),
        (Atoms("Si", cell=[3, 3, math.inf], pbc=True), Status.NAN, "not finite"),
        (Atoms("Si", cell=[1e-7, 2e4, 2e4], pbc=True), Status.OVERLAP, "own periodic image"),
        (Atoms("Si", cell=[1e200, 1e200, 1e200], pbc=True), Status.EXPLODED, "for each atom"),
        (Atoms("Si2", positions=[(0, 0, 0), (3e9, 0, 0)], cell=[4, 4, 4], pbc=True), Status.NAN, "lost their digits"),
        (hydrogen(2, 0.3), Status.OVERLAP, "collapsed to 0.3"),
        (hydrogen(6, 1.0), Status.OVERLAP, "crowded: up to 92"),
    ],
)
def test_what_no_potential_should_be_handed_is_told_before(atoms: Atoms, status: Status, told: str) -> None:
    fault = start_fault(atoms, covalent_radii, KNOWN)
    assert fault is not None
    assert fault[0] == status
    assert told in fault[1]


def test_what_passes_has_a_bounded_number_of_neighbours() -> None:
    """Hydrogen under pressure, small cells of which are let through: no density and no size gets past the bound."""
    passed = 0
    for n_side in (1, 2, 3, 5, 6):
        for volume in (0.6, 0.8, 1.0, 1.5, 2.0, 4.0):
            atoms = hydrogen(n_side, volume)
            if start_fault(atoms, covalent_radii) is None:
                near = 4 / 3 * math.pi * 27 / volume
                assert len(atoms) * near**2 < 1.5 * max(CROWD_TRIPLETS, 1000 * len(atoms))
                passed += 1
    assert 10 < passed < 28


def test_far_away_atoms_and_left_handed_cells_are_no_fault() -> None:
    atoms = bulk("NaCl", "rocksalt", 5.6)
    atoms.positions[1] += 5000 * atoms.cell.array[0] - 70_000 * atoms.cell.array[2]
    assert start_fault(atoms, covalent_radii, KNOWN) is None
    left = Atoms(atoms.numbers, cell=-atoms.cell.array, positions=atoms.positions, pbc=True)
    assert start_fault(left, covalent_radii, KNOWN) is None
    assert suspicion(left, 0.0, covalent_radii, None) is None


@pytest.mark.parametrize(
    ("atoms", "told"),
    [
        (Atoms("Si", cell=[2.4, 2.4, 60], pbc=True), "layers in vacuum"),
        (Atoms("Si", cell=[2.4, 14, 60], pbc=True), "chains in vacuum"),
        (Atoms("N2", positions=[(0, 0, 0), (1.1, 0, 0)], cell=[12, 12, 12], pbc=True), "atoms or molecules in vacuum"),
    ],
)
def test_pieces_in_vacuum_are_not_believed(atoms: Atoms, told: str) -> None:
    assert told in (suspicion(atoms, 0.0, covalent_radii, None) or "")


@pytest.mark.parametrize("name", known_crystals())
def test_known_crystals_pass_every_guard(name: str) -> None:
    crystal = known_crystals()[name]
    assert start_fault(crystal, covalent_radii, KNOWN) is None
    assert suspicion(crystal, 0.0, covalent_radii, None) is None


@pytest.mark.skipif(not MP_VAL.exists(), reason="no shared data")
def test_no_structure_of_materials_project_is_refused_but_for_layers_in_vacuum() -> None:
    """Four of the 625 are computed as single or few layers, 6 Å and more from the next: those are flagged rightly."""
    structures = read_dataset([MP_VAL]).structures
    assert len(structures) > 600
    flagged = []
    for atoms in structures:
        assert start_fault(atoms, covalent_radii) is None
        reason = suspicion(atoms, 0.0, covalent_radii, None)
        if reason is not None:
            assert "layers in vacuum" in reason
            assert dimensions(atoms, covalent_radii, gap=6.0) == 2
            flagged.append(atoms)
    assert len(flagged) == 4
