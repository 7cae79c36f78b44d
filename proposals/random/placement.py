"""Atoms on Wyckoff orbits, pushed apart until every pair keeps its minimum distance, the symmetry kept exactly.

Orbit tables (`multiplicity`, `start`, `offsets`, `directions`, `steady`) are those of `occupation.Sites`. They refer to
the group's own primitive cell; `drawn` is that cell (3, 3), Å, and `cell` the reduced cell of the same lattice, in
which neighbours are looked for: images are then few.
"""

from __future__ import annotations

import numpy as np
from numba import njit

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


@njit(cache=True, error_model="numpy")
def _reciprocal(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of a cell, and lattice planes per Å (3,) along its columns."""
    inverse = np.empty((3, 3))
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        for x in range(3):
            y, z = (x + 1) % 3, (x + 2) % 3
            inverse[x, i] = cell[j, y] * cell[k, z] - cell[j, z] * cell[k, y]
    volume = cell[0, 0] * inverse[0, 0] + cell[0, 1] * inverse[1, 0] + cell[0, 2] * inverse[2, 0]
    densities = np.empty(3)
    for i in range(3):
        square = 0.0
        for x in range(3):
            inverse[x, i] /= volume
            square += inverse[x, i] ** 2
        densities[i] = np.sqrt(square)
    return inverse, densities


@njit(cache=True, error_model="numpy")
def too_close_to_itself(
    cell: np.ndarray,
    drawn: np.ndarray,
    distances: np.ndarray,
    counts: np.ndarray,
    multiplicity: np.ndarray,
    start: np.ndarray,
    offsets: np.ndarray,
    steady: np.ndarray,
) -> np.ndarray:
    """(species, position): whether an orbit there has atoms at a distance that no parameter changes and that is too
    short for the species. Positions for which there are not enough atoms are left out.

    Parameters
    ----------
    distances : (species, species) Å. counts : (species,) atoms of each.
    """
    kinds, positions = len(counts), len(multiplicity)
    close = np.zeros((kinds, positions), np.bool_)
    inverse, densities = _reciprocal(cell)
    limit, largest = 0.0, 0
    for k in range(kinds):
        limit = max(limit, distances[k, k])
        largest = max(largest, counts[k])
    vector = np.empty(3)
    for p in range(positions):
        if multiplicity[p] == 1 or multiplicity[p] > largest:
            continue
        shortest = limit * limit
        first = start[p]
        for row in range(first + 1, start[p + 1]):
            if not steady[row]:
                continue
            for x in range(3):
                vector[x] = 0.0
                for i in range(3):
                    vector[x] += (offsets[row, i] - offsets[first, i]) * drawn[i, x]
            a = vector[0] * inverse[0, 0] + vector[1] * inverse[1, 0] + vector[2] * inverse[2, 0]
            b = vector[0] * inverse[0, 1] + vector[1] * inverse[1, 1] + vector[2] * inverse[2, 1]
            c = vector[0] * inverse[0, 2] + vector[1] * inverse[1, 2] + vector[2] * inverse[2, 2]
            ra, rb, rc = limit * densities[0], limit * densities[1], limit * densities[2]
            for u in range(int(np.ceil(-a - ra)), int(np.floor(ra - a)) + 1):
                for v in range(int(np.ceil(-b - rb)), int(np.floor(rb - b)) + 1):
                    for w in range(int(np.ceil(-c - rc)), int(np.floor(rc - c)) + 1):
                        square = 0.0
                        for i in range(3):
                            length = vector[i] + u * cell[0, i] + v * cell[1, i] + w * cell[2, i]
                            square += length * length
                        shortest = min(shortest, square)
        for k in range(kinds):
            close[k, p] = shortest < distances[k, k] ** 2
    return close


@njit(cache=True, error_model="numpy")
def _to_parameters(lines: np.ndarray, atom: int) -> tuple[np.ndarray, bool]:
    """The pseudoinverse (x y z, parameter) of an atom's `lines` (atom, parameter, x y z); whether it moves at all.

    With L L^T, filled up by ones for zero rows, it is L^T (L L^T)^-1.
    """
    square = np.zeros((3, 3))
    movable = False
    for i in range(3):
        for j in range(3):
            for x in range(3):
                square[i, j] += lines[atom, i, x] * lines[atom, j, x]
        if square[i, i] == 0.0:
            square[i, i] = 1.0
        else:
            movable = True
    inverse, _ = _reciprocal(square)
    found = np.zeros((3, 3))
    for x in range(3):
        for i in range(3):
            for j in range(3):
                found[x, i] += lines[atom, j, x] * inverse[j, i]
    return found, movable


@njit(cache=True, error_model="numpy")
def _list_neighbours(
    cell: np.ndarray,
    inverse: np.ndarray,
    densities: np.ndarray,
    positions: np.ndarray,
    first: np.ndarray,
    species: np.ndarray,
    distances: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    shift: np.ndarray,
) -> int:
    """List pairs within their minimum distance + `SKIN`: first atoms of orbits (row) with all others (column).

    An atom's own images are left out. The vector of a pair is row's position - column's + shift (Å). Returns their
    number; those beyond the arrays' length are counted, not listed.
    """
    found = 0
    for k in range(len(first)):
        i = first[k]
        for j in range(len(positions)):
            if j == i:
                continue
            x = positions[i, 0] - positions[j, 0]
            y = positions[i, 1] - positions[j, 1]
            z = positions[i, 2] - positions[j, 2]
            reach = distances[species[i], species[j]] + SKIN
            a = x * inverse[0, 0] + y * inverse[1, 0] + z * inverse[2, 0]
            b = x * inverse[0, 1] + y * inverse[1, 1] + z * inverse[2, 1]
            c = x * inverse[0, 2] + y * inverse[1, 2] + z * inverse[2, 2]
            ra, rb, rc = reach * densities[0], reach * densities[1], reach * densities[2]
            for u in range(int(np.ceil(-a - ra)), int(np.floor(ra - a)) + 1):
                for v in range(int(np.ceil(-b - rb)), int(np.floor(rb - b)) + 1):
                    for w in range(int(np.ceil(-c - rc)), int(np.floor(rc - c)) + 1):
                        sx = u * cell[0, 0] + v * cell[1, 0] + w * cell[2, 0]
                        sy = u * cell[0, 1] + v * cell[1, 1] + w * cell[2, 1]
                        sz = u * cell[0, 2] + v * cell[1, 2] + w * cell[2, 2]
                        if (x + sx) ** 2 + (y + sy) ** 2 + (z + sz) ** 2 < reach * reach:
                            if found < len(row):
                                row[found], column[found] = k, j
                                shift[found, 0], shift[found, 1], shift[found, 2] = sx, sy, sz
                            found += 1
    return found


@njit(cache=True, error_model="numpy")
def place(
    numbers: np.ndarray,
    cell: np.ndarray,
    drawn: np.ndarray,
    distances: np.ndarray,
    orbit_species: np.ndarray,
    orbit_position: np.ndarray,
    start: np.ndarray,
    offsets: np.ndarray,
    directions: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Random free parameters, pushed until no pair is closer than allowed.

    Each step pushes an orbit's first atom away from its too close neighbours (all images), along their lines, by a part
    of what they lack, projected on the free parameters; the other atoms of the orbit follow by symmetry, and part of
    the last step is carried on, which undoes jams. AIRSS calls this PUSH (Pickard and Needs 2011,
    doi:10.1088/0953-8984/23/5/053201). Distances between an atom and its own lattice images do not depend on the
    parameters: the caller has checked them with the cell.

    Parameters
    ----------
    numbers : (k, 3), uniform in [0, 1). distances : (species, species), Å.
    orbit_species, orbit_position : (k,) species and Wyckoff position of each orbit.

    Returns
    -------
    positions (n, 3) Å, unwrapped; species (n,); and -1, -1, or the species of the pair that lacks most at the end.
    """
    orbits = len(orbit_species)
    atoms = 0
    for k in range(orbits):
        atoms += start[orbit_position[k] + 1] - start[orbit_position[k]]
    base = np.zeros((atoms, 3))
    lines = np.zeros((atoms, 3, 3))  # atom, parameter, x y z
    orbit = np.empty(atoms, np.int64)
    species = np.empty(atoms, np.int64)
    first = np.empty(orbits, np.int64)
    to_parameters = np.empty((orbits, 3, 3))
    movable = np.empty(orbits, np.bool_)
    parameters = np.empty((orbits, 3))
    n = 0
    for k in range(orbits):
        first[k] = n
        for parameter in range(3):
            parameters[k, parameter] = numbers[k, parameter]
        for table in range(start[orbit_position[k]], start[orbit_position[k] + 1]):
            orbit[n], species[n] = k, orbit_species[k]
            for x in range(3):
                for i in range(3):
                    base[n, x] += offsets[table, i] * drawn[i, x]
                    for parameter in range(3):
                        lines[n, parameter, x] += directions[table, i, parameter] * drawn[i, x]
            n += 1
        to_parameters[k], movable[k] = _to_parameters(lines, first[k])
    inverse, densities = _reciprocal(cell)
    moves = np.zeros((orbits, 3))
    last = np.zeros((orbits, 3))
    positions = np.zeros((atoms, 3))
    listed = np.zeros((atoms, 3))
    pairs = -1
    row = np.empty(32 * atoms, np.int64)
    column = np.empty(32 * atoms, np.int64)
    shift = np.empty((32 * atoms, 3))
    best, waited = np.inf, 0
    one, other = -1, -1
    for _ in range(MAX_PUSHES):
        farthest = 0.0
        for i in range(atoms):
            square = 0.0
            for x in range(3):
                place_x = base[i, x]
                for parameter in range(3):
                    place_x += parameters[orbit[i], parameter] * lines[i, parameter, x]
                positions[i, x] = place_x
                square += (place_x - listed[i, x]) ** 2
            farthest = max(farthest, square)
        if pairs < 0 or farthest > (SKIN / 2) ** 2:
            while True:
                pairs = _list_neighbours(
                    cell, inverse, densities, positions, first, species, distances, row, column, shift
                )
                if pairs <= len(row):
                    break
                row, column, shift = np.empty(pairs, np.int64), np.empty(pairs, np.int64), np.empty((pairs, 3))
            for i in range(atoms):
                for x in range(3):
                    listed[i, x] = positions[i, x]
        total, worst, stuck = 0.0, 0.0, False
        one, other = -1, -1
        for pair in range(pairs):
            k, j = row[pair], column[pair]
            i = first[k]
            x = positions[i, 0] - positions[j, 0] + shift[pair, 0]
            y = positions[i, 1] - positions[j, 1] + shift[pair, 1]
            z = positions[i, 2] - positions[j, 2] + shift[pair, 2]
            square = x * x + y * y + z * z
            needed = distances[species[i], species[j]]
            if square >= needed * needed:
                continue
            length = np.sqrt(square)
            lacking = needed - length
            total += lacking
            if lacking > worst:
                worst, one, other = lacking, species[i], species[j]
            # A partner that symmetry holds in place cannot do its half.
            share = 0.5 if movable[orbit[j]] else 1.0
            if not movable[k] and not movable[orbit[j]]:
                stuck = True
                break
            push = share * (MARGIN * needed - length) / max(length, 1e-6)
            moves[k, 0] += push * x
            moves[k, 1] += push * y
            moves[k, 2] += push * z
        if one < 0 or stuck:
            break
        if total < PROGRESS * best:
            waited = 0
        else:
            waited += 1
        best = min(best, total)
        if waited > PATIENCE:
            break
        for k in range(orbits):
            for parameter in range(3):
                step = MOMENTUM * last[k, parameter]
                for x in range(3):
                    step += STEP * moves[k, x] * to_parameters[k, x, parameter]
                last[k, parameter] = step
                parameters[k, parameter] += step
            for x in range(3):
                moves[k, x] = 0.0
    return positions, species, one, other


@njit(cache=True, error_model="numpy")
def in_order(positions: np.ndarray, species: np.ndarray, places: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Positions (n, 3) wrapped into `cell`; the atoms of each species take its places in turn.

    Parameters
    ----------
    places : (n,) those of the first species, then those of the second, and so on.
    """
    atoms = len(positions)
    inverse, _ = _reciprocal(cell)
    found = np.zeros((atoms, 3))
    taken = 0
    kind = 0
    while taken < atoms:
        for i in range(atoms):
            if species[i] != kind:
                continue
            for a in range(3):
                part = (
                    positions[i, 0] * inverse[0, a] + positions[i, 1] * inverse[1, a] + positions[i, 2] * inverse[2, a]
                )
                part -= np.floor(part)
                if part >= 1.0:  # of -1e-20
                    part = 0.0
                for x in range(3):
                    found[places[taken], x] += part * cell[a, x]
            taken += 1
        kind += 1
    return found
