"""From a model to usable structures: drawn in blocks, and drawn again where atoms come too close."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from ...errors import InputError
from ..radii import default_volumes, minimum_distances
from .checkpoint import DEFAULT, load_checkpoint
from .model import UniMatModel
from .repair import Distances, keep_apart

Accept = Callable[[Atoms], tuple[Atoms, bool] | None]
"""Gives a structure back as it is let through, and whether it had to be changed; None throws it away."""
REDRAWS = 5
BATCH = 128
"""Structures that go through the network together."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """What came of one draw.

    Attributes
    ----------
    atoms : None where every attempt had atoms too close.
    repaired : whether atoms had to be pushed apart.
    redraws : attempts that were thrown away before it.
    """

    atoms: Atoms | None
    repaired: bool
    redraws: int


class Generator:
    """A trained model and where it came from.

    Attributes
    ----------
    model : in evaluation mode.
    card : what its checkpoint says of its training.
    """

    def __init__(self, model: UniMatModel, card: Mapping[str, Any]) -> None:
        self.model = model
        self.card = card

    def draw(
        self,
        compositions: Sequence[Mapping[str, int]],
        draws: Sequence[int],
        rng: np.random.Generator,
        options: Mapping[str, Any],
        accept: Accept,
        redraws: int,
    ) -> list[Drawn]:
        """One structure for each composition and number of its draw.

        Parameters
        ----------
        compositions : atoms of each element in the cell.
        draws : which draw of its composition each is: 0 is the likeliest, later ones reach further.
        rng : everything random follows from it.
        options : the sampler's settings.
        accept : what is let through.
        redraws : how often a structure that was thrown away is drawn again.
        """
        result = [Drawn(None, False, 0)] * len(compositions)
        pending = list(range(len(compositions)))
        for attempt in range(redraws + 1):
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            structures = self.model.sample(
                [compositions[i] for i in pending], [draws[i] for i in pending], generator, options, attempt
            )
            for i, atoms in zip(pending, structures, strict=True):
                accepted = accept(atoms)
                result[i] = Drawn(*accepted, attempt) if accepted is not None else Drawn(None, False, attempt + 1)
            pending = [i for i in pending if result[i].atoms is None]
            if not pending:
                break
        return result

    def generate(
        self,
        compositions: Sequence[Mapping[str, int]],
        samples: int,
        seed: int,
        options: Mapping[str, Any],
        progress: Callable[[int], None] = lambda done: None,
    ) -> list[list[Atoms | None]]:
        """`samples` structures for each composition, in the order drawn; None where atoms always came too close.

        Parameters
        ----------
        options : the sampler's settings, and `redraws`, how often a structure is drawn again at most.
        progress : called with the number of compositions done.
        """
        settings = dict(options)
        redraws = settings.pop("redraws", REDRAWS)
        if isinstance(redraws, bool) or not isinstance(redraws, int) or redraws < 0:
            raise InputError(f"redraws: {redraws!r} is not a whole number from 0 up")
        self.model.check({}, settings)
        # Compositions of like size go together, for less padding; each keeps its own place in the answer.
        order = sorted(range(len(compositions)), key=lambda i: sum(compositions[i].values()))
        results: list[list[Atoms | None]] = [[] for _ in compositions]
        together = max(1, BATCH // samples)
        for start in range(0, len(order), together):
            block = order[start : start + together]
            rng = np.random.default_rng([seed, start])
            asked = [compositions[i] for i in block for _ in range(samples)]
            drawn = self.draw(asked, list(range(samples)) * len(block), rng, settings, _accept_default, redraws)
            for row, i in enumerate(block):
                results[i] = [found.atoms for found in drawn[row * samples : (row + 1) * samples]]
            progress(start + len(block))
        return results


def load_generator(checkpoint: str | Path | None = None) -> Generator:
    """The generator of a checkpoint; None: of the one that the package carries.

    Raises
    ------
    InputError : the checkpoint cannot be used.
    """
    return Generator(*load_checkpoint(Path(checkpoint) if checkpoint else DEFAULT))


def _accept_default(atoms: Atoms) -> tuple[Atoms, bool] | None:
    """The structure held to the random source's minimum distances, which 99 % of the shortest in crystals exceed."""
    return keep_apart(atoms, _default_distances(tuple(sorted(Counter(atoms.symbols).items()))))


@lru_cache(maxsize=1000)
def _default_distances(counts: tuple[tuple[str, int], ...]) -> Distances:
    composition = dict(counts)
    smallest, _ = default_volumes(composition)
    return minimum_distances(composition, {}, smallest * sum(composition.values()))[0]
