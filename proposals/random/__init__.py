"""Random sensible structures: the `random` source.

Every candidate takes a space group, a cell of that symmetry and the volume wanted, sites that hold the atoms exactly,
and random positions pushed apart to the minimum distances: ab initio random structure searching (Pickard and Needs,
J. Phys.: Condens. Matter 23, 053201 (2011), doi:10.1088/0953-8984/23/5/053201). What is to be drawn comes from the
target's own words, or from an AIRSS seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import gcd
from typing import Any

import numpy as np
import spglib
from ase import Atoms

from ...errors import InfeasibleTarget, InputError
from ...records import Candidate, Target
from ..recipe import Draft, Drawn, Recipe
from ..seeds import parse_seed
from ..wyckoff import group_symbol
from .adatoms import NoRoom
from .bulk import draw_bulk
from .edits import apply_edits
from .feasibility import make_plan
from .general import draw_general
from .stretch import stretched

TRIAL_DRAWS = 3
"""Candidates that are drawn from a seed before it counts as one that gives none."""

ENSEMBLES = ("xtalseek", "buildcell-0.9.1")

_OF_THE_RECIPE = ("slack", "overlap", "lengths_ratio", "flatness", "crystal_system", "compact", "general_only")


@dataclass(frozen=True)
class RandomSource:
    """Draws random structures that obey the target's constraints.

    Attributes
    ----------
    ensemble : "xtalseek", sites from exact Wyckoff positions; or "buildcell-0.9.1", the statistics of AIRSS's tool,
        with special positions found by merging images. What the first cannot make (rigid units, given cells, clusters,
        ...) is always made as the second does.
    faithful : copy that version's known defects, too (docs/seeds.md names them).
    max_attempts : trials per candidate; where all fail, the candidate has no structure and its note says why.
    attempts_per_group : trials (cell, sites, positions) with one space group and volume before others are drawn. More
        trials bring more of the groups that are hard to fill.
    stretch : of bulk crystals of the first ensemble: minimum distances are stretched as `stretch` has it.
    slack, overlap, lengths_ratio, flatness, crystal_system, compact, general_only : as of `Recipe`; None: its default.
        A seed says them itself.

    Raises
    ------
    InputError : naming the field, the value and what is allowed.
    """

    ensemble: str = "xtalseek"
    faithful: bool = False
    max_attempts: int = 500
    attempts_per_group: int = 20
    stretch: bool = True
    slack: float | None = None
    overlap: float | None = None
    lengths_ratio: float | None = None
    flatness: float | None = None
    crystal_system: str | None = None
    compact: bool | None = None
    general_only: bool | None = None

    reads_seeds = True
    """AIRSS seeds in place of a target's words."""

    def __post_init__(self) -> None:
        for name in ("max_attempts", "attempts_per_group"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name}: {value!r} is not a whole number from 1 up, such as 500")
        if self.ensemble not in ENSEMBLES:
            raise InputError(f"ensemble: {self.ensemble!r} is none of {', '.join(ENSEMBLES)}")
        for name in ("faithful", "stretch", "compact", "general_only"):
            if getattr(self, name) not in (True, False, None):
                raise InputError(f"{name}: {getattr(self, name)!r} is neither true nor false")
        for name, high in (("slack", 1.0), ("lengths_ratio", 1.0), ("flatness", 1.0), ("overlap", 1e6)):
            value = getattr(self, name)
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < high
            ):
                raise InputError(f"{name}: {value!r} is not a number from 0 and below {high:g}, such as 0.2")
        systems = ("Tric", "Mono", "Orth", "Tetra", "Rhom", "Hexa", "Cubi")
        if self.crystal_system not in (None, *systems):
            raise InputError(f"crystal_system: {self.crystal_system!r} is none of {', '.join(systems)}")

    def check(self, target: Target) -> None:
        """Raise `InfeasibleTarget` where no structure can satisfy the target's distances, volume and symmetry.

        Of a seed, where none of `TRIAL_DRAWS` candidates can be drawn.
        """
        self._recipe(target, np.random.default_rng(0))
        if target.seed_text:
            trials = [self.propose(target, 0, np.random.default_rng(number)) for number in range(TRIAL_DRAWS)]
            if all(candidate.atoms is None for candidate in trials):
                raise InfeasibleTarget(f"{target.name}: {trials[0].note}")

    def propose(self, target: Target, index: int, rng: np.random.Generator) -> Candidate:
        """Draw candidate `index` with the random numbers of `rng`; species in the target's order.

        Raises
        ------
        InfeasibleTarget : no structure can satisfy the target; `check` raises the same before a run.
        """
        recipe = self._recipe(target, rng)
        drawn, notes = self._draw(recipe, rng)
        atoms = drawn.atoms
        count = sum(len(unit.symbols) for unit in recipe.units)
        provenance: dict[str, Any] = {
            "ensemble": self.ensemble,
            "formula_units": _formula_units(recipe),
            "space_group_requested": drawn.group,
            "space_group_found": 0 if atoms is None else _space_group(atoms),
            "operations": drawn.operations,
            "volume_per_atom": drawn.volume / count,
            "attempts": drawn.attempts,
            "rejects": dict(drawn.rejects),
        }
        if notes:
            provenance["notes"] = list(notes)
        note = "" if atoms is not None else _failure_note(drawn)
        return Candidate(target.name, "random", index, atoms, note=note, provenance=provenance)

    def _recipe(self, target: Target, rng: np.random.Generator) -> Recipe:
        draft: Draft = parse_seed(target.seed_text, target.name) if target.seed_text else make_plan(target)
        recipe = draft.recipe(rng)
        given = {name: value for name in _OF_THE_RECIPE if (value := getattr(self, name)) is not None}
        if given and target.seed_text:
            raise InputError(f"{', '.join(given)}: the seed says so itself; write it there")
        return replace(recipe, **given) if given else recipe

    def _draw(self, recipe: Recipe, rng: np.random.Generator) -> tuple[Drawn, tuple[str, ...]]:
        """A structure after its edits, with their notes; drawn anew where an edit finds no room."""
        fast = self.ensemble == "xtalseek" and recipe.is_bulk
        wider, factor = stretched(recipe) if fast and self.stretch else (recipe, 1.0)
        attempts, rejects, by_group = 0, Counter[str](), Counter[int]()
        while True:
            left = self.max_attempts - attempts
            if not fast:
                drawn = draw_general(recipe, rng, left, self.faithful)
            elif factor > 1:
                drawn = draw_bulk(wider, rng, min(left, 1 + self.max_attempts // 2), self.attempts_per_group)
            else:
                drawn = draw_bulk(recipe, rng, left, self.attempts_per_group)
            attempts += drawn.attempts
            rejects.update(drawn.rejects)
            by_group.update(drawn.rejects_by_group)
            atoms, notes = drawn.atoms, recipe.notes
            if atoms is None:
                factor = 1.0
            elif not recipe.is_plain:
                try:
                    atoms, more = apply_edits(atoms, recipe, rng)
                    notes += more
                except NoRoom as error:
                    atoms = None
                    rejects[str(error)] += 1
                    by_group[drawn.group] += 1
            if atoms is not None or attempts >= self.max_attempts:
                if factor > 1:
                    notes += (f"minimum distances stretched by {factor:.3f}",)
                drawn = replace(drawn, atoms=atoms, attempts=attempts, rejects=rejects, rejects_by_group=by_group)
                return drawn, notes


def _formula_units(recipe: Recipe) -> int:
    counts: dict[str, int] = {}
    for unit in recipe.units:
        for symbol in unit.symbols:
            counts[symbol] = counts.get(symbol, 0) + 1
    return gcd(*counts.values())


def _space_group(atoms: Atoms) -> int:
    """International number, within 0.01 Å; 0 where spglib finds none."""
    cell = atoms.cell.array
    found: Any = spglib.get_symmetry_dataset((cell, atoms.positions @ np.linalg.inv(cell), atoms.numbers), 0.01)
    return 0 if found is None else int(found.number)


_WORDS: Mapping[str, str] = {
    "cell": "no cell long enough for the minimum distances",
    "sites": "no usable sites",
    "positions": "no Wyckoff positions",
}


def _failure_note(drawn: Drawn) -> str:
    """One line: what rejected the attempts, and what to change."""
    common = sorted(drawn.rejects.items(), key=lambda item: -item[1])
    reasons = ", ".join(f"{_WORDS.get(r, r + ' too close' if '-' in r else r)} {n}" for r, n in common[:3])
    by_group = sorted(drawn.rejects_by_group.items(), key=lambda item: -item[1])[:3]
    groups = ", ".join(f"{group_symbol(g)} ({g}) {n}" for g, n in by_group)
    if common and common[0][0] in ("positions", "sites"):
        advice = "allow fewer symmetry_operations, other space_groups or other formula_units"
    else:
        advice = "give a larger volume_per_atom, shorter min_distances, or fewer symmetry_operations"
    return f"no structure in {drawn.attempts} attempts: {reasons}; most often in {groups}: {advice}"
