"""Known structures with a target's elements in the place of their own, the likeliest first, each one once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from math import gcd

import numpy as np
from ase import Atoms

from ...formula import pair_key
from ...records import Target
from ..radii import VOLUME_RANGE, estimated_volume, minimum_distances
from ..shake import in_order, pair_distances
from ..wyckoff import groups_by_operations
from .fingerprint import distance, fingerprint
from .library import Library, Primitive, Prototype, anonymous
from .similarity import unlikeness

SAME = 0.01
"""Fingerprint distance below which structures of one space group and the same orbits are one. Of 5,222 united with
another (110 targets of Materials Project structures), the matcher of `xtalseek evaluate` judged 3 otherwise."""

LIKELY_VOLUMES = (0.71, 1.47)
"""Of the estimate of `radii`: its 1 % and 99 % quantiles of real volumes."""

Refused = Counter[str]
"""Substitutions of the right formula that gave nothing, by reason."""
Orbits = tuple[tuple[int, int], ...]
"""Of each atom: number of its species, and atoms in its orbit; sorted."""


@dataclass(frozen=True, eq=False)
class Substitution:
    """A prototype with the target's elements.

    Attributes
    ----------
    prototype : its name.
    species : the target's element in the place of each of the prototype's.
    unlikeness : sum over atoms of the formula unit; 0 where all elements are the prototype's own.
    atoms : the structure at the volume expected; species in the target's order.
    group : international number of its space group.
    """

    prototype: str
    species: Mapping[str, str]
    unlikeness: float
    atoms: Atoms
    group: int


class Ranking:
    """The substitutions that fit a target, worked out as far as they were asked for."""

    def __init__(self, library: Library, target: Target, same_formula: bool) -> None:
        self.refused: Refused = Counter()
        self._found: list[Substitution] = []
        self._more = _distinct(library, target, same_formula, self.refused)

    def get(self, rank: int) -> Substitution | None:
        """The substitution of this rank, from 0; None where there are fewer."""
        while len(self._found) <= rank:
            substitution = next(self._more, None)
            if substitution is None:
                return None
            self._found.append(substitution)
        return self._found[rank]

    def __len__(self) -> int:
        """How many there are; all are worked out."""
        while self.get(len(self._found)) is not None:
            pass
        return len(self._found)


def _distinct(library: Library, target: Target, same_formula: bool, refused: Refused) -> Iterator[Substitution]:
    groups = groups_by_operations(*target.symmetry_operations, target.space_groups)
    allowed = {number for numbers in groups.values() for number in numbers}
    species = list(target.composition)
    units = target.formula_units
    per_unit = sum(target.composition.values())
    known: dict[tuple[object, ...], list[np.ndarray]] = {}
    for score, prototype, assignment in _assignments(library, target.composition, same_formula):
        primitive = prototype.primitive
        if primitive is None:
            refused["without a primitive cell"] += 1
            continue
        count, rest = divmod(len(primitive.atoms), per_unit)
        if rest or not units[0] <= count <= units[1]:
            refused["with other numbers of formula units"] += 1
            continue
        if primitive.group not in allowed:
            refused["of other symmetry"] += 1
            continue
        atoms, orbits = _substituted(primitive, assignment, species)
        key = (primitive.group, count, orbits)
        mark = fingerprint(atoms, species)
        if any(distance(mark, other) < SAME for other in known.get(key, ())):
            continue
        fitted = _fitted(atoms, prototype, target)
        if fitted is None:
            refused["with atoms too close at the volume allowed"] += 1
            continue
        known.setdefault(key, []).append(mark)
        yield Substitution(prototype.name, assignment, score, fitted, primitive.group)


def _assignments(
    library: Library, composition: Mapping[str, int], same_formula: bool
) -> list[tuple[float, Prototype, dict[str, str]]]:
    """Every way to put the target's elements in a prototype's places, most alike first; ties as in the library."""
    units = gcd(*composition.values())
    wanted = {symbol: n // units for symbol, n in composition.items()}
    found = []
    for prototype in library.prototypes.get(anonymous(composition), ()):
        own = prototype.composition
        if not same_formula and own == wanted:
            continue
        for chosen in permutations(wanted):
            assignment = dict(zip(own, chosen, strict=True))
            if all(own[old] == wanted[new] for old, new in assignment.items()):
                # Rounded, so that sums of the same terms in another order are ties.
                score = round(sum(n * unlikeness(old, assignment[old]) for old, n in own.items()), 9)
                found.append((score, prototype, assignment))
    return sorted(found, key=lambda item: item[0])


def _substituted(primitive: Primitive, assignment: Mapping[str, str], species: list[str]) -> tuple[Atoms, Orbits]:
    """The primitive cell with the target's elements, in the target's order, and the sizes of each one's orbits."""
    symbols = [assignment[symbol] for symbol in primitive.atoms.get_chemical_symbols()]
    orbits = tuple(
        sorted((species.index(symbol), int(size)) for symbol, size in zip(symbols, primitive.orbits, strict=True))
    )
    atoms = primitive.atoms.copy()
    atoms.set_chemical_symbols(symbols)
    return in_order(atoms, species), orbits


def _fitted(atoms: Atoms, prototype: Prototype, target: Target) -> Atoms | None:
    """The structure at the volume expected of it, or as much larger, within the range allowed, as its distances need.

    None where that is not enough.
    """
    expected = expected_volume(prototype, target.composition)
    low, high = target.volume_per_atom or (VOLUME_RANGE[0] * expected, VOLUME_RANGE[1] * expected)
    volume = min(max(expected, low), high)
    given = {pair_key(pair): d for pair, d in target.min_distances.items()}
    limits, _ = minimum_distances(target.composition, given, low * sum(target.composition.values()))
    scaled = atoms.copy()
    scaled.set_cell(atoms.cell.array * (volume * len(atoms) / atoms.get_volume()) ** (1 / 3), scale_atoms=True)
    own = pair_distances(scaled, list(target.composition), max(limits.values()))
    growth = max(1.0, *(limit / own[pair] for pair, limit in limits.items()))
    if volume * growth**3 > high * (1 + 1e-9):
        return None
    scaled.set_cell(scaled.cell.array * growth, scale_atoms=True)
    return scaled


def expected_volume(prototype: Prototype, composition: Mapping[str, int]) -> float:
    """Å^3 per atom: the prototype's own, times what the elements' volumes say of the two compositions.

    For 104 known structures and the first prototype that matches each, half were within 2.9 % of the real volume, 90 %
    within 11 %. The prototype's own volume: 5.6 and 25 %, the estimate alone 7.1 and 18 %, data-mined bond lengths
    (pymatgen's DLSVolumePredictor) 7.0 and 15 %. Kept within `LIKELY_VOLUMES` of what the elements say of the target:
    some prototypes are of a volume that nothing else has.
    """
    estimate = estimated_volume(composition)
    scaled = prototype.atoms.get_volume() / len(prototype.atoms) * estimate / estimated_volume(prototype.composition)
    return min(max(scaled, LIKELY_VOLUMES[0] * estimate), LIKELY_VOLUMES[1] * estimate)
