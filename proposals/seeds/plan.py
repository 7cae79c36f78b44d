"""A seed whose choices are made, read to the end: everything but what is left to chance for each candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...errors import InfeasibleTarget, InputError
from ..recipe import Confinement, Recipe, Unit
from .atoms import Entry
from .composition import MAX_ATOMS, Content, Counts
from .distances import Distances
from .groups import Groups
from .learning import Learned
from .shape import ellipsoid, random_supercell
from .volume import PER_ATOM, Volume

_KEPT = 500
"""Recipes that a plan remembers, one per composition."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What a seed asks for.

    Attributes
    ----------
    name : of the seed.
    entries : listed units; adatoms : those put on at last.
    content : how often each entry may stand in a formula unit.
    units : smallest and largest number of formula units; None: one per symmetry operation.
    groups : international numbers by number of operations.
    volume, distances : how they follow from the content.
    learned : what structures taught; None: nothing.
    supercell : how many cells a random supercell has; 0: none, or a given one in `settings`.
    slab : a random supercell repeats along a and b only.
    ellipsoid : radius (Å) and spread; None: none.
    settings : the fields of `Recipe` that are the same for every candidate.
    warnings : what a person should know.
    passed_through : CASTEP's part of the seed.
    pressure_gpa : of an EXTERNAL_PRESSURE block, or None.
    random_seed : from SEED, or None.
    formula : all species, with the numbers of one formula unit where these are settled.
    """

    name: str
    entries: tuple[Entry, ...]
    adatoms: tuple[Entry, ...]
    content: Content
    units: tuple[int, int] | None
    groups: Groups
    volume: Volume
    distances: Distances
    learned: Learned | None
    supercell: int
    slab: bool
    ellipsoid: tuple[float, float] | None
    settings: dict[str, Any]
    warnings: tuple[str, ...]
    passed_through: str
    pressure_gpa: float | None
    random_seed: int | None
    formula: str
    _recipes: dict[tuple[Counts, int, int], Recipe] = field(default_factory=dict, repr=False)

    def recipe(self, rng: np.random.Generator, choices: Sequence[str] = ()) -> Recipe:
        """One candidate's recipe.

        Raises
        ------
        InfeasibleTarget : no composition obeys the seed.
        InputError : the cell would hold no atoms, too many, or have an absurd volume.
        """
        counts = self.content.draw(rng)
        operations = self._operations(rng)
        if self.units is None:
            units = operations
        else:
            low, high = self.units
            units = low if low == high else int(rng.integers(low, high + 1))
        key = (counts, units, operations)
        recipe = self._recipes.get(key)
        if recipe is None:
            recipe = self._build(counts, units, operations)
            if len(self._recipes) < _KEPT:
                self._recipes[key] = recipe
        changes: dict[str, Any] = {"notes": tuple(choices)} if choices else {}
        if self.supercell:
            changes["supercell"] = np.array(random_supercell(rng, self.supercell, self.slab))
        if self.ellipsoid is not None:
            changes["confinement"] = Confinement(ellipsoid(rng, *self.ellipsoid))
        return replace(recipe, **changes) if changes else recipe

    def _operations(self, rng: np.random.Generator) -> int:
        """The number of operations, where the content depends on it; else 0: the generator draws it."""
        if self.units is not None and all(entry.tags.mult is None for entry in self.entries):
            return 0
        possible = sorted(self.groups)
        return possible[0] if len(possible) == 1 else possible[int(rng.integers(len(possible)))]

    def _build(self, counts: Counts, units: int, operations: int) -> Recipe:
        copies = [self._copies(entry, n, units, operations) for entry, n in zip(self.entries, counts, strict=True)]
        atoms = sum(n * len(entry.symbols) for entry, n in zip(self.entries, copies, strict=True))
        if atoms == 0:
            raise InfeasibleTarget(f"{self.name}: the cell holds no atoms: raise NUM, NATOM or NFORM")
        cells = self.supercell or round(abs(np.linalg.det(self.settings.get("supercell", np.eye(3)))))
        if atoms * cells > MAX_ATOMS:
            raise InputError(f"{self.name}: {atoms * cells} atoms in a cell; at most {MAX_ATOMS} are possible")
        composition: dict[str, int] = {}
        placed: list[Unit] = []
        total = 0.0
        for entry, n in zip(self.entries, copies, strict=True):
            placed += [entry.unit(self._occupation(entry, operations))] * n
            total += n * len(entry.symbols) * (entry.tags.vol or 0.0)
            for symbol in entry.symbols if n else ():
                composition[symbol] = composition.get(symbol, 0) + n
        if self.volume.source == "atoms":
            volume = (total, total)
        else:
            volume = self.volume.of(composition, units, self.content.atoms is not None, self.learned)
        if not PER_ATOM[0] * atoms <= volume[0] <= volume[1] <= PER_ATOM[1] * atoms:
            raise InputError(
                f"{self.name}: {volume[0]:g} to {volume[1]:g} Å^3 for {atoms} atoms is no volume: {PER_ATOM[0]:g} to "
                f"{PER_ATOM[1]:g} Å^3 per atom are possible"
            )
        with_adatoms = dict(composition)
        for entry in self.adatoms:
            for symbol in entry.symbols:
                with_adatoms[symbol] = with_adatoms.get(symbol, 0) + 1
        groups = {operations: self.groups[operations]} if operations else self.groups
        return Recipe(
            units=tuple(placed),
            volume=volume,
            min_distances=self.distances.of(with_adatoms, volume[0], self.learned),
            groups=groups,
            **self.settings,
        )

    def _copies(self, entry: Entry, n: int, units: int, operations: int) -> int:
        """How often a unit stands in the cell; symmetry repeats it, less often on special positions."""
        share = self._occupation(entry, operations) if self.units is None else None
        return n * units if share is None else max(n, round(n * units * share))

    @staticmethod
    def _occupation(entry: Entry, operations: int) -> float | None:
        if entry.tags.mult is not None and operations:
            return min(1.0, entry.tags.mult / operations)
        return entry.tags.occ
