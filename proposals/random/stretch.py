"""Minimum distances stretched until the atoms fill the cell evenly: closer to where they end, and fewer steps away.

A minimum distance says what must not happen. Atoms pushed just so far apart lie in clumps and leave voids; asked to
keep farther apart, within what the volume allows, they spread out. Metals and ionic compounds gain by that; open
networks of non-metals lose their short bonds, and are left alone (docs/results/random-structures.md has the figures).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache

import numpy as np
from pymatgen.core import Element

from ..radii import guess_charges, packing
from ..recipe import Pair, Range, Recipe, Unit
from .bulk import draw_bulk

FILLED = 0.66
"""Share of the smallest volume that spheres of the stretched distances fill; equal ones at random jam at 0.64."""

LEVELS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
"""Parts of the largest stretch that are tried, to find one that can be drawn."""

TRIALS = 6
"""Structures drawn at each level."""

COST = 2.0
"""Attempts that a structure may take, over those that it takes without any stretch ..."""

CHEAP = 160
"""... or so many that this number of atoms is placed in all of them, whichever is more."""


def stretched(recipe: Recipe) -> tuple[Recipe, float]:
    """The recipe of a bulk crystal with its minimum distances stretched by one factor, and that factor, 1 or more.

    The factor is a function of the recipe alone: it is found by trial draws, their random numbers always the same.
    """
    species: list[str] = []
    for unit in recipe.units:
        if unit.symbols[0] not in species:
            species.append(unit.symbols[0])
    counts = Counter(unit.symbols[0] for unit in recipe.units)
    factor = _factor(
        tuple((symbol, counts[symbol]) for symbol in species),
        recipe.volume,
        tuple(sorted(recipe.min_distances.items())),
        tuple(recipe.groups.items()),
        (recipe.lengths_ratio, recipe.flatness, recipe.slack, recipe.compact),
    )
    return (_times(recipe, factor) if factor > 1 else recipe), factor


def _times(recipe: Recipe, factor: float) -> Recipe:
    distances = {pair: (factor * low, factor * high) for pair, (low, high) in recipe.min_distances.items()}
    return replace(recipe, min_distances=distances)


@lru_cache(maxsize=1024)
def _factor(
    counts: tuple[tuple[str, int], ...],
    volume: Range,
    distances: tuple[tuple[Pair, Range], ...],
    groups: tuple[tuple[int, tuple[int, ...]], ...],
    shape: tuple[float, float, float, bool],
) -> float:
    composition = dict(counts)
    if not (all(Element(symbol).is_metal for symbol in composition) or guess_charges(composition)):
        return 1.0
    filled, _ = packing(composition, {pair: low for pair, (low, _) in distances}, volume[0])
    largest = (FILLED / filled) ** (1 / 3) if filled > 0 else 1.0
    if largest <= 1:
        return 1.0
    units = tuple(Unit((symbol,), np.zeros((1, 3))) for symbol, n in counts for _ in range(n))
    ratio, flatness, slack, compact = shape
    plain = Recipe(
        units,
        volume,
        dict(distances),
        dict(groups),
        lengths_ratio=ratio,
        flatness=flatness,
        slack=slack,
        compact=compact,
    )
    allowed = int(max(COST * _attempts(plain, 500 * TRIALS), CHEAP * TRIALS / len(units)))
    for level in LEVELS:
        factor = 1 + level * (largest - 1)
        if _attempts(_times(plain, factor), allowed + 1) <= allowed:
            return factor
    return 1.0


def _attempts(recipe: Recipe, most: int) -> int:
    """Attempts that `TRIALS` structures take, `most` where they take more."""
    rng, spent = np.random.default_rng(0), 0
    for _ in range(TRIALS):
        drawn = draw_bulk(recipe, rng, most - spent)
        spent += drawn.attempts
        if drawn.atoms is None or spent >= most:
            return most
    return spent
