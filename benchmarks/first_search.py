"""First searches: five known crystals, random source, CHGNet; how soon each is found, and on how many ranks how fast.

    python benchmarks/first_search.py --ranks 2 1 --folder runs/first-search

Prints one JSON object: a hardware line, the tolerances, and a row per system. A run folder that is already there is
resumed, so that a finished study is only read again; its wall time is then that of the journal's own clock.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from xtalseek.analysis import find_minima
from xtalseek.records import Record
from xtalseek.relax import Relaxer, RelaxSettings, make_relaxer
from xtalseek.search.provenance import provenance
from xtalseek.search.store import Run, load_run

NUM, SEED = 60, 1
TOLERANCES = {"ltol": 0.2, "stol": 0.3, "angle_tol": 5.0}
MATCHER = StructureMatcher(ltol=TOLERANCES["ltol"], stol=TOLERANCES["stol"], angle_tol=TOLERANCES["angle_tol"])
HIT_EV_PER_ATOM = 0.001


def references() -> dict[str, tuple[str, dict[str, Atoms]]]:
    """By formula: formula units to search, and the known structures with experimental lattices, to be relaxed."""
    rutile = crystal(
        ["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90]
    )
    anatase = crystal(
        ["Ti", "O"], [(0, 0, 0), (0, 0, 0.208)], spacegroup=141, cellpar=[3.785, 3.785, 9.514, 90, 90, 90]
    )
    perovskite = crystal(
        ["Sr", "Ti", "O"], [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], spacegroup=221, cellpar=[3.905] * 3 + [90] * 3
    )
    return {
        "Si": ("2-8", {"diamond": bulk("Si", "diamond", 5.431)}),
        "NaCl": ("1-4", {"rocksalt": bulk("NaCl", "rocksalt", 5.640)}),
        "TiO2": ("1-4", {"rutile": rutile, "anatase": anatase}),
        "SrTiO3": ("1-2", {"perovskite": perovskite}),
        "MgO": ("1-4", {"rocksalt": bulk("MgO", "rocksalt", 4.212)}),
    }


def run_search(formula: str, units: str, ranks: int, folder: Path) -> Run:
    """One search through the command itself, as a user starts it."""
    out = folder / f"{formula}-{ranks}"
    launcher = [str(Path(sys.executable).parent / "mpirun"), "-n", str(ranks)] if ranks > 1 else []
    command = [*launcher, str(Path(sys.executable).parent / "xtalseek"), "search", formula, "-n", str(NUM)]
    command += ["--formula-units", units, "--seed", str(SEED), "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return load_run(out)


def wall_seconds(run: Run) -> float:
    """From the start of the first candidate to the end of the last, by the journal's clock."""
    starts = [r.finished - r.relaxation.seconds - r.candidate.seconds for r in run.records]
    return max(r.finished for r in run.records) - min(starts)


@dataclass(frozen=True, eq=False)
class Known:
    """The known structures of a composition, relaxed with the potential of the search; energies in eV/atom."""

    structures: dict[str, Structure]
    energies: dict[str, float]


def relax_known(crystals: dict[str, Atoms], relaxer: Relaxer) -> Known:
    """Relax the references as the candidates are."""
    structures, energies = {}, {}
    for name, result in zip(crystals, relaxer.relax(list(crystals.values())), strict=True):
        assert result.status == "converged" and result.atoms is not None, (name, result.message)
        assert result.enthalpy_per_atom is not None
        structures[name] = AseAtomsAdaptor.get_structure(result.atoms)
        energies[name] = result.enthalpy_per_atom
    return Known(structures, energies)


def matched(record: Record, known: Known) -> str | None:
    """The known structure that a converged record matches, or "lower" where it lies no higher than 1 meV/atom above."""
    relaxation = record.relaxation
    if relaxation.status != "converged" or relaxation.atoms is None or relaxation.enthalpy_per_atom is None:
        return None
    structure = AseAtomsAdaptor.get_structure(relaxation.atoms)
    for name, crystal_known in known.structures.items():
        if MATCHER.fit(structure, crystal_known):
            return name
    lowest = min(known.energies.values())
    return "lower" if relaxation.enthalpy_per_atom <= lowest + HIT_EV_PER_ATOM else None


def first_hit(run: Run, known: Known) -> dict[str, Any]:
    """Relaxations and force calls, in the order of the candidates, up to the first hit; and the number of hits."""
    found = [matched(record, known) for record in run.records]
    calls = list(accumulate(record.relaxation.force_calls for record in run.records))
    first = next((n for n, name in enumerate(found) if name is not None), None)
    return {
        "first_hit": None if first is None else found[first],
        "relaxations_to_hit": None if first is None else first + 1,
        "force_calls_to_hit": None if first is None else calls[first],
        "hits": sum(name is not None for name in found),
    }


def row(formula: str, units: str, known: Known, runs: dict[int, Run]) -> dict[str, Any]:
    """One line of the study; all but the wall times are the same for any number of ranks."""
    run = next(iter(runs.values()))
    lowest = find_minima(run)[0]
    statuses = Counter(record.relaxation.status.value for record in run.records)
    return {
        "formula": formula,
        "formula_units": units,
        "lowest_ev_per_atom": round(lowest.enthalpy_per_atom, 4),
        "space_group": lowest.space_group,
        "lowest_is": matched(lowest.record, known),
        "known_ev_per_atom": {name: round(energy, 4) for name, energy in known.energies.items()},
        **first_hit(run, known),
        "statuses": dict(statuses),
        "fraction_converged": round(statuses["converged"] / len(run.records), 3),
        "force_calls": sum(record.relaxation.force_calls for record in run.records),
        **{f"wall_seconds_{ranks}_ranks": round(wall_seconds(found), 1) for ranks, found in runs.items()},
    }


def main() -> None:
    """Run or read the study and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 1], help="searches are made on each of these")
    parser.add_argument("--folder", type=Path, default=Path("runs/first-search"), help="where the run folders lie")
    parser.add_argument("--systems", nargs="+", default=list(references()), help="formulas")
    options = parser.parse_args()
    relaxer = make_relaxer("chgnet", RelaxSettings())
    rows = []
    for formula in options.systems:
        units, crystals = references()[formula]
        known = relax_known(crystals, relaxer)
        runs = {ranks: run_search(formula, units, ranks, options.folder) for ranks in options.ranks}
        rows.append(row(formula, units, known, runs))
        sys.stderr.write(json.dumps(rows[-1]) + "\n")
    made_with = provenance(" ".join(sys.argv), max(options.ranks), 1)
    tolerances = TOLERANCES | {"hit_ev_per_atom": HIT_EV_PER_ATOM}
    sys.stdout.write(json.dumps({"made_with": made_with, "tolerances": tolerances, "systems": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
