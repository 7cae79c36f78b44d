"""Known crystals of many kinds: every lattice system, polar, chiral, centred, and without any symmetry."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.spacegroup import crystal


def known_crystals() -> dict[str, Atoms]:
    """Twenty-one crystals of distinct compositions, by name; cells as they are usually given, centred ones too."""
    return {
        "copper": bulk("Cu", "fcc", a=3.61),
        "magnesium": bulk("Mg", "hcp", a=3.21, c=5.21),
        "diamond": bulk("C", "diamond", a=3.57),
        "rocksalt": bulk("NaCl", "rocksalt", a=5.64, cubic=True),
        "caesium chloride": bulk("CsCl", "cesiumchloride", a=4.12),
        "zincblende": bulk("GaAs", "zincblende", a=5.65),
        "fluorite": crystal(("Ca", "F"), [(0, 0, 0), (0.25, 0.25, 0.25)], spacegroup=225, cellpar=cubic(5.46)),
        "perovskite": crystal(
            ("Sr", "Ti", "O"), [(0.5, 0.5, 0.5), (0, 0, 0), (0.5, 0, 0)], spacegroup=221, cellpar=cubic(3.905)
        ),
        "half-Heusler": crystal(
            ("Ti", "Ni", "Sn"), [(0, 0, 0), (0.25, 0.25, 0.25), (0.5, 0.5, 0.5)], spacegroup=216, cellpar=cubic(5.93)
        ),
        "pyrite": crystal(("Fe", "S"), [(0, 0, 0), (0.385, 0.385, 0.385)], spacegroup=205, cellpar=cubic(5.42)),
        "rutile": crystal(
            ("Ti", "O"), [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90]
        ),
        "wurtzite": crystal(
            ("Zn", "O"), [(1 / 3, 2 / 3, 0), (1 / 3, 2 / 3, 0.382)], spacegroup=186, cellpar=hexagonal(3.25, 5.207)
        ),
        "quartz": crystal(
            ("Si", "O"), [(0.4697, 0, 1 / 3), (0.4133, 0.2672, 0.2144)], spacegroup=152, cellpar=hexagonal(4.913, 5.405)
        ),
        "molybdenite": crystal(
            ("Mo", "S"), [(1 / 3, 2 / 3, 0.25), (1 / 3, 2 / 3, 0.621)], spacegroup=194, cellpar=hexagonal(3.16, 12.3)
        ),
        "corundum": crystal(
            ("Al", "O"), [(0, 0, 0.352), (0.306, 0, 0.25)], spacegroup=167, cellpar=hexagonal(4.76, 12.99)
        ),
        "calomel": crystal(
            ("Hg", "Cl"), [(0, 0, 0.119), (0, 0, 0.338)], spacegroup=139, cellpar=[4.48, 4.48, 10.91, 90, 90, 90]
        ),
        "tilted perovskite": crystal(
            ("Ca", "Ti", "O", "O"),
            [(0.036, 0.25, 0.993), (0, 0, 0.5), (0.484, 0.25, 0.07), (0.289, 0.037, 0.711)],
            spacegroup=62,
            cellpar=[5.44, 7.64, 5.38, 90, 90, 90],
        ),
        "baddeleyite": crystal(
            ("Zr", "O", "O"),
            [(0.2754, 0.0395, 0.2083), (0.07, 0.3317, 0.3447), (0.4496, 0.7569, 0.4792)],
            spacegroup=14,
            cellpar=[5.1505, 5.2116, 5.3173, 90, 99.23, 90],
        ),
        "tenorite": crystal(
            ("Cu", "O"),
            [(0.25, 0.25, 0), (0, 0.4184, 0.25)],
            spacegroup=15,
            cellpar=[4.6837, 3.4226, 5.1288, 90, 99.54, 90],
        ),
        "with an inversion": crystal(
            ("Ca", "Si", "N"),
            [(0, 0, 0), (0.31, 0.22, 0.64), (0.12, 0.57, 0.33)],
            spacegroup=2,
            cellpar=[4.1, 5.2, 6.3, 82, 97, 106],
        ),
        "without symmetry": Atoms(
            "LiBOF",
            scaled_positions=[(0.1, 0.2, 0.3), (0.35, 0.61, 0.83), (0.72, 0.07, 0.55), (0.6, 0.4, 0.11)],
            cell=[3.9, 4.7, 5.6, 78, 85, 99],
            pbc=True,
        ),
    }


def cubic(a: float) -> list[float]:
    """Cell parameters."""
    return [a, a, a, 90, 90, 90]


def hexagonal(a: float, c: float) -> list[float]:
    """Cell parameters."""
    return [a, a, c, 90, 90, 120]


def disguised(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """The same crystal as another program might give it: a skewed supercell, moved, turned, its atoms in any order."""
    while abs(determinant := round(np.linalg.det(skew := rng.integers(-1, 3, (3, 3))))) not in (1, 2):
        pass
    skew[0] *= int(np.sign(determinant))
    cell = skew @ atoms.cell.array
    corners = np.array(np.meshgrid(*[range(-9, 10)] * 3)).reshape(3, -1).T @ atoms.cell.array
    sites = (atoms.positions[:, None] + corners).reshape(-1, 3)
    numbers = np.repeat(atoms.numbers, len(corners))
    fractional = sites @ np.linalg.inv(cell)
    inside = ((fractional > -1e-6) & (fractional < 1 - 1e-6)).all(axis=1)
    order = rng.permutation(np.flatnonzero(inside))
    copy = Atoms(numbers[order], scaled_positions=fractional[order] + rng.random(3), cell=cell, pbc=True)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    copy.set_cell(cell @ turn * np.sign(np.linalg.det(turn)), scale_atoms=True)
    assert len(copy) == abs(determinant) * len(atoms)
    return copy


def relaxed_again(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """The same crystal as another relaxation would leave it: supercell, rotation, translation, order, noise."""
    supercell = make_supercell(atoms, [[1, 1, 0], [0, 1, 0], [0, int(rng.integers(2)), 1 + int(rng.integers(2))]])
    other = supercell[rng.permutation(len(supercell))]
    other.positions += rng.random(3) @ other.cell.array
    other.rotate(float(rng.uniform(0, 360)), rng.normal(size=3), rotate_cell=True)
    other.wrap()
    other.rattle(0.004, rng=rng)
    return other
