"""The plain types that every room shares: target, candidate, relaxation, status.

Units: eV, Å, eV/Å; GPa only where the name says so. Cells are rows. Structures are `ase.Atoms`, periodic in all
directions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations_with_replacement
from typing import Any

from ase import Atoms
from ase.units import GPa

from .errors import InputError
from .formula import pair_key, parse_formula


class Status(StrEnum):
    """How a relaxation ended. An outcome is data: it is stored and counted, and never stops a run."""

    CONVERGED = "converged"
    MAX_STEPS = "max_steps"
    EXPLODED = "exploded"
    OVERLAP = "overlap"
    NAN = "nan"
    TIMEOUT = "timeout"
    ERROR = "error"
    SUSPICIOUS = "suspicious"
    SCF = "scf"
    GIVEN_UP = "given_up"

    @property
    def advice(self) -> str:
        """What the user can do about it."""
        return _ADVICE[self]


_ADVICE = {
    Status.CONVERGED: "nothing to do",
    Status.MAX_STEPS: "raise --max-steps, or loosen --force-tolerance or --stress-tolerance-gpa",
    Status.EXPLODED: "propose denser structures (--volume-per-atom)",
    Status.OVERLAP: "raise --min-distances or --volume-per-atom, or use a potential with a repulsive core",
    Status.NAN: "the potential is outside what it was made for: raise --min-distances",
    Status.TIMEOUT: "raise --max-seconds, or propose smaller cells (--formula-units)",
    Status.ERROR: "read the message; the same candidate can be drawn again with `xtalseek propose`",
    Status.GIVEN_UP: "leave out --early-stop-window to relax such candidates to the end",
    Status.SCF: "look at the engine's output; a finer --level, or other pseudopotentials, may help",
    Status.SUSPICIOUS: "check it with another potential or with DFT before believing it",
}


MAX_CELL_ATOMS = 10_000
"""In a candidate."""


@dataclass(frozen=True)
class Target:
    """What is searched for.

    Attributes
    ----------
    formula : one formula unit, as written by the user.
    formula_units : smallest and largest number of formula units in a cell; each candidate draws its own.
    pressure_gpa : external pressure; the search minimises the enthalpy E + pV.
    min_distances : closest allowed distance (Å) per species pair, {"Ti-O": 1.7}; pairs left out follow from radii.
    volume_per_atom : smallest and largest starting volume (Å^3/atom); None: from radii.
    symmetry_operations : smallest and largest number of symmetry operations of the primitive cell (1 to 48).
    space_groups : international numbers to draw from; empty: any with an allowed number of operations.
    seed_text : an AIRSS seed that says all this instead (the pressure apart); empty: none.
    label : what candidates are called after; empty: the formula.

    Raises
    ------
    InputError : naming the field, the value and what is allowed.
    """

    formula: str
    formula_units: tuple[int, int] = (1, 1)
    pressure_gpa: float = 0.0
    min_distances: Mapping[str, float] = field(default_factory=dict)
    volume_per_atom: tuple[float, float] | None = None
    symmetry_operations: tuple[int, int] = (1, 48)
    space_groups: tuple[int, ...] = ()
    seed_text: str = ""
    label: str = ""

    def __post_init__(self) -> None:
        counts = parse_formula(self.formula)
        low, high = self.formula_units
        if not 1 <= low <= high:
            raise InputError(f"formula_units: {low}-{high} is not a range of whole numbers from 1 up, such as 1-4")
        if high * sum(counts.values()) > MAX_CELL_ATOMS:
            raise InputError(
                f"formula_units: {high} of {self.formula} are more than {MAX_CELL_ATOMS} atoms in a cell: ask for fewer"
            )
        if not math.isfinite(self.pressure_gpa):
            raise InputError(f"pressure_gpa: {self.pressure_gpa} is not a finite number of GPa")
        for pair, distance in self.min_distances.items():
            absent = [species for species in pair_key(pair) if species not in counts]
            if absent:
                raise InputError(f"min_distances: {absent[0]} in {pair!r} is not in {self.formula}")
            if not 0 < distance < 20:
                raise InputError(f"min_distances: {pair} = {distance} is not a distance between 0 and 20 Å")
        if self.volume_per_atom is not None and not 0.5 <= self.volume_per_atom[0] <= self.volume_per_atom[1] <= 1000:
            given = "-".join(f"{v:g}" for v in self.volume_per_atom)
            raise InputError(f"volume_per_atom: {given} is not a range within 0.5-1000 Å^3 per atom, such as 10-12")
        if not 1 <= self.symmetry_operations[0] <= self.symmetry_operations[1] <= 48:
            given = "-".join(str(v) for v in self.symmetry_operations)
            raise InputError(f"symmetry_operations: {given} is not a range within 1-48, such as 2-4")
        for number in self.space_groups:
            if not 1 <= number <= 230:
                raise InputError(f"space_groups: {number} is not an international space-group number (1-230)")

    @property
    def composition(self) -> dict[str, int]:
        """Atoms of each species in one formula unit, in the order written."""
        return parse_formula(self.formula)

    @property
    def name(self) -> str:
        """The label, or the formula without brackets: fit for file names."""
        return self.label or "".join(f"{symbol}{n if n > 1 else ''}" for symbol, n in self.composition.items())

    @property
    def species_pairs(self) -> list[tuple[str, str]]:
        """Every pair of species, each sorted as `pair_key` sorts."""
        return list(combinations_with_replacement(sorted(self.composition), 2))


@dataclass(frozen=True, eq=False)
class Parent:
    """A relaxed structure that a candidate starts from, and the name of the candidate that it was."""

    name: str
    atoms: Atoms


@dataclass(frozen=True, eq=False)
class Candidate:
    """One proposed, unrelaxed structure, named by (target, source, index).

    Attributes
    ----------
    target : name of the target.
    source : name of the source that drew it.
    index : its number within the source, from 0.
    atoms : the structure, or None where the source found none within its attempts (`note` says why).
    seconds : time it took to draw.
    note : one line for a person, empty where there is nothing to say.
    provenance : plain numbers and strings that say how it came about (formula units, space group asked for, ...).
    """

    target: str
    source: str
    index: int
    atoms: Atoms | None
    seconds: float = 0.0
    note: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Unique within a run: SrTiO3-random-000017."""
        return f"{self.target}-{self.source}-{self.index:06d}"


