"""Duplicates among structures: what is the same crystal, whatever its cell, setting, handedness and order of atoms.

Cheap steps come first, and decide only what they are certain of: the formula, windows of energy and volume, average
distances, and an explicit map of one crystal on the other. What is left goes to pymatgen's StructureMatcher.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase import Atoms
from pymatgen.analysis.structure_matcher import StructureMatcher

from .isometry import average_distances, same_crystal
from .primitive import PrimitiveCell, primitive_cell
from .symmetry import SYMPREC


@dataclass(frozen=True)
class MatchTolerances:
    """When two structures are the same crystal.

    Attributes
    ----------
    energy_per_atom : largest difference of enthalpy, eV/atom.
    volume : largest relative difference of volume per atom.
    length, site, angle : `ltol`, `stol` and `angle_tol` (degrees) of pymatgen's StructureMatcher, on primitive cells at
        their own volumes. `site` is the largest displacement of an atom in units of (volume per atom)^(1/3).
    primitive : distance (Å) within which a translation maps a cell on itself when it is reduced to a primitive one.
    symprec : tolerance (Å) of spglib for the space group.
    """

    energy_per_atom: float = 0.005
    volume: float = 0.05
    length: float = 0.1
    site: float = 0.15
    angle: float = 5.0
    primitive: float = 0.1
    symprec: float = SYMPREC

    def __str__(self) -> str:
        return (
            f"same formula, enthalpy within {1000 * self.energy_per_atom:g} meV/atom, volume within "
            f"{100 * self.volume:g} %, and pymatgen StructureMatcher on primitive cells (ltol={self.length:g}, "
            f"stol={self.site:g}, angle_tol={self.angle:g}, scale=False), either way round; mirror images count as "
            f"one; space groups by spglib, symprec={self.symprec:g} Å"
        )

    @property
    def distances(self) -> float:
        """Average distances that differ by more, on average, are those of different crystals.

        In units of (volume per atom)^(1/3). Of 271 pairs that StructureMatcher called the same at the default
        tolerances, shaken and strained on purpose up to where it did, the most different were 0.10 apart.
        """
        return self.length + self.site


LOOSER = 1.5
"""Times the tolerance within which a translation counts where it holds in the structure that is compared with: so two
that noise left on either side of the tolerance are compared at all."""


@dataclass(frozen=True, eq=False)
class Crystal:
    """A primitive cell, and the tolerance (Å) that made it one."""

    cell: PrimitiveCell
    tolerance: float

    @classmethod
    def of(cls, atoms: Atoms, tolerances: MatchTolerances) -> Crystal | None:
        """None for a cell that is flat or not finite."""
        try:
            return cls(primitive_cell(atoms, tolerances.primitive), tolerances.primitive)
        except ValueError:
            return None

    def __len__(self) -> int:
        return len(self.cell)

    @property
    def volume_per_atom(self) -> float:
        """Å^3."""
        return self.cell.volume / len(self.cell)

    @cached_property
    def looser(self) -> PrimitiveCell:
        """The primitive cell by `LOOSER` times the tolerance."""
        return primitive_cell(self.cell.atoms, LOOSER * self.tolerance)


class CrystalMatcher:
    """Tells whether two crystals are the same within tolerances; symmetric, blind to order and hand.

    Parameters
    ----------
    tolerances : of which all but energies count.
    """

    def __init__(self, tolerances: MatchTolerances) -> None:
        self._tolerances = tolerances
        self._matcher = StructureMatcher(
            ltol=tolerances.length,
            stol=tolerances.site,
            angle_tol=tolerances.angle,
            primitive_cell=False,
            scale=False,
        )

    def may_be_same(self, one: Crystal, other: Crystal) -> bool:
        """Told from sizes and volumes alone; `one` is the older, whose volume the tolerance is a share of."""
        small, large = sorted((len(one), len(other)))
        apart = abs(one.volume_per_atom - other.volume_per_atom)
        return large % small == 0 and apart <= self._tolerances.volume * one.volume_per_atom

    def same(self, one: Crystal, other: Crystal) -> bool:
        """StructureMatcher's `fit` in either direction, which is asked only where nothing cheaper is certain."""
        first, second = one.cell, other.cell
        if len(first) != len(second):
            first, second = (one.looser, second) if len(first) > len(second) else (first, other.looser)
        t = self._tolerances
        certain = same_crystal(first, second, t.length, t.angle, t.site)
        if certain is not None:
            return certain
        structures = first.structure, second.structure
        return bool(
            self._matcher.fit(*structures, skip_structure_reduction=True)
            or self._matcher.fit(*structures[::-1], skip_structure_reduction=True)
        )


