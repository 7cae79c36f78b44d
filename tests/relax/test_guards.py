from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import covalent_radii

from xtalseek.records import Status
from xtalseek.relax.guards import closest_contact, geometry_fault, suspicion


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
