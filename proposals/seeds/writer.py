"""A sensible AIRSS seed for a formula: volume and distances from structures or from radii."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

from ase import Atoms

from ...errors import InputError
from ...formula import parse_formula, reduced_formula
from .composition import MAX_ATOMS
from .distances import radius_distances, radius_volume
from .groups import counts_allowed, select
from .learning import learn

LISTED = 100
"""Atoms in a formula unit that are listed line by line."""


def write_seed(
    formula: str,
    structures: Sequence[Atoms] | None = None,
    formula_units: int | tuple[int, int] | None = None,
    symmetry_operations: int | tuple[int, int] = (2, 4),
    slack: float = 0.25,
    overlap: float = 0.1,
) -> str:
    """The text of a seed.

    Every atom of the formula unit is listed on a line of its own, so that buildcell, too, gives VARVOL to one formula
    unit: with NUM it would multiply the volume.

    Parameters
    ----------
    formula : one formula unit; for an element with several formula units write "Si" and `formula_units`.
    structures : volume and distances are learned from them (see `learning.learn`); None: from radii.
    formula_units : a number or a range; None: 1.
    symmetry_operations : a number or a range; 1 for no symmetry.
    slack, overlap : AIRSS's SLACK (share) and OVERLAP (energy per atom).

    Raises
    ------
    InputError : no formula, too many atoms, or structures of other species.
    """
    counts = parse_formula(formula)
    units, operations = _span(1 if formula_units is None else formula_units), _span(symmetry_operations)
    atoms = sum(counts.values())
    if atoms > LISTED or not 1 <= units[0] <= units[1] or units[1] * atoms > MAX_ATOMS:
        raise InputError(
            f"seed of {formula} x {_shown(units)}: at most {LISTED} atoms in a formula unit and {MAX_ATOMS} in a cell"
        )
    if not 1 <= operations[0] <= operations[1] <= 48:
        raise InputError(f"symmetry_operations: {_shown(operations)} is not a range within 1-48, such as 2-4")
    if not select(operations):
        raise InputError(f"symmetry_operations: {_shown(operations)}: groups have {counts_allowed()} operations")
    pairs = list(combinations_with_replacement(sorted(counts), 2))
    volume = radius_volume(counts)
    given: dict[tuple[str, str], float] = {}
    origin = "radii of the elements"
    if structures:
        strange = sorted({s for a in structures for s in a.get_chemical_symbols()} - set(counts))
        if strange:
            raise InputError(f"structures hold {strange[0]}, which is not in {formula}: give structures of its species")
        learned = learn(structures)
        volume = learned.volume_per_atom * atoms
        given = {pair: d for pair, d in learned.distances.items() if pair in pairs}
        origin = f"{learned.structures} structure{'s' if learned.structures > 1 else ''} given"
    distances = radius_distances(counts, given, volume)
    smallest = min(distances.values())
    listed = [symbol for symbol, n in counts.items() for _ in range(n)]
    width = max(map(len, listed))
    lines = [
        f"## Seed of {reduced_formula(counts)[0]}, written by xtalseek; volume and distances from {origin}.",
        "## Two hashes start a comment; one hash a directive (docs/seeds.md lists them all).",
        "",
        "## Å^3 for the atoms listed below, drawn within 5 %; NFORM multiplies it.",
        f"#VARVOL={volume:.2f}",
        "",
        "## One line per atom of a formula unit; all land anywhere in the cell.",
        "%BLOCK POSITIONS_FRAC",
        *(f"{symbol:<{width}} 0.0 0.0 0.0 # {symbol}{i} % NUM=1" for i, symbol in enumerate(listed, 1)),
        "%ENDBLOCK POSITIONS_FRAC",
        "",
        "## Formula units in the cell.",
        f"#NFORM={_shown(units)}",
        "## Symmetry operations of the primitive cell: 1, 2, 3, 4, 6, 8, 12, 16, 24 or 48.",
        f"#SYMMOPS={_shown(operations)}",
        "",
        "## Smallest distances in Å: of all pairs, then pair by pair.",
        " ".join([f"#MINSEP={smallest:.2f}", *(f"{a}-{b}={distances[a, b]:.2f}" for a, b in pairs)]),
        "## Pairs may be closer by this share while atoms are pushed apart; then soft spheres finish the work.",
        f"#SLACK={slack:g}",
        f"#OVERLAP={overlap:g}",
        "## Reduce the cell to its shortest vectors.",
        "#COMPACT",
    ]
    return "\n".join(lines) + "\n"


def _span(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _shown(span: tuple[int, int]) -> str:
    return f"{span[0]}" if span[0] == span[1] else f"{span[0]}-{span[1]}"
