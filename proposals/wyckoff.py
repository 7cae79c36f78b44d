"""Wyckoff positions of the 230 space groups, derived exactly from the symmetry operations; no tables.

A Wyckoff position is a class of points whose site-symmetry groups are conjugate. The points fixed by a set of
operations form an affine space (a point, line, plane, or all of space), so the positions are the non-empty
intersections of the fixed spaces of single operations, taken modulo the group (International Tables for
Crystallography, vol. A, section 1.4.4). Modulo lattice translations, the points fixed by {R|t} solve
(I - R) x = t (mod 1), and an intersection stacks two such systems; the Smith normal form of the integer matrix gives
every solution at once. All numbers are integers: coordinates are counted in units of 1/`UNIT`.

Fractional coordinates are columns in formulas (x' = R x + t) and refer to a primitive cell of shortest vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from typing import Any

import numpy as np
import spglib

UNIT = 24**3
"""Parts of a lattice vector in which exact coordinates are counted: translations are multiples of 1/24, and each
solution or intersection divides by 2, 3 or 4 at most once more."""

IntMatrix = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class WyckoffPosition:
    """One Wyckoff position: atom j of an orbit sits at `offsets[j] + directions[j] @ s`, for any free parameters s.

    Attributes
    ----------
    multiplicity : atoms of one orbit in the primitive cell.
    freedom : number of free parameters, 0 to 3; without any, the position holds only one orbit.
    offsets : (multiplicity, 3), fractional.
    directions : (multiplicity, 3, 3), fractional; columns beyond `freedom` are zero. s in [0, 1)^freedom covers the
        position uniformly.
    """

    multiplicity: int
    freedom: int
    offsets: np.ndarray
    directions: np.ndarray


@dataclass(frozen=True, eq=False)
class SpaceGroup:
    """A space group in a primitive setting.

    Attributes
    ----------
    number, symbol : international number and short symbol.
    rotations : (n, 3, 3) integers, translations : (n, 3) fractional; the operations of the primitive cell.
    positions : its Wyckoff positions, by multiplicity and then freedom, ascending; the last is the general one.
    """

    number: int
    symbol: str
    rotations: np.ndarray
    translations: np.ndarray
    positions: tuple[WyckoffPosition, ...]

    @property
    def operations(self) -> int:
        """Number of symmetry operations of the primitive cell."""
        return len(self.rotations)


def _type_of(hall_number: int) -> Any:
    """spglib's description of a Hall number; typed loosely, since its types differ between versions."""
    return spglib.get_spacegroup_type(hall_number)


@lru_cache(maxsize=1)
def first_hall_numbers() -> tuple[int, ...]:
    """The first Hall number of each international number 1 to 230 (index 0 is unused)."""
    first = [0] * 231
    for hall in range(530, 0, -1):
        first[_type_of(hall).number] = hall
    return tuple(first)


OPERATION_COUNTS: dict[int, tuple[range, ...]] = {
    1: (range(1, 2),),
    2: (range(2, 10),),
    3: (range(143, 147),),
    4: (range(10, 47), range(75, 83)),
    6: (range(147, 162), range(168, 175)),
    8: (range(47, 75), range(83, 123)),
    12: (range(162, 168), range(175, 191), range(195, 200)),
    16: (range(123, 143),),
    24: (range(191, 195), range(200, 221)),
    48: (range(221, 231),),
}
"""International numbers by the number of operations of the primitive cell (the order of the point group)."""


def groups_by_operations(low: int, high: int, only: tuple[int, ...] = ()) -> dict[int, tuple[int, ...]]:
    """Space-group numbers with `low` to `high` operations, by number of operations; restricted to `only` if given."""
    found = {
        count: tuple(n for numbers in ranges for n in numbers if not only or n in only)
        for count, ranges in OPERATION_COUNTS.items()
        if low <= count <= high
    }
    return {count: numbers for count, numbers in found.items() if numbers}


def group_symbol(number: int) -> str:
    """International short symbol."""
    return str(_type_of(first_hall_numbers()[number]).international_short)


