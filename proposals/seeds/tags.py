"""Per-atom tags, `NUM=2 POSAMP=1.5 NOMOVE`, and those of them that may also stand for all atoms."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from ...errors import unknown
from .composition import MAX_ATOMS
from .directives import ATOM_NAMES, NO_EFFECT
from .text import Directive
from .values import Place, fraction, number, whole_range

FLAGS = ("NOMOVE", "FIX", "ADATOM")


@dataclass(frozen=True)
class Tags:
    """What is asked of one listed atom; None: nothing said. Units as in `recipe.Unit`."""

    num: tuple[int, int] | None = None
    posamp: float | None = None
    minamp: float | None = None
    xamp: float | None = None
    yamp: float | None = None
    zamp: float | None = None
    angamp: float | None = None
    rad: float | None = None
    coord: tuple[int, int] | None = None
    occ: float | None = None
    mult: int | None = None
    spin: float | None = None
    vol: float | None = None
    nomove: bool = False
    fix: bool = False
    adatom: bool = False

    def over(self, general: Tags) -> Tags:
        """These tags, with the general ones where nothing is said."""
        unsaid = {name: value for name, value in vars(general).items() if getattr(self, name) in (None, False)}
        return replace(self, **unsaid)


def parse_tags(text: str, place: Place) -> tuple[Tags, list[str]]:
    """The tags of one atom, and warnings of those without effect.

    Raises
    ------
    InputError : an unknown tag or a bad value.
    """
    found = Tags()
    warnings: list[str] = []
    for word in re.sub(r"\s*=\s*", "=", text.strip()).split():
        key, equals, value = word.partition("=")
        key = key.upper()
        if key in NO_EFFECT and key in ATOM_NAMES:
            warnings.append(place.note(f"{key} has no effect here: {NO_EFFECT[key]}"))
        elif key.startswith(("NN+", "NN-")):
            warnings.append(place.note(f"{key[:40]} has no effect here: neighbours are not asked for by species"))
        elif key not in ATOM_NAMES:
            raise place.error(str(unknown("tag", key[:40], ATOM_NAMES)))
        else:
            if key not in FLAGS and not equals:
                raise place.error(f"{key} needs a value: write {key}=...")
            found = with_tag(found, key, value, place)
    return found, warnings


def with_tag(tags: Tags, key: str, value: str, place: Place) -> Tags:
    """The tags with one more.

    Raises
    ------
    InputError : a bad value.
    """
    value_of: Any
    if key in FLAGS:
        value_of = True
    elif key == "NUM":
        value_of = whole_range(value, key, place, 0, MAX_ATOMS)
    elif key == "COORD":
        value_of = None if value.strip().startswith("-") else whole_range(value, key, place, 0, 100)
    elif key == "OCC":
        value_of = fraction(value, key, place)
    elif key == "MULT":
        value_of = whole_range(value, key, place, 1, 48)[0]
    elif key == "VOL":
        value_of = number(value, key, place, 0.1)
    elif key == "SPIN":
        value_of = number(value, key, place, -100, 100)
    elif key in ("RAD", "MINAMP"):
        value_of = number(value, key, place, 0.0, 100.0) or None
    else:
        value_of = number(value, key, place, high=360.0 if key == "ANGAMP" else 1000.0)
    return replace(tags, **{key.lower(): value_of})


def general_tag(tags: Tags, directive: Directive) -> Tags:
    """The tags of all atoms with what a global POSAMP, RAD, COORD, ... says."""
    return with_tag(tags, directive.key, directive.value, directive.place)
