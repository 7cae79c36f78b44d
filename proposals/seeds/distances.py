"""MINSEP: smallest distances as given, as learned from structures, or from radii."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from math import pi

from ...formula import ELEMENTS
from ..radii import (
    MAX_DEFAULT_PACKING,
    UNCHARGED,
    covalent_radius,
    default_volumes,
    estimated_volume,
    minimum_distances,
)
from ..recipe import Pair, Range
from .learning import Learned
from .text import Directive
from .values import is_number, real_range

MAX_DISTANCE = 20.0
"""Å; no smallest distance is larger."""
_FEW_SPECIES = 5
"""Charges are guessed for so many species at most: the choices multiply."""


@dataclass(frozen=True)
class Distances:
    """What a seed says of distances.

    Attributes
    ----------
    default : Å, of all pairs not named; None: from radii.
    pairs : Å, by sorted pair.
    learned : AUTO stands there: distances and volume of given structures hold where they have them, else of radii.
    volume_only : AUTOVOL: only the volume is learned.
    """

    default: Range | None = None
    pairs: Mapping[Pair, Range] = field(default_factory=dict)
    learned: bool = False
    volume_only: bool = False

    def of(
        self, composition: Mapping[str, int], volume: float, from_structures: Learned | None
    ) -> dict[Pair, tuple[float, float]]:
        """Smallest and largest value (Å) from which each pair's minimum distance is drawn.

        Parameters
        ----------
        composition : atoms in the cell.
        volume : Å^3 of the cell, the smallest that may be drawn.
        from_structures : what was learned; None: nothing.
        """
        wanted = list(combinations_with_replacement(sorted(composition), 2))
        found = {pair: self.pairs[pair] for pair in wanted if pair in self.pairs}
        if self.learned and from_structures is not None:
            known = from_structures.distances
            found = {pair: (known[pair], known[pair]) for pair in wanted if pair in known} | found
        if self.default is not None and not (self.learned and from_structures is None):
            return {pair: found.get(pair, self.default) for pair in wanted}
        if len(found) < len(wanted):
            radii = radius_distances(composition, {pair: d[0] for pair, d in found.items()}, volume)
            found = {pair: found.get(pair, (radii[pair], radii[pair])) for pair in wanted}
        return {pair: found[pair] for pair in wanted}


def radius_distances(composition: Mapping[str, int], given: Mapping[Pair, float], volume: float) -> dict[Pair, float]:
    """Distance (Å) of every sorted pair from radii, in the cell's volume (Å^3); those given stay."""
    if len(composition) <= _FEW_SPECIES:
        return minimum_distances(composition, given, volume)[0]
    sums = {
        pair: UNCHARGED * (covalent_radius(pair[0]) + covalent_radius(pair[1]))
        for pair in combinations_with_replacement(sorted(composition), 2)
    }
    filled = sum(n * pi / 6 * sums[symbol, symbol] ** 3 for symbol, n in composition.items()) / volume
    scale = min(1.0, (MAX_DEFAULT_PACKING / filled) ** (1 / 3))
    return {pair: scale * d for pair, d in sums.items()} | dict(given)


def radius_volumes(composition: Mapping[str, int]) -> tuple[float, float]:
    """Smallest and largest volume (Å^3) of a cell with these atoms, from radii."""
    low, high = default_volumes(composition)
    atoms = sum(composition.values())
    return low * atoms, high * atoms


def radius_volume(composition: Mapping[str, int]) -> float:
    """Estimated volume (Å^3) of so many atoms."""
    return estimated_volume(composition) * sum(composition.values())


def parse_distances(directives: Sequence[Directive]) -> Distances:
    """What all MINSEP lines say together.

    Raises
    ------
    InputError : a word that is no distance, no pair and not AUTO, or a pair of something that is no element.
    """
    default: Range | None = None
    pairs: dict[Pair, Range] = {}
    learned = volume_only = False
    for directive in directives:
        place = directive.place
        for word in re.split(r"[,\s]+", re.sub(r"\s*=\s*", "=", directive.value)):
            name, equals, value = word.partition("=")
            if word.upper() in ("AUTO", "AUTOVOL"):
                learned, volume_only = learned or word.upper() == "AUTO", volume_only or word.upper() == "AUTOVOL"
            elif equals:
                species = tuple(sorted(part.capitalize() for part in name.split("-")))
                if len(species) != 2 or not all(symbol in ELEMENTS for symbol in species):
                    raise place.error(f"MINSEP: {name[:40]!r} is not a pair of elements: write for example Ti-O=1.8")
                pairs[species[0], species[1]] = real_range(value, f"MINSEP {name}", place, 0.0, MAX_DISTANCE)
            elif default is None or is_number(word[:1]):
                default = real_range(word, "MINSEP", place, 0.0, MAX_DISTANCE)
            else:
                raise place.error(f"MINSEP: {word[:40]!r} is no distance: write MINSEP=1.5 A-B=2.0, or AUTO")
    return Distances(default, pairs, learned, volume_only)
