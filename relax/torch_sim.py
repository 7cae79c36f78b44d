"""Models of torch-sim, which evaluate many structures in one batch, on a GPU above all.

Source: Cohen et al., AI for Science (2025), doi:10.1088/3050-287X/ae1799. Tested with torch-sim-atomistic 0.6.2.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.data import covalent_radii

from ..errors import InputError, unknown
from ..registry import load_attribute
from .contract import Evaluation, OutOfMemory
from .potentials import Potential

OLDEST_PYTHON = (3, 12)
"""Of torch-sim-atomistic 0.6. The 0.3.0 that installs on 3.11 has another state and another interface for models."""
ORDINARY_DENSITY = 0.06
"""Atoms per Å^3; sizes count atoms of a crystal that is so dense."""
GPU_CAPACITY = 4000.0
"""Atoms in a batch on a GPU; one that does not fit is asked for again in smaller ones."""
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True, eq=False)
class TorchSimEvaluator:
    """Asks a torch-sim model about many structures at once.

    Attributes
    ----------
    model : a `torch_sim.models.interface.ModelInterface` that gives forces and stresses too.
    capacity : see `Evaluator`.
    """

    model: Any
    capacity: float

    def evaluate(self, structures: Sequence[Atoms], memories: Sequence[object]) -> list[Evaluation | Exception]:
        """See `Evaluator`; torch-sim makes its neighbour lists anew, so there is nothing to remember."""
        if not structures:
            return []
        try:
            return list(self._evaluate_batch(structures))
        except torch.OutOfMemoryError as error:
            if len(structures) == 1:
                return [error]
            raise OutOfMemory(str(error)) from error
        except Exception as error:  # whatever a model may raise on a strange structure: the run goes on
            if len(structures) == 1:
                return [error]
        # One of them spoils the batch: each by itself, and only that one fails.
        return [answer for atoms in structures for answer in self.evaluate([atoms], [None])]

    def size(self, atoms: Atoms) -> float:
        """Number of atoms; where the model's neighbours are all within a cut-off, in proportion to their density."""
        if self.model.memory_scales_with == "n_atoms":
            return float(len(atoms))
        return len(atoms) ** 2 / (ORDINARY_DENSITY * float(atoms.get_volume()))

    def _evaluate_batch(self, structures: Sequence[Atoms]) -> list[Evaluation]:
        from torch_sim.io import atoms_to_state

        # Constraints, charges and the like are left behind: all that counts is where which atom is.
        plain = [Atoms(atoms.numbers, cell=atoms.cell, positions=atoms.positions, pbc=True) for atoms in structures]
        found = self.model(atoms_to_state(plain, self.model.device, self.model.dtype))
        energies, forces, stresses = (
            found[key].detach().cpu().numpy().astype(float) for key in ("energy", "forces", "stress")
        )
        ends = np.cumsum([len(atoms) for atoms in plain])[:-1]
        return [
            Evaluation(float(energy), own, stress)
            for energy, own, stress in zip(energies, np.split(forces, ends), stresses, strict=True)
        ]


def torch_sim(
    wrapper: str | None = None,
    device: str | None = None,
    dtype: str = "float64",
    batch: float | None = None,
    **options: Any,
) -> Potential:
    """Any model of torch-sim.

    Parameters
    ----------
    wrapper : "module:callable" of what makes the model, like "torch_sim.models.lennard_jones:LennardJonesModel",
        "torch_sim.models.mace:MaceModel" or a function of your own.
    device : "cpu" or "cuda"; default: the best there is.
    dtype : "float64" or "float32".
    batch : atoms that are evaluated together; 0: one structure at a time; default: 4000 on a GPU, else 0.
    options : all others go to the wrapper (`model=PATH` for MaceModel).

    Raises
    ------
    InputError : Python is too old, there is no such wrapper, or it makes something else than a model with stresses.
    """
    if sys.version_info[:2] < OLDEST_PYTHON:
        raise InputError(
            "torch-sim-atomistic 0.6 needs Python 3.12 or newer, and this is "
            f"{sys.version_info[0]}.{sys.version_info[1]} (the 0.3.0 that it takes has another interface)"
        )
    from torch_sim.models.interface import ModelInterface

    if wrapper is None or ":" not in wrapper:
        raise InputError("give wrapper=MODULE:CALLABLE, like torch_sim.models.lennard_jones:LennardJonesModel")
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    make = load_attribute(wrapper, f"wrapper {wrapper!r}")
    offered = {
        "device": torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")),
        "dtype": DTYPES[dtype],
        "compute_forces": True,
        "compute_stress": True,
    }
    taken = inspect.signature(make).parameters
    model = make(**{key: value for key, value in offered.items() if key in taken}, **options)
    if not isinstance(model, ModelInterface):
        raise InputError(f"{wrapper!r} does not make a torch-sim model but a {type(model).__name__}")
    if not (model.compute_forces and model.compute_stress):
        raise InputError(f"the model of {wrapper!r} gives no forces or no stresses, which relaxing a cell needs")
    capacity = (GPU_CAPACITY if model.device.type == "cuda" else 0.0) if batch is None else float(batch)
    return Potential("torch-sim", TorchSimEvaluator(model, capacity), covalent_radii, learned=True)
