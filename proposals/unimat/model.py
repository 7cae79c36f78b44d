"""What every UniMat model can do: the contract between models, training, checkpoints and sampling.

A model holds its settings in a frozen dataclass `config` that JSON can carry, so that a checkpoint is the settings and
the weights and nothing else. Training and sampling know models only through this contract.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from ase import Atoms

Arrays = dict[str, np.ndarray]
"""A prepared data set: plain arrays, the first axis counting structures."""
Batch = dict[str, torch.Tensor]


class UniMatModel(torch.nn.Module, ABC):
    """A conditional generator of crystals.

    Attributes
    ----------
    name : the model's name on the command line and in checkpoints.
    knows_symmetry : whether its sampler has the option `space_groups`.
    config : its settings, a frozen dataclass of plain numbers, strings, booleans and tuples of them.
    """

    name: ClassVar[str]
    knows_symmetry: ClassVar[bool] = False
    config: Any

    @property
    @abstractmethod
    def max_atoms(self) -> int:
        """Atoms of the largest cell that it was made for."""

    @abstractmethod
    def check(self, composition: Mapping[str, int], options: Mapping[str, Any]) -> None:
        """Raise `InputError` for an element beyond the model, an unknown option or a value that cannot be used."""

    @abstractmethod
    def prepare(self, structures: Sequence[Atoms], energies: Sequence[float]) -> tuple[Arrays, list[tuple[int, str]]]:
        """Turn structures into arrays to train on.

        Parameters
        ----------
        structures : periodic crystals.
        energies : formation energy of each, eV/atom; NaN where unknown.

        Returns
        -------
        arrays : the usable structures, in order.
        refused : (number of the structure, why) of the others: too large, an element outside the table, ...
        """

    @abstractmethod
    def sizes(self, arrays: Arrays) -> np.ndarray:
        """Cost of each prepared structure in tokens or sites (n,), so that batches hold structures of like size."""

    @abstractmethod
    def collate(self, arrays: Arrays, rows: np.ndarray, rng: np.random.Generator) -> Batch:
        """The structures `rows` as tensors, with the random choices of one training step (augmentation) made."""

    @abstractmethod
    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Means over the batch: "loss", which training minimises, and its parts under names of their own.

        The noise comes from `generator`, on the CPU, so that a run is the same on every device.
        """

    @abstractmethod
    def sample(
        self,
        compositions: Sequence[Mapping[str, int]],
        draws: Sequence[int],
        generator: torch.Generator,
        options: Mapping[str, Any],
        attempt: int = 0,
    ) -> list[Atoms]:
        """One structure for each composition, with exactly these atoms.

        Parameters
        ----------
        compositions : atoms of each element (symbol) in the cell.
        draws : which draw of its composition each is, from 0; a model may keep the draws of a composition apart.
        generator : all randomness, on the CPU.
        options : the sampler's settings, by name; what is left out takes the model's default.
        attempt : how many structures of these draws were thrown away before (atoms too close).

        Nothing is promised about distances between atoms.

        Raises
        ------
        InputError : an unknown option, a value that cannot be used, or a composition beyond the model.
        """
