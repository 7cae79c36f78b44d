"""The adapter to torch-sim: refused below Python 3.12; above, where it is installed, really run."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from slopes import assert_slopes

import xtalseek.relax.torch_sim as adapter
from xtalseek.errors import InputError
from xtalseek.records import Status
from xtalseek.relax import RelaxSettings, load_potential, make_relaxer
from xtalseek.relax.calculators import AseEvaluator
from xtalseek.relax.contract import Evaluation, OutOfMemory

installed = pytest.mark.skipif(
    sys.version_info[:2] < adapter.OLDEST_PYTHON or find_spec("torch_sim") is None,
    reason="torch-sim-atomistic, of Python 3.12 or newer, is not installed",
)
ARGON = {
    "wrapper": "torch_sim.models.lennard_jones:LennardJonesModel",
    "sigma": 3.0,
    "epsilon": 0.1,
    "cutoff": 7.5,
    "device": "cpu",
    "repulsion": False,
}


def argon() -> list[Atoms]:
    """Three structures of different sizes, one in a slanted cell."""
    slanted = Atoms("Ar2", scaled_positions=[(0, 0, 0), (0.4, 0.5, 0.6)], cell=[(5, 0, 0), (2, 4, 0), (1, 1, 4)])
    shaken = bulk("Ar", "fcc", 4.6, cubic=True)
    shaken.rattle(0.2, seed=1)
    return [bulk("Ar", "fcc", 4.6), slanted, shaken]


@pytest.mark.parametrize("version", [(3, 11, 7), (3, 10, 0)])
def test_an_older_python_is_told_what_is_needed(version: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter.sys, "version_info", version)
    with pytest.raises(InputError, match=rf"needs Python 3.12 or newer, and this is 3.{version[1]} ") as caught:
        make_relaxer("torch-sim", RelaxSettings(), {"wrapper": "x:Y"})
    assert "\n" not in str(caught.value)


def test_a_missing_package_names_its_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "OLDEST_PYTHON", (3, 11))
    for loaded in [m for m in sys.modules if m.partition(".")[0] == "torch_sim"]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, "torch_sim", None)
    told = (
        r"needs the Python package 'torch-sim-atomistic', which is not installed: pip install 'xtalseek\[torch-sim\]'"
    )
    with pytest.raises(InputError, match=told):
        load_potential("torch-sim", ARGON)


@installed
def test_a_batch_gives_what_ase_gives_one_by_one() -> None:
    """ASE shifts its energies to zero at the cut-off, which forces and stress do not see."""
    evaluator = load_potential("torch-sim", ARGON).evaluator
    expected = AseEvaluator(LennardJones(sigma=3.0, epsilon=0.1, rc=7.5)).evaluate(argon(), [None] * 3)
    found = evaluator.evaluate(argon(), [None] * 3)
    assert len(found) == 3
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one, Evaluation)
        assert isinstance(other, Evaluation)
        assert np.allclose(one.forces, other.forces, atol=1e-8)
        assert np.abs(one.stress).max() > 1e-4
        assert np.allclose(one.stress, other.stress, atol=1e-8)
    assert_slopes(evaluator, argon()[2])
    assert evaluator.size(argon()[2]) == pytest.approx(4 * evaluator.size(argon()[0]))


@installed
def test_one_bad_structure_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = load_potential("torch-sim", ARGON).evaluator
    assert isinstance(evaluator, adapter.TorchSimEvaluator)
    forward = type(evaluator.model).forward

    def fails_for_many_atoms(model: object, state: object) -> object:
        if state.n_atoms_per_system.max() == 4:  # type: ignore[attr-defined]
            raise RuntimeError("melted")
        return forward(model, state)

    monkeypatch.setattr(type(evaluator.model), "forward", fails_for_many_atoms)
    first, second, third = evaluator.evaluate(argon(), [None] * 3)
    assert isinstance(first, Evaluation)
    assert isinstance(second, Evaluation)
    assert isinstance(third, RuntimeError)
    assert evaluator.evaluate([], []) == []


@installed
def test_a_batch_that_does_not_fit_is_handed_back(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = load_potential("torch-sim", ARGON).evaluator
    assert isinstance(evaluator, adapter.TorchSimEvaluator)

    def fails(model: object, state: object) -> object:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(type(evaluator.model), "forward", fails)
    with pytest.raises(OutOfMemory):
        evaluator.evaluate(argon(), [None] * 3)
    (alone,) = evaluator.evaluate(argon()[:1], [None])
    assert isinstance(alone, torch.OutOfMemoryError)


@installed
@pytest.mark.parametrize("batch", [0, 100])
def test_it_relaxes_one_by_one_and_in_batches(batch: int) -> None:
    """The fcc lattice of the whole crystal is found from its primitive and from its shaken cubic cell."""
    settings = RelaxSettings(force_tolerance=1e-3, stress_tolerance_gpa=1e-3)
    results = make_relaxer("torch-sim", settings, ARGON | {"batch": batch}).relax(argon()[::2])
    energies = []
    for result in results:
        assert result.status == Status.CONVERGED, result.message
        assert result.energy is not None
        assert result.atoms is not None
        energies.append(result.energy / len(result.atoms))
    assert len(energies) == 2
    assert energies[0] == pytest.approx(energies[1], abs=1e-3)


@installed
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "give wrapper=MODULE:CALLABLE"),
        ({"wrapper": "torch_sim.models.lennard_jones:LJ"}, "has no attribute 'LJ'"),
        ({"wrapper": "collections:Counter"}, "does not make a torch-sim model but a Counter"),
        (ARGON | {"sgma": 1}, "does not work with .*sgma"),
        (ARGON | {"dtype": "float46"}, "did you mean 'float64'"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(options: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        load_potential("torch-sim", options)
    assert "\n" not in str(caught.value)
