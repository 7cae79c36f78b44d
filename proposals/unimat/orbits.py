"""A crystal as its orbits: space group, Wyckoff positions and the few numbers that symmetry leaves free.

The sites of UniMat's table that symmetry makes copies of one another are written once. The same structure can be
described in several ways (another origin, another atom of an orbit); of these one is chosen by rule, so that equal
structures have equal descriptions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import spglib
from ase import Atoms
from ase.geometry import cell_to_cellpar
from pymatgen.core import Element

from .setting import Position, Setting, setting

SYMMETRY_TOLERANCES = (0.1, 0.02, 0.005)
"""Å; tried in turn where the looser one leads to no consistent description."""
RESOLUTION = 96
"""Coordinates are compared in steps of 1/RESOLUTION when the description is chosen."""
MATCH = 2e-3
"""Fractional distance within which two sites are the same."""

ELECTRONEGATIVITY_ORDER: np.ndarray
"""Rank of each atomic number 0-118 by Pauling electronegativity, ascending; ties and unknowns by number."""


@dataclass(frozen=True, eq=False)
class Orbits:
    """A crystal described by its symmetry.

    Attributes
    ----------
    number : space group.
    elements : (k,) atomic number of each orbit, by electronegativity ascending.
    positions : (k,) index of each orbit's Wyckoff position in `setting(number).positions`, ascending within an element.
    coordinates : (k, 3) of the representative, zero where not free.
    cell : (6,) a, b, c in Å and the angles in degrees, of the conventional cell.
    """

    number: int
    elements: np.ndarray
    positions: np.ndarray
    coordinates: np.ndarray
    cell: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Atoms of each orbit in the primitive cell (k,)."""
        known = setting(self.number).positions
        return np.array([known[p].multiplicity for p in self.positions])


class NoDescriptionError(ValueError):
    """Symmetry analysis and Wyckoff positions disagree: the structure cannot be written as orbits."""


