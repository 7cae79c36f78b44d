"""Deliberately absurd structures, each drawn from its number alone.

As a script, `python wild.py FIRST END MAX_STEPS` relaxes those numbers with CHGNet and writes a JSON line for each, and
a last one with the process's peak memory: run with 0 1000 30 it is the whole trial, some of it the test's sample.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.geometry import cellpar_to_cell

SPECIES = (
    1,
    3,
    5,
    6,
    7,
    8,
    9,
    11,
    12,
    13,
    14,
    16,
    17,
    19,
    20,
    22,
    25,
    26,
    29,
    30,
    38,
    40,
    48,
    55,
    56,
    57,
    74,
    79,
    82,
    92,
)
NOBLE = (2, 10, 18, 36, 54, 86)
ACTINIDES = (*range(89, 104), 118)

Draw = Callable[[np.random.Generator], Atoms]


def wild_structure(number: int) -> tuple[str, Atoms]:
    """The kind and the structure with this number; kinds take turns."""
    kind = list(KINDS)[number % len(KINDS)]
    return kind, KINDS[kind](np.random.default_rng((20260, number)))


def _scattered(rng: np.random.Generator, cell: np.ndarray, numbers: np.ndarray) -> Atoms:
    atoms = Atoms(numbers, cell=cell, pbc=True)
    atoms.set_scaled_positions(rng.random((len(numbers), 3)))
    return atoms


def _species(rng: np.random.Generator, n_atoms: int | None = None, among: tuple[int, ...] = SPECIES) -> np.ndarray:
    n_atoms = int(rng.integers(1, 13)) if n_atoms is None else n_atoms
    return rng.choice(rng.choice(among, min(3, len(among)), replace=False), n_atoms)


def _cell(
    n_atoms: int, volume: float, ratios: tuple[float, ...] = (1, 1, 1), angles: tuple[float, ...] = (90, 90, 90)
) -> np.ndarray:
    """Rows; `volume` in Å^3 per atom."""
    shape = np.array(cellpar_to_cell([*ratios, *angles]))
    return shape * (n_atoms * volume / abs(np.linalg.det(shape))) ** (1 / 3)


def _spread(rng: np.random.Generator, numbers: np.ndarray, cell: np.ndarray, distance: float = 1.2) -> Atoms:
    """Scattered, but each atom drawn a few times until it keeps its distance: what gets past the first guard."""
    places: list[np.ndarray] = []
    for _ in numbers:
        for _ in range(30):
            place = rng.random(3)
            offsets = np.array(places).reshape(-1, 3) - place
            offsets -= np.rint(offsets)
            if not len(offsets) or np.linalg.norm(offsets @ cell, axis=1).min() > distance:
                break
        places.append(place)
    atoms = Atoms(numbers, cell=cell, pbc=True)
    atoms.set_scaled_positions(np.array(places))
    return atoms


def _coincident(rng: np.random.Generator) -> Atoms:
    numbers = _species(rng, int(rng.integers(2, 13)))
    atoms = _scattered(rng, _cell(len(numbers), 15), numbers)
    atoms.positions[1] = atoms.positions[0] + rng.choice((0.0, 1e-9, 1e-3, 0.1)) * rng.normal(size=3)
    return atoms


def _almost_coincident(rng: np.random.Generator) -> Atoms:
    """Two atoms at 0.3 to 0.6 of their distance: past the first guard, into the hole of a learned potential."""
    numbers = _species(rng, int(rng.integers(2, 9)))
    atoms = _spread(rng, numbers, _cell(len(numbers), 25), 2.0)
    direction = rng.normal(size=3)
    atoms.positions[1] = atoms.positions[0] + direction / np.linalg.norm(direction) * rng.uniform(0.5, 1.4)
    return atoms


def _dense(rng: np.random.Generator) -> Atoms:
    numbers = _species(rng, int(rng.choice((1, 2, 8, 40, 200))))
    return _scattered(rng, _cell(len(numbers), 1.0), numbers)


def _dense_hydrogen(rng: np.random.Generator) -> Atoms:
    """Atoms so small that neither their spheres nor their distances forbid it."""
    n_side = int(rng.integers(2, 6))
    grid = np.array(np.meshgrid(*[np.arange(n_side)] * 3)).reshape(3, -1).T / n_side
    atoms = Atoms("H" * n_side**3, cell=np.eye(3) * n_side * rng.uniform(0.5, 1.3), pbc=True)
    atoms.set_scaled_positions(grid)
    return atoms


def _thin_gas(rng: np.random.Generator) -> Atoms:
    numbers = _species(rng)
    return _scattered(rng, _cell(len(numbers), 10_000.0), numbers)


def _sharp_angles(rng: np.random.Generator) -> Atoms:
    numbers = _species(rng)
    angles = [(5, 5, 5), (5, 90, 90), (5, 60, 62), (170, 170, 15), (1, 1, 1.9)][rng.integers(5)]
    return _spread(rng, numbers, _cell(len(numbers), 20, angles=angles))


def _needle(rng: np.random.Generator) -> Atoms:
    numbers = _species(rng)
    return _turned(rng, _spread(rng, numbers, _cell(len(numbers), rng.uniform(10, 300), (1, 1, 100))))


def _flake(rng: np.random.Generator) -> Atoms:
    numbers = _species(rng)
    return _turned(rng, _spread(rng, numbers, _cell(len(numbers), rng.uniform(10, 300), (100, 100, 1))))


def _slab(rng: np.random.Generator) -> Atoms:
    """A square net of one species in a very long cell: its stress is next to nothing."""
    number = int(rng.choice((6, 14, 26, 29, 79)))
    return Atoms([number], cell=[2.6, 2.6, rng.uniform(30, 300)], positions=[(0, 0, 1)], pbc=True)


def _one_atom(rng: np.random.Generator) -> Atoms:
    shape = np.eye(3) + 0.3 * rng.normal(size=(3, 3))
    return _scattered(rng, shape * rng.uniform(0.5, 8), _species(rng, 1))


def _many(rng: np.random.Generator) -> Atoms:
    numbers = _species(rng, 200)
    return _spread(rng, numbers, _cell(200, rng.uniform(8, 40)), rng.uniform(0.3, 1.6))


def _noble(rng: np.random.Generator) -> Atoms:
    numbers = _species(rng, among=NOBLE)
    return _spread(rng, numbers, _cell(len(numbers), rng.uniform(5, 50)))


def _actinides(rng: np.random.Generator) -> Atoms:
    numbers = _species(rng, among=ACTINIDES)
    return _spread(rng, numbers, _cell(len(numbers), rng.uniform(15, 40)), 1.5)


def _not_finite(rng: np.random.Generator) -> Atoms:
    numbers = _species(rng)
    atoms = _scattered(rng, _cell(len(numbers), 15), numbers)
    bad = rng.choice((np.nan, np.inf, -np.inf))
    if rng.random() < 0.5:
        atoms.positions[rng.integers(len(atoms)), rng.integers(3)] = bad
    else:
        cell = atoms.cell.array.copy()
        cell[rng.integers(3), rng.integers(3)] = bad
        atoms.set_cell(cell)
    return atoms


def _flat(rng: np.random.Generator) -> Atoms:
    """No volume at all, or next to none, in four ways."""
    numbers = _species(rng)
    cell = _cell(len(numbers), 15) + rng.normal(scale=0.1, size=(3, 3))
    atoms = _scattered(rng, cell, numbers)
    cell[2] = [np.zeros(3), cell[0], cell[0] + cell[1], 1e-7 * cell[2]][rng.integers(4)]
    return Atoms(atoms.numbers, cell=cell, positions=atoms.positions, pbc=True)


def _left_handed(rng: np.random.Generator) -> Atoms:
    numbers = _species(rng)
    return _spread(rng, numbers, np.diag((1.0, 1.0, -1.0)) @ _cell(len(numbers), 18, angles=(80, 95, 100)))


def _isolated(rng: np.random.Generator) -> Atoms:
    """Every atom out of sight of all others, its own images too."""
    side = int(rng.integers(1, 3))
    grid = np.array(np.meshgrid(*[np.arange(side)] * 3)).reshape(3, -1).T / side
    atoms = Atoms(_species(rng, side**3), cell=np.eye(3) * side * rng.uniform(6.5, 15), pbc=True)
    atoms.set_scaled_positions(grid)
    return atoms


def _pressed(rng: np.random.Generator) -> Atoms:
    """Hundreds to thousands of GPa."""
    numbers = _species(rng, int(rng.integers(1, 9)))
    return _spread(rng, numbers, _cell(len(numbers), rng.uniform(3, 6)), 0.9)


def _far_away(rng: np.random.Generator) -> Atoms:
    """A sound structure whose atoms are given in cells very far from each other."""
    numbers = _species(rng)
    atoms = _spread(rng, numbers, _cell(len(numbers), 20))
    away = 10.0 ** rng.integers(2, 20)
    atoms.positions += np.rint(rng.uniform(-away, away, (len(atoms), 3))) @ atoms.cell.array
    return atoms


def _huge(rng: np.random.Generator) -> Atoms:
    """Lengths that no program was made for, long or short."""
    numbers = _species(rng)
    return _scattered(rng, _cell(len(numbers), 15) * 10.0 ** rng.choice((-200, -8, 4, 8, 100, 300)), numbers)


def _clump(rng: np.random.Generator) -> Atoms:
    """All atoms in one corner of a cell with room for all of them."""
    numbers = _species(rng, int(rng.choice((8, 60, 200))), among=(1, 5, 6, 7, 8))
    atoms = _spread(rng, numbers, _cell(len(numbers), 1.0), 0.35)
    atoms.set_cell(atoms.cell.array * rng.uniform(1.5, 4))
    return atoms


def _nothing(rng: np.random.Generator) -> Atoms:
    """No atoms, or atoms that are no elements."""
    if rng.random() < 0.3:
        return Atoms(cell=_cell(1, 20), pbc=True)
    return _scattered(rng, _cell(3, 20), np.array([0, 8, rng.choice((0, 119, -3, 1000))]))


def _mixed(rng: np.random.Generator) -> Atoms:
    """Several absurdities at once: any elements, numbers, densities, shapes and angles."""
    numbers = rng.integers(1, 95, int(rng.choice((1, 2, 5, 20, 60))))
    cell = _cell(len(numbers), 10 ** rng.uniform(0, 3.5), tuple(10 ** rng.uniform(0, 1.5, 3)))
    cell = cell @ (np.eye(3) + np.triu(rng.normal(scale=3, size=(3, 3)), 1))
    return _turned(rng, _spread(rng, numbers, cell, rng.uniform(0, 2)))


def _turned(rng: np.random.Generator, atoms: Atoms) -> Atoms:
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return Atoms(atoms.numbers, cell=atoms.cell.array @ turn, positions=atoms.positions @ turn, pbc=True)


KINDS: dict[str, Draw] = {
    "coincident": _coincident,
    "almost coincident": _almost_coincident,
    "1 Å^3 an atom": _dense,
    "dense hydrogen": _dense_hydrogen,
    "10,000 Å^3 an atom": _thin_gas,
    "sharp angles": _sharp_angles,
    "needle": _needle,
    "flake": _flake,
    "slab": _slab,
    "one atom": _one_atom,
    "200 atoms": _many,
    "noble gases": _noble,
    "actinides": _actinides,
    "not finite": _not_finite,
    "flat": _flat,
    "left-handed": _left_handed,
    "isolated": _isolated,
    "pressed": _pressed,
    "far away": _far_away,
    "huge": _huge,
    "clump": _clump,
    "nothing": _nothing,
    "mixed": _mixed,
}


def main(first: int, end: int, max_steps: int) -> None:
    """See the module."""
    from xtalseek.relax import RelaxSettings, make_relaxer

    relaxer = make_relaxer("chgnet", RelaxSettings(max_steps=max_steps, max_seconds=20.0))
    small = bulk("MgO", "rocksalt", 4.2)
    relaxer.relax([small])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for start in range(first, end, len(KINDS)):
        drawn = {number: wild_structure(number) for number in range(start, min(start + len(KINDS), end))}
        results = relaxer.relax([atoms for _, atoms in drawn.values()])
        for (number, (kind, atoms)), result in zip(drawn.items(), results, strict=True):
            line = {"number": number, "kind": kind, "n_atoms": len(atoms), "status": result.status.value}
            line |= {"message": result.message, "force_calls": result.force_calls, "seconds": result.seconds}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stdout.write(json.dumps({"sound_peak_mb": before / 1024, "peak_mb": after / 1024}) + "\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
