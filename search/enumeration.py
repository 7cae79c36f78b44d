"""The formulas of a chemical system, those that balance charges first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from itertools import combinations

from ..errors import InputError, unknown
from ..formula import ELEMENTS

MOST_FORMULAS = 1_000_000
"""That are looked at; more are a slip of the finger rather than a campaign."""
_SHIFT = 5
"""Added to every oxidation state, so that sums are places in a bit mask: no element is below -5."""


class Balance(IntEnum):
    """How the charges of a formula can be balanced, the likeliest way first."""

    NEUTRAL = 0
    """One common oxidation state per element: Fe2O3, LiFePO4."""
    MIXED_VALENCE = 1
    """One element in two common states of the same sign: Fe3O4."""
    RARER_STATES = 2
    """Either of these with states that are common among the known crystals of the element: Cu2O, V3O5."""
    NONE = 3
    """Not at all: alloys, and what is no compound of ions."""


@dataclass(frozen=True)
class EnumeratedFormula:
    """One formula of a chemical system.

    Attributes
    ----------
    formula : its smallest whole numbers, the elements by rising electronegativity, without brackets: Li3Fe2P3O12.
    atoms : in one formula unit.
    balance : how its charges can be balanced.
    """

    formula: str
    atoms: int
    balance: Balance


def parse_system(text: str) -> tuple[str, ...]:
    """The elements of a chemical system such as Li-Fe-P-O.

    Raises
    ------
    InputError : fewer than two elements, one named twice, or an unknown one.
    """
    elements = tuple(part.strip() for part in text.split("-"))
    for symbol in elements:
        if symbol not in ELEMENTS:
            raise unknown(f"element in system {text!r}:", symbol, ELEMENTS, allowed_text="symbols joined by hyphens")
    if len(elements) < 2 or len(set(elements)) < len(elements):
        raise InputError(f"system {text!r}: name two or more different elements, for example Sr-Ti-O")
    return elements


def enumerate_formulas(
    elements: Sequence[str], max_atoms: int, *, subsystems: bool = False, limit: int | None = None
) -> list[EnumeratedFormula]:
    """Every reduced formula of a chemical system: charge-neutral ones first, then the smaller, then by name.

    Parameters
    ----------
    elements : of the system, two or more. Each formula contains all of them.
    max_atoms : in one formula unit.
    subsystems : formulas of every two or more of the elements too. Elements on their own are never among them: they
        are where a hull starts.
    limit : only the first so many.

    Notes
    -----
    Oxidation states are pymatgen's: the common ones of textbooks, and for `RARER_STATES` also those that at least one
    in a hundred crystals of the element in the ICSD has. That charges balance is a likelihood, not a law: the others
    come last, but they come.

    Raises
    ------
    InputError : no formula is that small, or there are more than a million.
    """
    smallest = 2 if subsystems else len(elements)
    if max_atoms < smallest:
        raise InputError(f"max_atoms: {max_atoms} is too few for {'-'.join(elements)}: give {smallest} or more")
    sizes = range(smallest, len(elements) + 1)
    most = sum(math.comb(len(elements), size) * math.comb(max_atoms, size) for size in sizes)
    if most > MOST_FORMULAS:
        raise InputError(
            f"{'-'.join(elements)} has about {most:,} formulas of {max_atoms} atoms or fewer, {MOST_FORMULAS:,} are "
            "allowed: lower max_atoms, or name fewer elements"
        )
    ordered = sorted(elements, key=lambda symbol: (_electronegativity(symbol), symbol))
    found = [
        formula for size in sizes for chosen in combinations(ordered, size) for formula in _formulas(chosen, max_atoms)
    ]
    found.sort(key=lambda entry: (entry.balance, entry.atoms, entry.formula))
    return found[:limit]


def fitting_units(formula_units: tuple[int, int] | None, atoms: int, max_atoms: int) -> tuple[int, int] | None:
    """The range of formula units whose cells hold at most `max_atoms`.

    Parameters
    ----------
    formula_units : the range asked for; None: from one up.
    atoms : in one formula unit.

    Returns
    -------
    The smallest and largest number; None where even the smallest cell asked for is too large.
    """
    low, high = formula_units or (1, max_atoms)
    high = min(high, max_atoms // atoms)
    return (low, high) if low <= high else None


@dataclass(frozen=True)
class _Reach:
    """The charges that some atoms can sum to, as bits: charge q of n atoms is bit q + n * `_SHIFT`.

    `single`: every element in one state; `mixed`: one of them in two.
    """

    single: int
    mixed: int

    def neutral(self, atoms: int) -> tuple[bool, bool]:
        """Whether zero is among each of the two."""
        zero = 1 << atoms * _SHIFT
        return bool(self.single & zero), bool(self.mixed & zero)

    def joined(self, single: Sequence[int], mixed: Sequence[int]) -> _Reach:
        """With the atoms of one more element, whose sums are given as places."""
        one = two = 0
        for place in single:
            one |= self.single << place
            two |= self.mixed << place
        for place in mixed:
            two |= self.single << place
        return _Reach(one, two)


def _formulas(symbols: Sequence[str], max_atoms: int) -> Iterator[EnumeratedFormula]:
    """Those that contain every one of `symbols`, in that order."""
    sums = [[(_sums(s, n, rarer=False), _sums(s, n, rarer=True)) for n in range(max_atoms + 1)] for s in symbols]

    def grow(
        done: int, text: str, atoms: int, divisor: int, common: _Reach, rarer: _Reach
    ) -> Iterator[EnumeratedFormula]:
        if done == len(symbols):
            if divisor == 1:
                yield EnumeratedFormula(text, atoms, _balance(common.neutral(atoms), rarer.neutral(atoms)))
            return
        for n in range(1, max_atoms - atoms - (len(symbols) - done - 1) + 1):
            longer = f"{text}{symbols[done]}{n if n > 1 else ''}"
            of_common, of_rarer = sums[done][n]
            reaches = common.joined(*of_common), rarer.joined(*of_rarer)
            yield from grow(done + 1, longer, atoms + n, math.gcd(divisor, n), *reaches)

    nothing = _Reach(single=1, mixed=0)
    yield from grow(0, "", 0, 0, nothing, nothing)


def _balance(common: tuple[bool, bool], rarer: tuple[bool, bool]) -> Balance:
    if common[0]:
        return Balance.NEUTRAL
    if common[1]:
        return Balance.MIXED_VALENCE
    return Balance.RARER_STATES if any(rarer) else Balance.NONE


@lru_cache(maxsize=100_000)
def _sums(symbol: str, atoms: int, rarer: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What so many atoms of an element sum to, as places: all in one state, and in two states of the same sign."""
    states = _states(symbol, rarer)
    single = {(state + _SHIFT) * atoms for state in states}
    mixed = {
        (one + _SHIFT) * n + (other + _SHIFT) * (atoms - n)
        for one, other in combinations(states, 2)
        if one * other > 0
        for n in range(1, atoms)
    }
    return tuple(sorted(single)), tuple(sorted(mixed))


@lru_cache(maxsize=256)
def _states(symbol: str, rarer: bool) -> tuple[int, ...]:
    from pymatgen.core import Element  # takes most of a second to import; `--help` imports this module

    element = Element(symbol)
    states = set(element.common_oxidation_states) | (set(element.icsd_oxidation_states) if rarer else set())
    return tuple(sorted(states - {0}))  # carbon's 0 balances nothing


@lru_cache(maxsize=256)
def _electronegativity(symbol: str) -> float:
    """On Pauling's scale; the light noble gases, which have none, go first as in chemical nomenclature."""
    import warnings

    from pymatgen.core import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        value = float(Element(symbol).X)
    return 0.0 if math.isnan(value) else value
