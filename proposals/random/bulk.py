"""The default ensemble for bulk crystals: group, cell, Wyckoff positions, and atoms pushed apart.

Ab initio random structure searching (Pickard and Needs, J. Phys.: Condens. Matter 23, 053201 (2011),
doi:10.1088/0953-8984/23/5/053201), with Wyckoff positions from tables in place of merged images.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from ..recipe import Drawn, Recipe
from .lattice import CELL_DRAWS, draw_cell, metric_average
from .occupation import choose_orbits, group_fillings, group_sites
from .placement import in_order, place, too_close_to_itself

NO_CELL = "cell"
"""Reject reason: no well-shaped cell keeps every atom far enough from its own images."""

NO_SITES = "sites"
"""Reject reason: no Wyckoff positions hold the atoms, or those left are too close to themselves in this cell."""


@dataclass(frozen=True, eq=False)
class _Plan:
    """A recipe as arrays. Atoms of one kind (symbol and spin) are alike; kinds come in order of appearance.

    Attributes
    ----------
    symbols : of the kinds. counts : (kinds,) atoms of each.
    numbers, spins : (atoms,) of the atoms, in recipe order. places : (atoms,) in recipe order, sorted by kind.
    shortest, longest : (kinds, kinds) Å, the ends of the ranges of minimum distances, slack taken off.
    draws_distances : whether any range has a length.
    operations : allowed numbers, each with its groups.
    """

    symbols: tuple[str, ...]
    counts: tuple[int, ...]
    count_array: np.ndarray
    numbers: np.ndarray
    spins: np.ndarray | None
    places: np.ndarray
    shortest: np.ndarray
    longest: np.ndarray
    draws_distances: bool
    groups: tuple[tuple[int, tuple[int, ...]], ...]


@lru_cache(maxsize=32)
def _plan(recipe: Recipe) -> _Plan:
    """Kept while the same recipe object is drawn again."""
    atoms = [(unit.symbols[0], unit.spin) for unit in recipe.units]
    kinds = list(dict.fromkeys(atoms))
    kind_of = np.array([kinds.index(atom) for atom in atoms], dtype=np.int64)
    ranges = np.zeros((2, len(kinds), len(kinds)))
    for i, (one, _) in enumerate(kinds):
        for j, (other, _) in enumerate(kinds):
            ranges[:, i, j] = recipe.min_distances.get((min(one, other), max(one, other)), (0.0, 0.0))
    ranges *= 1 - recipe.slack
    counts = np.bincount(kind_of, minlength=len(kinds))
    spins = np.array([spin for _, spin in atoms])
    return _Plan(
        symbols=tuple(symbol for symbol, _ in kinds),
        counts=tuple(counts.tolist()),
        count_array=counts.astype(np.int64),
        numbers=np.array([atomic_numbers[symbol] for symbol, _ in atoms]),
        spins=spins if spins.any() else None,
        places=np.argsort(kind_of, kind="stable"),
        shortest=ranges[0],
        longest=ranges[1],
        draws_distances=bool((ranges[0] != ranges[1]).any()),
        groups=tuple((n, tuple(members)) for n, members in recipe.groups.items()),
    )


def draw_bulk(recipe: Recipe, rng: np.random.Generator, max_attempts: int = 500, attempts_per_group: int = 20) -> Drawn:
    """Draw a crystal of free atoms in a random cell with the random numbers of `rng`; a primitive cell, atoms wrapped.

    The number of operations is uniform over the counts allowed, the group over those with that count, the volume over
    its range. A group that cannot hold the atoms, or fails `attempts_per_group` trials of cell, sites and positions, is
    drawn again, and the volume with it. Minimum distances are uniform in their ranges in every attempt.

    Parameters
    ----------
    recipe : one whose `is_bulk` holds.
    """
    plan = _plan(recipe)
    rejects: Counter[str] = Counter()
    rejects_by_group: Counter[int] = Counter()
    atoms: Atoms | None = None
    attempts = operations = number = 0
    volume = 0.0
    while atoms is None and attempts < max_attempts:
        operations, members = plan.groups[int(rng.random() * len(plan.groups))]
        number = members[int(rng.random() * len(members))]
        volume = float(recipe.volume[0] + rng.random() * (recipe.volume[1] - recipe.volume[0]))
        possible = group_fillings(number, plan.counts) is not None
        for _ in range(min(attempts_per_group, max_attempts - attempts) if possible else 1):
            attempts += 1
            found = _try_once(recipe, plan, rng, number, volume) if possible else NO_SITES
            if not isinstance(found, str):
                atoms = found
                break
            rejects[found] += 1
            rejects_by_group[number] += 1
    return Drawn(atoms, number, operations, volume, attempts, dict(rejects), dict(rejects_by_group))


def _try_once(recipe: Recipe, plan: _Plan, rng: np.random.Generator, number: int, volume: float) -> Atoms | str:
    """One trial of cell, sites and positions: the structure, or the reject reason."""
    sites, fillings = group_sites(number), group_fillings(number, plan.counts)
    assert fillings is not None
    distances = plan.shortest
    if plan.draws_distances:
        part = np.triu(rng.random(distances.shape))
        distances = plan.shortest + (part + np.triu(part, 1).T) * (plan.longest - plan.shortest)
    natoms, kinds = len(plan.numbers), len(plan.counts)
    numbers = rng.random(6 * CELL_DRAWS + 1 + kinds + 4 * natoms)
    for_sites, for_orbits = 6 * CELL_DRAWS, 6 * CELL_DRAWS + 1 + kinds + natoms
    shortest = float(distances.diagonal().max())
    good, cell, drawn = draw_cell(
        numbers[:for_sites].reshape(-1, 6),
        metric_average(number),
        volume,
        shortest,
        recipe.lengths_ratio,
        recipe.flatness,
        recipe.compact,
    )
    if not good:
        return NO_CELL
    unusable = too_close_to_itself(
        cell, drawn, distances, plan.count_array, sites.multiplicity, sites.start, sites.offsets, sites.steady
    )
    orbit_species, orbit_position = choose_orbits(
        numbers[for_sites:for_orbits],
        plan.count_array,
        unusable,
        sites.multiplicity,
        sites.stride,
        sites.digits,
        sites.atoms,
        fillings.possible,
        fillings.sums,
    )
    if not len(orbit_species):
        return NO_SITES
    positions, species, one, other = place(
        numbers[for_orbits:].reshape(-1, 3),
        cell,
        drawn,
        distances,
        orbit_species,
        orbit_position,
        sites.start,
        sites.offsets,
        sites.directions,
    )
    if one >= 0:
        return f"{plan.symbols[min(one, other)]}-{plan.symbols[max(one, other)]}"
    if not recipe.compact:
        cell = drawn
    positions = in_order(positions, species, plan.places, cell)
    return Atoms(numbers=plan.numbers, positions=positions, cell=cell, pbc=True, magmoms=plan.spins)
