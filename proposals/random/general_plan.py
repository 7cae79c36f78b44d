"""What all attempts of the general generator at one recipe share: equal units, and tables of distances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..recipe import Confinement, Pair, Recipe, Unit
from .regions import minimum_distances


@dataclass(frozen=True, eq=False)
class GeneralPlan:
    """What all attempts at a recipe share.

    Attributes
    ----------
    kinds : indices of equal units. rows : of each unit, its atoms' rows in the table of distances.
    symbols, radii : of these rows. species : names of the species; species_of : (k,) of each row.
    low, high : (k, k) Å.
    """

    recipe: Recipe
    kinds: list[list[int]]
    rows: list[list[int]]
    symbols: list[str]
    species: list[str]
    species_of: np.ndarray
    radii: np.ndarray
    low: np.ndarray
    high: np.ndarray
    confinement: Confinement | None
    free: bool

    @staticmethod
    def of(recipe: Recipe) -> GeneralPlan:
        kinds: dict[tuple[object, ...], list[int]] = {}
        rows: dict[tuple[str, float | None], int] = {}
        unit_rows = []
        for index, unit in enumerate(recipe.units):
            kinds.setdefault(_kind(unit), []).append(index)
            unit_rows.append([rows.setdefault((symbol, unit.radius), len(rows)) for symbol in unit.symbols])
        symbols = [symbol for symbol, _ in rows]
        species = sorted(set(symbols))
        radii = np.array([np.nan if radius is None else radius for _, radius in rows])
        low = minimum_distances(symbols, {pair: ends[0] for pair, ends in recipe.min_distances.items()}, radii)
        high = minimum_distances(symbols, {pair: ends[1] for pair, ends in recipe.min_distances.items()}, radii)
        confinement = recipe.confinement
        if confinement is None and recipe.cluster:
            radius = float(np.cbrt(3 * recipe.volume[1] / (4 * np.pi)))
            confinement = Confinement((radius, radius, radius))
        free = confinement is None and all(
            len(unit.symbols) == 1 and lands_anywhere(unit) and unit.pushed for unit in recipe.units
        )
        return GeneralPlan(
            recipe,
            list(kinds.values()),
            unit_rows,
            symbols,
            species,
            np.array([species.index(symbol) for symbol in symbols], dtype=int),
            radii,
            low,
            high,
            confinement,
            free,
        )

    def draw_distances(self, rng: np.random.Generator, lowest: bool) -> np.ndarray:
        """The table (k, k) Å of this attempt: one uniform number for each pair of species."""
        if lowest or (self.low == self.high).all():
            return self.low
        numbers = np.tril(rng.random((len(self.species), len(self.species))))
        numbers = (numbers + np.tril(numbers, -1).T)[self.species_of[:, None], self.species_of[None, :]]
        return self.low + numbers * (self.high - self.low)

    def by_pair(self, distances: np.ndarray) -> dict[Pair, float]:
        """The least distance of each pair of species in a table."""
        pairs: dict[Pair, float] = {}
        for i, first in enumerate(self.symbols):
            for j, second in enumerate(self.symbols):
                pair = (min(first, second), max(first, second))
                pairs[pair] = min(pairs.get(pair, np.inf), float(distances[i, j]))
        return pairs


def _kind(unit: Unit) -> tuple[object, ...]:
    """What equal units share."""
    position = None if unit.position is None else np.asarray(unit.position, dtype=float).tobytes()
    offsets = np.asarray(unit.offsets, dtype=float).tobytes()
    placed = (position, unit.amplitude, unit.least_amplitude, unit.box, unit.turn, unit.occupation)
    asked = (unit.pushed, unit.frozen, unit.radius, unit.coordination, unit.spin, unit.label)
    return (unit.symbols, offsets, *placed, *asked)


def lands_anywhere(unit: Unit) -> bool:
    """Whether its position says nothing."""
    return unit.position is None or (unit.amplitude is None and unit.box is None)
