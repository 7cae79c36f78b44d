"""The UniMat representation: a crystal written on the periodic table.

Site (l, row, column) of a grid holds the fractional coordinates of the l-th atom of the element at (row, column), or
the null value (-1, -1, -1); six cell parameters stand beside it. Yang et al., "Scalable Diffusion for Materials
Generation", ICLR 2024, arXiv:2311.09235.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols

from ...errors import InputError

ROWS, COLUMNS = 9, 18
MAX_ELEMENT = 94
"""Plutonium: the last element that `Table()` holds. The arrays below go on to lawrencium."""

NULL = -1.0
"""Each of the three coordinates of a site without an atom."""


def _positions() -> tuple[np.ndarray, np.ndarray]:
    """Rows 1-7 are the periods. Lanthanides (57-71) and actinides (89-103) stand below as rows 8 and 9, from group 3 to
    17 in order, as on a printed table: every site holds one element, and neighbours in a row are alike.
    """
    period, group = np.zeros(104, dtype=np.int64), np.zeros(104, dtype=np.int64)
    starts = {1: 1, 2: 3, 3: 11, 4: 19, 5: 37, 6: 55, 7: 87}
    for row, first in starts.items():
        last = starts.get(row + 1, 104) - 1
        for z in range(first, last + 1):
            place = z - first + 1
            period[z] = row
            if row == 1:
                group[z] = 1 if z == 1 else 18
            elif row <= 3:
                group[z] = place if place <= 2 else place + 10
            elif row <= 5 or place <= 2:
                group[z] = place
            elif place <= 17:
                period[z], group[z] = row + 2, place
            else:
                group[z] = place - 14
    return period, group


PERIOD, GROUP = _positions()
"""Row 1-9 and column 1-18 of element Z (104,); 0 for Z = 0."""

ELEMENT = np.zeros((ROWS + 1, COLUMNS + 1), dtype=np.int64)
"""The inverse: atomic number at [period, group], 0 where none stands."""
ELEMENT[PERIOD[1:], GROUP[1:]] = np.arange(1, 104)


@dataclass(frozen=True)
class Table:
    """The rows and columns of the periodic table that a data set needs; carbon alone is 1 x 1.

    Attributes
    ----------
    elements : atomic numbers, ascending. The grid may hold sites of other elements, or of none: these stay null.
    """

    elements: tuple[int, ...] = tuple(range(1, MAX_ELEMENT + 1))

    def __post_init__(self) -> None:
        object.__setattr__(self, "elements", tuple(sorted({int(z) for z in self.elements})))
        if not self.elements or self.elements[0] < 1 or self.elements[-1] > 103:
            raise InputError("a table needs elements with atomic numbers 1-103")

    @classmethod
    def of(cls, structures: Iterable[Atoms]) -> Table:
        """The smallest table for some structures."""
        return cls(tuple({int(z) for atoms in structures for z in atoms.numbers}))

    @cached_property
    def rows(self) -> np.ndarray:
        """The periods kept, ascending."""
        return np.unique(PERIOD[list(self.elements)])

    @cached_property
    def columns(self) -> np.ndarray:
        """The groups kept, ascending."""
        return np.unique(GROUP[list(self.elements)])

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return len(self.rows), len(self.columns)

    @cached_property
    def site(self) -> np.ndarray:
        """Index row * W + column of element Z in the (H, W) plane (104,); -1 for elements outside the table."""
        site = np.full(104, -1, dtype=np.int64)
        known = list(self.elements)
        rows, columns = np.searchsorted(self.rows, PERIOD[known]), np.searchsorted(self.columns, GROUP[known])
        site[known] = rows * len(self.columns) + columns
        return site

    @cached_property
    def element(self) -> np.ndarray:
        """Atomic number at each site of the plane (H * W,), 0 where it holds none of the elements."""
        element = np.zeros(self.shape[0] * self.shape[1], dtype=np.int64)
        element[self.site[list(self.elements)]] = self.elements
        return element

    def check(self, counts: Mapping[str, int], slots: int) -> None:
        """Raise `InputError` where atoms of an element (by symbol) have no place among `slots` slots of this table."""
        for symbol, count in counts.items():
            if atomic_numbers.get(symbol, 0) not in self.elements:
                raise InputError(
                    f"{symbol} is not on the table of {len(self.elements)} elements that was made or trained"
                )
            if count > slots:
                raise InputError(
                    f"{count} atoms of {symbol} do not fit into {slots} slots per element: give more slots"
                )
            if count < 0:
                raise InputError(f"{count} atoms of {symbol}: a count cannot be negative")


def element_counts(numbers: np.ndarray) -> dict[str, int]:
    """Atoms of each element, in order of first appearance."""
    counts: dict[str, int] = {}
    for z in numbers:
        counts[chemical_symbols[z]] = counts.get(chemical_symbols[z], 0) + 1
    return counts


def wrap(fractional: np.ndarray) -> np.ndarray:
    """Fractional coordinates in [0, 1) as float32; what rounds to 1 is 0."""
    wrapped = (fractional % 1.0).astype(np.float32)
    wrapped[wrapped >= 1] = 0
    return wrapped


def assign_slots(numbers: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    """The slot of each atom: its place among the atoms of its element, in the order given or shuffled by `rng`.

    The first slots are always the ones used, so that what slot l means does not depend on how many slots there are.

    Parameters
    ----------
    numbers : atomic numbers (..., n_atoms), 0 for padding (which is numbered like an element).
    """
    keys = np.zeros(numbers.shape) if rng is None else rng.random(numbers.shape)
    order = np.argsort(keys, axis=-1, kind="stable")
    order = np.take_along_axis(order, np.argsort(np.take_along_axis(numbers, order, -1), -1, kind="stable"), -1)
    ordered = np.take_along_axis(numbers, order, -1)
    index = np.arange(numbers.shape[-1])
    starts = np.ones(numbers.shape, dtype=bool)
    starts[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    first = np.maximum.accumulate(np.where(starts, index, 0), axis=-1)
    slots = np.empty(numbers.shape, dtype=np.int64)
    np.put_along_axis(slots, order, index - first, -1)
    return slots


def encode(
    atoms: Atoms, slots: int, table: Table, rng: np.random.Generator | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Write a crystal on the table.

    Parameters
    ----------
    slots : L, the most atoms of one element that the grid can hold.
    rng : shuffles the atoms of each element over their slots; None keeps their order.

    Returns
    -------
    grid : float32 (L, H, W, 3), fractional coordinates in [0, 1) or -1.
    cell : (6,) edges in Å, angles in degrees. Orientation and handedness of the cell are not kept: the structure is the
        same up to a rotation, or a reflection where the cell was left-handed.

    Raises
    ------
    InputError : an element outside the table, or more than L atoms of one element.
    """
    table.check(element_counts(atoms.numbers), slots)
    height, width = table.shape
    grid = np.full((slots, height * width, 3), NULL, dtype=np.float32)
    fractional = atoms.cell.scaled_positions(atoms.positions)
    grid[assign_slots(atoms.numbers, rng), table.site[atoms.numbers]] = wrap(fractional)
    return grid.reshape(slots, height, width, 3), np.array(atoms.cell.cellpar())


