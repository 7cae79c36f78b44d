"""Formation energies and heights above the hull, from energies of one engine and one setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Element

TIE = 1e-6
"""eV/atom; a phase within it of the hull is on it."""


@dataclass(frozen=True)
class Phase:
    """A structure that competes.

    Attributes
    ----------
    name : unique. composition : atoms by symbol, of any number of formula units.
    enthalpy_per_atom : eV/atom.
    """

    name: str
    composition: Mapping[str, int]
    enthalpy_per_atom: float

    @property
    def elements(self) -> frozenset[str]:
        """Its symbols."""
        return frozenset(self.composition)


@dataclass(frozen=True)
class Stability:
    """Where a phase stands among the others, at 0 K, eV/atom.

    Attributes
    ----------
    formation : enthalpy of formation from the lowest phase of each element.
    above_hull : height above the lower hull of all phases, itself among them: 0 for a stable one.
    decomposition : enthalpy minus that of the best mixture of phases of other compositions; negative: it does not
        decompose into them. None for an element.
    products : that mixture, as reduced formulas, largest share first.
    """

    formation: float
    above_hull: float
    decomposition: float | None
    products: tuple[str, ...] = ()


def missing_elements(phases: Sequence[Phase]) -> list[str]:
    """Elements that occur, but have no phase of their own: without one there is no formation energy."""
    present = {symbol for phase in phases for symbol in phase.elements}
    pure = {symbol for phase in phases if len(phase.elements) == 1 for symbol in phase.elements}
    return sorted(present - pure)


def stabilities(phases: Sequence[Phase]) -> dict[str, Stability]:
    """The stability of each phase whose elements all have a phase of their own, by name.

    Phases with an element that has none are left out as if they were not there.
    """
    lost = set(missing_elements(phases))
    usable = [phase for phase in phases if not phase.elements & lost]
    found = {}
    for phase in usable:
        # Only what lies within its own elements can compete with it.
        rivals = [other for other in usable if other.elements <= phase.elements]
        diagram = PhaseDiagram([_entry(other) for other in rivals], [Element(s) for s in sorted(phase.elements)])
        composition = Composition(dict(phase.composition))
        hull = float(diagram.get_hull_energy_per_atom(composition))
        above = phase.enthalpy_per_atom - hull
        decomposition, products = _decomposition(phase, rivals)
        found[phase.name] = Stability(
            formation=float(diagram.get_form_energy_per_atom(_entry(phase))),
            above_hull=0.0 if abs(above) < TIE else above,
            decomposition=decomposition,
            products=products,
        )
    return found


def _decomposition(phase: Phase, rivals: Sequence[Phase]) -> tuple[float | None, tuple[str, ...]]:
    if len(phase.elements) == 1:
        return None, ()
    composition = Composition(dict(phase.composition))
    own = composition.reduced_formula
    others = [r for r in rivals if Composition(dict(r.composition)).reduced_formula != own]
    diagram = PhaseDiagram([_entry(other) for other in others], [Element(s) for s in sorted(phase.elements)])
    shares = diagram.get_decomposition(composition)
    ordered = sorted(shares, key=lambda entry: -shares[entry])
    height = phase.enthalpy_per_atom - float(diagram.get_hull_energy_per_atom(composition))
    return height, tuple(entry.composition.reduced_formula for entry in ordered)


def _entry(phase: Phase) -> PDEntry:
    composition = Composition(dict(phase.composition))
    return PDEntry(composition, phase.enthalpy_per_atom * composition.num_atoms, name=phase.name)
