from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from chgnet.model import CHGNet
from pymatgen.io.ase import AseAtomsAdaptor

from xtalseek.records import Status
from xtalseek.relax import AseRelaxer, RelaxSettings, load_potential
from xtalseek.relax.potentials import Potential


@pytest.fixture(scope="module")
def chgnet() -> Potential:
    return load_potential("chgnet", {})


def test_energies_forces_and_stresses_are_the_package_s_own(chgnet: Potential) -> None:
    atoms = bulk("NaCl", "rocksalt", 5.5)
    atoms.positions[1] += (0.1, -0.05, 0.2)
    atoms.calc = chgnet.calculator
    expected: Any = CHGNet.load(verbose=False).predict_structure(AseAtomsAdaptor.get_structure(atoms))
    assert atoms.get_potential_energy() == pytest.approx(2 * float(expected["e"]), abs=1e-5)
    np.testing.assert_allclose(atoms.get_forces(), expected["f"], atol=1e-5)
    np.testing.assert_allclose(atoms.get_stress(voigt=False) * 160.21766, expected["s"], atol=1e-3)


@pytest.mark.parametrize(("crystal", "experiment"), [(bulk("Si", a=5.2), 5.431), (bulk("MgO", "rocksalt", 4.5), 4.212)])
def test_lattice_constants_come_near_experiment(chgnet: Potential, crystal: Atoms, experiment: float) -> None:
    (result,) = AseRelaxer(chgnet, RelaxSettings()).relax([crystal])
    assert result.status == Status.CONVERGED
    assert result.atoms is not None
    assert (4 * result.atoms.get_volume()) ** (1 / 3) == pytest.approx(experiment, rel=0.02)


def test_a_left_handed_cell_relaxes_to_the_same_crystal(chgnet: Potential) -> None:
    """CHGNet takes the sign of the cell's determinant into the stress."""
    right = bulk("MgO", "rocksalt", 4.4)
    left = Atoms(right.numbers, cell=right.cell.array[[1, 0, 2]], positions=right.positions, pbc=True)
    assert np.linalg.det(left.cell.array) * np.linalg.det(right.cell.array) < 0
    results = AseRelaxer(chgnet, RelaxSettings()).relax([right, left])
    assert [r.status for r in results] == [Status.CONVERGED] * 2
    assert results[1].enthalpy_per_atom == pytest.approx(results[0].enthalpy_per_atom, abs=1e-5)


def test_atoms_out_of_each_other_s_sight_fell_apart(chgnet: Potential) -> None:
    (result,) = AseRelaxer(chgnet, RelaxSettings()).relax([Atoms("Si", cell=[20, 20, 20], pbc=True)])
    assert result.status == Status.EXPLODED
    assert "no neighbour" in result.message


def test_the_energy_floor_lies_below_real_crystals_and_above_nonsense(chgnet: Potential) -> None:
    assert chgnet.energy_floor is not None
    for crystal in (bulk("Si"), bulk("W"), bulk("MgO", "rocksalt", 4.21), bulk("CsF", "rocksalt", 6.0)):
        crystal.calc = chgnet.calculator
        energy = crystal.get_potential_energy()
        assert chgnet.energy_floor(crystal) < energy
        assert chgnet.energy_floor(crystal) > energy - 10 * len(crystal)
