"""CHGNet, the default potential: a graph network with the charge-informed weights that its own wheel carries.

Source: Deng et al., Nature Machine Intelligence 5, 1031 (2023), doi:10.1038/s42256-023-00716-3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from chgnet.model import CHGNet

from ..contract import Evaluation, OutOfMemory
from ..potentials import Potential
from .classes import joined
from .graph import Geometry, Memory, forces_on, look, pulled
from .network import Network

ENERGY_MARGIN = 5.0
"""eV/atom below CHGNet's own linear sum of element energies at which an energy stops being believable.

Of 625 Materials Project structures (part of MP-20's validation split) it puts the lowest, ErPaO4, 1.5 eV/atom below.
"""
BYTES_PER_ROW = 12_000
"""Memory that a bond or an angle takes: what all layers keep for the way back, in single precision."""
ROWS_IN_CACHE = 4_000
"""Bonds and angles that go through the network together on a CPU: more leave its cache, and each takes longer."""


class ChgnetEvaluator:
    """Evaluates structures together, with the package's weights: see `network`.

    Parameters
    ----------
    weights : which of the sets in the package: "0.3.0" (PBE), "0.2.0", "r2scan".
    device : "cpu", "cuda" or "mps"; default: the best there is.
    batch : bonds and angles that are evaluated together; default: one structure at a time on a CPU, for the rounding
        of a batch depends on what else is in it, and as many as fit into the memory of a GPU.
    symmetry : evaluate one of all atoms, bonds and angles that are alike.
    """

    def __init__(
        self, weights: str = "0.3.0", device: str | None = None, batch: float | None = None, symmetry: bool = True
    ) -> None:
        self._symmetry = symmetry
        model = CHGNet.load(model_name=weights, use_device=device, verbose=False)
        self.network = Network(model)
        elements: torch.Tensor = dict(model.composition_model.named_parameters())["fc.weight"]
        self.element_energies: np.ndarray = elements.detach().cpu().numpy().astype(float).ravel()
        """eV by atomic number - 1, before any interaction."""
        self.capacity = _capacity(self.network.device) if batch is None else float(batch)

    def evaluate(self, structures: Sequence[Atoms], memories: Sequence[object]) -> list[Evaluation | Exception]:
        """See `Evaluator`."""
        results: list[Evaluation | Exception | None] = [None] * len(structures)
        seen: dict[int, tuple[Geometry, Memory]] = {}
        for place, (atoms, memory) in enumerate(zip(structures, memories, strict=True)):
            try:
                known = memory if isinstance(memory, Memory) else None
                seen[place] = look(atoms, known, self.network.reach, self.network.short_reach, self._symmetry)
            except Exception as error:  # a structure without neighbours, or with too many to hold
                results[place] = error
        for group in self._passes(seen):
            for place, found in zip(group, self._evaluate(structures, group), strict=True):
                results[place] = found
        return [r for r in results if r is not None]

    def _passes(self, seen: dict[int, tuple[Geometry, Memory]]) -> Iterator[dict[int, tuple[Geometry, Memory]]]:
        """Those that go through the network together."""
        group: dict[int, tuple[Geometry, Memory]] = {}
        rows = 0
        for place, (geometry, memory) in seen.items():
            more = len(memory.classes.bond_member) + len(memory.classes.angle_member)
            if group and self.network.device.type == "cpu" and rows + more > ROWS_IN_CACHE:
                yield group
                group, rows = {}, 0
            group[place] = (geometry, memory)
            rows += more
        if group:
            yield group

    def _evaluate(self, structures: Sequence[Atoms], seen: dict[int, tuple[Geometry, Memory]]) -> Iterator[Evaluation]:
        classes = [memory.classes for _, memory in seen.values()]
        lengths = [geometry.lengths[memory.classes.bond_member] for geometry, memory in seen.values()]
        cosines = [geometry.cosines[memory.classes.angle_member] for geometry, memory in seen.values()]
        graph = joined([c.graph for c in classes], [len(x) for x in lengths])
        try:
            energies, *derivatives = self.network.energies(
                np.concatenate(lengths), np.concatenate(cosines), graph, len(seen)
            )
        except (MemoryError, RuntimeError) as error:
            # A GPU's is torch's own; a CPU's allocator raises a plain RuntimeError.
            if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error):
                raise OutOfMemory(f"{len(seen)} structures, {len(graph.angle_left)} angles") from error
            raise
        by_length, by_cosine = (
            np.split(all_of, np.cumsum([len(x) for x in parts])[:-1])
            for all_of, parts in zip(derivatives, (lengths, cosines), strict=True)
        )
        for n, (place, (geometry, memory)) in enumerate(seen.items()):
            c, atoms = memory.classes, structures[place]
            by_vector = pulled(
                geometry,
                memory.graph,
                (by_length[n] / c.bond_total)[c.bond_class],
                (by_cosine[n] / c.angle_total)[c.angle_class],
            )
            virial = geometry.vectors.T @ by_vector
            stress = (virial + virial.T) / (2 * abs(np.linalg.det(atoms.cell.array)))
            energy = float(energies[n]) + float(self.element_energies[atoms.numbers - 1].sum())
            yield Evaluation(energy, forces_on(len(atoms), memory.graph, by_vector), stress, memory)

    def size(self, atoms: Atoms) -> float:
        """Bonds, seen from both ends, and angles that a crystal of its density has."""
        density = len(atoms) / float(atoms.get_volume())
        near, nearer = (
            4 / 3 * math.pi * reach**3 * density for reach in (self.network.reach, self.network.short_reach)
        )
        return len(atoms) * (near + nearer**2)


def _capacity(device: torch.device) -> float:
    if device.type != "cuda":
        return 0.0
    free, _ = torch.cuda.mem_get_info(device)
    return 0.7 * free / BYTES_PER_ROW


def chgnet(
    weights: str = "0.3.0",
    device: str | None = None,
    batch: float | None = None,
    symmetry: bool = True,
    second_opinion: bool = True,
) -> Potential:
    """CHGNet with its published weights.

    Parameters
    ----------
    weights, device, batch, symmetry : see `ChgnetEvaluator`.
    second_opinion : ask the older weights, "0.2.0", about each structure that came to rest, and warn where they
        disagree; only "0.3.0" has such a twin, "r2scan" stands for another functional.
    """
    evaluator = ChgnetEvaluator(weights, device, batch, symmetry)
    other = ChgnetEvaluator("0.2.0", device, symmetry=symmetry) if second_opinion and weights == "0.3.0" else None

    def energy_floor(atoms: Atoms) -> float:
        return float(np.sum(evaluator.element_energies[atoms.numbers - 1] - ENERGY_MARGIN))

    elements = frozenset(chemical_symbols[1 : len(evaluator.element_energies) + 1])
    return Potential("chgnet", evaluator, covalent_radii, elements, energy_floor, learned=True, second_opinion=other)
