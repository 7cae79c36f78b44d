"""Where a unit's centre lands, how it is turned, and whether neighbours are as asked for.

Neighbours of an atom are the atoms within `NEIGHBOUR_REACH` times the pair's minimum distance or sum of covalent radii,
whichever of the two is larger, periodic images included, also those of the atom itself. Covalent radii: Cordero et al.
2008, doi:10.1039/b801115j (from ase).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from ...errors import InfeasibleTarget
from ..recipe import Confinement, Pair, Range, Unit

NEIGHBOUR_REACH = 1.2
"""Neighbours are counted out to this multiple of the contact distance."""

BOX_TRIES = 1000
"""Draws within a box before its corners count as nearer than the least amplitude."""


def place_centre(unit: Unit, cell: np.ndarray, confinement: Confinement | None, rng: np.random.Generator) -> np.ndarray:
    """A random position of a unit's centre; cartesian (3,), Å, not wrapped into the cell.

    A unit with a position and an amplitude or a box lands there, whatever the confinement; the others anywhere in the
    confinement or, without one, in the cell. Where a box or a confinement leaves an axis free, that coordinate is the
    one of a uniform point of the cell: along a lattice vector every place is as likely.

    Parameters
    ----------
    cell : (3, 3) Å, rows.

    Raises
    ------
    InfeasibleTarget : the least amplitude leaves no room.
    """
    cell = np.asarray(cell)
    if unit.position is None or (unit.amplitude is None and unit.box is None):
        return _anywhere(cell, confinement, rng)
    centre = np.asarray(unit.position) @ cell
    if unit.box is not None:
        return centre + _in_box(unit, cell, centre, rng)
    assert unit.amplitude is not None
    if unit.least_amplitude > unit.amplitude:
        raise _no_room(unit, f"amplitude {unit.amplitude:g} Å")
    # Uniform by volume between the two spheres.
    cube = rng.uniform(unit.least_amplitude**3, unit.amplitude**3)
    return centre + np.cbrt(cube) * _direction(3, rng)


def _anywhere(cell: np.ndarray, confinement: Confinement | None, rng: np.random.Generator) -> np.ndarray:
    if confinement is None:
        return rng.random(3) @ cell
    radii = np.asarray(confinement.radii, dtype=float)
    point = (rng.random(3) - 0.5) @ cell
    closed = np.flatnonzero(np.isfinite(radii))
    if len(closed):
        # Uniform in a ball of as many dimensions as are closed, stretched to the half axes.
        point[closed] = rng.random() ** (1 / len(closed)) * _direction(len(closed), rng) * radii[closed]
    return point


def _in_box(unit: Unit, cell: np.ndarray, centre: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    box = np.asarray(unit.box, dtype=float)
    for _ in range(BOX_TRIES):
        anywhere = rng.random(3) @ cell - centre
        shift = np.where(box < 0, anywhere, box * rng.uniform(-1, 1, 3))
        if float(shift @ shift) >= unit.least_amplitude**2:
            return shift
    raise _no_room(unit, "box of amplitudes " + " x ".join(f"{side:g}" for side in box) + " Å")


def _no_room(unit: Unit, region: str) -> InfeasibleTarget:
    name = unit.label or "".join(unit.symbols)
    return InfeasibleTarget(
        f"{name} must be at least {unit.least_amplitude:g} Å from its position, but its {region} leaves no room for "
        "that: lower the least amplitude or raise the amplitude"
    )


def _direction(dimensions: int, rng: np.random.Generator) -> np.ndarray:
    vector = rng.standard_normal(dimensions)
    return vector / np.linalg.norm(vector)


def random_rotation(turn: float | None, rng: np.random.Generator) -> np.ndarray:
    """A random proper rotation, (3, 3); `offsets @ rotation.T` turns offsets.

    Parameters
    ----------
    turn : degrees; the angle is uniform between 0 and this, about a random axis; None: uniform over all orientations
        (a random unit quaternion: Shoemake 1992, doi:10.1016/B978-0-08-050755-2.50036-1).
    """
    if turn is None:
        w, *v = _direction(4, rng)
        return _rotation(float(w), np.array(v))
    half = np.radians(turn) * rng.random() / 2
    return _rotation(float(np.cos(half)), np.sin(half) * _direction(3, rng))


def _rotation(w: float, v: np.ndarray) -> np.ndarray:
    """The rotation of the unit quaternion (w, v)."""
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


def bond_angles_ok(atoms: Atoms, bond_angles: Range | None, min_distances: Mapping[Pair, float]) -> bool:
    """Whether every angle (degrees) between two neighbours of one atom lies within `bond_angles`.

    Parameters
    ----------
    bond_angles : smallest and largest; None: any.
    min_distances : Å for pairs of symbols in alphabetical order.
    """
    if bond_angles is None:
        return True
    low, high = bond_angles
    first, _, vectors = neighbours(atoms, contacts(atoms, min_distances))
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    for atom in range(len(atoms)):
        around = vectors[first == atom]
        upper = np.triu_indices(len(around), k=1)
        angles = np.degrees(np.arccos(np.clip((around @ around.T)[upper], -1, 1)))
        # A straight angle comes out up to 1e-6 degrees short.
        if len(angles) and (angles.min() < low - 1e-5 or angles.max() > high + 1e-5):
            return False
    return True


def coordination_ok(atoms: Atoms, units: Sequence[Unit], min_distances: Mapping[Pair, float]) -> bool:
    """Whether each atom of a unit that asks for it has as many neighbours as its unit allows.

    Neighbours are of any species; within a rigid unit its other atoms count too.

    Parameters
    ----------
    units : in the order of the atoms, which they list completely.
    min_distances : Å for pairs of symbols in alphabetical order.
    """
    if all(unit.coordination is None for unit in units):
        return True
    radii = np.array([np.nan if unit.radius is None else unit.radius for unit in units for _ in unit.symbols])
    first, _, _ = neighbours(atoms, contacts(atoms, min_distances, radii))
    counts = np.bincount(first, minlength=len(atoms))
    start = 0
    for unit in units:
        own = counts[start : start + len(unit.symbols)]
        start += len(unit.symbols)
        if unit.coordination is not None and (own.min() < unit.coordination[0] or own.max() > unit.coordination[1]):
            return False
    return True


def minimum_distances(
    symbols: Sequence[str], min_distances: Mapping[Pair, float], radii: np.ndarray | None = None
) -> np.ndarray:
    """The minimum distance (Å) of every pair of atoms, (n, n).

    Parameters
    ----------
    min_distances : Å for pairs of symbols in alphabetical order; a pair that is not listed has none (0).
    radii : (n,) Å; a pair of atoms that both have one keeps their sum instead, a pair with one that has keeps this one
        plus half of what the other species keeps from itself; nan: none.
    """
    kinds = list(dict.fromkeys(symbols))
    table = np.array([[min_distances.get((min(a, b), max(a, b)), 0.0) for b in kinds] for a in kinds])
    species = np.array([kinds.index(symbol) for symbol in symbols], dtype=int)
    wanted = table[species[:, None], species[None, :]].astype(float)
    if radii is None or np.isnan(radii).all():
        return wanted
    own = np.where(np.isnan(radii), np.diag(wanted) / 2, radii)
    given = ~np.isnan(radii)
    return np.where(given[:, None] | given[None, :], own[:, None] + own[None, :], wanted)


def contacts(atoms: Atoms, min_distances: Mapping[Pair, float], radii: np.ndarray | None = None) -> np.ndarray:
    """How far (Å) neighbours of every pair of atoms may be, (n, n)."""
    bonds = covalent_radii[atoms.numbers]
    wanted = minimum_distances(atoms.get_chemical_symbols(), min_distances, radii)
    return NEIGHBOUR_REACH * np.maximum(wanted, bonds[:, None] + bonds[None, :])


def neighbours(atoms: Atoms, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every pair of atoms nearer than `reach`, both ways round, with all periodic images.

    Parameters
    ----------
    reach : (n, n) Å.

    Returns
    -------
    first (p,), second (p,) atoms, and vectors (p, 3) Å from the first to the second.
    """
    largest = float(reach.max(initial=0.0))
    if largest <= 0:
        return np.empty(0, int), np.empty(0, int), np.empty((0, 3))
    first, second, vectors, lengths = neighbor_list("ijDd", atoms, largest)
    near = lengths < reach[first, second]
    return first[near], second[near], vectors[near]
