"""Which Wyckoff positions the atoms take: all counts come out exactly, or it is known that they cannot."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numba import njit

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


@dataclass(frozen=True, eq=False)
class Sites:
    """A group's Wyckoff positions as arrays for kernels; what is left of the fixed ones is counted by multiplicity.

    A state says how many positions of each class (multiplicity) of fixed positions are left, in one number: the sum of
    left[c] * strides[c]. States subtract like numbers wherever the counts do.

    Attributes
    ----------
    multiplicity : (p,) atoms of an orbit. stride : (p,) what taking the position subtracts from the state; 0: free.
    start : (p + 1,) where its atoms start in the tables that follow.
    offsets : (n, 3), directions : (n, 3, 3), as in `WyckoffPosition`. steady : (n,) whether the vector from the orbit's
        first atom to this one depends on no parameter.
    digits : (states, classes) positions left. atoms : (states,) that they hold.
    """

    multiplicity: np.ndarray
    stride: np.ndarray
    start: np.ndarray
    offsets: np.ndarray
    directions: np.ndarray
    steady: np.ndarray
    digits: np.ndarray
    atoms: np.ndarray


@lru_cache(maxsize=230)
def group_sites(number: int) -> Sites:
    """The Wyckoff positions of group `number` (1-230) as arrays."""
    group = space_group(number)
    classes = fixed_positions(group)
    sizes = [unused + 1 for _, unused in classes]
    strides = {m: int(np.prod(sizes[i + 1 :], dtype=int)) for i, (m, _) in enumerate(classes)}
    digits = np.array(list(product(*map(range, sizes))), dtype=np.int64).reshape(int(np.prod(sizes)), len(classes))
    positions = group.positions
    return Sites(
        multiplicity=np.array([p.multiplicity for p in positions], dtype=np.int64),
        stride=np.array([0 if p.freedom else strides[p.multiplicity] for p in positions], dtype=np.int64),
        start=np.cumsum([0, *(p.multiplicity for p in positions)]).astype(np.int64),
        offsets=np.concatenate([p.offsets for p in positions]),
        directions=np.concatenate([p.directions for p in positions]),
        steady=np.concatenate([(p.directions == p.directions[0]).all(axis=(1, 2)) for p in positions]),
        digits=digits,
        atoms=digits @ np.array([m for m, _ in classes], dtype=np.int64),
    )


@dataclass(frozen=True, eq=False)
class Fillings:
    """Which states still hold what is to be placed: for one group and counts.

    Attributes
    ----------
    possible : (2^species, states) whether the whole species of a bit mask fit into what a state leaves.
    sums : (atoms + 1,) whether so many fit on positions with free parameters.
    """

    possible: np.ndarray
    sums: np.ndarray


@lru_cache(maxsize=4096)
def group_fillings(number: int, counts: tuple[int, ...]) -> Fillings | None:
    """The fillings of group `number` with `counts` atoms of each species; None where they do not fit at all."""
    if not can_hold(number, counts):
        return None
    sites = group_sites(number)
    free = free_multiplicities(space_group(number))
    sums = np.array([_sum_of(total, free) for total in range(max(counts) + 1)])
    return Fillings(_possible(np.array(counts, dtype=np.int64), sums, sites.digits, sites.atoms), sums)


@njit(cache=True)
def _fits_in(
    rest: int, others: int, state: int, possible: np.ndarray, sums: np.ndarray, digits: np.ndarray, atoms: np.ndarray
) -> bool:
    """Whether `rest` atoms of one species, and then all `others` (bit mask), fit into what `state` leaves."""
    for used in range(state + 1):
        if atoms[used] > rest or not sums[rest - atoms[used]]:
            continue
        within = True
        for c in range(digits.shape[1]):
            if digits[used, c] > digits[state, c]:
                within = False
                break
        if within and possible[others, state - used]:
            return True
    return False


@njit(cache=True)
def _possible(counts: np.ndarray, sums: np.ndarray, digits: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """The table of `Fillings`."""
    possible = np.ones((1 << len(counts), len(digits)), np.bool_)
    for mask in range(1, 1 << len(counts)):
        species = 0
        while not (mask >> species) & 1:
            species += 1
        others = mask ^ (1 << species)
        for state in range(len(digits)):
            possible[mask, state] = _fits_in(counts[species], others, state, possible, sums, digits, atoms)
    return possible


@njit(cache=True)
def choose_orbits(
    numbers: np.ndarray,
    counts: np.ndarray,
    unusable: np.ndarray,
    multiplicity: np.ndarray,
    stride: np.ndarray,
    digits: np.ndarray,
    atoms: np.ndarray,
    possible: np.ndarray,
    sums: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Random orbits, species by species in random order; only choices that leave room for all others are made.

    Parameters
    ----------
    numbers : (1 + species + atoms,), uniform in [0, 1). counts : (species,) atoms of each.
    unusable : (species, p) positions that are not to be used; nothing is planned around them.
    multiplicity, stride, digits, atoms : of `Sites`. possible, sums : of `Fillings`.

    Returns
    -------
    Species and position of each orbit, both (k,); empty where every choice left was unusable.
    """
    kinds = len(counts)
    power = WEIGHT_POWERS[0] + (WEIGHT_POWERS[1] - WEIGHT_POWERS[0]) * numbers[0]
    atoms_in_all = 0
    order = np.empty(kinds, np.int64)
    for new in range(kinds):  # sorted by the numbers: a random permutation
        atoms_in_all += counts[new]
        place = new
        while place > 0 and numbers[1 + order[place - 1]] > numbers[1 + new]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = new
    species = np.empty(atoms_in_all, np.int64)
    position = np.empty(atoms_in_all, np.int64)
    weights = np.zeros(len(multiplicity))
    used = np.zeros(len(multiplicity), np.bool_)
    state = len(digits) - 1
    others = (1 << kinds) - 1
    found = 0
    for turn in range(kinds):
        kind = order[turn]
        others ^= 1 << kind
        rest = counts[kind]
        while rest > 0:
            total = 0.0
            known, fitting = -1, False
            for p in range(len(multiplicity)):
                weights[p] = 0.0
                if multiplicity[p] > rest or used[p] or unusable[kind, p]:
                    continue
                # Positions alike in multiplicity and freedom are neighbours and leave the same room.
                if known < 0 or multiplicity[p] != multiplicity[known] or stride[p] != stride[known]:
                    known = p
                    left = state - stride[p]
                    fitting = _fits_in(rest - multiplicity[p], others, left, possible, sums, digits, atoms)
                if fitting:
                    weights[p] = multiplicity[p] ** power
                    total += weights[p]
            if total == 0.0:
                return species[:0], position[:0]
            target = numbers[1 + kinds + found] * total
            chosen = -1
            for p in range(len(multiplicity)):
                if weights[p] > 0.0:
                    chosen = p
                    target -= weights[p]
                    if target < 0.0:
                        break
            used[chosen] = stride[chosen] > 0
            state -= stride[chosen]
            rest -= multiplicity[chosen]
            species[found] = kind
            position[found] = chosen
            found += 1
    return species[:found], position[:found]


def draw_occupation(
    rng: np.random.Generator, group: SpaceGroup, counts: tuple[int, ...], unusable: frozenset[tuple[int, int]]
) -> list[tuple[int, int]] | None:
    """Random orbits as (species index, position index) for atoms that `can_hold` says fit.

    Parameters
    ----------
    counts : atoms of each species in the primitive cell.
    unusable : (species index, position index) that are not to be used.

    Returns
    -------
    None where the choices made leave atoms that no position can take; draw again.
    """
    sites, fillings = group_sites(group.number), group_fillings(group.number, counts)
    if fillings is None:
        return None
    closed = np.zeros((len(counts), len(group.positions)), dtype=bool)
    for pair in unusable:
        closed[pair] = True
    species, position = choose_orbits(
        rng.random(1 + len(counts) + sum(counts)),
        np.array(counts, dtype=np.int64),
        closed,
        sites.multiplicity,
        sites.stride,
        sites.digits,
        sites.atoms,
        fillings.possible,
        fillings.sums,
    )
    return list(zip(species.tolist(), position.tolist(), strict=True)) or None
