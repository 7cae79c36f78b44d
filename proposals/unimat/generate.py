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
from ase.neighborlist import neighbor_list

from ..random.radii import VOLUME_RANGE, estimated_volume, minimum_distances
from .checkpoint import DEFAULT, load_checkpoint
from .model import UniMatModel

Distances = Mapping[tuple[str, str], float]
"""Shortest allowed distance (Å) by sorted pair of symbols."""
Accept = Callable[[Atoms], Atoms | None]
BATCH = 128
"""Structures that go through the network together."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """What came of one draw.

    Attributes
    ----------
    atoms : None where every attempt had atoms too close.
    redraws : attempts that were thrown away before it.
    """

    atoms: Atoms | None
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
        accept : what to make of a structure; None throws it away.
        redraws : how often a structure that was thrown away is drawn again.
        """
        result = [Drawn(None, 0)] * len(compositions)
        pending = list(range(len(compositions)))
        for attempt in range(redraws + 1):
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            structures = self.model.sample(
                [compositions[i] for i in pending], [draws[i] for i in pending], generator, options, attempt
            )
            for i, atoms in zip(pending, structures, strict=True):
                accepted = accept(atoms)
                result[i] = Drawn(accepted, attempt + (accepted is None))
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
        options : the sampler's settings, and `redraws` (default 3).
        progress : called with the number of compositions done.
        """
        settings = dict(options)
        redraws = int(settings.pop("redraws", 3))
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


def _accept_default(atoms: Atoms) -> Atoms | None:
    """The structure where it keeps the random source's minimum distances: 99 % of the shortest in crystals do."""
    return atoms if is_apart(atoms, _default_distances(tuple(sorted(Counter(atoms.symbols).items())))) else None


@lru_cache(maxsize=1000)
def _default_distances(counts: tuple[tuple[str, int], ...]) -> Distances:
    composition = dict(counts)
    return minimum_distances(
        composition, {}, VOLUME_RANGE[0] * estimated_volume(composition) * sum(composition.values())
    )[0]


def is_apart(atoms: Atoms, distances: Distances) -> bool:
    """Whether no two atoms, nor an atom and its own image, are closer than `distances`; NaN is never apart."""
    if not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell.array).all() or atoms.get_volume() < 1:
        return False
    limits = {pair: d for pair, d in distances.items() if d > 0}
    if not limits:
        return True
    first, second, distance = neighbor_list("ijd", atoms, max(limits.values()), self_interaction=False)
    symbols = np.array(atoms.get_chemical_symbols())
    return all(
        d >= limits.get((min(a, b), max(a, b)), 0.0)
        for a, b, d in zip(symbols[first], symbols[second], distance, strict=True)
    )
