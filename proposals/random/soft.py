"""Soft spheres: a last relaxation of positions, and of the cell's shape at fixed volume, until little overlap is left.

A pair at r Å whose full minimum distance is m has the energy (m/r)^12 - 2 (m/r)^6 + 1 for r < m and none beyond, a
Lennard-Jones potential of depth 1 cut at its minimum and shifted to zero there. Descent is by FIRE (Bitzek et al. 2006,
doi:10.1103/PhysRevLett.97.170201) on the sites' first units and the strain; both keep the symmetry.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .push import Layout, atom_positions, list_pairs

MAX_STEPS = 500
"""Steps of descent."""

LONGEST_MOVE = 0.05
"""Largest move in one step, in units of the longest distance."""


@njit(cache=True)
def energy_and_forces(
    cell: np.ndarray, points: np.ndarray, layout: Layout, distances: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Energy per atom, forces (s, 3) per Å on the first unit of each site, and the virial (3, 3) per cell.

    The virial is -dE/dε for rows that go by x (1 + ε), each rigid unit moved as a whole.
    """
    positions = atom_positions(points, layout)
    pairs, shifts = list_pairs(cell, positions, layout, distances, 0.0)
    sites, atoms = len(layout.first), len(layout.offsets)
    copies = np.zeros(sites)
    for c in range(len(layout.site)):
        copies[layout.site[c]] += 1
    forces = np.zeros((sites, 3))
    virial = np.zeros((3, 3))
    energy = 0.0
    line = np.empty(3)
    for p in range(len(pairs)):
        i, j, s = pairs[p, 0], pairs[p, 1], pairs[p, 2]
        square = 0.0
        for x in range(3):
            line[x] = positions[i, x] - positions[j, x] - shifts[p, x]
            square += line[x] * line[x]
        need = distances[layout.kinds[i], layout.kinds[j]]
        square = max(square, 0.04 * need * need)
        sixth = (need * need / square) ** 3
        energy += 0.5 * copies[s] * (sixth - 1) ** 2
        slope = 12 * (sixth - 1) * sixth / square
        for x in range(3):
            if pairs[p, 3] >= 0:
                forces[s, x] += slope * line[x]
            for y in range(3):
                # Only distances between centres stretch.
                stretch = line[y] - layout.offsets[i, y] + layout.offsets[j, y]
                virial[x, y] += 0.5 * copies[s] * slope * line[x] * stretch
    return energy / atoms, forces, virial


@njit(cache=True)
def soften(
    cell: np.ndarray,
    points: np.ndarray,
    layout: Layout,
    distances: np.ndarray,
    accept: float,
    adapt: bool,
    symmetric: bool,
) -> tuple[np.ndarray, np.ndarray, Layout, float]:
    """Descend until the energy per atom is at most `accept`, or for `MAX_STEPS`.

    Parameters
    ----------
    points : (s, 3) Å. distances : (k, k) Å, the full minima. adapt : the cell's shape too.
    symmetric : the strain is averaged over the operations; otherwise the lattice may lose the symmetry.

    Returns
    -------
    cell (3, 3), points (s, 3), layout with its operations in the new cell, energy per atom.
    """
    longest = distances.max()
    sites = len(points)
    n = len(layout.turns)
    lever = abs(np.linalg.det(cell)) ** (1 / 3)
    speed = np.zeros((sites + 3, 3))
    push = np.zeros((sites + 3, 3))
    time, mixing, good = 0.02 * longest, 0.1, 0
    energy, forces, virial = energy_and_forces(cell, points, layout, distances)
    for _ in range(MAX_STEPS):
        if energy <= accept:
            break
        for s in range(sites):
            push[s] = forces[s] @ layout.projectors[s]
        push[sites:] = 0.0
        if adapt:
            strain = np.zeros((3, 3))
            if symmetric:
                for g in range(n):
                    strain += layout.turns[g].T @ virial @ layout.turns[g] / n
            else:
                strain += virial
            strain = (strain + strain.T) / 2
            trace = (strain[0, 0] + strain[1, 1] + strain[2, 2]) / 3
            for x in range(3):
                strain[x, x] -= trace
            push[sites:] = strain / lever / len(layout.site)
        power = (push * speed).sum()
        strength = np.sqrt((push**2).sum())
        if strength < 1e-9:
            break
        if power > 0:
            speed = (1 - mixing) * speed + mixing * np.sqrt((speed**2).sum()) * push / strength
            good += 1
            if good > 5:
                time, mixing = min(1.1 * time, 0.2 * longest), 0.99 * mixing
        elif good > 0 or power < 0:
            speed[:] = 0.0
            time, mixing, good = max(0.5 * time, 1e-3 * longest), 0.1, 0
        speed = speed + time * push
        move = time * speed
        limit = np.abs(move).max()
        if limit > LONGEST_MOVE * longest:
            move *= LONGEST_MOVE * longest / limit
            speed *= LONGEST_MOVE * longest / limit
        points = points + move[:sites]
        if adapt:
            deform = np.eye(3) + move[sites:] / lever
            deform /= np.linalg.det(deform) ** (1 / 3)
            back = np.linalg.inv(deform)
            cell = cell @ deform
            points = points @ deform
            turns, projectors = layout.turns.copy(), layout.projectors.copy()
            for g in range(n):
                turns[g] = back @ turns[g] @ deform
            for s in range(sites):
                projectors[s] = back @ projectors[s] @ deform
            layout = Layout(
                turns,
                layout.translations @ deform,
                projectors,
                layout.site,
                layout.operation,
                layout.first,
                layout.start,
                layout.offsets,
                layout.kinds,
                layout.periodic,
            )
        energy, forces, virial = energy_and_forces(cell, points, layout, distances)
    return cell, points, layout, energy
