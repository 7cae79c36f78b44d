"""Crystals half drawn: what is known of them, and how the sparse network reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from .cell_parameters import mended_angles
from .masking import cell_lengths, orbit_waves
from .vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class State:
    """What is known of a batch of b crystals with up to t orbit and element tokens each.

    Attributes
    ----------
    group : (b,) space group, 0 where masked.
    cell : (b, 6) the fields of `CELL_RANGES`; cell_known : (b, 6) bool.
    kind : (b, t) 0 empty, 1 orbit, 2 element with atoms left to place.
    element : (b, t) atomic number.
    position : (b, t) number of an orbit's position in the vocabulary.
    slot : (b, t) atoms of the same element placed before; left : (b, t) atoms that the token stands for.
    total : (b, t) atoms of that element in the cell.
    coordinates : (b, t, 3) of the representative; known : (b, t, 3) bool.
    waves : (b, t, 2 * 64) means over the orbit of cos and sin(2 pi h x), zero where `waves_known` (b, t) is not set.
    """

    group: Tensor
    cell: Tensor
    cell_known: Tensor
    kind: Tensor
    element: Tensor
    position: Tensor
    slot: Tensor
    left: Tensor
    total: Tensor
    coordinates: Tensor
    known: Tensor
    waves: Tensor
    waves_known: Tensor

    def to(self, device: torch.device) -> State:
        """The same on another device."""
        return State(**{name: value.to(device) for name, value in vars(self).items()})


@dataclass
class Draft:
    """A crystal being drawn.

    Attributes
    ----------
    counts : atoms of each atomic number, by electronegativity.
    visit : how many earlier draws of the composition took this space group.
    placed : (atomic number, position in the vocabulary) of each orbit so far.
    coordinates, known : (k, 3) once all are placed; cell, cell_known : (6,).
    """

    counts: dict[int, int]
    group: int = 0
    visit: int = 0
    placed: list[tuple[int, int]] = field(default_factory=list)
    coordinates: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    known: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), dtype=bool))
    cell: np.ndarray = field(default_factory=lambda: np.zeros(6))
    cell_known: np.ndarray = field(default_factory=lambda: np.zeros(6, dtype=bool))
    score: float = 0.0

    def left(self, tables: Vocabulary) -> dict[int, int]:
        """Atoms of each element that have no position yet."""
        left = dict(self.counts)
        for element, position in self.placed:
            left[element] -= int(tables.multiplicity[position])
        return {element: n for element, n in left.items() if n}


def start_numbers(draft: Draft, tables: Vocabulary) -> None:
    """Put the orbits in their order and mark what symmetry fixes."""
    order = list(draft.counts)
    draft.placed.sort(key=lambda orbit: (order.index(orbit[0]), orbit[1]))
    positions = np.array([p for _, p in draft.placed])
    draft.known = ~tables.free[positions]
    draft.coordinates = np.zeros((len(positions), 3))  # zero where symmetry fixes them, as in `Orbits`
    draft.known[0] |= tables.polar[draft.group]
    angles = tables.fixed_angles[draft.group]
    draft.cell_known = np.concatenate([[False], tables.equal_lengths[draft.group], angles > 0])
    draft.cell = np.concatenate([[0.0, 0.0, 0.0], angles])


def make_state(drafts: Sequence[Draft], tables: Vocabulary) -> State:
    """What the drafts know, as the network reads it."""
    b = len(drafts)
    lefts = [draft.left(tables) if draft.group else dict(draft.counts) for draft in drafts]
    t = max(len(draft.placed) + len(left) for draft, left in zip(drafts, lefts, strict=True))
    integers = {
        name: np.zeros((b, t), dtype=np.int64) for name in ("kind", "element", "position", "slot", "left", "total")
    }
    coordinates, known = np.zeros((b, t, 3)), np.zeros((b, t, 3), dtype=bool)
    cell, cell_known = np.zeros((b, 6)), np.zeros((b, 6), dtype=bool)
    for row, (draft, left) in enumerate(zip(drafts, lefts, strict=True)):
        k = len(draft.placed)
        order = list(draft.counts)
        placed = sorted(range(k), key=lambda j: (order.index(draft.placed[j][0]), draft.placed[j][1]))
        seen: Counter[int] = Counter()
        for column, j in enumerate(placed):
            element, position = draft.placed[j]
            size = int(tables.multiplicity[position])
            values = (1, element, position, seen[element], size, draft.counts[element])
            for name, value in zip(integers, values, strict=True):
                integers[name][row, column] = value
            seen[element] += size
        for column, (element, n) in enumerate(left.items(), start=k):
            values = (2, element, 0, 0, n, draft.counts[element])
            for name, value in zip(integers, values, strict=True):
                integers[name][row, column] = value
        if len(draft.known):
            coordinates[row, :k], known[row, :k] = draft.coordinates, draft.known
            cell[row], cell_known[row] = draft.cell, draft.cell_known
        elif draft.group:
            positions = np.array([draft.placed[j][1] for j in placed], dtype=int)
            known[row, :k] = ~tables.free[positions]
            if k and draft.placed[placed[0]][0] == order[0]:
                known[row, 0] |= tables.polar[draft.group]
            angles = tables.fixed_angles[draft.group]
            cell[row, 3:] = angles
            cell_known[row] = np.concatenate([[False], tables.equal_lengths[draft.group], angles > 0])
    coordinates *= known
    waves, waves_known = orbit_waves(integers["position"], coordinates, known.all(2) & (integers["kind"] == 1), tables)
    floats = {"coordinates": coordinates, "waves": waves, "cell": cell * cell_known}
    return State(
        group=torch.tensor([draft.group for draft in drafts]),
        cell_known=torch.from_numpy(cell_known),
        known=torch.from_numpy(known),
        waves_known=torch.from_numpy(waves_known),
        **{name: torch.from_numpy(value) for name, value in integers.items()},
        **{name: torch.from_numpy(value.astype(np.float32)) for name, value in floats.items()},
    )


def to_atoms(draft: Draft, tables: Vocabulary) -> Atoms:
    """The primitive cell of a complete draft."""
    fields = np.concatenate([draft.cell[:3], mended_angles(draft.cell[3:])])
    lengths = cell_lengths(fields, draft.group, sum(draft.counts.values()), tables)
    conventional = Atoms(cell=[*lengths, *fields[3:]]).cell.array
    numbers: list[int] = []
    sites = []
    for (element, position), u in zip(draft.placed, draft.coordinates, strict=True):
        size = int(tables.multiplicity[position])
        numbers += [element] * size
        sites.append(tables.directions[position, :size] @ u + tables.offsets[position, :size])
    cartesian = np.concatenate(sites) @ conventional
    atoms = Atoms(numbers=numbers, positions=cartesian, cell=tables.basis[draft.group].T @ conventional, pbc=True)
    atoms.wrap()
    return atoms
