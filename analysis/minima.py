"""Distinct minima among the relaxed structures of a run: duplicates united, lowest first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from ..formats import Frame, frame_of
from ..formula import reduced_formula
from ..records import Record, Status
from ..search.store import Run
from .duplicates import MatchTolerances, unite
from .symmetry import space_group

GUARD_EV_PER_ATOM = 3.0
"""A converged relaxation this far below the run's median is not believed ..."""
GUARD_MINIMUM = 5
"""... once so many have converged."""


@dataclass(frozen=True, eq=False)
class Minimum:
    """A distinct relaxed structure.

    Attributes
    ----------
    record : its lowest member.
    members : names of all its members, lowest first.
    formula : reduced formula.
    formula_units : of the reduced formula, in the cell of `record`.
    space_group, space_group_number : international symbol and number; "n/a" and 0 where none was found.
    volume_per_formula_unit : Å^3.
    enthalpy_per_formula_unit : eV.
    enthalpy_per_atom : eV.
    suspicious : why it is not believed; empty where it is.
    """

    record: Record
    members: tuple[str, ...]
    formula: str
    formula_units: int
    space_group: str
    space_group_number: int
    volume_per_formula_unit: float
    enthalpy_per_formula_unit: float
    enthalpy_per_atom: float
    suspicious: str = ""

    @property
    def name(self) -> str:
        """The name of its lowest member."""
        return self.record.name

    @property
    def times_found(self) -> int:
        """How many relaxations ended in it."""
        return len(self.members)

    @property
    def atoms(self) -> Atoms:
        """The relaxed structure of its lowest member."""
        assert self.record.relaxation.atoms is not None
        return self.record.relaxation.atoms

    @property
    def frame(self) -> Frame:
        """Itself on the way to a file."""
        frame = frame_of(self.record, self.space_group, self.times_found)
        assert frame is not None
        return frame


def believable(run: Run) -> tuple[list[Record], dict[str, str]]:
    """The records whose energies count, and why others with a structure and an energy do not, by name.

    A record counts when it converged, and lies no more than `GUARD_EV_PER_ATOM` below the median of the run's
    converged ones (judged from `GUARD_MINIMUM` of them up): a potential that is far outside what it was made for can
    reward nonsense without any sign of it in a single relaxation.
    """
    usable = [(r, h) for r in run.records if (h := r.relaxation.enthalpy_per_atom) is not None and math.isfinite(h)]
    converged = [(record, h) for record, h in usable if record.relaxation.status is Status.CONVERGED]
    median = float(np.median([h for _, h in converged])) if len(converged) >= GUARD_MINIMUM else -math.inf
    doubts = {
        record.name: record.relaxation.message or Status.SUSPICIOUS.advice
        for record, _ in usable
        if record.relaxation.status is Status.SUSPICIOUS
    }
    believed = []
    for record, h in converged:
        if h < median - GUARD_EV_PER_ATOM:
            doubts[record.name] = (
                f"{median - h:.1f} eV/atom below the median of {len(converged)} converged relaxations: "
                f"{Status.SUSPICIOUS.advice}"
            )
        else:
            believed.append(record)
    return believed, doubts


def find_minima(run: Run, tolerances: MatchTolerances | None = None) -> list[Minimum]:
    """The distinct minima of a run by rising enthalpy per atom, those that are suspicious after all others.

    The result does not depend on the order of the records: see `duplicates.unite`.
    """
    tolerances = tolerances or MatchTolerances()
    believed, doubts = believable(run)
    doubtful = [record for record in run.records if record.name in doubts]
    order = list(run.config.target.composition)
    minima = [_minimum(group, "", order, tolerances) for group in _unite(believed, tolerances)]
    return minima + [
        _minimum(group, doubts[group[0].name], order, tolerances) for group in _unite(doubtful, tolerances)
    ]


def _unite(records: Sequence[Record], tolerances: MatchTolerances) -> list[list[Record]]:
    structures, enthalpies = [], []
    for record in records:
        atoms, enthalpy = record.relaxation.atoms, record.relaxation.enthalpy_per_atom
        assert atoms is not None and enthalpy is not None
        structures.append(atoms)
        enthalpies.append(enthalpy)
    groups = unite(structures, [record.name for record in records], enthalpies, tolerances)
    return [[records[place] for place in group] for group in groups]


def _minimum(members: list[Record], suspicious: str, order: Sequence[str], tolerances: MatchTolerances) -> Minimum:
    lowest = members[0]
    atoms, enthalpy = lowest.relaxation.atoms, lowest.relaxation.enthalpy
    assert atoms is not None and enthalpy is not None
    formula, units = _formula(atoms, order)
    symbol, number = space_group(atoms, tolerances.symprec)
    return Minimum(
        record=lowest,
        members=tuple(record.name for record in members),
        formula=formula,
        formula_units=units,
        space_group=symbol,
        space_group_number=number,
        volume_per_formula_unit=float(atoms.get_volume()) / units,
        enthalpy_per_formula_unit=enthalpy / units,
        enthalpy_per_atom=enthalpy / len(atoms),
        suspicious=suspicious,
    )


def _formula(atoms: Atoms, order: Sequence[str]) -> tuple[str, int]:
    """The reduced formula with its elements in the target's order, and how many of its units the cell holds."""
    counts = Counter(atoms.get_chemical_symbols())
    return reduced_formula({symbol: counts[symbol] for symbol in sorted(counts, key=_place_in(order))})


def _place_in(order: Sequence[str]) -> Callable[[str], tuple[int, str]]:
    return lambda symbol: (order.index(symbol) if symbol in order else len(order), symbol)
