"""Space groups as the sparse model sees them: conventional axes, one representative and its free coordinates.

Conventional coordinates mean the same in every group (an axis of rotation lies along z, a mirror across b), which a
primitive cell's do not. A Wyckoff position is given by the free coordinates u of one representative site, each of
them a plain fractional coordinate x, y or z of that site: atom j of the orbit sits at directions[j] @ u + offsets[j].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product

import numpy as np

from ..wyckoff import WyckoffPosition, conventional_operations, primitive_basis, space_group

SYSTEMS = (
    (2, "triclinic"), (15, "monoclinic"), (74, "orthorhombic"), (142, "tetragonal"), (194, "hexagonal"), (230, "cubic"),
)  # fmt: skip
"""Last group of each lattice system; trigonal groups are described on hexagonal axes."""


@dataclass(frozen=True, eq=False)
class Position:
    """A Wyckoff position in conventional axes.

    Attributes
    ----------
    multiplicity : atoms of one orbit in the primitive cell.
    free : (3,) bool, which coordinates of the representative are free.
    offsets : (multiplicity, 3), directions : (multiplicity, 3, 3); columns of fixed coordinates are zero. Atom 0 is the
        representative.
    """

    multiplicity: int
    free: np.ndarray
    offsets: np.ndarray
    directions: np.ndarray


@dataclass(frozen=True, eq=False)
class Setting:
    """A space group in its conventional setting.

    Attributes
    ----------
    number : international number.
    system : lattice system.
    basis : (3, 3), primitive vectors as columns, in conventional coordinates.
    centring : (c, 3) lattice translations of the conventional cell.
    rotations, translations : (n, 3, 3) and (n, 3), one operation for each rotation.
    polar : (3,) bool, axes along which the origin is arbitrary.
    positions : by multiplicity, then freedom.
    normalizer : (rotations (g, 3, 3), shifts (g, 3)), operations that map the group onto itself and keep the lattice
        system's metric, one for each coset of the group: the equivalent ways to describe a structure.
    """

    number: int
    system: str
    basis: np.ndarray
    centring: np.ndarray
    rotations: np.ndarray
    translations: np.ndarray
    polar: np.ndarray
    positions: tuple[Position, ...]
    normalizer: tuple[np.ndarray, np.ndarray]


@lru_cache(maxsize=230)
def setting(number: int) -> Setting:
    """The setting of space group `number` (1-230); kept after the first call."""
    group = space_group(number)
    rotations, translations, centring = conventional_operations(number)
    basis = primitive_basis(number)
    system = next(name for last, name in SYSTEMS if number <= last)
    # A translation along `axis` commutes with every operation where every rotation leaves that axis as it is.
    polar = (rotations == np.eye(3, dtype=int)).all(axis=1).all(axis=0)
    return Setting(
        number=number,
        system=system,
        basis=basis,
        centring=centring / 24,
        rotations=rotations,
        translations=translations / 24,
        polar=polar,
        positions=tuple(_conventional(position, basis) for position in group.positions),
        normalizer=_normalizer(system, rotations, translations, centring, polar),
    )


def _conventional(position: WyckoffPosition, basis: np.ndarray) -> Position:
    """The position with the free coordinates of its simplest representative as parameters."""
    freedom = position.freedom
    offsets = position.offsets @ basis.T
    directions = basis @ position.directions[:, :, :freedom]
    best: tuple[tuple[float, ...], int, tuple[int, ...]] | None = None
    for atom in range(position.multiplicity):
        for axes in combinations(range(3), freedom):
            minor = directions[atom][list(axes)]
            size = abs(np.linalg.det(minor)) if freedom else 1.0
            # Above one, the range [0, 1) of these coordinates would not reach every site of the position.
            if size < 1e-6 or size > 1 + 1e-6:
                continue
            slopes = directions[atom] @ np.linalg.inv(minor) if freedom else np.zeros((3, 0))
            constant = offsets[atom] - slopes @ offsets[atom][list(axes)]
            fraction = (constant + 1e-9) % 1
            key = (round(float(np.abs(slopes).sum() + (slopes < -1e-6).sum()), 3), round(float(fraction.sum()), 3))
            if best is None or key < best[0]:
                best = (key, atom, axes)
    assert best is not None
    _, atom, axes = best
    chosen = list(axes)
    slopes = np.zeros((position.multiplicity, 3, 3))
    constants = offsets.copy()
    if freedom:
        inverse = np.linalg.inv(directions[atom][chosen])
        slopes[:, :, chosen] = directions @ inverse
        constants -= directions @ inverse @ offsets[atom][chosen]
    order = [atom, *(j for j in range(position.multiplicity) if j != atom)]
    free = np.zeros(3, dtype=bool)
    free[chosen] = True
    return Position(position.multiplicity, free, constants[order], slopes[order])


def _holohedry(system: str) -> np.ndarray:
    """The rotations (n, 3, 3) that keep the metric of every lattice of the system, in conventional axes."""
    signed = np.array(
        [
            np.diag(signs)[list(order)]
            for order in ((0, 1, 2), (1, 0, 2), (0, 2, 1), (2, 1, 0), (1, 2, 0), (2, 0, 1))
            for signs in product((1, -1), repeat=3)
        ]
    )
    generic = {
        "triclinic": np.array([[2.0, 0.3, 0.4], [0.3, 3.0, 0.5], [0.4, 0.5, 5.0]]),
        "monoclinic": np.array([[2.0, 0, 0.4], [0, 3.0, 0], [0.4, 0, 5.0]]),
        "orthorhombic": np.diag([2.0, 3.0, 5.0]),
        "tetragonal": np.diag([2.0, 2.0, 5.0]),
        "hexagonal": np.array([[2.0, -1.0, 0], [-1.0, 2.0, 0], [0, 0, 5.0]]),
        "cubic": np.eye(3),
    }[system]
    if system == "hexagonal":
        entries = np.array(list(product((-1, 0, 1), repeat=4))).reshape(-1, 2, 2)
        signed = np.zeros((2 * len(entries), 3, 3), dtype=int)
        signed[:, :2, :2] = np.repeat(entries, 2, axis=0)
        signed[:, 2, 2] = np.tile([1, -1], len(entries))
    kept = np.abs(np.swapaxes(signed, 1, 2) @ generic @ signed - generic).max(axis=(1, 2)) < 1e-9
    return signed[kept]


def _normalizer(
    system: str, rotations: np.ndarray, translations: np.ndarray, centring: np.ndarray, polar: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Operations (P, t) with (P, t) G (P, t)^-1 = G, one for each coset; translations come in units of 1/24."""
    table = {tuple(r.ravel().tolist()): i for i, r in enumerate(rotations)}
    # Shifts of quarters and eighths, or of thirds and quarters on hexagonal axes; none along a polar axis.
    hexagonal = system == "hexagonal"
    plane = [0, 8, 12, 16] if hexagonal else list(range(0, 24, 3))
    axis = [0, 4, 6, 8, 12, 16, 18, 20] if hexagonal else plane
    shifts = np.array(list(product(*([0] if polar[i] else (plane if i < 2 else axis) for i in range(3)))))
    found: list[tuple[np.ndarray, np.ndarray]] = []
    seen: set[tuple[int, ...]] = set()
    for turn in _holohedry(system):
        inverse = np.rint(np.linalg.inv(turn)).astype(int)
        images = [table.get(tuple((turn @ r @ inverse).ravel().tolist())) for r in rotations]
        if None in images or not _in(centring @ turn.T % 24, centring % 24).all():
            continue
        usable = np.ones(len(shifts), dtype=bool)
        for t, image in zip(translations, images, strict=True):
            assert image is not None
            target = rotations[image]
            moved = (turn @ t) + shifts - shifts @ target.T - translations[image]
            usable &= _in(moved % 24, centring % 24)
        for shift in shifts[usable]:
            coset = _coset_key(turn, shift, rotations, translations, centring, polar)
            if coset not in seen:
                seen.add(coset)
                found.append((turn, shift))
    return np.array([p for p, _ in found]), np.array([t for _, t in found]) / 24


def _in(keys: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """Which of the vectors `keys` (n, 3) are among `lattice` (c, 3)."""
    return (keys[:, None] == lattice[None]).all(axis=2).any(axis=1)


def _coset_key(
    turn: np.ndarray,
    shift: np.ndarray,
    rotations: np.ndarray,
    translations: np.ndarray,
    centring: np.ndarray,
    polar: np.ndarray,
) -> tuple[int, ...]:
    """The smallest of the products g (P, t) over the group: the same for every member of a coset."""
    turns = rotations @ turn
    moved = rotations @ shift + translations
    moved = ((moved[:, None] + centring[None]) * ~polar) % 24
    flat = np.concatenate([np.repeat(turns.reshape(len(turns), 1, 9), len(centring), axis=1), moved], axis=2)
    return min(map(tuple, flat.reshape(-1, 12).tolist()))
