"""Learned potentials whose packages the user has installed: MACE, SevenNet, Orb, MatterSim and MatGL by name.

xtalseek brings no weights for them and downloads none by itself. `model=PATH` reads a file of weights. `model=NAME`
gives the package the name of a published model, which it may fetch from the network the first time and keep; on nodes
without a network give the file. Files for MACE, SevenNet and MatterSim are Python pickles, which can run code when they
are read: take them from people you trust.

Each potential is the package's own ASE calculator. Tested with mace-torch 0.3.16 (its e3nn==0.4.4 cannot share an
environment with SevenNet or MatterSim), sevenn 0.13.0, orb-models 0.5.5, mattersim 1.2.3 and matgl 4.1.2.
"""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ase.calculators.calculator import BaseCalculator
from ase.data import chemical_symbols, covalent_radii

from ..errors import InputError, unknown
from .calculators import AseEvaluator
from .potentials import Potential

WEIGHT_SUFFIXES = frozenset({".ckpt", ".model", ".pt", ".pth"})
"""What ends like this is meant as a file, not as the name of a published model."""


def mace(
    model: str | None = None, head: str | None = None, device: str | None = None, dtype: str = "float32"
) -> Potential:
    """MACE, higher-order equivariant message passing.

    Source: Batatia et al., NeurIPS 2022, arXiv:2206.07697; MACE-MP: arXiv:2401.00096.

    Parameters
    ----------
    model : file of a whole model, or a name like "medium-mpa-0", "medium-omat-0", "small".
    head : which of the model's heads answers, where it has several ("omat_pbe").
    device : "cpu" or "cuda"; default: the best there is.
    dtype : "float32", or "float64" for tolerances far below 0.01 eV/Å.
    """
    from mace.calculators import mace_mp

    if dtype not in ("float32", "float64"):
        raise unknown("dtype", dtype, ("float32", "float64"))
    with _reading(model, "medium-mpa-0") as given:
        more = {} if head is None else {"head": head}
        calculator = mace_mp(model=given, device=device or "", default_dtype=dtype, **more)
    heads = [str(name) for name in calculator.available_heads]
    if head is not None and head not in heads:
        # MACE itself would take its last head and only log it.
        raise unknown("head", head, heads)
    return _potential("mace", calculator, (chemical_symbols[z] for z in calculator.z_table.zs))


def sevennet(model: str = "7net-0", modal: str | None = None, device: str | None = None) -> Potential:
    """SevenNet, an equivariant network after NequIP.

    Source: Park et al., J. Chem. Theory Comput. 20, 4857 (2024), doi:10.1021/acs.jctc.4c00190.

    Parameters
    ----------
    model : checkpoint file, or a name: the wheel carries the weights of "7net-0", "7net-l3i5" and "7net-mf-0"; others
        ("7net-omat", "7net-mf-ompa", "7net-omni") are fetched.
    modal : which of its trainings answers, where a model has several ("mpa", "omat24").
    device : "cpu" or "cuda"; default: the best there is.
    """
    from sevenn.calculator import SevenNetCalculator

    with _reading(model, "7net-0") as given:
        calculator = SevenNetCalculator(model=given, modal=modal, device=device or "auto")
    return _potential("sevennet", calculator, (chemical_symbols[z] for z in calculator.type_map))


def orb(
    model: str | None = None,
    architecture: str | None = None,
    device: str | None = None,
    precision: str = "float32-highest",
    compile: bool = False,
) -> Potential:
    """Orb, a graph network with or without built-in conservation of energy.

    Source: Rhodes et al., arXiv:2504.06231.

    Parameters
    ----------
    model : file of weights, or a name like "orb-v3-conservative-inf-omat"; the "-direct-" ones have forces that are not
        the slope of their energy.
    architecture : the name of the model that the file holds weights of; default: the file's own name without its date.
    device : "cpu" or "cuda"; default: the best there is.
    precision : "float32-highest", "float32-high" or "float64".
    compile : by torch, which takes minutes at the start and a C compiler.
    """
    from orb_models.forcefield.pretrained import ORB_PRETRAINED_MODELS

    with _reading(model, "orb-v3-conservative-inf-omat") as given:
        path = Path(given)
        is_file = path.is_file()
        known = architecture or (re.sub(r"-\d{8}$", "", path.stem) if is_file else given)
        if known not in ORB_PRETRAINED_MODELS:
            raise unknown("architecture" if is_file else "model", known, ORB_PRETRAINED_MODELS)
        weights = {"weights_path": given} if is_file else {}
        loaded = ORB_PRETRAINED_MODELS[known](**weights, device=device, precision=precision, compile=compile)
        # Since 0.6 a model comes with its adapter, and the calculator lives elsewhere.
        is_new = isinstance(loaded, tuple)
        home = "orb_models.forcefield.inference.calculator" if is_new else "orb_models.forcefield.calculator"
        made: Any = importlib.import_module(home).ORBCalculator
        calculator = made(*loaded, device=device) if is_new else made(loaded, device=device)
    return _potential("orb", calculator, None)


def mattersim(model: str | None = None, device: str | None = None) -> Potential:
    """MatterSim, an M3GNet trained over wide ranges of temperature and pressure.

    Source: Yang et al., arXiv:2405.04967.

    Parameters
    ----------
    model : checkpoint file, or "mattersim-v1.0.0-1M" or "mattersim-v1.0.0-5M".
    device : "cpu" or "cuda"; default: the best there is.
    """
    import torch
    from mattersim.forcefield import MatterSimCalculator

    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    with _reading(model, "mattersim-v1.0.0-1M") as given:
        calculator = MatterSimCalculator.from_checkpoint(given, device=chosen)
    last = calculator.potential.model.model_args.get("max_z")
    return _potential("mattersim", calculator, None if last is None else chemical_symbols[1 : last + 1])


def matgl(model: str | None = None) -> Potential:
    """The potentials of MatGL: TensorNet, CHGNet, M3GNet, QET, SO3Net.

    Source: Ko et al., npj Comput. Mater. 11, 253 (2025), doi:10.1038/s41524-025-01742-y.

    Parameters
    ----------
    model : folder with model.pt, state.pt and model.json, or a name like "TensorNet-PES-MatPES-PBE-2025.2".
    """
    from matgl import load_model
    from matgl.ext.ase import PESCalculator

    with _reading(model, "TensorNet-PES-MatPES-PBE-2025.2") as given:
        calculator = PESCalculator(load_model(given), stress_unit="eV/A3", use_voigt=True)
    return _potential("matgl", calculator, calculator.element_types)


def _potential(name: str, calculator: BaseCalculator, elements: Iterable[str] | None) -> Potential:
    known = None if elements is None else frozenset(elements)
    return Potential(name, AseEvaluator(calculator), covalent_radii, known, energy_floor=None, learned=True)


@contextlib.contextmanager
def _reading(model: str | None, example: str) -> Iterator[str]:
    """The model as the package wants it, with whatever goes wrong while it is read told in one line."""
    if model is None:
        raise InputError(f"give model=PATH (its weights) or model=NAME (published, like {example!r})")
    path = Path(model).expanduser()
    if not path.exists() and (path.suffix in WEIGHT_SUFFIXES or model.startswith(("/", ".", "~"))):
        raise InputError(f"there is no file {model!r}: give model=PATH")
    try:
        yield str(path) if path.exists() else model
    except (InputError, ImportError):
        raise
    except Exception as error:  # a network that is not there, a broken file, a package's own assertion
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        cause = "" if path.exists() else "; where the network is not reached, give the file of the weights: model=PATH"
        raise InputError(f"the model cannot be read ({reason}){cause}") from error
