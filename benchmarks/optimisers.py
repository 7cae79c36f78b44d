"""Optimisers compared: force calls, and where they end, from random and from near-minimum candidates, with CHGNet.

    python benchmarks/optimisers.py --folder runs/optimisers

Every candidate is relaxed by every optimiser, alone, with the same potential and tolerances. Each result is a JSON
file in the folder; what is there already is not done again, so a run that was stopped goes on. Prints one JSON object:
a hardware line, the settings, and a row per kind of candidate and optimiser; `--only-read` those of what is done.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Iterator
from itertools import chain, count, islice, zip_longest
from pathlib import Path
from typing import Any

import torch
from ase import Atoms
from ase.io import read, write

from xtalseek.proposals import make_source, propose
from xtalseek.records import Relaxation, Target
from xtalseek.relax import BatchRelaxer, RelaxSettings, load_potential
from xtalseek.relax.optimisers import OPTIMISERS
from xtalseek.search.provenance import provenance

COMPOSITIONS = {
    "SrTiO3": (1, 4),
    "TiO2": (2, 6),
    "MgO": (2, 8),
    "NaCl": (2, 8),
    "Si": (4, 16),
    "Al2O3": (1, 4),
    "Cu3Au": (1, 4),
    "GaAs": (2, 8),
    "MgSiO3": (1, 4),
    "ZnS": (2, 8),
}
"""Formula units searched: 4 to 20 atoms."""
KINDS = {"random": "random", "near": "unimat"}
"""The source that each kind of candidate is drawn from."""
SAME_EV_PER_ATOM = 0.005


def candidates(kind: str, number: int, seed: int, folder: Path) -> list[tuple[str, Atoms]]:
    """`number` of each composition, by name, the compositions in turn; drawn once, then read back."""
    drawn = {}
    source = None
    for formula, units in COMPOSITIONS.items():
        file = folder / f"{kind}-{formula}.extxyz"
        if not file.is_file():
            source = source or make_source(KINDS[kind])
            target = Target(formula, formula_units=units)
            # Now and then a source finds none: go on to its next.
            found = (propose(source, KINDS[kind], target, index, seed).atoms for index in count())
            write(file, list(islice((atoms for atoms in found if atoms is not None), number)))
        drawn[formula] = read(file, ":")
    return [
        (f"{kind}-{formula}-{index:03d}", structures[index])
        for index in range(number)
        for formula, structures in drawn.items()
        if index < len(structures)
    ]


def outcome(result: Relaxation) -> dict[str, Any]:
    """What is kept of a relaxation."""
    return {
        "status": result.status.value,
        "force_calls": result.force_calls,
        "enthalpy_per_atom": result.enthalpy_per_atom,
        "seconds": round(result.seconds, 3),
        "n_atoms": None if result.atoms is None else len(result.atoms),
        "message": result.message,
    }


def relax_all(options: argparse.Namespace, names: list[tuple[str, Atoms]]) -> None:
    """Relax what has no file yet; a file is there whole or not at all."""
    potential = load_potential("chgnet", {"device": "cpu"})
    for name, atoms in names:
        for optimiser in options.optimisers:
            file = options.folder / f"{name}-{optimiser}.json"
            if file.is_file():
                continue
            settings = RelaxSettings(
                options.pressure_gpa, options.force_tolerance, options.stress_tolerance_gpa, optimiser=optimiser
            )
            (result,) = BatchRelaxer(potential, settings).relax([atoms])
            started = file.with_suffix(".part")
            started.write_text(json.dumps(outcome(result)), encoding="utf-8")
            started.replace(file)
            sys.stderr.write(f"{name} {optimiser} {result.status.value} {result.force_calls}\n")


def rows(options: argparse.Namespace, names: list[str]) -> Iterator[dict[str, Any]]:
    """Over the candidates that every optimiser has done; energies are of those that it and FIRE both converged."""
    for kind in KINDS:
        mine = [name for name in names if name.startswith(f"{kind}-")]
        done = [
            {optimiser: json.loads(file.read_text(encoding="utf-8")) for optimiser, file in files.items()}
            for files in ({o: options.folder / f"{name}-{o}.json" for o in options.optimisers} for name in mine)
            if all(file.is_file() for file in files.values())
        ]
        for optimiser in options.optimisers if done else ():
            yield {"kind": kind, "optimiser": optimiser, **row(done, optimiser)}


def row(done: list[dict[str, dict[str, Any]]], optimiser: str) -> dict[str, Any]:
    """One line of the comparison."""
    mine = [results[optimiser] for results in done]
    calls = [result["force_calls"] for result in mine]
    converged = [result for result in mine if result["status"] == "converged"]
    statuses = sorted({result["status"] for result in mine})
    both = [r for r in done if all(r[o]["status"] == "converged" for o in ("fire", optimiser) if o in r)]
    differences = [r[optimiser]["enthalpy_per_atom"] - r["fire"]["enthalpy_per_atom"] for r in both if "fire" in r]
    return {
        "candidates": len(mine),
        "force_calls_mean": round(statistics.mean(calls), 1),
        "force_calls_median": statistics.median(calls),
        "force_calls_90_percent": sorted(calls)[int(0.9 * (len(calls) - 1))],
        "fraction_converged": round(len(converged) / len(mine), 3),
        "statuses": {status: sum(result["status"] == status for result in mine) for status in statuses},
        "seconds_per_call": round(sum(result["seconds"] for result in mine) / sum(calls), 4),
        **({} if not differences else compared(differences)),
    }


def compared(differences: list[float]) -> dict[str, Any]:
    """How final enthalpies differ from FIRE's, eV/atom."""
    return {
        "both_converged": len(differences),
        "minus_fire_median_mev_per_atom": round(1000 * statistics.median(differences), 2),
        "minus_fire_mean_mev_per_atom": round(1000 * statistics.mean(differences), 1),
        "fraction_lower": round(sum(d < -SAME_EV_PER_ATOM for d in differences) / len(differences), 3),
        "fraction_higher": round(sum(d > SAME_EV_PER_ATOM for d in differences) / len(differences), 3),
    }


def main() -> None:
    """Make or read the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/optimisers"), help="where the results lie")
    parser.add_argument("--number", type=int, default=10, help="candidates of each composition and kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--optimisers", nargs="+", default=list(OPTIMISERS), choices=list(OPTIMISERS))
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--pressure-gpa", type=float, default=0.0)
    parser.add_argument("--force-tolerance", type=float, default=0.05, help="eV/Å")
    parser.add_argument("--stress-tolerance-gpa", type=float, default=0.1)
    parser.add_argument("--only-read", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    options.folder.mkdir(parents=True, exist_ok=True)
    drawn = [candidates(kind, options.number, options.seed, options.folder) for kind in options.kinds]
    # Kinds in turn, so that an unfinished study says something of each.
    names = [entry for entry in chain(*zip_longest(*drawn)) if entry is not None]
    if not options.only_read:
        relax_all(options, names)
    made_with = provenance(" ".join(sys.argv), 1, torch.get_num_threads())
    settings = {key: value for key, value in vars(options).items() if key not in ("folder", "only_read")}
    found = list(rows(options, [name for name, _ in names]))
    sys.stdout.write(json.dumps({"made_with": made_with, "settings": settings, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
