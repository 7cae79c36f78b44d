"""What the sparse model knows beforehand: features of elements and of the 1,731 Wyckoff positions.

A position's features describe where its atoms are, so that what is learned in a common space group carries over to a
rare one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path

import numpy as np
from ase.data import covalent_radii
from pymatgen.core import Element

from .setting import setting

MULTIPLICITIES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 48)
MAX_POSITIONS = 27
"""Most positions that a group has (Pmmm)."""
WAVES = np.array(
    [v for v in product(range(-4, 5), repeat=3) if 0 < sum(map(abs, v)) <= 4 and v > (0, 0, 0)], dtype=np.float64
)
"""(64, 3) short reciprocal vectors, one of each pair h, -h."""
MAX_ATOMIC_NUMBER = 94


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Tables over space groups and Wyckoff positions; positions are numbered through all groups.

    Attributes
    ----------
    start : (232,) number of the first position of each group (index 0 is unused; the last entry closes the list).
    multiplicity : (p,) atoms of one orbit in the primitive cell.
    free : (p, 3) bool, free coordinates of the representative.
    offsets : (p, 48, 3), directions : (p, 48, 3, 3), as in `setting.Position`, zero beyond the multiplicity.
    basis : (231, 3, 3) primitive vectors as columns; centrings : (231,) lattice points of the conventional cell.
    polar : (231, 3) bool, axes along which a group's origin is arbitrary.
    system : (231,) index into CELL_RULES.
    turns : (231, 14) fraction of the rotations of each type.
    """

    start: np.ndarray
    multiplicity: np.ndarray
    free: np.ndarray
    offsets: np.ndarray
    directions: np.ndarray
    basis: np.ndarray
    centrings: np.ndarray
    polar: np.ndarray
    system: np.ndarray
    turns: np.ndarray

    @cached_property
    def fixed_angles(self) -> np.ndarray:
        """Angles that each group fixes (231, 3), degrees, zero where free."""
        return np.array([angles for angles, _ in CELL_RULES.values()], dtype=float)[self.system]

    @cached_property
    def equal_lengths(self) -> np.ndarray:
        """Whether b = a and c = a in each group (231, 2)."""
        return np.array([equal for _, equal in CELL_RULES.values()])[self.system]

    @cached_property
    def position_features(self) -> np.ndarray:
        """What is certain about each position (p, 178) float32."""
        sizes = np.array(MULTIPLICITIES)
        representative = 2 * np.pi * self.offsets[:, 0, None, :] * np.arange(1, 5)[:, None]
        # The mean of exp(2 pi i h x) over an orbit and its free coordinates: atoms whose wave depends on them vanish.
        phases = 2 * np.pi * self.offsets @ WAVES.T
        constant = (np.abs(np.swapaxes(self.directions, 2, 3) @ WAVES.T).max(axis=2) < 1e-6) * self.atoms[:, :, None]
        parts = [
            self.multiplicity[:, None] == sizes,
            self.free.sum(axis=1)[:, None] == np.arange(4),
            self.free,
            self.directions[:, 0].reshape(-1, 9),
            np.cos(representative).reshape(-1, 12),
            np.sin(representative).reshape(-1, 12),
            (np.cos(phases) * constant).sum(axis=1) / self.multiplicity[:, None],
            (np.sin(phases) * constant).sum(axis=1) / self.multiplicity[:, None],
        ]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    @cached_property
    def atoms(self) -> np.ndarray:
        """Which rows of a position's tables are atoms (p, 48) bool."""
        return np.arange(self.offsets.shape[1]) < self.multiplicity[:, None]

    @cached_property
    def group_features(self) -> np.ndarray:
        """Lattice system, lattice points, polar axes and kinds of rotations of each group (231, 27) float32."""
        parts = [
            self.system[:, None] == np.arange(len(CELL_RULES)),
            self.centrings[:, None] == np.arange(1, 5),
            self.polar,
            self.turns,
        ]
        return np.concatenate(parts, axis=1, dtype=np.float32)


