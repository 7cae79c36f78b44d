"""CHGNet, the default potential: a graph network with the charge-informed weights that its own wheel carries.

Source: Deng et al., Nature Machine Intelligence 5, 1031 (2023), doi:10.1038/s42256-023-00716-3.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from chgnet.model import CHGNet
from chgnet.model.dynamics import CHGNetCalculator

from .calculators import AseEvaluator
from .guards import StructureFellApart
from .potentials import Potential

ENERGY_MARGIN = 5.0
"""eV/atom below CHGNet's own linear sum of element energies at which an energy stops being believable.

Of 625 Materials Project structures (part of MP-20's validation split) it puts the lowest, ErPaO4, 1.5 eV/atom below.
"""


class _Calculator(CHGNetCalculator):
    """Leaves out the magnetic moments, and tells a structure that fell apart from other failures."""

    def calculate(
        self, atoms: Any = None, properties: Any = None, system_changes: Any = None, task: Any = "efs"
    ) -> None:
        try:
            super().calculate(atoms, properties, system_changes, task)
        except ValueError as error:
            if "isolated atom" in str(error):
                raise StructureFellApart("an atom has no neighbour within CHGNet's 6 Å") from error
            raise


def chgnet(weights: str = "0.3.0", device: str | None = None) -> Potential:
    """CHGNet with its published weights.

    Parameters
    ----------
    weights : which of the sets in the package: "0.3.0" (PBE), "0.2.0", "r2scan".
    device : "cpu", "cuda" or "mps"; default: the best there is.
    """
    # A warning of torch about a line of CHGNet's own, once per rank; the user can do nothing about it.
    warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad=True", category=UserWarning)
    calculator = _Calculator(
        CHGNet.load(model_name=weights, use_device=device, verbose=False), use_device=device, on_isolated_atoms="error"
    )
    element_energies: torch.Tensor = dict(calculator.model.composition_model.named_parameters())["fc.weight"]
    per_element = element_energies.detach().cpu().numpy().astype(float).ravel()

    def energy_floor(atoms: Atoms) -> float:
        return float(np.sum(per_element[atoms.numbers - 1] - ENERGY_MARGIN))

    elements = frozenset(chemical_symbols[1 : len(per_element) + 1])
    return Potential("chgnet", AseEvaluator(calculator), covalent_radii, elements, energy_floor, learned=True)
