"""Random structures with symmetry: the `random` source.

Every candidate takes a space group, a cell of that symmetry and the volume wanted, Wyckoff positions that hold the
atoms exactly, and random positions pushed apart to the minimum distances: ab initio random structure searching
(Pickard and Needs, J. Phys.: Condens. Matter 23, 053201 (2011), doi:10.1088/0953-8984/23/5/053201).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from ...errors import InputError
from ...records import Candidate, Target
from ..wyckoff import group_symbol
from .feasibility import make_plan
from .occupation import can_hold
from .trial import NO_CELL, NO_OCCUPATION, try_once

NO_POSITIONS = "no Wyckoff positions"
"""Reject reason: no combination of Wyckoff positions of the group holds the atoms."""


@dataclass(frozen=True)
class RandomSource:
    """Draws random structures that obey the target's constraints.

    Attributes
    ----------
    max_attempts : trials per candidate; where all fail, the candidate has no structure and its note says why.
    attempts_per_group : trials (cell, occupation, positions) with one formula unit count, space group and volume before
        others are drawn. More trials bring more of the groups that are hard to fill.

    Raises
    ------
    InputError : naming the field, the value and what is allowed.
    """

    max_attempts: int = 500
    attempts_per_group: int = 20

    def __post_init__(self) -> None:
        for name in ("max_attempts", "attempts_per_group"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name}: {value!r} is not a whole number from 1 up, such as 500")

    def check(self, target: Target) -> None:
        """Raise `InfeasibleTarget` where no structure can satisfy the target's distances, volume and symmetry."""
        make_plan(target)

    def propose(self, target: Target, index: int, rng: np.random.Generator) -> Candidate:
        """Draw candidate `index` with the random numbers of `rng`; a reduced primitive cell, species in formula order.

        The number of formula units is uniform over those that some allowed group can hold; the number of operations is
        uniform over the allowed counts, and the group over those with that count; groups that cannot hold the atoms
        are drawn again. The volume per atom is uniform in the target's range.

        Raises
        ------
        InfeasibleTarget : no structure can satisfy the target; `check` raises the same before a run.
        """
        plan = make_plan(target)
        formula_units = int(rng.choice(plan.formula_units))
        counts = tuple(n * formula_units for n in plan.composition.values())
        rejects: Counter[str] = Counter()
        rejects_by_group: Counter[int] = Counter()
        atoms: Atoms | None = None
        attempts = 0
        while atoms is None and attempts < self.max_attempts:
            operations = int(rng.choice(list(plan.groups)))
            number = int(rng.choice(plan.groups[operations]))
            volume_per_atom = float(rng.uniform(*plan.volume_per_atom))
            for _ in range(self.attempts_per_group):
                attempts += 1
                if can_hold(number, counts):
                    atoms, reason = try_once(rng, plan, number, counts, volume_per_atom)
                else:
                    reason = NO_POSITIONS
                if atoms is not None:
                    break
                rejects[reason] += 1
                rejects_by_group[number] += 1
                if reason == NO_POSITIONS or attempts == self.max_attempts:
                    break
        provenance: dict[str, Any] = {
            "formula_units": formula_units,
            "space_group_requested": number,
            "operations": operations,
            "volume_per_atom": volume_per_atom,
            "attempts": attempts,
            "rejects": dict(rejects),
        }
        if plan.distance_scale < 1:
            provenance["default_distances_scaled_by"] = round(plan.distance_scale, 4)
        note = "" if atoms is not None else _failure_note(attempts, rejects, rejects_by_group)
        return Candidate(target.name, "random", index, atoms, note=note, provenance=provenance)


def _failure_note(attempts: int, rejects: Counter[str], rejects_by_group: Counter[int]) -> str:
    """One line: what rejected the attempts, and what to change."""
    words = {NO_CELL: "no cell long enough for min_distances", NO_OCCUPATION: "no usable Wyckoff positions"}
    reasons = ", ".join(
        f"{words.get(r, r if r == NO_POSITIONS else r + ' too close')} {n}" for r, n in rejects.most_common(3)
    )
    groups = ", ".join(f"{group_symbol(g)} ({g}) {n}" for g, n in rejects_by_group.most_common(3))
    if rejects.most_common(1)[0][0] == NO_POSITIONS:
        advice = "allow fewer symmetry_operations, other space_groups or other formula_units"
    else:
        advice = "give a larger volume_per_atom, shorter min_distances, or fewer symmetry_operations"
    return f"no structure in {attempts} attempts: {reasons}; most often in {groups}: {advice}"
