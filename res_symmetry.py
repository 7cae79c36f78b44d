"""Symmetry as SHELX writes it: LATT and SYMM, and the atoms of a cell that follow from one."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

CENTRINGS = {
    1: ((0.0, 0.0, 0.0),),
    2: ((0.0, 0.0, 0.0), (1 / 2, 1 / 2, 1 / 2)),
    3: ((0.0, 0.0, 0.0), (2 / 3, 1 / 3, 1 / 3), (1 / 3, 2 / 3, 2 / 3)),
    4: ((0.0, 0.0, 0.0), (0, 1 / 2, 1 / 2), (1 / 2, 0, 1 / 2), (1 / 2, 1 / 2, 0)),
    5: ((0.0, 0.0, 0.0), (0, 1 / 2, 1 / 2)),
    6: ((0.0, 0.0, 0.0), (1 / 2, 0, 1 / 2)),
    7: ((0.0, 0.0, 0.0), (1 / 2, 1 / 2, 0)),
}
"""Translations of P, I, R (obverse, hexagonal axes), F, A, B, C by the number in LATT."""

MOST = 192
"""Operations of the largest space groups."""

MERGE, APART = 0.02, 0.3
"""Å; images of an atom nearer than the first are one atom, those farther than the second are two."""

Operation = tuple[tuple[tuple[int, ...], ...], tuple[float, ...]]
"""Rows of a rotation and a translation, fractional."""

_IDENTITY: Operation = (((1, 0, 0), (0, 1, 0), (0, 0, 1)), (0.0, 0.0, 0.0))
_TERM = re.compile(r"([-+]?)(?:(\d*\.?\d+)(?:/(\d+))?|([XYZ]))")


@lru_cache(maxsize=1000)
def parse_operation(text: str) -> Operation:
    """The operation of a text like "-X,1/2+Y,-Z", without blanks.

    Translations within 0.005 of a multiple of 1/24 become it: 0.333 means a third.

    Raises
    ------
    ValueError : the end of a sentence that names the text.
    """
    parts = text.upper().split(",")
    if len(parts) != 3:
        raise ValueError("must have three parts, like '-X, 1/2+Y, -Z'")
    rows, shifts = zip(*map(_row, parts), strict=True)
    if abs(round(float(np.linalg.det(np.array(rows))))) != 1:
        raise ValueError("changes the volume")
    return rows, shifts


def _row(text: str) -> tuple[tuple[int, ...], float]:
    row, shift, end = [0, 0, 0], 0.0, 0
    for term in _TERM.finditer(text):
        if term.start() != end or (end and not term[1]):
            break
        sign, end = -1 if term[1] == "-" else 1, term.end()
        if term[4]:
            row["XYZ".index(term[4])] += sign
        else:
            shift += sign * float(term[2]) / (float(term[3] or 1) or math.nan)
    if end != len(text) or not text or not math.isfinite(shift) or any(abs(value) > 1 for value in row):
        raise ValueError(f"has {text[:20]!r}, which is not like '1/2+Y'")
    nearest = round(shift * 24) / 24
    return tuple(row), (nearest if abs(shift - nearest) < 0.005 else shift) % 1.0


def operations_of(lattice: int, listed: Sequence[Operation], cell: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """All operations of LATT and SYMM together: (3, 3) rotations and (3,) translations of fractional columns.

    Parameters
    ----------
    lattice : the number in LATT; positive with an inversion centre at the origin.
    listed : those of SYMM; the identity may be left out.
    cell : (3, 3) Å, rows.

    Raises
    ------
    ValueError : the end of a sentence: they are no group, or do not fit the cell.
    """
    turns = np.array([turn for turn, _ in (_IDENTITY, *listed)], dtype=float)
    shifts = np.array([shift for _, shift in (_IDENTITY, *listed)])
    if lattice > 0:
        turns, shifts = np.concatenate([turns, -turns]), np.concatenate([shifts, -shifts])
    centrings = np.array(CENTRINGS[abs(lattice)])
    turns = np.tile(turns, (len(centrings), 1, 1))
    shifts = (shifts[None] + centrings[:, None]).reshape(-1, 3)
    known = {key: (turn, shift) for key, turn, shift in zip(_keys(turns, shifts), turns, shifts, strict=True)}
    if len(known) > MOST:
        raise ValueError(f"{len(known)} operations in SYMM and LATT, more than any space group")
    turns, shifts = np.array([turn for turn, _ in known.values()]), np.array([shift for _, shift in known.values()])
    metric = cell @ cell.T
    for turn, shift in known.values():
        if np.abs(turn.T @ metric @ turn - metric).max() > 0.02 * np.abs(metric).max():
            raise ValueError("a SYMM or LATT that its CELL does not allow")
        if any(key not in known for key in _keys(turn @ turns, shifts @ turn.T + shift)):
            raise ValueError("SYMM and LATT that make no group: list every operation but the identity")
    return list(known.values())


def _keys(turns: np.ndarray, shifts: np.ndarray) -> list[tuple[int, ...]]:
    """Operations (m) up to whole translations, as whole numbers that can be compared."""
    numbers = [np.rint(turns).reshape(len(turns), 9), np.rint(shifts * 1000) % 1000]
    return [tuple(row) for row in np.concatenate(numbers, axis=1).astype(int).tolist()]


def images_of(place: np.ndarray, operations: Sequence[tuple[np.ndarray, np.ndarray]], cell: np.ndarray) -> np.ndarray:
    """The distinct images (k, 3) of a fractional position (3,).

    Raises
    ------
    ValueError : a sentence: two images are neither one atom nor two.
    """
    images: list[np.ndarray] = []
    for turn, shift in operations:
        image = (turn @ place + shift) % 1.0
        near = math.inf
        if images:
            gaps = np.array(images) - image
            near = float(np.linalg.norm((gaps - np.rint(gaps)) @ cell, axis=1).min())
        if MERGE < near < APART:
            raise ValueError(f"an image of this atom is {near:.2f} Å from it: put it on the special position or off it")
        if near >= APART:
            images.append(image)
    return np.array(images)
