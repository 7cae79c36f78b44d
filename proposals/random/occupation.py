"""Which Wyckoff positions the atoms take: all counts come out exactly, or it is known that they cannot."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import product

import numpy as np

from ..wyckoff import SpaceGroup, space_group

WEIGHT_POWERS = (0.0, 2.0)
"""A position of multiplicity m is chosen with weight m^p, p uniform in this range and the same for all atoms of one
attempt: large p prefers general positions (as AIRSS does), small p special ones (as real crystals do)."""

FixedLeft = tuple[tuple[int, int], ...]
"""(multiplicity, unused positions) of the positions without free parameters, which hold one orbit each."""


def fixed_positions(group: SpaceGroup) -> FixedLeft:
    """The positions without free parameters, counted by multiplicity."""
    return tuple(sorted(Counter(p.multiplicity for p in group.positions if p.freedom == 0).items()))


def free_multiplicities(group: SpaceGroup) -> tuple[int, ...]:
    """The multiplicities of positions with free parameters, which hold any number of orbits."""
    return tuple(sorted({p.multiplicity for p in group.positions if p.freedom > 0}))


@lru_cache(maxsize=100_000)
def can_hold(number: int, counts: tuple[int, ...]) -> bool:
    """Whether atoms of `counts` (one entry a species) fill Wyckoff positions of space group `number` exactly."""
    group = space_group(number)
    return fits(tuple(sorted(counts)), fixed_positions(group), free_multiplicities(group))


@lru_cache(maxsize=200_000)
def fits(counts: tuple[int, ...], fixed: FixedLeft, free: tuple[int, ...]) -> bool:
    """Whether atoms of `counts` fill positions exactly: points that are left, and positions that hold any number."""
    if not counts:
        return True
    atoms, others = counts[0], counts[1:]
    options = [range(min(unused, atoms // multiplicity) + 1) for multiplicity, unused in fixed]
    for used in product(*options):
        rest = atoms - sum(n * multiplicity for n, (multiplicity, _) in zip(used, fixed, strict=True))
        if rest >= 0 and _sum_of(rest, free):
            left = tuple((m, unused - n) for n, (m, unused) in zip(used, fixed, strict=True))
            if fits(others, left, free):
                return True
    return False


@lru_cache(maxsize=10_000)
def _sum_of(total: int, parts: tuple[int, ...]) -> bool:
    """Whether `total` is a sum of the parts, each used any number of times."""
    return total == 0 or any(part <= total and _sum_of(total - part, parts) for part in reversed(parts))


def draw_occupation(
    rng: np.random.Generator, group: SpaceGroup, counts: tuple[int, ...], unusable: frozenset[tuple[int, int]]
) -> list[tuple[int, int]] | None:
    """Random orbits as (species index, position index), species by species in random order.

    Parameters
    ----------
    counts : atoms of each species in the primitive cell.
    unusable : (species index, position index) that are not to be used: fixed orbits closer than allowed to themselves.

    Returns
    -------
    None where the choices made leave atoms that no position can take; draw again.
    """
    power = rng.uniform(*WEIGHT_POWERS)
    free = free_multiplicities(group)
    used: set[int] = set()
    orbits: list[tuple[int, int]] = []
    order = rng.permutation(len(counts)).tolist()
    for place, species in enumerate(order):
        rest = counts[species]
        others = [counts[later] for later in order[place + 1 :]]
        while rest:
            allowed = [
                number
                for number, position in enumerate(group.positions)
                if position.multiplicity <= rest and number not in used and (species, number) not in unusable
            ]
            while allowed:
                weights = np.array([group.positions[number].multiplicity for number in allowed], dtype=float) ** power
                number = allowed[int(np.searchsorted(np.cumsum(weights), rng.random() * weights.sum()))]
                position = group.positions[number]
                taken = used | {number} if position.freedom == 0 else used
                left = Counter(
                    p.multiplicity for i, p in enumerate(group.positions) if p.freedom == 0 and i not in taken
                )
                remaining = tuple(sorted(n for n in (rest - position.multiplicity, *others) if n))
                if fits(remaining, tuple(sorted(left.items())), free):
                    break
                allowed.remove(number)
            else:
                return None
            used = taken
            rest -= position.multiplicity
            orbits.append((species, number))
    return orbits
