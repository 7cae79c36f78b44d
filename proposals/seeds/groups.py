"""Which space groups a seed allows: by number of operations, symbol, rank, cell shape, kind.

`RANKED` holds the 230 groups by how many of 23,660 structures (shared/data/mp, train and val; symmetry found by spglib
with symprec 0.01) have them, most frequent first; 34 that none has come last, by number.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from ..wyckoff import OPERATION_COUNTS, group_symbol, groups_by_operations
from .values import Place

# fmt: off
RANKED = (
    225, 62, 14, 2, 12, 15, 63, 139, 194, 166, 221, 129, 123, 11, 189, 148, 71, 164, 216, 140, 227, 1, 127, 187, 191,
    4, 65, 186, 36, 38, 167, 8, 193, 9, 5, 141, 160, 74, 136, 87, 59, 64, 19, 55, 13, 176, 44, 70, 156, 33, 31, 88,
    57, 204, 72, 82, 122, 58, 173, 198, 107, 26, 51, 43, 7, 25, 121, 6, 161, 220, 229, 10, 60, 147, 20, 69, 47, 40,
    115, 174, 109, 146, 119, 155, 125, 205, 61, 113, 217, 29, 137, 99, 150, 163, 46, 223, 73, 215, 85, 152, 162, 190,
    128, 42, 130, 142, 199, 92, 185, 18, 84, 218, 52, 131, 41, 86, 180, 66, 67, 100, 154, 53, 182, 39, 56, 68, 83,
    108, 126, 165, 200, 79, 97, 159, 214, 21, 23, 45, 96, 111, 132, 145, 213, 35, 110, 114, 118, 138, 157, 3, 54, 81,
    135, 143, 144, 181, 28, 76, 102, 124, 202, 30, 34, 117, 188, 206, 224, 32, 37, 75, 78, 105, 112, 116, 120, 149,
    153, 175, 183, 201, 203, 212, 77, 91, 98, 197, 226, 17, 22, 27, 90, 104, 134, 151, 158, 219, 16, 24, 48, 49, 50,
    80, 89, 93, 94, 95, 101, 103, 106, 133, 168, 169, 170, 171, 172, 177, 178, 179, 184, 192, 195, 196, 207, 208, 209,
    210, 211, 222, 228, 230,
)
"""International numbers, the most frequent first."""

SOHNCKE = (
    1, 3, 4, 5, 16, 17, 18, 19, 20, 21, 22, 23, 24, 75, 76, 77, 78, 79, 80, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98,
    143, 144, 145, 146, 149, 150, 151, 152, 153, 154, 155, 168, 169, 170, 171, 172, 173, 177, 178, 179, 180, 181, 182,
    195, 196, 197, 198, 199, 207, 208, 209, 210, 211, 212, 213, 214,
)
"""The 65 groups without improper operations."""

SYMMORPHIC = (
    1, 2, 3, 5, 6, 8, 10, 12, 16, 21, 22, 23, 25, 35, 38, 42, 44, 47, 65, 69, 71, 75, 79, 81, 82, 83, 87, 89, 97, 99,
    107, 111, 115, 119, 121, 123, 139, 143, 146, 147, 148, 149, 150, 155, 156, 157, 160, 162, 164, 166, 168, 174, 175,
    177, 183, 187, 189, 191, 195, 196, 197, 200, 202, 204, 207, 209, 211, 215, 216, 217, 221, 225, 229,
)
"""The 73 groups with a point that every kind of operation leaves in place."""

POINT_GROUPS = (
    1, 2, 3, 6, 10, 16, 25, 47, 75, 81, 83, 89, 99, 111, 123, 143, 147, 149, 156, 162, 168, 174, 175, 177, 183, 187,
    191, 195, 200, 207, 215, 221,
)
"""One symmorphic group on a primitive lattice for each of the 32 crystallographic point groups: those of clusters."""
# fmt: on

SYSTEMS = ("Tric", "Mono", "Orth", "Tetra", "Rhom", "Hexa", "Cubi")
"""Names of cell shapes, as SYSTEM has them."""

_RHOMBOHEDRAL = frozenset((146, 148, 155, 160, 161, 166, 167))
_FITS = {
    "Tric": ("Tric",),
    "Mono": ("Tric", "Mono"),
    "Orth": ("Tric", "Mono", "Orth"),
    "Tetra": ("Tric", "Mono", "Orth", "Tetra"),
    "Rhom": ("Tric", "Rhom"),
    "Hexa": ("Tric", "Trig", "Hexa"),
    "Cubi": ("Tric", "Mono", "Orth", "Tetra", "Cubi"),
}
"""The systems whose groups leave a cell of that shape as it is."""

Groups = dict[int, tuple[int, ...]]


def counts_allowed() -> str:
    """The possible numbers of operations, for messages."""
    return ", ".join(map(str, OPERATION_COUNTS))


def system_of(group: int) -> str:
    """The shape of cell that a group demands: a name of `SYSTEMS`, or "Trig" for trigonal groups on hexagonal axes."""
    if group in _RHOMBOHEDRAL:
        return "Rhom"
    last = {"Tric": 2, "Mono": 15, "Orth": 74, "Tetra": 142, "Trig": 167, "Hexa": 194, "Cubi": 230}
    return next(name for name, number in last.items() if group <= number)


def select(
    operations: tuple[int, int], only: Iterable[int] = (), rank: int = 230, system: str = "", kinds: Iterable[str] = ()
) -> Groups:
    """International numbers by number of operations; empty where nothing is left.

    Parameters
    ----------
    operations : smallest and largest number.
    only : restrict to these groups; empty: all.
    rank : restrict to so many of the most frequent.
    system : restrict to groups that fit into this shape of cell; "": all.
    kinds : of "SYMMORPHIC", "CHIRAL", "CLUSTER": restrict to each.
    """
    lists = {"SYMMORPHIC": SYMMORPHIC, "CHIRAL": SOHNCKE, "CLUSTER": POINT_GROUPS}
    kept = set(RANKED[:rank])
    kept &= set(only) or kept
    for kind in kinds:
        kept &= set(lists[kind])
    if system:
        kept = {group for group in kept if system_of(group) in _FITS[system]}
    return groups_by_operations(*operations, only=tuple(sorted(kept))) if kept else {}


def number_of(symbol: str, place: Place) -> int:
    """The international number of a short symbol, whatever its blanks, underscores and capitals.

    Raises
    ------
    InputError : no such symbol.
    """
    numbers = _numbers()
    plain = _plain(symbol)
    if plain not in numbers:
        raise place.error(f"SYMM={symbol[:40]!r} is no short international symbol: write P21/c, Fm-3m, ..., or SYMMNO")
    return numbers[plain]


@lru_cache(maxsize=1)
def _numbers() -> dict[str, int]:
    before_1992 = {"abm2": 39, "aba2": 41, "cmca": 64, "cmma": 67, "ccca": 68}
    return before_1992 | {_plain(group_symbol(number)): number for number in range(1, 231)}


def _plain(symbol: str) -> str:
    return "".join(symbol.replace("_", "").split()).lower()
