"""Potentials of packages that the user may have: what is told without them, and, where one is installed, a real run.

None of the packages comes with `make setup`; `pip install 'xtalseek[sevennet]'` and its like bring in what is skipped.
SevenNet runs with the weights of its wheel, the others with small random networks written to a file: it is the way from
file to forces that is tested, not the physics.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from running import ROOT
from slopes import assert_slopes, evaluate

from xtalseek.errors import InputError
from xtalseek.records import Status
from xtalseek.relax import RelaxSettings, load_potential, make_relaxer
from xtalseek.relax.potentials import EXTRAS

PYPI = {"mace": "mace-torch", "matgl": "matgl", "mattersim": "mattersim", "orb": "orb-models", "sevennet": "sevenn"}
IMPORT = {"mace": "mace", "matgl": "matgl", "mattersim": "mattersim", "orb": "orb_models", "sevennet": "sevenn"}


def rock_salt() -> Atoms:
    atoms = bulk("MgO", "rocksalt", 4.2, cubic=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def needs(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed")


def check(name: str, options: dict[str, Any], elements: set[str] | None, tolerance: float) -> None:
    """A potential with right slopes, the elements it was made for, and a relaxation that lowers the energy."""
    potential = load_potential(name, options)
    assert potential.learned
    if elements is None:
        assert potential.elements is None
    else:
        assert potential.elements is not None
        assert elements <= potential.elements
    assert_slopes(potential.evaluator, rock_salt(), step=1e-2, tolerance=tolerance)
    (result,) = make_relaxer(name, RelaxSettings(max_steps=3), options, ["Mg", "O"]).relax([rock_salt()])
    assert result.status in (Status.MAX_STEPS, Status.CONVERGED), result.message
    assert result.energy is not None
    assert result.energy < evaluate(potential.evaluator, rock_salt()).energy


@pytest.mark.parametrize("name", sorted(PYPI))
def test_a_missing_package_names_its_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for loaded in [m for m in sys.modules if m.partition(".")[0] == IMPORT[name]]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, IMPORT[name], None)
    with pytest.raises(InputError) as caught:
        make_relaxer(name, RelaxSettings())
    assert str(caught.value) == (
        f"potential {name!r} needs the Python package {PYPI[name]!r}, which is not installed: "
        f"pip install 'xtalseek[{name}]'"
    )


def test_every_extra_that_is_named_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras) >= EXTRAS
    assert {name: extras[name][0].partition(">=")[0] for name in PYPI} == PYPI


def test_a_calculator_s_path_names_the_package_by_its_name_on_pypi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mace", None)
    with pytest.raises(InputError, match=r"pip install mace-torch$"):
        load_potential("mace.calculators:mace_off", {})


@pytest.fixture
def mace_stand_in(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A package called mace, whose one function has no network, unless it is given a file."""
    asked: list[dict[str, Any]] = []

    def mace_mp(model: str, **options: Any) -> EMT:
        asked.append({"model": model, **options})
        if not Path(model).exists():
            raise RuntimeError("Model download failed and\nno local model found")
        calculator = EMT()
        calculator.__dict__.update(available_heads=["pbe", "r2scan"], z_table=SimpleNamespace(zs=[8, 12]))
        return calculator

    calculators = ModuleType("mace.calculators")
    calculators.__dict__["mace_mp"] = mace_mp
    monkeypatch.setitem(sys.modules, "mace", ModuleType("mace"))
    monkeypatch.setitem(sys.modules, "mace.calculators", calculators)
    return asked


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, r"give model=PATH \(its weights\) or model=NAME"),
        ({"model": "medium-mpa-0"}, r"no local model found\); where the network is not reached, .* model=PATH"),
        ({"model": "/nowhere/x.model"}, "there is no file '/nowhere/x.model'"),
        ({"model": "x.pth"}, "there is no file 'x.pth'"),
        ({"model": "a.model", "head": "r2scn"}, "did you mean 'r2scan'"),
        ({"model": "a.model", "dtype": "float23"}, "did you mean 'float32'"),
        ({"modle": "a.model"}, "does not work with modle='a.model'"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(
    options: dict[str, Any],
    told: str,
    mace_stand_in: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.model").touch()
    with pytest.raises(InputError, match=told) as caught:
        load_potential("mace", options)
    assert "\n" not in str(caught.value)


def test_nothing_is_fetched_unless_a_model_is_named(mace_stand_in: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        load_potential("mace", {})
    assert not mace_stand_in
    (tmp_path / "a.model").touch()
    potential = load_potential("mace", {"model": str(tmp_path / "a.model"), "head": "pbe"})
    assert mace_stand_in == [
        {"model": str(tmp_path / "a.model"), "device": "", "default_dtype": "float32", "head": "pbe"}
    ]
    assert potential.elements == {"O", "Mg"}
    with pytest.raises(InputError, match="no parameters for Si: allowed are O, Mg"):
        potential.require_elements(["Si"])


@needs("sevenn")
def test_sevennet_runs_with_the_weights_of_its_wheel() -> None:
    check("sevennet", {"device": "cpu"}, {"Mg", "O", "Sr", "Ti"}, tolerance=0.02)
    with pytest.raises(InputError, match="modal argument missing"):
        load_potential("sevennet", {"model": "7net-mf-0"})


@needs("mace")
def test_mace_runs_from_a_file(tmp_path: Path) -> None:
    import mace.modules as mace_modules
    from e3nn import o3

    torch.manual_seed(0)
    block = mace_modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    network = mace_modules.ScaleShiftMACE(
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
        r_max=4.0,
        num_bessel=4,
        num_polynomial_cutoff=5,
        max_ell=1,
        interaction_cls=block,
        interaction_cls_first=block,
        num_interactions=2,
        num_elements=2,
        hidden_irreps=o3.Irreps("8x0e"),
        MLP_irreps=o3.Irreps("4x0e"),
        atomic_energies=np.array([-2.0, -1.0]),
        avg_num_neighbors=10.0,
        atomic_numbers=[8, 12],
        correlation=2,
        gate=torch.nn.functional.silu,
    )
    torch.save(network, tmp_path / "small.model")
    options = {"model": str(tmp_path / "small.model"), "device": "cpu", "dtype": "float64"}
    check("mace", options, {"Mg", "O"}, tolerance=0.02)
    with pytest.raises(InputError, match="unknown head 'x': allowed are Default"):
        load_potential("mace", options | {"head": "x"})


@needs("orb_models")
def test_orb_runs_from_a_file(tmp_path: Path) -> None:
    from orb_models.forcefield.pretrained import orb_v3_conservative_architecture

    torch.manual_seed(0)
    file = tmp_path / "orb-v3-conservative-inf-omat-20250404.ckpt"
    torch.save(orb_v3_conservative_architecture(device="cpu").state_dict(), file)
    check("orb", {"model": str(file), "device": "cpu"}, None, tolerance=0.02)
    renamed = file.rename(tmp_path / "mine.ckpt")
    with pytest.raises(InputError, match="unknown architecture 'mine'"):
        load_potential("orb", {"model": str(renamed)})


@needs("mattersim")
def test_mattersim_runs_from_a_file(tmp_path: Path) -> None:
    from mattersim.forcefield import Potential
    from mattersim.forcefield.m3gnet.m3gnet import M3Gnet

    torch.manual_seed(0)
    network = M3Gnet(num_blocks=2, units=16, device="cpu")
    Potential(network, device="cpu").save(str(tmp_path / "small.pth"))
    check("mattersim", {"model": str(tmp_path / "small.pth"), "device": "cpu"}, {"Mg", "O", "Pu"}, tolerance=0.02)


@needs("matgl")
def test_matgl_runs_from_a_folder(tmp_path: Path) -> None:
    from matgl.apps.pes import Potential
    from matgl.models import TensorNet

    torch.manual_seed(0)
    network = TensorNet(element_types=("O", "Mg"), units=16, is_intensive=False)
    # Untrained, its energy hardly depends on anything: made steep enough to differentiate in single precision.
    Potential(network, data_std=torch.tensor(1000.0)).save(str(tmp_path / "small"))
    check("matgl", {"model": str(tmp_path / "small")}, {"Mg", "O"}, tolerance=0.02)
