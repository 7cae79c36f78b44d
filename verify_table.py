"""DFT beside the search's potential: energies, ranks, stability, as plain rows and as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from ase import Atoms
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.io.ase import AseAtomsAdaptor

from .analysis import MatchTolerances, space_group
from .analysis.columns import aligned
from .analysis.stability import Phase, Stability, missing_elements, stabilities
from .records import Status
from .relax.dft.relaxation import DftSettings
from .relax.dft.store import MINIMUM, Finished


@dataclass(frozen=True)
class Row:
    """One structure; enthalpies in eV/atom, without the pressure term at 0 GPa.

    Attributes
    ----------
    role : "minimum" or "reference".
    search_space_group, space_group : before and after DFT.
    search_enthalpy, search_relative, search_rank : by the search's potential; relative to, and ranked among, those
        that are in this table and have converged.
    enthalpy, relative, rank : by DFT; relative and rank only where it converged.
    stability : None where reference phases are missing.
    seconds : wall time of the DFT.
    """

    name: str
    role: str
    formula: str
    atoms: int
    search_space_group: str
    space_group: str
    search_enthalpy: float | None
    search_relative: float | None
    search_rank: int | None
    enthalpy: float | None
    relative: float | None
    rank: int | None
    volume_per_atom: float | None
    stability: Stability | None
    status: str
    message: str
    steps: int
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """The rows, minima in the order of the search and then references, with the notes that belong below."""

    engine: str
    potential: str
    settings: DftSettings
    folder: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "engine": self.engine,
            "potential": self.potential,
            "level": self.settings.level.name,
            "cutoff": self.settings.cutoff_in_use,
            "static": self.settings.static,
            "pressure_gpa": self.settings.pressure_gpa,
            "folder": self.folder,
            "rows": [asdict(row) for row in self.rows],
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The table as text in fixed columns."""
        with_hull = any(row.stability for row in self.rows)
        head = ["name", "space group", self.potential, "rel", "rank", self.engine, "rel", "rank"]
        head += ["formation", "hull"] if with_hull else []
        table = [[*head, "V", "status", "s"]]
        table += [_cells(row, with_hull) for row in self.rows]
        kind = "single points" if self.settings.static else "relaxed"
        return [
            *aligned(table, (0, 1, len(table[0]) - 2)),
            "",
            f"{self.potential}, {self.engine}, formation: eV/atom; rel, hull: meV/atom above the lowest, above the "
            "hull; V: Å^3/atom.",
            f"{self.engine}: PBE, {self.settings.level.name}, {self.settings.cutoff_in_use:g} eV, {kind}; energies are "
            "extrapolated to zero smearing.",
            *self.notes,
            f"results: {self.folder}",
        ]


def compare(done: Sequence[Finished], engine: str, potential: str, settings: DftSettings, folder: str) -> Comparison:
    """Put energies, ranks and stabilities together.

    Parameters
    ----------
    done : minima from the lowest up, then references.
    """
    phases = [_phase(d) for d in done if _counts(d)]
    stable = stabilities(phases) if any(d.task.role != MINIMUM for d in done) else {}
    minima = [d for d in done if d.task.role == MINIMUM and _counts(d)]
    # Sorting keeps equal ones in the order of the search.
    by_dft = sorted(minima, key=_enthalpy)
    by_search = sorted(minima, key=lambda d: d.task.search_enthalpy or 0.0)
    rows = []
    for d in done:
        task, relaxation = d.task, d.relaxation
        enthalpy, ranked = relaxation.enthalpy_per_atom, d in minima
        rows.append(
            Row(
                name=task.name,
                role=task.role,
                formula=task.start.get_chemical_formula(empirical=True),
                atoms=len(task.start),
                search_space_group=task.search_space_group,
                space_group="n/a" if relaxation.atoms is None else space_group(relaxation.atoms)[0],
                search_enthalpy=task.search_enthalpy,
                search_relative=_above(task.search_enthalpy, by_search[0].task.search_enthalpy) if ranked else None,
                search_rank=by_search.index(d) + 1 if ranked else None,
                enthalpy=enthalpy,
                relative=_above(enthalpy, _enthalpy(by_dft[0])) if ranked else None,
                rank=by_dft.index(d) + 1 if ranked else None,
                volume_per_atom=_volume(relaxation.atoms),
                stability=stable.get(d.task.file),
                status=relaxation.status.value,
                message=relaxation.message,
                steps=relaxation.steps,
                seconds=relaxation.seconds,
            )
        )
    return Comparison(engine, potential, settings, folder, tuple(rows), tuple(_notes(done, minima, phases)))


