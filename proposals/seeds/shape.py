"""The given cell of a seed, its pressure, and what the directives say of cells, regions and supercells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.geometry import cellpar_to_cell

from .atoms import LENGTHS
from .composition import MAX_ATOMS
from .text import Line
from .values import Place, is_number, numbers

SMALLEST_CELL = 0.1
"""Å^3."""
PRESSURES = {
    "gpa": 1.0,
    "mpa": 1e-3,
    "kpa": 1e-6,
    "pa": 1e-9,
    "kbar": 0.1,
    "mbar": 100.0,
    "bar": 1e-4,
    "atm": 1.01325e-4,
}
"""GPa per unit of pressure."""


def read_lattice(lines: Sequence[Line], vectors: bool, block: Place) -> np.ndarray:
    """The cell (3, 3) in Å, rows, of a LATTICE_CART (`vectors`) or LATTICE_ABC block.

    Raises
    ------
    InputError : other than nine or six numbers, or a cell without volume.
    """
    scale, rows = 1.0, list[list[float]]()
    for line in lines:
        words = line.text.partition("!")[0].split()
        if not rows and len(words) == 1 and words[0].lower() in LENGTHS:
            scale = LENGTHS[words[0].lower()]
            continue
        rows.append(numbers(" ".join(words), (3,), "LATTICE", line.place))
    if len(rows) != (3 if vectors else 2):
        raise block.error(
            f"{len(rows)} rows in the LATTICE block: write {'three vectors' if vectors else 'a b c, α β γ'}"
        )
    if vectors:
        cell = scale * np.array(rows)
    else:
        if not all(v > 0 for v in rows[0]) or not all(1 <= a < 180 for a in rows[1]):
            raise block.error("LATTICE_ABC: write lengths above 0 and angles from 1 to 180 degrees")
        with np.errstate(invalid="ignore"):
            cell = np.asarray(cellpar_to_cell([*(scale * v for v in rows[0]), *rows[1]]), dtype=float)
    if not np.isfinite(cell).all() or not abs(np.linalg.det(cell)) >= SMALLEST_CELL:
        raise block.error(f"the given cell has a volume below {SMALLEST_CELL} Å^3: write three independent vectors")
    return cell


def read_pressure(lines: Sequence[Line]) -> tuple[float | None, list[str]]:
    """GPa of an EXTERNAL_PRESSURE block, and warnings; None where it is none or not the same from all sides."""
    scale, found = 1.0, list[float]()
    for line in lines:
        for word in line.text.partition("#")[0].partition("!")[0].split():
            if word.lower() in PRESSURES and not found:
                scale = PRESSURES[word.lower()]
            elif is_number(word):
                found.append(float(word.lower().replace("d", "e")))
            else:
                return None, [line.place.note(f"EXTERNAL_PRESSURE is not read: {word[:30]!r} is no number")]
    if not lines:
        return None, []
    if len(found) == 9:
        found = [*found[:3], *found[4:6], found[8]]
    if len(found) != 6 or len({found[0], found[3], found[5]}) > 1 or found[1] or found[2] or found[4]:
        return None, [lines[0].place.note("EXTERNAL_PRESSURE is not read: it is not the same from all sides")]
    return scale * found[0], []


def parse_supercell(text: str, place: Place) -> np.ndarray | int:
    """Rows of the supercell (3, 3), or the number of cells of a random one.

    Raises
    ------
    InputError : not 1, 3 or 9 whole numbers, no volume, or too large.
    """
    found = numbers(text, (1, 3, 9), "SUPERCELL", place)
    if any(value != round(value) or abs(value) > MAX_ATOMS for value in found):
        raise place.error(f"SUPERCELL={text[:40]!r}: write 1, 3 or 9 whole numbers")
    matrix = np.array(found).astype(int)
    if len(found) == 1:
        if not matrix[0] >= 1:
            raise place.error(f"SUPERCELL={text[:40]!r}: write how many cells, from 1 up")
        return int(matrix[0])
    matrix = np.diag(matrix) if len(found) == 3 else matrix.reshape(3, 3)
    if not 1 <= round(np.linalg.det(matrix)) <= MAX_ATOMS:
        raise place.error(
            f"SUPERCELL={text[:40]!r} makes {round(np.linalg.det(matrix))} cells: 1 to {MAX_ATOMS} are possible"
        )
    return matrix


def random_supercell(rng: np.random.Generator, cells: int, slab: bool) -> tuple[tuple[int, int, int], ...]:
    """A random lattice among all of so many cells, every one alike; of a slab along a and b only.

    They are the lower triangular matrices in Hermite form: with diagonal d1, d2, d3 there are d1² · d2 of them.
    """
    diagonals = [
        (d1, d2, cells // d1 // d2)
        for d1 in range(1, cells + 1)
        if cells % d1 == 0
        for d2 in range(1, cells // d1 + 1)
        if cells // d1 % d2 == 0 and (not slab or d1 * d2 == cells)
    ]
    # Rows below the diagonal are taken modulo the diagonal of their column's own row.
    weights = np.array([d1 if slab else d1 * d1 * d2 for d1, d2, _ in diagonals], dtype=float)
    d1, d2, d3 = diagonals[int(np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(), side="right"))]
    b21 = int(rng.integers(d1))
    b31, b32 = (0, 0) if slab else (int(rng.integers(d1)), int(rng.integers(d2)))
    return (d1, 0, 0), (b21, d2, 0), (b31, b32, d3)


def ellipsoid(rng: np.random.Generator, radius: float, spread: float) -> tuple[float, float, float]:
    """Half axes (Å) of an ellipsoid with the volume of a sphere; their factors lie within exp(±spread)."""
    # The gaps that two random points leave on a line of length `spread` sum to it; a third of it less, to zero.
    gaps = np.diff([0.0, *np.sort(rng.uniform(0, spread, 2)), spread]) - spread / 3
    x, y, z = (radius * float(np.exp(gap)) for gap in gaps)
    return x, y, z
