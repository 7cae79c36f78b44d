"""What a target comes to: volumes, distances and groups worked out once; and whether any structure can satisfy them.

A `Plan` is the draft of a target: it makes one recipe for each candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...errors import InfeasibleTarget
from ...formula import pair_key, parse_formula
from ...records import Target
from ..radii import CLOSEST_PACKING, Pair, default_volumes, minimum_distances, packing
from ..recipe import Recipe, Unit
from ..wyckoff import OPERATION_COUNTS, group_symbol, groups_by_operations
from .occupation import can_hold


@dataclass(frozen=True, eq=False)
class Plan:
    """A target with every default filled in.

    Attributes
    ----------
    name : of the target.
    composition : atoms per formula unit, in formula order.
    formula_units : the numbers of formula units that some allowed group can hold, ascending.
    volume_per_atom : smallest and largest, Å^3; volume_given : whether the user set it.
    given : the user's minimum distances, Å, by sorted pair.
    distances : minimum distances by sorted pair, Å.
    distance_scale : factor by which the default distances were scaled down to fit the volume.
    groups : allowed space-group numbers by number of operations of the primitive cell.
    """

    name: str
    composition: Mapping[str, int]
    formula_units: tuple[int, ...]
    volume_per_atom: tuple[float, float]
    volume_given: bool
    given: Mapping[Pair, float]
    distances: Mapping[Pair, float]
    distance_scale: float
    groups: Mapping[int, tuple[int, ...]]

    def recipe(self, rng: np.random.Generator) -> Recipe:
        """The recipe of one candidate: the number of formula units is uniform over those that are possible."""
        return _recipe(self, int(rng.choice(self.formula_units)))


@lru_cache(maxsize=256)
def _recipe(plan: Plan, formula_units: int) -> Recipe:
    symbols = [symbol for symbol, n in plan.composition.items() for _ in range(n * formula_units)]
    atom = {symbol: Unit((symbol,), np.zeros((1, 3)), label=symbol) for symbol in plan.composition}
    low, high = plan.volume_per_atom
    return Recipe(
        units=tuple(atom[symbol] for symbol in symbols),
        volume=(low * len(symbols), high * len(symbols)),
        min_distances={pair: (d, d) for pair, d in plan.distances.items()},
        groups=plan.groups,
    )


def make_plan(target: Target) -> Plan:
    """Work out what `target` leaves to defaults.

    Raises
    ------
    InfeasibleTarget : no structure can satisfy the target.
    """
    given: dict[Pair, float] = {}
    for pair, distance in target.min_distances.items():
        given[pair_key(pair)] = max(float(distance), given.get(pair_key(pair), 0.0))
    return _make_plan(
        target.name,
        target.formula,
        target.formula_units,
        tuple(sorted(given.items())),
        target.volume_per_atom,
        target.symmetry_operations,
        tuple(sorted(set(target.space_groups))),
    )


@lru_cache(maxsize=64)
def _make_plan(
    name: str,
    formula: str,
    formula_units: tuple[int, int],
    given_items: tuple[tuple[Pair, float], ...],
    volume_per_atom: tuple[float, float] | None,
    symmetry_operations: tuple[int, int],
    space_groups: tuple[int, ...],
) -> Plan:
    composition, given = parse_formula(formula), dict(given_items)
    groups = _allowed_groups(symmetry_operations, space_groups)
    atoms = sum(composition.values())
    volumes = default_volumes(composition) if volume_per_atom is None else volume_per_atom
    _check_packing(composition, given, volumes, volume_per_atom is not None)
    units = _possible_units(composition, formula_units, groups)
    distances, scale = minimum_distances(composition, given, volumes[0] * atoms)
    return Plan(name, composition, units, volumes, volume_per_atom is not None, given, distances, scale, groups)


def _allowed_groups(operations: tuple[int, int], space_groups: tuple[int, ...]) -> dict[int, tuple[int, ...]]:
    groups = groups_by_operations(*operations, space_groups)
    if groups:
        return groups
    asked = f"symmetry_operations {operations[0]}-{operations[1]}"
    if not groups_by_operations(*operations):
        raise InfeasibleTarget(
            f"{asked}: no space group has so many operations in its primitive cell; "
            f"the counts that exist are {', '.join(map(str, OPERATION_COUNTS))}: widen the range"
        )
    shown = ", ".join(
        f"{group_symbol(n)} ({n}) has {count}"
        for count, numbers in groups_by_operations(1, 48, space_groups).items()
        for n in numbers
    )
    raise InfeasibleTarget(f"{asked} excludes every group in space_groups: {shown}: widen the range")


def _check_packing(
    composition: Mapping[str, int], given: Mapping[Pair, float], volumes: tuple[float, float], volume_given: bool
) -> None:
    filled, spheres = packing(composition, given, volumes[1] * sum(composition.values()))
    if filled <= CLOSEST_PACKING:
        return
    order = list(composition).index
    pairs = ", ".join(
        f"{'-'.join(sorted(pair, key=order))} {d:g}" for pair, d in given.items() if set(pair) <= set(spheres)
    )
    needed = volumes[1] * filled / CLOSEST_PACKING
    source = "the largest volume_per_atom given" if volume_given else "the largest volume drawn by default"
    raise InfeasibleTarget(
        f"min_distances {pairs} Å: spheres of the shortest as diameter fill {filled:.0%} of "
        f"{volumes[1]:.4g} Å^3/atom ({source}), and no arrangement fills more "
        f"than {CLOSEST_PACKING:.2%}: give volume_per_atom of at least {needed:.4g}, "
        "or shorter distances"
    )


def _possible_units(
    composition: Mapping[str, int], formula_units: tuple[int, int], groups: Mapping[int, tuple[int, ...]]
) -> tuple[int, ...]:
    numbers = [n for members in groups.values() for n in members]
    units = tuple(
        z
        for z in range(formula_units[0], formula_units[1] + 1)
        if any(can_hold(number, tuple(n * z for n in composition.values())) for number in numbers)
    )
    if units:
        return units
    shown = ", ".join(f"{group_symbol(n)} ({n})" for n in numbers[:4])
    shown += f" and {len(numbers) - 4} others" if len(numbers) > 4 else ""
    cells = " or ".join(
        " ".join(f"{symbol}{n * z}" for symbol, n in composition.items())
        for z in sorted({formula_units[0], formula_units[1]})
    )
    raise InfeasibleTarget(
        f"{shown}: no combination of Wyckoff positions holds {cells} in the primitive cell"
        f"{', nor any number of formula units between' if formula_units[1] - formula_units[0] > 1 else ''}: "
        "allow other formula_units, space_groups or fewer symmetry_operations"
    )