def _notes(done: Sequence[Finished], minima: Sequence[Finished], phases: Sequence[Phase]) -> list[str]:
    notes = []
    pairs = list(combinations(minima, 2))
    if pairs:
        kept = sum(_enthalpy(low) <= _enthalpy(high) for low, high in pairs)
        notes.append(f"order: {kept} of {len(pairs)} pairs of minima stand the same way round in both.")
    for low, high in pairs:
        if _same(low, high):
            notes.append(f"same structure after DFT: {low.task.name} and {high.task.name}.")
    missing = missing_elements(phases)
    if missing:
        notes.append(
            f"no formation energy: no converged reference for {', '.join(missing)}; give the elements' structures with "
            "--references"
        )
    for status, count in Counter(d.relaxation.status for d in done if not _counts(d)).items():
        notes.append(
            f"{count} {status.value}: {next(d for d in done if d.relaxation.status is status).relaxation.message}"
        )
    return notes


def _counts(done: Finished) -> bool:
    return done.relaxation.status is Status.CONVERGED and done.relaxation.enthalpy_per_atom is not None


def _enthalpy(done: Finished) -> float:
    assert done.relaxation.enthalpy_per_atom is not None
    return done.relaxation.enthalpy_per_atom


def _phase(done: Finished) -> Phase:
    return Phase(done.task.file, Counter(done.task.start.get_chemical_symbols()), _enthalpy(done))


def _same(first: Finished, second: Finished) -> bool:
    tolerances = MatchTolerances()
    if abs(_enthalpy(first) - _enthalpy(second)) > tolerances.energy_per_atom:
        return False
    matcher = StructureMatcher(tolerances.length, tolerances.site, tolerances.angle, scale=False)
    one, other = (d.relaxation.atoms for d in (first, second))
    assert one is not None and other is not None
    return bool(matcher.fit(AseAtomsAdaptor.get_structure(one), AseAtomsAdaptor.get_structure(other)))


def _above(value: float | None, lowest: float | None) -> float | None:
    return None if value is None or lowest is None else value - lowest


def _volume(atoms: Atoms | None) -> float | None:
    return None if atoms is None else float(atoms.get_volume()) / len(atoms)


def _cells(row: Row, with_hull: bool) -> list[str]:
    changed = row.search_space_group and row.search_space_group != row.space_group
    cells = [
        row.name if row.role == MINIMUM else f"({row.name})",
        f"{row.search_space_group} -> {row.space_group}" if changed else row.space_group,
        _number(row.search_enthalpy, 4),
        _number(row.search_relative, 1, 1000),
        _number(row.search_rank, 0),
        _number(row.enthalpy, 4),
        _number(row.relative, 1, 1000),
        _number(row.rank, 0),
    ]
    if with_hull:
        cells += [
            _number(row.stability.formation if row.stability else None, 4),
            _number(row.stability.above_hull if row.stability else None, 1, 1000),
        ]
    return [*cells, _number(row.volume_per_atom, 3), row.status, f"{row.seconds:.0f}"]


def _number(value: float | None, digits: int, factor: float = 1.0) -> str:
    return "" if value is None else f"{factor * value:.{digits}f}"
