"""AIRSS seeds as drafts: the text, its warnings, and a recipe per candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from ase import Atoms

from ...errors import InputError
from ..recipe import Recipe
from .plan import Plan
from .reader import read_plan
from .text import MAX_CHARACTERS, choose

_KEPT = 200
"""Plans that a seed remembers, one per set of choices."""
_TRIED = 200
"""Options of choices that are read when the seed is."""


@dataclass(frozen=True, eq=False)
class Seed:
    """An AIRSS seed: `recipe` settles what it leaves to chance in the composition and the choices.

    Attributes
    ----------
    name : what candidates are called after.
    text : as it was written.
    volume_law : "buildcell": VARVOL and TARGVOL are multiplied by (atoms after NUM)/(listed lines) and NFORM;
        "per_formula_unit": by NFORM only.
    bare_ranges : "drawn": a MINSEP range for all pairs is drawn from; "lower_end": as in buildcell 0.9.1 it acts as its
        lower end where there is neither OVERLAP nor symmetry.
    structures : that MINSEP=AUTO learns from.

    Raises
    ------
    InputError : with the line of what cannot be read; options of choices are tried too.
    """

    name: str
    text: str
    volume_law: str = "buildcell"
    bare_ranges: str = "drawn"
    structures: tuple[Atoms, ...] = ()
    _plans: dict[str, Plan] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        _ = self._first, self.warnings

    def recipe(self, rng: np.random.Generator) -> Recipe:
        """The recipe of one candidate.

        Raises
        ------
        InfeasibleTarget : no composition, or no group, obeys the seed.
        InputError : these choices do not fit together.
        """
        if not self._has_choices:
            return self._first.recipe(rng)
        text, taken = choose(self.text, self.name, lambda _, options: int(rng.integers(options)))
        return self._plan(text).recipe(rng, taken)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know, each with its line: unknown, without effect, or a trap."""
        found = list(self._first.warnings)
        tried = 0
        for number, options in enumerate(self._options):
            for option in range(1, options):
                tried += 1
                if tried <= _TRIED:
                    found += self._plan(self._with_option(number, option)).warnings
        return tuple(dict.fromkeys(found))

    @property
    def passed_through(self) -> str:
        """CASTEP's blocks and keywords, which are not for the generator, as they were written."""
        return self._first.passed_through

    @property
    def pressure_gpa(self) -> float | None:
        """Of an EXTERNAL_PRESSURE block; None where there is none that is the same from all sides."""
        return self._first.pressure_gpa

    @property
    def random_seed(self) -> int | None:
        """A number made from SEED; None where it is not given."""
        return self._first.random_seed

    @property
    def formula(self) -> str:
        """One formula unit; where its numbers are left to chance, every species once."""
        return self._first.formula

    @cached_property
    def _first(self) -> Plan:
        """The plan with the first option of every choice."""
        return self._plan(choose(self.text, self.name, lambda _, __: 0)[0])

    @cached_property
    def _has_choices(self) -> bool:
        return bool(self._options)

    @cached_property
    def _options(self) -> list[int]:
        """How many options each choice has."""
        sizes: dict[int, int] = {}

        def first(number: int, options: int) -> int:
            sizes[number] = options
            return 0

        choose(self.text, self.name, first)
        return list(sizes.values())

    def _with_option(self, number: int, option: int) -> str:
        """The text with that option of one choice, and the first of the others."""
        return choose(self.text, self.name, lambda at, _: option if at == number else 0)[0]

    def _plan(self, text: str) -> Plan:
        plan = self._plans.get(text)
        if plan is None:
            plan = read_plan(text, self.name, self.volume_law, self.bare_ranges, self.structures)
            if len(self._plans) < _KEPT:
                self._plans[text] = plan
        return plan


def parse_seed(
    text: str,
    name: str,
    *,
    structures: Sequence[Atoms] = (),
    volume_law: str = "buildcell",
    bare_ranges: str = "drawn",
) -> Seed:
    """The seed of a text; see `Seed` for the arguments and errors."""
    return Seed(name, text, volume_law, bare_ranges, tuple(structures))


def read_seed(
    path: str | Path,
    *,
    structures: Sequence[Atoms] = (),
    volume_law: str = "buildcell",
    bare_ranges: str = "drawn",
) -> Seed:
    """The seed in a file, named after it.

    Raises
    ------
    InputError : the file is missing, no text, or cannot be understood (with the line).
    """
    path = Path(path)
    try:
        if path.stat().st_size > 4 * MAX_CHARACTERS:
            raise InputError(f"{str(path)!r} is too large for a seed: at most {MAX_CHARACTERS} characters")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{str(path)!r} cannot be read ({error.strerror}): give an AIRSS seed such as Si.cell"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{str(path)!r} is no text: give an AIRSS seed such as Si.cell") from error
    return parse_seed(text, path.stem, structures=structures, volume_law=volume_law, bare_ranges=bare_ranges)
