"""Chemical formulas and species pairs, as users write them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache

from ase.data import chemical_symbols

from .errors import InputError, unknown

MAX_FORMULA_ATOMS = 1_000_000
"""In one formula unit; more is a slip, and numbers of many digits take long."""
ELEMENTS = tuple(chemical_symbols[1:104])
"""Symbols of hydrogen to lawrencium."""


def parse_formula(formula: str) -> dict[str, int]:
    """Atoms per formula unit, in the order written; brackets are multiplied out ("Ca(OH)2").

    Raises
    ------
    InputError : not a formula, a fraction of an atom, or an unknown element.
    """
    return dict(_parsed(formula))


@lru_cache(maxsize=1024)
def _parsed(formula: str) -> Mapping[str, int]:
    shown = f"formula {formula!r}" if len(formula) <= 200 else f"formula {formula[:60]!r}..."
    example = "write element symbols and whole numbers, for example SrTiO3 or Ca(OH)2"
    tokens = re.findall(r"([A-Z][a-z]*|\(|\))([0-9]*)", formula)
    if not tokens or "".join(symbol + digits for symbol, digits in tokens) != formula:
        raise InputError(f"{shown} is not a formula: {example}")
    groups: list[dict[str, int]] = [{}]
    for symbol, digits in tokens:
        count = int(digits or 1) if len(digits) < 10 else MAX_FORMULA_ATOMS + 1
        if count == 0 or (symbol == "(" and digits):
            raise InputError(f"{shown}: {symbol}{digits} counts nothing: {example}")
        if symbol == "(":
            groups.append({})
            continue
        if symbol == ")":
            if len(groups) == 1:
                raise InputError(f"{shown} closes a bracket that was never opened: {example}")
            inner = groups.pop()
        elif symbol in ELEMENTS:
            inner = {symbol: 1}
        else:
            raise unknown(f"element in {shown}:", symbol, ELEMENTS, allowed_text="the symbols from H to Lr")
        if not inner:
            raise InputError(f"{shown} is not a formula: {example}")
        for element, atoms in inner.items():
            groups[-1][element] = groups[-1].get(element, 0) + atoms * count
        if sum(groups[-1].values()) > MAX_FORMULA_ATOMS:
            raise InputError(f"{shown} has more than {MAX_FORMULA_ATOMS} atoms: {example}")
    if len(groups) > 1:
        raise InputError(f"{shown} opens a bracket that is never closed: {example}")
    return groups[0]


def reduced_formula(counts: Mapping[str, int]) -> tuple[str, int]:
    """The formula with the smallest whole numbers, and how many of its units `counts` holds: ("TiO2", 4) for Ti4O8."""
    units = math.gcd(*counts.values())
    return "".join(f"{symbol}{n // units if n > units else ''}" for symbol, n in counts.items()), units


def pair_key(pair: str, field_name: str = "min_distances") -> tuple[str, str]:
    """The two species of "Ti-O", sorted.

    Raises
    ------
    InputError : not two known elements joined by a hyphen.
    """
    species = [part.strip() for part in pair.split("-")]
    if len(species) != 2 or not all(s in ELEMENTS for s in species):
        raise InputError(f"{field_name}: {pair!r} is not a pair of elements; write for example Ti-O")
    first, second = sorted(species)
    return first, second