@dataclass(frozen=True, eq=False)
class Relaxation:
    """What the relaxer made of a candidate.

    Attributes
    ----------
    atoms : the final structure, or the last sound one; None where there never was one.
    status : how it ended; `message` says it in one line and what to do.
    energy : eV for the whole cell, without the pressure term; None where it was never computed.
    pressure_gpa : the external pressure it was relaxed under.
    max_force : largest force on an atom, eV/Å.
    max_stress_gpa : largest absolute component of stress + pressure, GPa.
    steps, force_calls : steps of the optimiser, and evaluations of the potential.
    seconds : wall time.
    """

    atoms: Atoms | None
    status: Status
    message: str = ""
    energy: float | None = None
    pressure_gpa: float = 0.0
    max_force: float | None = None
    max_stress_gpa: float | None = None
    steps: int = 0
    force_calls: int = 0
    seconds: float = 0.0

    @property
    def enthalpy(self) -> float | None:
        """E + pV in eV for the whole cell; None without an energy."""
        if self.energy is None or self.atoms is None:
            return None
        return self.energy + self.pressure_gpa * GPa * float(self.atoms.get_volume())

    @property
    def enthalpy_per_atom(self) -> float | None:
        """E + pV in eV per atom; None without an energy."""
        return None if self.enthalpy is None or self.atoms is None else self.enthalpy / len(self.atoms)


@dataclass(frozen=True, eq=False)
class Record:
    """A candidate with its relaxation: one line of the journal.

    Attributes
    ----------
    finished : seconds since 1970 at which the relaxation ended.
    rank : the MPI rank that relaxed it.
    number : the candidate's place in the order in which the run handed candidates out, from 0.
    """

    candidate: Candidate
    relaxation: Relaxation
    finished: float = 0.0
    rank: int = 0
    number: int = 0

    @property
    def name(self) -> str:
        """The candidate's name."""
        return self.candidate.name

    @property
    def seconds(self) -> float:
        """Of drawing and relaxing it."""
        return self.candidate.seconds + self.relaxation.seconds
