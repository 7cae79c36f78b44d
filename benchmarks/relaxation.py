"""Relaxations per core-hour: this package against the peer, ASE's FIRE with the CHGNet package's calculator.

Both relax the same candidates in the same run, ten at a turn, on one thread, to the same tolerances: forces 0.05 eV/Å
and stress 0.1 GPa. Every result is a line of OUT, so that a run that was stopped goes on where it was; the table at the
end is made from that file alone.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/relaxation.py --out relaxation.jsonl
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from ase.units import GPa
from chgnet.model import CHGNet
from chgnet.model.dynamics import CHGNetCalculator

from xtalseek.proposals import make_source, propose
from xtalseek.records import Status, Target
from xtalseek.relax import RelaxSettings, make_relaxer

FORMULAS = ("SrTiO3", "TiO2", "MgO", "NaCl", "Si", "Al2O3", "Cu3Au", "GaAs", "MgSiO3", "ZnS")
FORCE, STRESS, MAX_STEPS = 0.05, 0.1, 500


Way = Callable[[list[Atoms]], list[dict[str, Any]]]
"""Relaxes structures; of each the status, the energy (eV/atom), the force calls and the seconds."""


def candidates(source: str, each: int, seed: int) -> Iterator[tuple[str, Atoms]]:
    """`each` candidates of 4 to 20 atoms for every formula."""
    maker = make_source(source, {})
    for formula in FORMULAS:
        target, found, index = Target(formula, formula_units=(1, 8)), 0, 0
        while found < each:
            candidate = propose(maker, source, target, index, seed)
            index += 1
            if candidate.atoms is not None and 4 <= len(candidate.atoms) <= 20:
                found += 1
                yield f"{source}/{candidate.name}", candidate.atoms


def peer() -> Way:
    """ASE's FIRE and Frechet cell filter at their defaults, with the CHGNet package's calculator."""
    calculator = CHGNetCalculator(
        CHGNet.load(use_device="cpu", verbose=False), use_device="cpu", on_isolated_atoms="error"
    )

    def relax(structure: Atoms) -> dict[str, Any]:
        # The calculator gives the stress of a left-handed cell with the wrong sign; the same lattice, right-handed.
        hand = 1.0 if structure.cell.handedness > 0 else -1.0
        atoms = Atoms(structure.numbers, cell=hand * structure.cell.array, positions=structure.positions, pbc=True)
        atoms.calc = calculator
        calls, status = 0, "max_steps"
        start = time.perf_counter()
        try:
            for _ in FIRE(FrechetCellFilter(atoms), logfile=None).irun(fmax=0.0, steps=MAX_STEPS):
                calls += 1
                force = np.sqrt((atoms.get_forces() ** 2).sum(axis=1).max())
                if force <= FORCE and np.abs(atoms.get_stress()).max() / GPa <= STRESS:
                    status = "converged"
                    break
            energy = float(atoms.get_potential_energy()) / len(atoms)
        except Exception as error:  # an atom without neighbours, linear algebra on a wild cell
            status, energy = f"error: {type(error).__name__}", None
        return {"status": status, "energy": energy, "calls": calls, "seconds": time.perf_counter() - start}

    return lambda structures: [relax(structure) for structure in structures]


def ours(options: dict[str, Any], **more: Any) -> Way:
    """This package at its defaults, or with other options of the potential, or more settings."""
    settings = RelaxSettings(force_tolerance=FORCE, stress_tolerance_gpa=STRESS, max_steps=MAX_STEPS, **more)
    relaxer = make_relaxer("chgnet", settings, {"device": "cpu", **options})

    def relax(structures: list[Atoms]) -> list[dict[str, Any]]:
        return [
            {
                "status": str(result.status),
                "energy": result.enthalpy_per_atom if result.status == Status.CONVERGED else None,
                "calls": result.force_calls,
                "seconds": result.seconds,
            }
            for result in relaxer.relax(structures)
        ]

    return relax


def table(rows: list[dict[str, Any]], ways: list[str]) -> str:
    """One line for each way and kind of candidate, against the peer on the same candidates."""
    lines = [
        "| candidates | way | relaxations/core-hour | against peer | force calls | ms/call | converged | "
        "final energy - peer's, median (meV/atom) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in ("random", "unimat", "all"):
        mine = [row for row in rows if kind == "all" or row["name"].startswith(kind)]
        if not mine:
            continue
        base = np.mean([row["peer"]["seconds"] for row in mine])
        for way in ways:
            results = [row[way] for row in mine]
            seconds = np.array([r["seconds"] for r in results])
            calls = np.array([r["calls"] for r in results])
            share = np.mean([r["status"] == "converged" for r in results])
            both = [
                1000 * (row[way]["energy"] - row["peer"]["energy"])
                for row in mine
                if row[way]["status"] == row["peer"]["status"] == "converged"
            ]
            lines.append(
                f"| {len(mine)} {kind} | {way} | {3600 / seconds.mean():.0f} | {base / seconds.mean():.2f} | "
                f"{calls.mean():.1f} | {1000 * seconds.sum() / calls.sum():.1f} | {100 * share:.1f} % | "
                f"{np.median(both):+.2f} (lower by > 5: {np.sum(np.array(both) < -5)}, "
                f"higher: {np.sum(np.array(both) > 5)}, of {len(both)}) |"
            )
    return "\n".join(lines)


def main() -> None:
    """Relax what is not yet in OUT, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, one for each candidate")
    parser.add_argument("--each", type=int, default=10, help="candidates for each of ten formulas and both sources")
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    rows: dict[str, dict[str, Any]] = {}
    if options.out.exists():
        rows = {row["name"]: row for row in map(json.loads, options.out.read_text().splitlines())}
    ways = {
        "peer": peer(),
        "xtalseek": ours({}),
        "xtalseek, no saddle push": ours({}, saddle_push=0.0),
        "the same, FIRE": ours({}, saddle_push=0.0, optimiser="fire"),
        "the same, every atom evaluated": ours({"symmetry": False}, saddle_push=0.0),
        "the same, in batches": ours({"batch": 10_000}, saddle_push=0.0),
    }
    drawn = [c for source in ("random", "unimat") for c in candidates(source, options.each, options.seed)]
    # Neither kind is relaxed as a block: what else the machine does meanwhile falls on both.
    shuffled = [drawn[n] for n in np.random.default_rng(0).permutation(len(drawn))]
    for turn in range(0, len(shuffled), 10):
        names, structures = zip(*shuffled[turn : turn + 10], strict=True)
        for way, relax in ways.items():
            if all(way in rows.get(name, {}) for name in names):
                continue
            for name, atoms, found in zip(names, structures, relax(list(structures)), strict=True):
                rows.setdefault(name, {"name": name, "n_atoms": len(atoms)})[way] = found
        options.out.write_text("".join(json.dumps(row) + "\n" for row in rows.values()))
        sys.stderr.write(f"\r{turn + len(names)}/{len(drawn)}")
    sys.stdout.write(table(list(rows.values()), list(ways)) + "\n")


if __name__ == "__main__":
    main()
