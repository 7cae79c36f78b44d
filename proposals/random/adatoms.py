"""Units that are put onto free places of a structure: on the surface of a slab or cluster, or inside of a crystal."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce

from ...errors import InfeasibleTarget
from ..recipe import Confinement, Unit
from .bodies import Distances, grow, heights, label, lattice_vectors, nearest, too_close
from .regions import place_centre, random_rotation

PLACES, ROUNDS = 300, 10
"""Random points looked at for an adatom, and how often, until one is far enough from all atoms."""

LINES = 30
"""Lines drawn, in each round, along which an adatom comes down onto a surface until one meets an atom."""


class NoRoom(InfeasibleTarget):
    """An edit found no way to be done in this structure; another draw may have one."""


def add_unit(
    atoms: Atoms,
    unit: Unit,
    number: int,
    distances: Distances,
    surface: str,
    confinement: Confinement | None,
    rng: np.random.Generator,
) -> None:
    """Put one unit onto a free place, in contact with an atom or as near to that as some hundred points come.

    On a surface, the cell grows by what the unit sticks out of it.

    Parameters
    ----------
    atoms : labelled (`bodies`); gets the unit's atoms at its end.
    number : the unit's.
    surface : "slab", "cluster", or "" for the inside of a crystal. A unit with a position of its own goes there.

    Raises
    ------
    NoRoom : no such place was found.
    """
    offsets = np.asarray(unit.offsets, float).reshape(-1, 3)
    both = atoms + Atoms(list(unit.symbols), positions=offsets)
    guests = both[len(atoms) :]
    label(guests, [unit], number)
    both = atoms + guests
    required = distances.between(both)
    own_place = unit.position is not None and (unit.amplitude is not None or unit.box is not None)
    for _ in range(ROUNDS):
        turned = offsets @ random_rotation(unit.turn, rng).T if len(offsets) > 1 else offsets
        if surface and not own_place:
            found = _landing(atoms, turned, required[len(atoms) :, : len(atoms)], surface, rng)
        else:
            points = np.array([place_centre(unit, atoms.cell.array, confinement, rng) for _ in range(PLACES)])
            found = _tightest(atoms, turned, required[len(atoms) :, : len(atoms)], points)
        if found is None:
            continue
        both.set_cell(atoms.cell, scale_atoms=False)
        both.positions[len(atoms) :] = turned + found
        if surface:
            _make_way(both, len(atoms), surface)
        if too_close(both, required) is None:
            guests.positions = both.positions[len(atoms) :]
            atoms.extend(guests)
            atoms.set_cell(both.cell, scale_atoms=False)
            return
    name = unit.label or "".join(unit.symbols)
    raise NoRoom(f"no free place for {name} found in {ROUNDS} rounds: give more volume or smaller minimum distances")


def _tightest(atoms: Atoms, guests: np.ndarray, required: np.ndarray, points: np.ndarray) -> np.ndarray | None:
    """Of `points` (p, 3) the one where the guests come closest to contact with an atom without being too close.

    Parameters
    ----------
    guests : (m, 3) Å from their centre; required : (m, n) Å to the atoms.
    """
    images = lattice_vectors(atoms, float(required.max(initial=0.0)))
    best, least = None, np.inf
    for point in points:
        vectors = nearest(atoms, (point + guests)[:, None] - atoms.positions[None])
        lengths = np.sqrt(((vectors[:, :, None] + images) ** 2).sum(axis=-1).min(axis=-1))
        gap = float((lengths - required).min(initial=np.finfo(float).max))
        if 0 <= gap < least:
            best, least = point, gap
    return best


def _landing(
    atoms: Atoms, guests: np.ndarray, required: np.ndarray, surface: str, rng: np.random.Generator
) -> np.ndarray | None:
    """Where guests, coming from outside along a random line, first touch an atom: a shift (3,) Å; None: they miss all.

    The line runs down the normal of a slab, anywhere, or past a random atom of a cluster from a random direction.
    """
    reach = float(required.max(initial=0.0))
    for _ in range(LINES):
        if surface == "slab":
            cell = atoms.cell.array
            line = np.cross(cell[0], cell[1])
            line *= np.sign(line @ cell[2]) / np.linalg.norm(line)
            base = rng.random(2) @ cell[:2]
        else:
            line = rng.standard_normal(3)
            line /= np.linalg.norm(line)
            base = atoms.positions[rng.integers(len(atoms))] + reach * rng.uniform(-0.5, 0.5, 3)
        height = _first_touch(atoms, base + guests, line, required, surface)
        if np.isfinite(height):
            return base + (height + 1e-9) * line
    return None


def _first_touch(atoms: Atoms, guests: np.ndarray, line: np.ndarray, required: np.ndarray, surface: str) -> float:
    """The largest t (Å) at which a guest, moved by t along the unit vector `line`, is in contact; -inf: never.

    |guest + t line - atom| = required distance; the larger of its two roots, over all pairs and images.
    """
    highest = -np.inf
    flat = np.vstack([minkowski_reduce(atoms.cell.array, pbc=(True, True, False))[0][:2], line])
    for guest, needed in zip(guests, required, strict=True):
        gaps = (guest - atoms.positions)[:, None]
        if surface == "slab":
            # In the plane, to within half a reduced cell of the guest, then all images that may touch it.
            gaps = gaps - np.rint(gaps @ np.linalg.inv(flat))[..., :2] @ flat[:2]
            most = np.floor(float(needed.max(initial=0.0)) / heights(flat)[:2] + 0.5).astype(int)
            grid = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij"), axis=-1)
            gaps = gaps - grid.reshape(-1, 2) @ flat[:2]
        along = gaps @ line
        inside = needed[:, None] ** 2 - (gaps**2).sum(axis=-1) + along**2
        roots = np.where(inside > 0, np.sqrt(np.maximum(inside, 0.0)) - along, -np.inf)
        highest = max(highest, float(roots.max(initial=-np.inf)))
    return highest


def _make_way(atoms: Atoms, hosts: int, surface: str) -> None:
    """Grow the cell by what the guests, atoms from `hosts` on, stick out of the others."""
    along = atoms.cell.scaled_positions(atoms.positions) * heights(atoms.cell.array)
    over = along[hosts:].max(axis=0) - along[:hosts].max(axis=0)
    under = along[:hosts].min(axis=0) - along[hosts:].min(axis=0)
    grow(atoms, (np.maximum(over, 0) + np.maximum(under, 0)) * ((0, 0, 1) if surface == "slab" else (1, 1, 1)))
