"""The cell that DFT is given."""

from __future__ import annotations

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import make_supercell
from crystals import known_crystals
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.io.ase import AseAtomsAdaptor

from xtalseek.analysis import space_group
from xtalseek.relax.dft.cells import primitive_cell

CRYSTALS = known_crystals()


def operations(atoms: Atoms, symprec: float) -> int:
    dataset = spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec)
    assert dataset is not None
    return len(dataset.rotations)


@pytest.mark.parametrize("name", CRYSTALS)
def test_a_shaken_supercell_becomes_the_exact_primitive_cell(name: str) -> None:
    crystal = CRYSTALS[name]
    shaken = make_supercell(crystal, np.diag([1, 1, 2]))
    shaken.rattle(0.004, seed=1)
    found = primitive_cell(shaken, 0.1)
    assert len(found) <= len(crystal)
    assert found.get_volume() / len(found) == pytest.approx(crystal.get_volume() / len(crystal), rel=0.01)
    assert space_group(found, 0.1) == space_group(crystal, 0.1)
    assert operations(found, 1e-5) == operations(found, 0.1)
    assert (found.cell.angles() >= 59.9).all() and (found.cell.angles() <= 120.1).all()
    matcher = StructureMatcher(scale=False)
    assert matcher.fit(AseAtomsAdaptor.get_structure(found), AseAtomsAdaptor.get_structure(crystal))


def test_a_structure_that_spglib_cannot_take_stays_as_it_is() -> None:
    twice = Atoms("Si2", positions=[(0, 0, 0), (0, 0, 0)], cell=[3, 3, 3], pbc=True)
    found = primitive_cell(twice, 0.1)
    assert (found.positions == twice.positions).all()
    assert (found.cell.array == twice.cell.array).all()