def conventional_operations(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The operations of group `number` (1-230) in its first conventional setting, one for each rotation.

    Returns
    -------
    rotations : (n, 3, 3) integers.
    translations : (n, 3) integers, in units of 1/24.
    centring : (c, 3) integers, in units of 1/24: the lattice translations of the conventional cell, zero included.
    """
    data: Any = spglib.get_symmetry_from_database(first_hall_numbers()[number])
    rotations: np.ndarray = np.asarray(data["rotations"], dtype=int)
    translations = np.rint(np.asarray(data["translations"]) * 24).astype(int)
    is_centring = (rotations == np.eye(3, dtype=int)).all(axis=(1, 2))
    centring = translations[is_centring] % 24
    _, first = np.unique(rotations.reshape(-1, 9), axis=0, return_index=True)
    return rotations[np.sort(first)], translations[np.sort(first)], centring


@lru_cache(maxsize=230)
def primitive_basis(number: int) -> np.ndarray:
    """The shortest primitive vectors of group `number`, as columns (3, 3) in units of the conventional cell's.

    Coordinates go by x_conventional = basis @ x_primitive; cells, as rows, by primitive = basis.T @ conventional.
    """
    rotations, _, centring = conventional_operations(number)
    if len(centring) == 1:
        return np.eye(3)
    # The shortest three vectors (in a metric that the group respects) that span the lattice.
    metric = np.swapaxes(rotations, 1, 2) @ rotations
    metric = metric.sum(axis=0) / len(rotations)
    shifts = 24 * np.array(list(product((0, -1), repeat=3)))
    vectors = np.concatenate([(centring[:, None] + shifts).reshape(-1, 3), 24 * np.eye(3, dtype=int)])
    lengths = np.einsum("vi,ij,vj->v", vectors, metric, vectors)
    vectors = vectors[np.argsort(lengths, kind="stable")][np.sort(lengths) > 0]
    triples = vectors[list(combinations(range(min(len(vectors), 16)), 3))]
    volumes = np.rint(np.linalg.det(triples)).astype(int)
    return triples[np.argmax(np.abs(volumes) == 24**3 // len(centring))].T / 24


def primitive_operations(number: int) -> tuple[np.ndarray, np.ndarray]:
    """The operations of group `number` (1-230) in a primitive setting of shortest vectors.

    Returns
    -------
    rotations : (n, 3, 3) integers.
    translations : (n, 3) integers, in units of 1/UNIT.
    """
    rotations, translations, centring = conventional_operations(number)
    if len(centring) == 1:
        return rotations, translations * (UNIT // 24)
    basis = primitive_basis(number)
    inverse = np.linalg.inv(basis)
    rotations = np.rint(inverse @ rotations @ basis).astype(int)
    translations = np.rint(translations @ inverse.T).astype(int)
    return rotations, translations * (UNIT // 24)


@lru_cache(maxsize=100_000)
def smith_form(matrix: IntMatrix) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Unimodular U (k, k) and V (3, 3) that make U M V diagonal for a k x 3 integer matrix M, and the diagonal."""
    work = [list(row) for row in matrix]
    rows, columns = len(work), 3
    left = [[int(i == j) for j in range(rows)] for i in range(rows)]
    right = [[int(i == j) for j in range(columns)] for i in range(columns)]
    for step in range(min(rows, columns)):
        while True:
            nonzero = [
                (abs(work[i][j]), i, j) for i in range(step, rows) for j in range(step, columns) if work[i][j] != 0
            ]
            if not nonzero:
                break
            _, row, column = min(nonzero)
            work[step], work[row] = work[row], work[step]
            left[step], left[row] = left[row], left[step]
            for line in (*work, *right):
                line[step], line[column] = line[column], line[step]
            pivot = work[step][step]
            for i in range(step + 1, rows):
                factor = work[i][step] // pivot
                if factor:
                    work[i] = [a - factor * b for a, b in zip(work[i], work[step], strict=True)]
                    left[i] = [a - factor * b for a, b in zip(left[i], left[step], strict=True)]
            for j in range(step + 1, columns):
                factor = work[step][j] // pivot
                if factor:
                    for line in (*work, *right):
                        line[j] -= factor * line[step]
            if not any(work[i][step] for i in range(step + 1, rows)) and not any(work[step][step + 1 :]):
                break
    diagonal = tuple(work[i][i] for i in range(min(rows, columns)))
    return np.array(left), np.array(right), diagonal + (0,) * (columns - len(diagonal))


Space = tuple[np.ndarray, np.ndarray]
"""A connected affine space modulo the lattice: a point on it (3,) in 1/UNIT, and a primitive integer basis (3, f)."""


def solve_modulo_lattice(matrix: np.ndarray, right_side: np.ndarray) -> list[Space]:
    """All connected solution spaces of M x = c modulo 1, M integer (k, 3), c (k,) in units of 1/UNIT."""
    left, right, diagonal = smith_form(tuple(map(tuple, matrix.tolist())))
    transformed = (left @ right_side) % UNIT
    values: list[list[int]] = []
    for i, factor in enumerate(diagonal):
        value = int(transformed[i]) if i < len(transformed) else 0
        if factor == 0:
            if value:
                return []
            values.append([0])
        else:
            values.append([(value + UNIT * turn) // factor for turn in range(abs(factor))])
    if transformed[3:].any():
        return []
    free = [i for i, factor in enumerate(diagonal) if factor == 0]
    return [(right @ np.array(choice) % UNIT, right[:, free]) for choice in product(*values)]


def equations(direction: np.ndarray) -> np.ndarray:
    """The integer equations M (3 - f, 3), a primitive basis, that vanish on the columns of `direction` (3, f)."""
    freedom = direction.shape[1]
    if freedom == 0:
        return np.eye(3, dtype=int)
    if freedom == 2:
        return oriented(np.cross(direction[:, 0], direction[:, 1]))[None]
    _, right, _ = smith_form((tuple(oriented(direction[:, 0]).tolist()),))
    return right[:, 1:].T


def oriented(vector: np.ndarray) -> np.ndarray:
    """The vector or its opposite, whichever has its first nonzero component positive."""
    for value in vector.tolist():
        if value:
            return vector if value > 0 else -vector
    return vector


def space_key(space: Space) -> tuple[int, bytes, bytes]:
    """A name that two spaces share exactly when they are the same modulo the lattice."""
    point, direction = space
    matrix = equations(direction)
    return direction.shape[1], matrix.astype(np.int64).tobytes(), (matrix @ point % UNIT).astype(np.int64).tobytes()


@lru_cache(maxsize=230)
def space_group(number: int) -> SpaceGroup:
    """The space group with international `number` (1-230) and its Wyckoff positions; kept after the first call."""
    rotations, translations = primitive_operations(number)
    known: dict[tuple[int, bytes, bytes], Space] = {}
    representatives: list[Space] = []

    def add(space: Space) -> None:
        """Keep a space that is no image of one already known, and remember all its images."""
        if space_key(space) in known:
            return
        representatives.append(space)
        points = (rotations @ space[0] + translations) % UNIT
        for point, direction in zip(points, rotations @ space[1], strict=True):
            known[space_key((point, direction))] = (point, direction)

    for rotation, translation in zip(rotations, translations, strict=True):
        for space in solve_modulo_lattice(np.eye(3, dtype=int) - rotation, translation):
            add(space)
    # Planes meet in lines; lines meet lines and planes in points. One representative against all images is enough.
    for freedom, partners in ((2, (2,)), (1, (1, 2))):
        for first in [space for space in representatives if space[1].shape[1] == freedom]:
            first_matrix = equations(first[1])
            for second in [space for key, space in known.items() if key[0] in partners]:
                second_matrix = equations(second[1])
                if first_matrix.shape == second_matrix.shape and (first_matrix == second_matrix).all():
                    continue
                stacked = np.concatenate([first_matrix, second_matrix])
                right_side = np.concatenate([first_matrix @ first[0], second_matrix @ second[0]])
                for space in solve_modulo_lattice(stacked, right_side):
                    add(space)
    positions = sorted(
        (_position(space, rotations, translations) for space in representatives),
        key=lambda position: (position.multiplicity, position.freedom, position.offsets[0].tolist()),
    )
    return SpaceGroup(number, group_symbol(number), rotations, translations / UNIT, tuple(positions))


def _position(space: Space, rotations: np.ndarray, translations: np.ndarray) -> WyckoffPosition:
    """The orbit of a space: its distinct images, each with its affine map."""
    point, direction = space
    freedom = direction.shape[1]
    padded = np.zeros((3, 3), dtype=int)
    padded[:, :freedom] = direction
    points = (rotations @ point + translations) % UNIT
    images = np.concatenate([points, (rotations @ padded).reshape(-1, 9)], axis=1)
    _, first = np.unique(images, axis=0, return_index=True)
    images = images[np.sort(first)]
    return WyckoffPosition(
        multiplicity=len(images),
        freedom=freedom,
        offsets=images[:, :3] / UNIT,
        directions=images[:, 3:].reshape(-1, 3, 3).astype(float),
    )