def unite(
    structures: Sequence[Atoms],
    names: Sequence[str],
    enthalpies: Sequence[float] | None = None,
    tolerances: MatchTolerances | None = None,
) -> list[list[int]]:
    """Put duplicates together.

    Each structure, lowest first, joins the group whose lowest member it matches, the most alike of them where there are
    several; one that matches none founds a group. It is compared only with those in its own windows of enthalpy and
    volume, which lie around structures and have no borders to fall between. So the result does not depend on the order
    of `structures`; ties are broken by name.

    Parameters
    ----------
    structures : periodic. One with a flat cell is the same as no other.
    names : of each, unique.
    enthalpies : of each, eV/atom; None: they do not count.

    Returns
    -------
    Groups of places in `structures`, lowest first, groups by their lowest.
    """
    tolerances = tolerances or MatchTolerances()
    heights = [0.0] * len(structures) if enthalpies is None else [float(e) for e in enthalpies]
    order = sorted(range(len(structures)), key=lambda place: (heights[place], names[place]))
    matcher = CrystalMatcher(tolerances)
    founders: dict[tuple[tuple[str, int], ...], _Founders] = defaultdict(lambda: _Founders(tolerances, matcher))
    groups: dict[int, list[int]] = {}
    for place in order:
        crystal, home = Crystal.of(structures[place], tolerances), place
        if crystal is not None:
            home = founders[formula_key(structures[place])].home_of(place, crystal, heights[place])
        groups.setdefault(home, []).append(place)
    return list(groups.values())


class _Founders:
    """The lowest members of the groups of one formula, lowest first, with what they are told apart by."""

    def __init__(self, tolerances: MatchTolerances, matcher: CrystalMatcher) -> None:
        self._tolerances, self._matcher = tolerances, matcher
        self._places: list[int] = []
        self._crystals: list[Crystal] = []
        self._heights: list[float] = []
        self._distances: list[np.ndarray] = []

    def home_of(self, place: int, crystal: Crystal, height: float) -> int:
        """The founder of the group that a structure belongs to: itself where it matches none."""
        distances, matcher = average_distances(crystal.cell).ravel(), self._matcher
        start = bisect_left(self._heights, height - self._tolerances.energy_per_atom)
        near = [n for n in range(start, len(self._places)) if matcher.may_be_same(self._crystals[n], crystal)]
        apart = np.abs(np.array([self._distances[n] for n in near]).reshape(-1, len(distances)) - distances).mean(
            axis=1
        )
        for turn in np.argsort(apart, kind="stable"):
            if apart[turn] > self._tolerances.distances:
                break
            if matcher.same(self._crystals[near[turn]], crystal):
                return self._places[near[turn]]
        self._places.append(place)
        self._crystals.append(crystal)
        self._heights.append(height)
        self._distances.append(distances)
        return place


def formula_key(atoms: Atoms) -> tuple[tuple[str, int], ...]:
    """The reduced formula as a key: symbols in alphabetical order with their counts."""
    counts = Counter(atoms.get_chemical_symbols())
    units = math.gcd(*counts.values())
    return tuple((symbol, counts[symbol] // units) for symbol in sorted(counts))
