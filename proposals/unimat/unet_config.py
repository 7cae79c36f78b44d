"""Settings of `unimat-unet` and of its sampler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from ase import Atoms

from ...errors import InputError, unknown
from .cell_parameters import cell_features, describe
from .diffusion import SAMPLERS
from .grid import Table, element_counts

CONDITIONS = ("none", "types", "formula")


@dataclass(frozen=True)
class UNetConfig:
    """Settings of `unimat-unet`; the paper's are channels 256 and the other values given here.

    Attributes
    ----------
    elements : atomic numbers of the table; rows and columns without any are left out.
    slots : L, the most atoms of one element.
    max_atoms : of the largest structures that are trained on.
    condition : "formula", "types" (which elements, not how many) or "none".
    channels, multipliers, blocks, head_dim, dropout : the network's, see `UNet`.
    shift : whether training moves each structure by a random vector, since the origin of a crystal is free. Off as in
        the paper: origins as published make coordinates easier to learn (20 binary crystals, 80 s on one core, one
        seed: 10 of 20 matched either way, RMSE 0.11 without and 0.33 with).
    reduce_cell : whether structures are rewritten in their Niggli cell, so that each has one set of parameters.
    energy_dropout : how often training hides the formation energy, for guidance.
    null_weight : weight of the sites that the condition rules out, over that of the others.
    cell_weight : weight of the cell's loss over the coordinates'.
    coordinate_scale : factor of the coordinates less 1/2; sqrt(12) gives atoms unit variance.
    cell_mean, cell_std : of log(edge in Å / N^(1/3)) and of the angles in degrees, over the data (mp/train).
    energy_mean, energy_std : of the formation energy, eV/atom.
    """

    elements: tuple[int, ...] = Table().elements
    slots: int = 20
    max_atoms: int = 20
    condition: str = "formula"
    channels: int = 32
    multipliers: tuple[int, ...] = (1, 2, 4)
    blocks: int = 3
    head_dim: int = 64
    dropout: float = 0.1
    shift: bool = False
    reduce_cell: bool = True
    energy_dropout: float = 0.1
    null_weight: float = 0.1
    cell_weight: float = 1.0
    coordinate_scale: float = 12**0.5
    cell_mean: tuple[float, ...] = (0.838, 0.985, 1.259, 90.0, 87.1, 87.2)
    cell_std: tuple[float, ...] = (0.232, 0.211, 0.271, 18.1, 15.7, 18.1)
    energy_mean: float = -1.108
    energy_std: float = 0.980

    def __post_init__(self) -> None:
        for name in ("elements", "multipliers", "cell_mean", "cell_std"):  # JSON gives lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.condition not in CONDITIONS:
            raise unknown("condition", self.condition, CONDITIONS)
        if self.slots < 1 or self.blocks < 1 or not self.multipliers:
            raise InputError("unimat-unet needs slots >= 1, blocks >= 1 and a multiplier")

    @classmethod
    def fitted(cls, structures: Sequence[Atoms], energies: Sequence[float] = (), **settings: Any) -> UNetConfig:
        """The settings for a data set: the smallest table, the slots (at most 20) and atoms needed, and statistics.

        Parameters
        ----------
        structures : what it will be trained on.
        energies : formation energies, eV/atom; NaN where unknown.
        settings : further attributes; they win over what is measured.
        """
        base = cls(**settings)
        cells = np.array([cell_features(describe(atoms, base.reduce_cell)[0], len(atoms)) for atoms in structures])
        known = np.array([e for e in energies if np.isfinite(e)])
        most = max(max(element_counts(atoms.numbers).values(), default=1) for atoms in structures)
        measured: dict[str, Any] = {
            "elements": Table.of(structures).elements,
            "slots": min(most, 20),
            "max_atoms": max(len(atoms) for atoms in structures),
            "cell_mean": tuple(cells.mean(axis=0).tolist()),
            "cell_std": tuple((cells.std(axis=0) + np.array([0.01] * 3 + [1.0] * 3)).tolist()),
        }
        if len(known) > 1:
            measured |= {"energy_mean": float(known.mean()), "energy_std": float(known.std()) + 1e-3}
        return replace(base, **{key: value for key, value in measured.items() if key not in settings})


@dataclass(frozen=True)
class SampleOptions:
    """How `unimat-unet` samples.

    Attributes
    ----------
    steps : passes through the network (twice as many where guidance is not 0).
    sampler : "ddim" or "ddpm".
    guidance : weight of classifier-free guidance by the energy.
    energy : formation energy asked for, eV/atom; None for no such condition.
    batch : structures drawn at once; another value gives other structures for the same seed.
    """

    steps: int = 100
    sampler: str = "ddim"
    guidance: float = 0.0
    energy: float | None = None
    batch: int = 32

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> SampleOptions:
        """The options by name; `InputError` for a name or value that is not allowed."""
        names = [field.name for field in fields(cls)]
        for name in options:
            if name not in names:
                raise unknown("option of unimat-unet", name, names)
        made = cls(**options)
        if made.sampler not in SAMPLERS:
            raise unknown("sampler", str(made.sampler), SAMPLERS)
        for name in ("steps", "batch"):
            value = getattr(made, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name}: {value!r} is not a whole number from 1 up")
        for name in ("guidance", "energy"):
            value = getattr(made, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise InputError(f"{name}: {value!r} is not a number")
        if made.guidance and made.energy is None:
            raise InputError("guidance needs an energy (eV/atom) to guide towards")
        return made
