from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from xtalseek.errors import InputError
from xtalseek.records import Status
from xtalseek.relax import RelaxSettings, load_potential, make_relaxer


def test_lennard_jones_finds_its_lattice_constant() -> None:
    """fcc with a 2.5 sigma cut-off, shifted: nearest neighbours at 1.09-1.11 sigma."""
    relaxer = make_relaxer("lj", RelaxSettings(force_tolerance=1e-3), {"sigma": 2.0, "epsilon": 1.0})
    (result,) = relaxer.relax([bulk("Ar", "fcc", 3.3)])
    assert result.status == Status.CONVERGED
    assert result.atoms is not None
    nearest = np.linalg.norm(result.atoms.cell.array, axis=1).min() / 2.0
    assert 1.09 < nearest < 1.115


def test_any_ase_calculator_is_found_by_its_path() -> None:
    relaxer = make_relaxer("ase.calculators.morse:MorsePotential", RelaxSettings(), {"r0": 2.5, "epsilon": 0.5})
    (result,) = relaxer.relax([bulk("Ar", "fcc", 3.6)])
    assert result.status == Status.CONVERGED


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("lj", {"sgma": 2}, "does not work with sgma=2"),
        ("emt", {"x": 1}, "does not work with x=1"),
        ("math:pi", {}, "does not work"),
        ("math:tau2", {}, "has no attribute 'tau2'"),
        ("collections:Counter", {}, "not an ASE calculator"),
        ("no_such_package.x:Y", {}, "pip install no_such_package"),
        ("chgnet", {"weights": "9.9"}, "does not work with weights='9.9'"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(name: str, options: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        load_potential(name, options)
    assert "\n" not in str(caught.value)


def test_a_misspelt_relaxer_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'chgnet'"):
        make_relaxer("chgnt", RelaxSettings())


def test_elements_without_parameters_are_named() -> None:
    with pytest.raises(InputError, match="no parameters for Si: allowed are H, C, N"):
        make_relaxer("emt", RelaxSettings(), symbols=["Cu", "Si"])
    with pytest.raises(InputError, match="no parameters for Lr: allowed are H to Pu"):
        make_relaxer("chgnet", RelaxSettings(), symbols=["Lr"])
