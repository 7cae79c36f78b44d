from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.morse import MorsePotential
from running import environment
from slopes import assert_slopes, evaluate

import xtalseek.registry
from xtalseek.errors import InputError
from xtalseek.records import Status
from xtalseek.relax import RelaxSettings, load_potential, make_relaxer
from xtalseek.relax.calculators import AseEvaluator
from xtalseek.relax.contract import Evaluation


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


MORSE = {"epsilon": 0.4, "r0": 2.6, "rho0": 5.0, "rcut1": 1.5, "rcut2": 2.2}


def test_morse_is_ase_s_with_each_option_and_its_stress() -> None:
    atoms = bulk("Ar", "fcc", 3.8, cubic=True)
    atoms.rattle(0.1, seed=1)
    potential = load_potential("morse", MORSE)
    (expected,) = AseEvaluator(MorsePotential(**MORSE)).evaluate([atoms], [None])
    assert isinstance(expected, Evaluation)
    found = evaluate(potential.evaluator, atoms)
    assert found.energy == pytest.approx(expected.energy, abs=1e-12)
    assert potential.contact_radii[18] == 1.3
    assert_slopes(potential.evaluator, atoms)
    for name, other in {"epsilon": 0.5, "r0": 2.5, "rho0": 6.0, "rcut1": 1.2, "rcut2": 2.5}.items():
        changed = evaluate(load_potential("morse", MORSE | {name: other}).evaluator, atoms)
        assert abs(changed.energy - found.energy) > 1e-6, name


def test_morse_relaxes_to_its_own_distance() -> None:
    """Neighbours beyond the first pull fcc a little together: nearest ones lie at 0.9 to 1 r0."""
    relaxer = make_relaxer("morse", RelaxSettings(force_tolerance=1e-3), {"r0": 2.6, "epsilon": 0.4})
    (result,) = relaxer.relax([bulk("Ar", "fcc", 3.9)])
    assert result.status == Status.CONVERGED, result.message
    assert result.atoms is not None
    assert 0.9 < np.linalg.norm(result.atoms.cell.array, axis=1).min() / 2.6 < 1.0


def test_entry_points_add_potentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plug-in may give a `Potential` or a plain ASE calculator, and names what it misses itself."""

    def entry_points(group: str) -> list[EntryPoint]:
        points = [
            EntryPoint("mine", "toy_potentials:Pairs", "xtalseek.potentials"),
            EntryPoint("lost", "no_such_package.x:Y", "xtalseek.potentials"),
        ]
        return [point for point in points if point.group == group]

    monkeypatch.setattr(xtalseek.registry, "entry_points", entry_points)
    (result,) = make_relaxer("mine", RelaxSettings(), symbols=["Cu"]).relax([bulk("Cu", "fcc", 3.5)])
    assert result.status == Status.CONVERGED, result.message
    with pytest.raises(InputError, match="did you mean 'mine'"):
        make_relaxer("mien", RelaxSettings())
    with pytest.raises(InputError, match="pip install no_such_package"):
        make_relaxer("lost", RelaxSettings())


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("lj", {"sgma": 2}, "does not work with sgma=2"),
        ("morse", {"alpha": 2}, "does not work with alpha=2"),
        ("morse", {"rcut1": 3.0}, "rcut2 above rcut1"),
        ("emt", {"x": 1}, "does not work with x=1"),
        ("math:pi", {}, "not an ASE calculator but a float"),
        ("os:system", {"command": "false"}, "not an ASE calculator but a builtin"),
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


@pytest.mark.parametrize(
    ("given", "meant"), [("chgnt", "chgnet"), ("sevenet", "sevennet"), ("xtblite", "tblite"), ("torchsim", "torch-sim")]
)
def test_a_misspelt_relaxer_is_told_with_the_nearest(given: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"did you mean {meant!r}"):
        make_relaxer(given, RelaxSettings())


def test_all_that_are_promised_are_known_without_importing_any() -> None:
    """The import of a package would fail here where it is missing, or take seconds where it is not."""
    asked = "import sys; from xtalseek.relax import potentials; print(*potentials.names()); "
    asked += "print(*{'torch_sim', 'mace', 'sevenn', 'matgl', 'mattersim', 'orb_models', 'tblite'} & set(sys.modules))"
    told = subprocess.run(
        [sys.executable, "-c", asked], env=environment(), capture_output=True, text=True, check=True
    ).stdout.splitlines()
    promised = "chgnet emt lj mace matgl mattersim morse orb sevennet tblite torch-sim"
    assert set(promised.split()) <= set(told[0].split())
    assert told[1] == ""


def test_elements_without_parameters_are_named() -> None:
    with pytest.raises(InputError, match="no parameters for Si: allowed are H, C, N"):
        make_relaxer("emt", RelaxSettings(), symbols=["Cu", "Si"])
    with pytest.raises(InputError, match="no parameters for Lr: allowed are H to Pu"):
        make_relaxer("chgnet", RelaxSettings(), symbols=["Lr"])
