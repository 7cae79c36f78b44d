"""Known structures with other elements: the `substitution` source.

Most crystals have the structure of some other one, with chemically similar elements in the same places. So candidate i
is the i-th best of the known structures with the target's elements in the place of their own.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from ...errors import InfeasibleTarget, InputError
from ...records import Candidate, Target
from ..shake import shaken, shaking_limits
from ..wyckoff import groups_by_operations
from .library import anonymous_formula, load_library
from .ranking import Ranking, Substitution

DISPLACEMENT, STRAIN = 0.2, 0.03
"""Å and standard deviation: what moves atoms and cell once the list is through. Small, so that each time round another
structure is found near the same prototype, or the same one again."""

RANKINGS_KEPT = 8


@dataclass(frozen=True)
class SubstitutionSource:
    """Puts the target's elements in the place of those of known structures.

    Candidates are ordered by the likeness of the elements, each structure once, in primitive cells with an allowed
    number of formula units. When all were proposed the list goes round again, with atoms and cell shaken.

    Attributes
    ----------
    prototypes : files of known structures, whatever `read_dataset` reads, joined by ":" as in $PATH (commas separate
        options). Empty: the AFLOW prototypes that pymatgen carries.
    same_formula : use prototypes that have the target's own formula. False leaves them out, so that what is known of
        the target does not help to find it.

    Raises
    ------
    InputError : naming the field, the value and what is allowed.
    """

    prototypes: str = ""
    same_formula: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.prototypes, str):
            raise InputError(f"prototypes: {self.prototypes!r} is not a file, nor several joined by {os.pathsep!r}")
        if not isinstance(self.same_formula, bool):
            raise InputError(f"same_formula: {self.same_formula!r} is neither true nor false")
        for path in self._paths:
            if not Path(path).exists():
                raise InputError(f"prototypes: there is no file {path!r}")

    @property
    def _paths(self) -> tuple[str, ...]:
        return tuple(path for part in self.prototypes.split(os.pathsep) if (path := part.strip()))

    def check(self, target: Target) -> None:
        """Raise `InfeasibleTarget` with the reason where no prototype fits the target."""
        library = load_library(self._paths)
        ranking = self._ranking(target)
        if ranking.get(0) is not None:
            return
        formula = anonymous_formula(target.composition)
        if not ranking.refused:
            kind = "a formula" if self.same_formula else "another formula"
            raise InfeasibleTarget(
                f"{target.formula}: none of {library.words} has {kind} of type {formula}: "
                "give a larger file of prototypes, or another source"
            )
        reasons = ", ".join(f"{n} {words}" for words, n in ranking.refused.most_common())
        raise InfeasibleTarget(
            f"{target.formula}: none of {library.words} fits; ways to put its elements into those of type {formula}: "
            f"{reasons}: allow other formula_units, space_groups, symmetry_operations, volume_per_atom or min_distances"
        )

    def propose(self, target: Target, index: int, rng: np.random.Generator) -> Candidate:
        """Candidate `index`: the substitution of that rank; `rng` enters only once all were proposed.

        Raises
        ------
        InfeasibleTarget : no prototype fits; `check` raises the same before a run.
        """
        ranking = self._ranking(target)
        found, turn, rank = ranking.get(index), 0, index
        if found is None:
            self.check(target)
            turn, rank = divmod(index, len(ranking))
            found = ranking.get(rank)
        assert found is not None
        atoms, note = (found.atoms.copy(), "") if not turn else self._shaken(target, found, rng)
        provenance = {
            "prototype": found.prototype,
            "substitutions": {old: new for old, new in found.species.items() if old != new},
            "unlikeness": found.unlikeness,
            "rank": rank,
            "round": turn,
            "formula_units": len(found.atoms) // sum(target.composition.values()),
            "space_group_requested": found.group,
        }
        return Candidate(target.name, "substitution", index, atoms, note=note, provenance=provenance)

    def _shaken(self, target: Target, found: Substitution, rng: np.random.Generator) -> tuple[Atoms | None, str]:
        """A candidate of a later round; or None, and why."""
        if 1 not in groups_by_operations(*target.symmetry_operations, target.space_groups):
            return None, "all prototypes that fit were proposed, and a shake would break the symmetry asked for"
        atoms, _ = shaken(found.atoms, rng, DISPLACEMENT, STRAIN, shaking_limits(found.atoms, target))
        return atoms, "" if atoms is not None else f"{found.prototype} cannot be shaken: atoms are as close as allowed"

    def _ranking(self, target: Target) -> Ranking:
        """The target's ranking, the same object as long as it is among the last `RANKINGS_KEPT` asked for."""
        key = self, repr(target)
        if key not in _rankings:
            _rankings[key] = Ranking(load_library(self._paths), target, self.same_formula)
            while len(_rankings) > RANKINGS_KEPT:
                _rankings.popitem(last=False)
        return _rankings[key]


_rankings: OrderedDict[tuple[SubstitutionSource, str], Ranking] = OrderedDict()
"""Of this process; a ranking has no other state than how far it was worked out."""
