"""Phases of a chemical system and how they stand to its convex hull, as plain rows and as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from textwrap import wrap
from typing import Any

from ase import Atoms

from ..formula import reduced_formula
from .columns import aligned
from .generated import GeneratedSet
from .generated_sets import generated_lines
from .stability import Phase, stabilities, tie_lines
from .symmetry import space_group


@dataclass(frozen=True, eq=False)
class Entry:
    """A relaxed structure that competes.

    Attributes
    ----------
    name : unique.
    source : the way of proposing it came from; "reference" where it was not searched for.
    origin : the run folder or file it came from.
    atoms : the structure.
    enthalpy_per_atom : eV/atom.
    times_found : by its run; 1 for references.
    """

    name: str
    source: str
    origin: str
    atoms: Atoms
    enthalpy_per_atom: float
    times_found: int = 1


@dataclass(frozen=True)
class HullRow:
    """A phase on or above the hull; energies at 0 K, eV/atom.

    Attributes
    ----------
    composition : atoms of the reduced formula.
    formation : enthalpy of formation from the lowest phase of each element.
    above_hull : 0 where it is stable.
    decomposition : enthalpy minus that of the best mixture of other formulas, `products`; None for an element.
    lowest : the lowest of its formula.
    """

    name: str
    source: str
    origin: str
    formula: str
    composition: dict[str, int]
    space_group: str
    times_found: int
    enthalpy_per_atom: float
    formation: float
    above_hull: float
    decomposition: float | None
    products: tuple[str, ...]
    lowest: bool


@dataclass(frozen=True)
class Hull:
    """The phases of a chemical system, by formula and then from the lowest up.

    Attributes
    ----------
    elements : in the order asked for; axes follow it.
    rows : all of them.
    ties : names of stable phases that can coexist, in pairs.
    method : what the enthalpies were made with, in words.
    notes : lines that belong below the table.
    generated : by source, all relaxations of the runs against the references alone; empty without runs.
    """

    elements: tuple[str, ...]
    rows: tuple[HullRow, ...]
    ties: tuple[tuple[str, str], ...]
    method: str
    notes: tuple[str, ...] = ()
    generated: Mapping[str, GeneratedSet] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Sr-Ti-O."""
        return "-".join(self.elements)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "system": self.name,
            "method": self.method,
            "phases": [asdict(row) | {"products": list(row.products)} for row in self.rows],
            "tie_lines": [list(tie) for tie in self.ties],
            "notes": list(self.notes),
            "generated": {
                source: asdict(found) | {"metastable": [asdict(share) for share in found.metastable]}
                for source, found in self.generated.items()
            },
        }

    def lines(self) -> list[str]:
        """The lowest phase of each formula as text in fixed columns."""
        head = ("formula", "space group", "formation", "hull", "decomposes to", "source", "found", "name")
        shown = [row for row in self.rows if row.lowest]
        hidden = len(self.rows) - len(shown)
        found = ["" if row.source == "reference" else str(row.times_found) for row in shown]
        table = [
            (
                row.formula,
                row.space_group,
                f"{row.formation:.4f}",
                f"{1000 * row.above_hull:.1f}",
                "" if row.above_hull == 0 else " + ".join(row.products),
                row.source,
                times,
                row.name,
            )
            for row, times in zip(shown, found, strict=True)
        ]
        lines = aligned([head, *table], (0, 1, 4, 5, 7))
        if hidden:
            lines.append(f"... and {hidden} higher phases of these formulas (all: --json)")
        words = f"formation: eV/atom from the elements; hull: meV/atom above it, 0: stable at 0 K. {self.method}."
        made = ["", *generated_lines(self.generated)] if self.generated else []
        notes = [line for note in self.notes for line in wrap(note, 80)]
        return [*lines, "", *wrap(words, 80), *notes, *made]


def hull_of(entries: Sequence[Entry], elements: Sequence[str], method: str, notes: Sequence[str] = ()) -> Hull:
    """How each of `entries` stands to their common hull.

    Each element needs an entry of its own (`stability.missing_elements` names those that have none): entries with
    another element are left out.
    """
    phases = [Phase(e.name, Counter(e.atoms.get_chemical_symbols()), e.enthalpy_per_atom) for e in entries]
    stable = stabilities(phases)
    seen: set[str] = set()
    rows = []
    for entry in sorted(entries, key=lambda e: (e.enthalpy_per_atom, e.name)):
        if entry.name not in stable:
            continue
        counts = Counter(entry.atoms.get_chemical_symbols())
        formula, units = reduced_formula({symbol: counts[symbol] for symbol in elements if counts[symbol]})
        own = stable[entry.name]
        rows.append(
            HullRow(
                name=entry.name,
                source=entry.source,
                origin=entry.origin,
                formula=formula,
                composition={symbol: counts[symbol] // units for symbol in elements if counts[symbol]},
                space_group=space_group(entry.atoms)[0],
                times_found=entry.times_found,
                enthalpy_per_atom=entry.enthalpy_per_atom,
                formation=own.formation,
                above_hull=own.above_hull,
                decomposition=own.decomposition,
                products=own.products,
                lowest=formula not in seen,
            )
        )
        seen.add(formula)
    rows.sort(key=lambda row: (len(row.composition), _shares(row, elements), row.formula))
    return Hull(tuple(elements), tuple(rows), tuple(tie_lines(phases)), method, tuple(notes))


def _shares(row: HullRow, elements: Sequence[str]) -> tuple[float, ...]:
    """Less of the first element later; sorting keeps the phases of one formula from the lowest up."""
    atoms = sum(row.composition.values())
    return tuple(-row.composition.get(symbol, 0) / atoms for symbol in elements)