def atom_score(grid: np.ndarray) -> np.ndarray:
    """How much nearer a site (..., 3) lies to an atom (the cube [0, 1)^3) than to the null value; an atom where > 0."""
    to_atom = np.linalg.norm(grid - np.clip(grid, 0, 1), axis=-1)
    score: np.ndarray = np.linalg.norm(grid - NULL, axis=-1) - to_atom
    return score


def decode(grid: np.ndarray, cell: np.ndarray, table: Table) -> Atoms:
    """The crystal that a grid (L, H, W, 3) and cell parameters (6,) stand for; atoms by row, column and slot.

    A site is an atom where its value is nearer to [0, 1)^3 than to the null value, so that noise does not matter.
    Atoms on sites of the plane that hold no element of the table are left out.
    """
    sites = grid.reshape(len(grid), -1, 3).transpose(1, 0, 2)
    place, slot = np.nonzero((atom_score(sites) > 0) & (table.element > 0)[:, None])
    return Atoms(numbers=table.element[place], scaled_positions=wrap(sites[place, slot]), cell=cell, pbc=True)


def types_mask(compositions: Sequence[Mapping[str, int]], table: Table) -> np.ndarray:
    """float32 (n, H, W): 1 at the elements of each composition."""
    return formula_mask(compositions, 1, table, clip=True)[:, 0]


def formula_mask(
    compositions: Sequence[Mapping[str, int]], slots: int, table: Table, *, clip: bool = False
) -> np.ndarray:
    """float32 (n, L, H, W): 1 at the first slots of each element, as many as it has atoms.

    Raises
    ------
    InputError : an element outside the table, or more than L atoms of one element (unless `clip`).
    """
    mask = np.zeros((len(compositions), slots, table.shape[0] * table.shape[1]), dtype=np.float32)
    for row, counts in zip(mask, compositions, strict=True):
        table.check({symbol: min(n, slots) if clip else n for symbol, n in counts.items()}, slots)
        for symbol, count in counts.items():
            row[:count, table.site[atomic_numbers[symbol]]] = 1
    return mask.reshape(len(compositions), slots, *table.shape)
