"""One trial: a cell, an occupation and positions for a space group; a structure, or the reason why not."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from ..wyckoff import space_group
from .feasibility import Plan
from .lattice import MAX_ASPECT, aspect, cell_from_metric, random_metric, reduce_metric
from .occupation import draw_occupation
from .placement import make_layout, place, self_distances

NO_CELL = "cell"
"""Reject reason: no well-shaped cell keeps every atom far enough from its own images."""

NO_OCCUPATION = "occupation"
"""Reject reason: the Wyckoff positions chosen leave atoms over, or are too close to themselves in this cell."""


def try_once(
    rng: np.random.Generator, plan: Plan, number: int, counts: tuple[int, ...], volume_per_atom: float
) -> tuple[Atoms | None, str]:
    """One trial for space group `number` and `counts` atoms of each species of `plan`, at `volume_per_atom` (Å^3).

    Returns
    -------
    The structure (reduced primitive cell, atoms wrapped, species in formula order) or None, and the reject reason:
    `NO_CELL`, `NO_OCCUPATION`, or the pair that stayed too close ("Ti-O").
    """
    group = space_group(number)
    distances = plan.distances
    shortest = float(np.diag(distances).max())
    metric = random_metric(rng, group.rotations, shortest, volume_per_atom * sum(counts))
    if metric is None:
        return None, NO_CELL
    metric, transform = reduce_metric(metric)
    if aspect(metric) > MAX_ASPECT:
        return None, NO_CELL
    cell = cell_from_metric(metric)
    unusable = frozenset(
        (species, position)
        for position, distance in self_distances(group, cell, transform).items()
        for species in range(len(counts))
        if distance < distances[species, species]
    )
    orbits = draw_occupation(rng, group, counts, unusable)
    if orbits is None:
        return None, NO_OCCUPATION
    layout = make_layout(group, orbits, cell, transform)
    coordinates, pair = place(rng, layout, distances)
    if coordinates is None or pair is not None:
        first, second = pair or (0, 0)
        return None, f"{plan.species[min(first, second)]}-{plan.species[max(first, second)]}"
    order = np.argsort(layout.species, kind="stable")
    symbols = [plan.species[s] for s in layout.species[order]]
    return Atoms(symbols, scaled_positions=coordinates[order], cell=cell, pbc=True), ""
