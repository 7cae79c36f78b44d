"""Formation energies and heights above the hull, from energies of one engine and one setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

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

    @property
    def formula(self) -> str:
        """Its reduced formula, as pymatgen writes it: the same for all phases of one composition."""
        return str(Composition(dict(self.composition)).reduced_formula)


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
    # Of each formula only the lowest can be on a hull; the first of equals, so that the answer is always the same.
    lowest: dict[str, Phase] = {}
    for phase in usable:
        best = lowest.setdefault(phase.formula, phase)
        if phase.enthalpy_per_atom < best.enthalpy_per_atom:
            lowest[phase.formula] = phase
    diagrams: dict[frozenset[str], PhaseDiagram] = {}
    mixtures: dict[str, tuple[float | None, tuple[str, ...]]] = {}
    found = {}
    for phase in usable:
        # Only what lies within its own elements can compete with it.
        rivals = [other for other in lowest.values() if other.elements <= phase.elements]
        if phase.elements not in diagrams:
            diagrams[phase.elements] = _diagram(rivals, phase.elements)
        if phase.formula not in mixtures:
            mixtures[phase.formula] = _best_mixture(phase, rivals)
        diagram, (mixture, products) = diagrams[phase.elements], mixtures[phase.formula]
        above = phase.enthalpy_per_atom - float(diagram.get_hull_energy_per_atom(Composition(dict(phase.composition))))
        found[phase.name] = Stability(
            formation=float(diagram.get_form_energy_per_atom(_entry(phase))),
            above_hull=0.0 if abs(above) < TIE else above,
            decomposition=None if mixture is None else phase.enthalpy_per_atom - mixture,
            products=products,
        )
    return found


def hull_energy(phases: Sequence[Phase], composition: Mapping[str, int]) -> float:
    """Enthalpy of the hull of `phases` at a composition, eV/atom; each of its elements needs a phase of its own."""
    elements = frozenset(composition)
    diagram = _diagram([phase for phase in phases if phase.elements <= elements], elements)
    return float(diagram.get_hull_energy_per_atom(Composition(dict(composition))))


def _best_mixture(phase: Phase, rivals: Sequence[Phase]) -> tuple[float | None, tuple[str, ...]]:
    """Enthalpy (eV/atom) of the best mixture of other formulas at its composition, and their names."""
    if len(phase.elements) == 1:
        return None, ()
    composition = Composition(dict(phase.composition))
    diagram = _diagram([rival for rival in rivals if rival.formula != phase.formula], phase.elements)
    shares = diagram.get_decomposition(composition)
    ordered = sorted(shares, key=lambda entry: -shares[entry])
    height = float(diagram.get_hull_energy_per_atom(composition))
    return height, tuple(entry.composition.reduced_formula for entry in ordered)


def _diagram(phases: Sequence[Phase], elements: frozenset[str]) -> PhaseDiagram:
    return PhaseDiagram([_entry(phase) for phase in phases], [Element(symbol) for symbol in sorted(elements)])


def _entry(phase: Phase) -> PDEntry:
    composition = Composition(dict(phase.composition))
    return PDEntry(composition, phase.enthalpy_per_atom * composition.num_atoms, name=phase.name)


def tie_lines(phases: Sequence[Phase]) -> list[tuple[str, str]]:
    """Names of phases on the hull that can coexist, in pairs: the edges of the hull's simplices.

    Phases of elements without one of their own are left out as in `stabilities`; of equal ones the first counts.
    """
    lost = set(missing_elements(phases))
    usable = sorted((p for p in phases if not p.elements & lost), key=lambda p: p.enthalpy_per_atom)
    lowest = {phase.formula: phase for phase in reversed(usable)}
    elements = frozenset().union(*(phase.elements for phase in usable))
    if len(elements) < 2:
        return []
    diagram = _diagram(list(lowest.values()), elements)
    names = [entry.name for entry in diagram.qhull_entries]
    pairs = {tuple(sorted((names[a], names[b]))) for facet in diagram.facets for a, b in combinations(facet, 2)}
    return sorted((a, b) for a, b in pairs)