CELL_RULES: dict[str, tuple[tuple[float, float, float], tuple[bool, bool]]] = {
    "triclinic": ((0, 0, 0), (False, False)),
    "monoclinic": ((90, 0, 90), (False, False)),
    "orthorhombic": ((90, 90, 90), (False, False)),
    "tetragonal": ((90, 90, 90), (True, False)),
    "hexagonal": ((90, 90, 120), (True, False)),
    "cubic": ((90, 90, 90), (True, True)),
}
"""Angles (degrees) that a lattice system fixes, zero where free, and whether b = a and c = a."""
TABLES = Path(__file__).with_name("positions.npz")


@lru_cache(maxsize=1)
def load_vocabulary() -> Vocabulary:
    """The tables as shipped."""
    with np.load(TABLES) as stored:
        return Vocabulary(**stored)


def compute_vocabulary() -> Vocabulary:
    """Derive the tables from the symmetry operations; takes seconds, so the package carries the result.

    `python -m xtalseek.proposals.unimat.vocabulary` writes it.
    """
    groups = [setting(number) for number in range(1, 231)]
    positions = [position for group in groups for position in group.positions]
    offsets = np.zeros((len(positions), 48, 3), dtype=np.float32)
    directions = np.zeros((len(positions), 48, 3, 3), dtype=np.float32)
    for row, position in enumerate(positions):
        offsets[row, : position.multiplicity] = position.offsets
        directions[row, : position.multiplicity] = position.directions
    counts = [len(group.positions) for group in groups]
    systems = list(CELL_RULES)
    none = np.zeros((1, 3), dtype=bool)
    return Vocabulary(
        start=np.concatenate([[0, 0], np.cumsum(counts)]),
        multiplicity=np.array([position.multiplicity for position in positions]),
        free=np.array([position.free for position in positions]),
        offsets=offsets,
        directions=directions,
        basis=np.array([np.eye(3), *(group.basis for group in groups)]),
        centrings=np.array([1, *(len(group.centring) for group in groups)]),
        polar=np.concatenate([none, [group.polar for group in groups]]),
        system=np.array([0, *(systems.index(group.system) for group in groups)]),
        turns=np.array([np.zeros(14), *(_turns(group.rotations) for group in groups)]),
    )


def _turns(rotations: np.ndarray) -> np.ndarray:
    """Fraction of the rotations of each type: trace -3 to 3, proper or improper (14,)."""
    trace = np.trace(rotations, axis1=1, axis2=2)
    proper = np.rint(np.linalg.det(rotations)) > 0
    counts = [np.mean((trace == t) & (proper == p)) for t in range(-3, 4) for p in (True, False)]
    return np.array(counts)


def element_features() -> np.ndarray:
    """What is known of each element, scaled to about unit size (95, f) float32; row 0 is empty.

    Electronegativity (Pauling), radii (pymatgen's atomic radius, ase's covalent radius), valence block, number of
    outer electrons, Mendeleev number, common oxidation states from -4 to 7.
    """
    rows = [np.zeros(0)]
    for number in range(1, MAX_ATOMIC_NUMBER + 1):
        element = Element.from_Z(number)
        negativity = element.data.get("X")
        radius = element.atomic_radius
        mendeleev = float(element.mendeleev_no) / 100
        states = np.zeros(12)
        for state in element.common_oxidation_states:
            if -4 <= state <= 7:
                states[state + 4] = 1
        rows.append(
            np.concatenate(
                [
                    [(float(negativity) - 1.7) if negativity is not None else 0.0, float(negativity is None)],
                    [(float(radius) - 1.5) if radius is not None else 0.0, covalent_radii[number] - 1.4],
                    np.eye(4)["spdf".index(element.block)],
                    [np.sin(2 * np.pi * mendeleev), np.cos(2 * np.pi * mendeleev), mendeleev],
                    [element.group / 10, element.row / 4],
                    states,
                ]
            )
        )
    rows[0] = np.zeros_like(rows[1])
    return np.array(rows, dtype=np.float32)


if __name__ == "__main__":
    np.savez_compressed(TABLES, **vars(compute_vocabulary()))
