"""What the checks share: a failed promise, structures compared, and structures that no program was made for."""

from __future__ import annotations

import numpy as np
from ase import Atoms


def require(kept: bool, told: str) -> None:
    """Raise `AssertionError` with `told` unless a promise is kept; an `assert` statement would vanish under `-O`."""
    if not kept:
        raise AssertionError(told)


def one_line(text: object) -> bool:
    """Whether `text` says something, on one line."""
    return isinstance(text, str) and bool(text.strip()) and "\n" not in text


def same(first: Atoms | None, second: Atoms | None) -> bool:
    """Whether two structures are the same to the last bit; two that do not exist are."""
    if first is None or second is None:
        return first is second
    return (
        np.array_equal(first.numbers, second.numbers)
        and np.array_equal(first.cell.array, second.cell.array, equal_nan=True)
        and np.array_equal(first.positions, second.positions, equal_nan=True)
    )


def bad_structures(good: Atoms) -> dict[str, Atoms]:
    """Structures that cannot be relaxed, by what is wrong with them, made from `good`, which stays as it is."""
    bad = {name: Atoms(good.numbers, good.positions, cell=good.cell, pbc=True) for name in _SPOILED}
    bad["positions that are not finite"].positions[0, 0] = np.nan
    bad["a cell that is not finite"].cell[0, 0] = np.nan
    bad["a flat cell"].cell[2] = 0.0
    bad["an atom of no element"].numbers[0] = 0
    bad["a cell that is too small"].set_cell(0.01 * good.cell.array, scale_atoms=True)
    twice = Atoms(good.numbers[[0, 0]], good.positions[[0, 0]], cell=good.cell, pbc=True)
    return bad | {"two atoms in one place": twice, "no atoms": Atoms(cell=good.cell, pbc=True)}


_SPOILED = (
    "positions that are not finite",
    "a cell that is not finite",
    "a flat cell",
    "an atom of no element",
    "a cell that is too small",
)
