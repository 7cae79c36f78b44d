"""Atoms on Wyckoff orbits, pushed apart until every pair keeps its minimum distance, the symmetry kept exactly."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from ..wyckoff import SpaceGroup

MAX_PUSHES = 200
"""Steps of pushing apart."""

PATIENCE = 10
"""Steps without progress after which pushing stops."""

MARGIN = 1.01
"""Pairs are pushed to this multiple of their minimum distance, so that the last step does not take forever."""

PROGRESS = 0.96
"""What is lacking in all must fall to this fraction of its best value to count as progress."""

STEP, MOMENTUM = 0.5, 0.8
"""Part of a full push, and of the last step, taken in each step. With 20 atoms at tight distances that needs fewer
trials than full pushes without memory (1.2 for 13 with SrTiO3, 33 for 74 with MgSiO3; other limits changed too)."""

SKIN = 1.0
"""Å beyond the minimum distance within which pairs are listed, so that lists last for several steps."""

_IMAGES = np.array(sorted(product((-1, 0, 1), repeat=3), key=lambda n: (n[0] ** 2 + n[1] ** 2 + n[2] ** 2, n)))


@dataclass(frozen=True, eq=False)
class Layout:
    """Orbits in a reduced cell: atom j sits at `offsets[j] + directions[j] @ s[orbit[j]]`.

    Attributes
    ----------
    cell : (3, 3), Å, rows.
    offsets : (n, 3), directions : (n, 3, 3), fractional in `cell`.
    orbit : (n,) orbit of each atom; species : (n,) index of its species.
    first : (k,) the first atom of each orbit.
    """

    cell: np.ndarray
    offsets: np.ndarray
    directions: np.ndarray
    orbit: np.ndarray
    species: np.ndarray
    first: np.ndarray


def make_layout(group: SpaceGroup, orbits: list[tuple[int, int]], cell: np.ndarray, transform: np.ndarray) -> Layout:
    """The orbits (species index, position index) of `group`, in the cell whose rows are `transform` @ old rows."""
    positions = [group.positions[number] for _, number in orbits]
    sizes = [position.multiplicity for position in positions]
    to_new = np.rint(np.linalg.inv(transform)).T  # fractional columns: x' = T^-T x
    return Layout(
        cell=cell,
        offsets=np.concatenate([position.offsets for position in positions]) @ to_new.T,
        directions=to_new @ np.concatenate([position.directions for position in positions]),
        orbit=np.repeat(np.arange(len(orbits)), sizes),
        species=np.repeat([species for species, _ in orbits], sizes),
        first=np.cumsum([0, *sizes[:-1]]),
    )


def fractional(layout: Layout, parameters: np.ndarray) -> np.ndarray:
    """Fractional coordinates (n, 3) for the free parameters (k, 3)."""
    return layout.offsets + np.einsum("nij,nj->ni", layout.directions, parameters[layout.orbit])


def self_distances(group: SpaceGroup, cell: np.ndarray, transform: np.ndarray) -> dict[int, float]:
    """Shortest distance (Å) within an orbit, by index of the positions with several atoms and no free parameter."""
    to_new = np.rint(np.linalg.inv(transform))
    found = {}
    images = _IMAGES @ cell
    for number, position in enumerate(group.positions):
        if position.freedom == 0 and position.multiplicity > 1:
            difference = (position.offsets[1:] - position.offsets[0]) @ to_new
            difference -= np.rint(difference)
            vectors = (difference @ cell)[:, None] + images
            found[number] = float(np.sqrt(np.einsum("nic,nic->ni", vectors, vectors).min()))
    return found


def place(
    rng: np.random.Generator, layout: Layout, distances: np.ndarray
) -> tuple[np.ndarray | None, tuple[int, int] | None]:
    """Random free parameters, pushed until no pair is closer than allowed.

    Each step pushes an orbit's first atom away from its too close neighbours (all images), along their lines, by a part
    of what they lack, projected on the free parameters; the other atoms of the orbit follow by symmetry, and part of
    the last step is carried on, which undoes jams. AIRSS calls this PUSH (Pickard and Needs 2011,
    doi:10.1088/0953-8984/23/5/053201). Distances between an atom and its own lattice images do not depend on the
    parameters: the caller has checked them with the cell.

    Parameters
    ----------
    distances : (species, species), Å.

    Returns
    -------
    Fractional coordinates (n, 3), or None and the pair of species indices that stayed closest to each other.
    """
    parameters = rng.random((len(layout.first), 3))
    rows = layout.first
    lines = np.swapaxes(layout.directions[rows], 1, 2) @ layout.cell  # (orbit, parameter, x y z)
    to_parameters = np.linalg.pinv(lines)
    movable = np.abs(lines).sum(axis=(1, 2)) > 0
    moved = np.zeros_like(parameters)
    near: Neighbours | None = None
    built_at = np.empty(0)
    best, waited = np.inf, 0
    violated = (0, 0)
    for _ in range(MAX_PUSHES):
        coordinates = fractional(layout, parameters)
        positions = coordinates @ layout.cell
        if near is None or np.abs(positions - built_at).max() > SKIN / 4:
            near, built_at = find_neighbours(layout, coordinates, distances), positions
            # A partner that symmetry holds in place cannot do its half.
            partner_moves = movable[layout.orbit[near.column]]
            share = np.where(partner_moves, 0.5, 1.0)
            stuck = ~(partner_moves | movable[near.row])
        vectors = positions[rows[near.row]] - positions[near.column] + near.shift
        lengths = np.sqrt(np.einsum("pc,pc->p", vectors, vectors))
        lacking = near.needed - lengths
        close = np.flatnonzero(lacking > 0)
        if not len(close):
            return coordinates % 1.0, None
        worst = close[np.argmax(lacking[close])]
        violated = int(layout.species[rows[near.row[worst]]]), int(layout.species[near.column[worst]])
        if stuck[close].any():
            return None, violated
        total = float(lacking[close].sum())
        waited = 0 if total < PROGRESS * best else waited + 1
        best = min(best, total)
        if waited > PATIENCE:
            return None, violated
        push = share[close] * (MARGIN * near.needed[close] - lengths[close]) / np.maximum(lengths[close], 1e-6)
        moves = np.zeros((len(rows), 3))
        np.add.at(moves, near.row[close], push[:, None] * vectors[close])
        moved = STEP * np.einsum("kc,kcp->kp", moves, to_parameters) + MOMENTUM * moved
        parameters = parameters + moved
    return None, violated


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Pairs that may come too close: first atoms of orbits (`row`) with atoms (`column`) shifted by lattice vectors.

    Attributes
    ----------
    row : (p,) orbit; column : (p,) atom; shift : (p, 3) Å, to add to (first atom - atom); needed : (p,) Å.
    """

    row: np.ndarray
    column: np.ndarray
    shift: np.ndarray
    needed: np.ndarray


def find_neighbours(layout: Layout, coordinates: np.ndarray, distances: np.ndarray) -> Neighbours:
    """All pairs within their minimum distance + `SKIN`, an atom with its own images left out.

    Valid until an atom has moved SKIN / 2.
    """
    rows, count = layout.first, len(layout.orbit)
    difference = coordinates[rows][:, None] - coordinates[None]
    whole = np.rint(difference)
    vectors = ((difference - whole) @ layout.cell)[:, :, None] + _IMAGES @ layout.cell
    needed = distances[layout.species[rows][:, None], layout.species[None, :]]
    reach = np.where(rows[:, None] == np.arange(count)[None, :], 0.0, needed + SKIN)
    squares = np.einsum("knic,knic->kni", vectors, vectors)
    row, column, image = np.nonzero(squares < reach[:, :, None] ** 2)
    shift = (_IMAGES[image] - whole[row, column]) @ layout.cell
    return Neighbours(row, column, shift, needed[row, column])
