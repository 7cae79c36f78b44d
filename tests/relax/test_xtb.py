"""tblite, really run; skipped only where it is not installed (`make setup` installs it)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from slopes import assert_slopes, evaluate

from xtalseek.errors import InputError
from xtalseek.records import Status
from xtalseek.relax import RelaxSettings, load_potential, make_relaxer
from xtalseek.relax.calculators import AseEvaluator
from xtalseek.relax.xtb import RepeatedEvaluator

tblite = pytest.mark.skipif(find_spec("tblite") is None, reason="tblite is not installed")


def lithium_hydride() -> Atoms:
    atoms = bulk("LiH", "rocksalt", 4.1)
    atoms.rattle(0.05, seed=1)
    return atoms


@tblite
def test_gfn1_forces_and_stress_are_the_slopes_of_its_energy_and_nothing_is_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    atoms = bulk("MgO", "rocksalt", 4.2)
    atoms.rattle(0.05, seed=1)
    potential = load_potential("tblite", {})
    assert -200 < evaluate(potential.evaluator, atoms).energy < -100
    assert_slopes(potential.evaluator, atoms)
    assert capfd.readouterr() == ("", "")


@tblite
def test_tblite_relaxes_a_crystal() -> None:
    settings = RelaxSettings(force_tolerance=0.1, stress_tolerance_gpa=0.5, max_steps=100)
    relaxer = make_relaxer("tblite", settings, symbols=["Li", "H"])
    (result,) = relaxer.relax([lithium_hydride()])
    assert result.status == Status.CONVERGED, result.message
    assert result.atoms is not None
    assert result.energy is not None
    assert result.energy < evaluate(load_potential("tblite", {}).evaluator, lithium_hydride()).energy


@tblite
def test_what_was_evaluated_before_changes_nothing() -> None:
    first, other = lithium_hydride(), bulk("LiH", "zincblende", 4.6)
    fresh = evaluate(load_potential("tblite", {}).evaluator, first)
    evaluator = load_potential("tblite", {}).evaluator
    evaluate(evaluator, other)
    again = evaluate(evaluator, first)
    assert again.energy == pytest.approx(fresh.energy, abs=1e-12)
    assert np.allclose(again.forces, fresh.forces, atol=1e-12)


@tblite
def test_no_self_consistency_is_a_status_not_an_energy() -> None:
    relaxer = make_relaxer("tblite", RelaxSettings(), {"max_iterations": 2})
    (result,) = relaxer.relax([lithium_hydride()])
    assert result.status == Status.ERROR
    assert result.energy is None
    assert result.message is not None
    assert "SCF not converged" in result.message


@tblite
@pytest.mark.parametrize(
    "options", [{"charge": 1}, {"method": "GFN2-xTB"}, {"multiplicity": 3}, {"electronic_temperature": 30000.0}]
)
def test_each_option_reaches_tblite(options: dict[str, Any]) -> None:
    plain = evaluate(load_potential("tblite", {}).evaluator, lithium_hydride()).energy
    assert abs(evaluate(load_potential("tblite", options).evaluator, lithium_hydride()).energy - plain) > 0.01


@tblite
def test_the_hund_terms_lower_a_cell_with_unpaired_electrons() -> None:
    atoms = bulk("NiO", "rocksalt", 4.2)
    energies = [
        evaluate(load_potential("tblite", {"multiplicity": 3} | more).evaluator, atoms).energy
        for more in ({}, {"spin_polarization": 1.0})
    ]
    assert energies[1] < energies[0] - 0.1


@tblite
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"method": "GFN1-xtb"}, "did you mean 'GFN1-xTB'"),
        ({"multiplicity": 0}, "multiplicity must be at least 1"),
        ({"min_length": -1.0}, "min_length must not be negative"),
        ({"chrge": 1}, "does not work with chrge=1"),
    ],
)
def test_options_that_cannot_be_used_are_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        load_potential("tblite", options)
    assert "\n" not in str(caught.value)


@tblite
def test_elements_beyond_radon_are_refused() -> None:
    with pytest.raises(InputError, match="no parameters for Ra: allowed are H to Rn"):
        make_relaxer("tblite", RelaxSettings(), symbols=["Ra"])


@tblite
def test_min_length_gives_the_cell_what_it_has_in_a_supercell() -> None:
    atoms = lithium_hydride()
    small = load_potential("tblite", {"min_length": 4.0})
    whole = evaluate(load_potential("tblite", {}).evaluator, atoms * (2, 2, 2))
    cell = evaluate(small.evaluator, atoms)
    assert small.evaluator.size(atoms) == 16
    assert cell.energy == pytest.approx(whole.energy / 8, abs=1e-9)
    assert np.allclose(cell.forces, whole.forces[:2], atol=1e-4)
    assert np.allclose(cell.stress, whole.stress, atol=1e-6)
    # Gamma alone is far from this: the reason why the option exists.
    assert abs(evaluate(load_potential("tblite", {}).evaluator, atoms).energy - cell.energy) > 1.0
    atoms.calc = small.calculator
    assert atoms.get_potential_energy() == pytest.approx(cell.energy, abs=1e-9)


def test_a_repeated_cell_keeps_energy_forces_and_stress_of_a_potential_without_k_points() -> None:
    atoms = Atoms(
        "Ar2", scaled_positions=[(0, 0, 0), (0.4, 0.5, 0.6)], cell=[(5, 0, 0), (2, 4, 0), (1, 1, 4)], pbc=True
    )
    plain = load_potential("lj", {"sigma": 3.0, "epsilon": 0.1}).evaluator
    assert isinstance(plain, AseEvaluator)
    repeated = RepeatedEvaluator(plain, 9.0)
    # Opposite faces lie 4.34, 3.88 and 4 Å apart.
    assert repeated.repeats(atoms) == (3, 3, 3)
    one, many = evaluate(plain, atoms), evaluate(repeated, atoms)
    assert many.energy == pytest.approx(one.energy, abs=1e-9)
    assert np.abs(one.forces).max() > 0.01
    assert np.allclose(many.forces, one.forces, atol=1e-9)
    assert np.allclose(many.stress, one.stress, atol=1e-9)