def to_orbits(atoms: Atoms) -> Orbits:
    """The symmetric description of a crystal; its primitive cell counts.

    Raises
    ------
    NoDescriptionError : with the reason.
    """
    reason = "spglib finds no symmetry"
    for tolerance in SYMMETRY_TOLERANCES:
        dataset = spglib.get_symmetry_dataset(
            (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=tolerance
        )
        if dataset is None:
            continue
        try:
            return _describe(
                setting(int(dataset.number)),
                np.asarray(dataset.std_types),
                np.asarray(dataset.std_positions),
                np.asarray(dataset.std_lattice),
            )
        except NoDescriptionError as error:
            reason = str(error)
    raise NoDescriptionError(reason)


def _describe(group: Setting, types: np.ndarray, sites: np.ndarray, lattice: np.ndarray) -> Orbits:
    rank = ELECTRONEGATIVITY_ORDER[types]
    orbits = _equivalent_sites(group, sites)
    for members in orbits:
        if len(set(types[members])) > 1:
            raise NoDescriptionError("symmetry maps one element onto another")
    turns, shifts = group.normalizer
    # (g, n, 3): the structure in each of its equivalent descriptions.
    images = np.einsum("gij,nj->gni", turns, sites) + shifts[:, None]
    named = [_position_of(group, images[:, members]) for members in orbits]
    order_keys = np.array([rank[members[0]] for members in orbits])
    letters = np.array(named).T
    # By element, then position; the description with the smallest positions is kept.
    sequences = [tuple(sorted(zip(order_keys.tolist(), row.tolist(), strict=True))) for row in letters]
    smallest = min(sequences)
    best: tuple[tuple[tuple[int, int, tuple[int, ...]], ...], np.ndarray, list[int]] | None = None
    for g in [i for i, sequence in enumerate(sequences) if sequence == smallest]:
        for origin in _origins(group, images[g], orbits, letters[g], order_keys, smallest[0]):
            moved = images[g] - origin
            solved = [
                _smallest_coordinates(group, group.positions[letters[g, k]], moved[members])
                for k, members in enumerate(orbits)
            ]
            key = [
                (int(order_keys[k]), int(letters[g, k]), tuple(_rounded(solved[k]).tolist()))
                for k in range(len(orbits))
            ]
            order = sorted(range(len(orbits)), key=key.__getitem__)
            ranked = tuple(key[k] for k in order)
            if best is None or ranked < best[0]:
                best = (ranked, np.array([solved[k] for k in order]), [int(types[orbits[k][0]]) for k in order])
    assert best is not None
    return Orbits(
        number=group.number,
        elements=np.array(best[2]),
        positions=np.array([position for _, position, _ in best[0]]),
        coordinates=best[1] % 1,
        cell=cell_to_cellpar(lattice),
    )


def _equivalent_sites(group: Setting, sites: np.ndarray) -> list[np.ndarray]:
    """Numbers of the conventional cell's sites, orbit by orbit."""
    images = np.einsum("rij,nj->rni", group.rotations, sites) + group.translations[:, None]
    images = (images[:, :, None] + group.centring).transpose(0, 2, 1, 3).reshape(-1, len(sites), 3)
    left = np.ones(len(sites), dtype=bool)
    found = []
    for site in range(len(sites)):
        if not left[site]:
            continue
        difference = images[:, site, None] - sites[None]
        near = (np.abs(difference - np.rint(difference)).max(axis=2) < MATCH).any(axis=0)
        members = np.flatnonzero(near & left)
        if len(members) == 0:
            raise NoDescriptionError("a site is not its own image")
        left[members] = False
        found.append(members)
    return found


def _fits(group: Setting, position: Position, sites: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether sites (..., 3) are representatives of the position, and their free coordinates in [0, 1) (..., 3)."""
    # A site that needs a coordinate beyond 1 is no representative: in R3m, y + 1 is another site (y/2, y, z) than y.
    coordinates = sites % 1 * position.free
    points = coordinates @ position.directions[0].T + position.offsets[0]
    difference = (sites - points)[..., None, :] - group.centring
    close = (np.abs(difference - np.rint(difference)).max(axis=-1) < MATCH).any(axis=-1)
    return close, coordinates


def _position_of(group: Setting, sites: np.ndarray) -> np.ndarray:
    """The position of an orbit in each description: sites (g, n, 3) gives (g,) indices."""
    found = np.full(len(sites), -1)
    expected = sites.shape[1] / len(group.centring)
    for index, position in enumerate(group.positions):
        if position.multiplicity != expected:
            continue
        fits = _fits(group, position, sites)[0].any(axis=1)
        found[(found < 0) & fits] = index
    if (found < 0).any():
        raise NoDescriptionError("an orbit lies on no Wyckoff position")
    return found


def _rounded(coordinates: np.ndarray) -> np.ndarray:
    return np.rint(coordinates * RESOLUTION).astype(int) % RESOLUTION


def _smallest_coordinates(group: Setting, position: Position, sites: np.ndarray) -> np.ndarray:
    """Of all representatives among an orbit's sites (n, 3), the coordinates (3,) that come first when rounded."""
    close, coordinates = _fits(group, position, sites)
    choices = coordinates[close]
    if len(choices) == 0:
        raise NoDescriptionError("an orbit left its Wyckoff position")
    rounded = _rounded(choices)
    return choices[np.lexsort(rounded.T[::-1])[0]]


def _origins(
    group: Setting,
    sites: np.ndarray,
    orbits: list[np.ndarray],
    letters: np.ndarray,
    order_keys: np.ndarray,
    first: tuple[int, int],
) -> list[np.ndarray]:
    """Shifts along polar axes that put a representative of a foremost orbit at zero there."""
    if not group.polar.any():
        return [np.zeros(3)]
    found = []
    for k, members in enumerate(orbits):
        if (int(order_keys[k]), int(letters[k])) == first:
            position = group.positions[first[1]]
            close, _ = _fits(group, position, sites[members])
            found += [sites[site] * group.polar for site in members[close]]
    return found


def to_atoms(orbits: Orbits) -> Atoms:
    """The primitive cell that the description stands for."""
    group = setting(orbits.number)
    numbers: list[int] = []
    sites: list[np.ndarray] = []
    for element, index, u in zip(orbits.elements, orbits.positions, orbits.coordinates, strict=True):
        position = group.positions[index]
        numbers += [int(element)] * position.multiplicity
        sites.append(position.directions @ u + position.offsets)
    conventional = Atoms(cell=orbits.cell).cell.array
    cartesian = np.concatenate(sites) @ conventional
    atoms = Atoms(numbers=numbers, cell=group.basis.T @ conventional, positions=cartesian, pbc=True)
    atoms.wrap()
    return atoms


def _electronegativity_order() -> np.ndarray:
    values = [math.inf] * 119
    for number in range(1, 119):
        known = Element.from_Z(number).data.get("X")
        values[number] = float(known) if known is not None else 10.0 + number
    rank = np.zeros(119, dtype=int)
    rank[np.argsort(values, kind="stable")] = np.arange(119)
    return rank


ELECTRONEGATIVITY_ORDER = _electronegativity_order()
