"""How often a relaxation of a random structure ends in the ground state: both ensembles, the same relaxer.

Every system is relaxed N times from each ensemble. A hit lies within 1e-3 eV/atom (of CHGNet: 1e-2) of the lowest
enthalpy that either ensemble, or an earlier line of OUT, ever found. Intervals are exact (Clopper and Pearson), 95 %.
Every result is a line of OUT; a run that was stopped goes on where it was.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/hit_rates.py --out hit_rates.jsonl --systems "LJ8;Si8"
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from xtalseek.analysis.statistics.intervals import binomial_interval
from xtalseek.proposals import propose
from xtalseek.proposals.random import ENSEMBLES, RandomSource
from xtalseek.proposals.random.pairs import close_pairs
from xtalseek.records import Target
from xtalseek.relax import RelaxSettings, as_they_end, in_flight, make_relaxer

SIGMA = 2.0
_KINDS = ["Al", "Ni"]
_EPSILONS = np.array([[1.0, 1.5], [1.5, 0.5]])
_SIGMAS = np.array([[1.0, 0.8], [0.8, 0.88]])
"""ε and σ of Kob and Andersen's mixture in units of the first species' (doi:10.1103/PhysRevE.51.4626)."""


class LennardJonesMixture(Calculator):  # type: ignore[misc]
    """Kob and Andersen's mixture: ε 1 eV and σ 2 Å for the first species; cut at 2.5 σ of the pair and shifted."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def calculate(self, atoms: Atoms, properties: Any = None, system_changes: Any = all_changes) -> None:
        """Energy (eV), forces (n, 3), stress (6,) of `atoms`."""
        super().calculate(atoms, properties, system_changes)
        kind = np.array([_KINDS.index(symbol) for symbol in atoms.get_chemical_symbols()])
        i, j, shift = close_pairs(atoms.cell.array, atoms.positions, kind, 2.5 * SIGMA * _SIGMAS)
        vectors = atoms.positions[j] + shift @ atoms.cell.array - atoms.positions[i]
        d = np.sqrt((vectors**2).sum(axis=1))
        epsilon, sigma = _EPSILONS[kind[i], kind[j]], SIGMA * _SIGMAS[kind[i], kind[j]]
        power = (sigma / d) ** 6
        # Energy and force go to zero at the cut, as in AIRSS's own relaxer, whose lowest energy per atom this gives.
        end, end_slope = 2.5**-12 - 2.5**-6, -6 * (2 * 2.5**-12 - 2.5**-6) / (2.5 * sigma)
        energy = 4 * (epsilon * (power**2 - power - end - (d - 2.5 * sigma) * end_slope)).sum()
        slope = 4 * epsilon * (-6 * (2 * power**2 - power) / d - end_slope) / d
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, i, slope[:, None] * vectors)
        np.add.at(forces, j, -slope[:, None] * vectors)
        virial = (slope[:, None] * vectors).T @ vectors / atoms.get_volume()
        self.results = {"energy": energy, "forces": forces, "stress": virial.flat[[0, 4, 8, 5, 2, 1]]}


_TIGHT = RelaxSettings(force_tolerance=1e-2, stress_tolerance_gpa=0.05)
_AIRSS = replace(_TIGHT, optimiser="two-point", saddle_push=0.0)
"""Steps as AIRSS's own relaxer takes them, and no push off saddle points."""


@dataclass(frozen=True)
class System:
    """What is searched, and how it is relaxed."""

    target: Target
    hit: float = 1e-3
    relaxer: str = "hit_rates:LennardJonesMixture"
    settings: RelaxSettings = _TIGHT


def _chgnet(formula: str, units: int, volume: float, distances: dict[str, float]) -> System:
    low, high = 0.95 * volume, 1.05 * volume
    target = Target(formula, (units, units), 0.0, distances, (low, high), (2, 4))
    return System(target, 1e-2, "chgnet", RelaxSettings())


_LJ8 = Target("Al", (8, 8), 0.0, {"Al-Al": 1.5}, (7.6, 8.4), (1, 1))
_LJ8_SYM = replace(_LJ8, symmetry_operations=(2, 4))
_KA = {"Al-Al": 1.5, "Al-Ni": 1.2, "Ni-Ni": 1.4}
_MSO = {"Mg-Mg": 2.9, "Mg-Si": 3.0, "Mg-O": 1.9, "Si-Si": 2.9, "Si-O": 1.55, "O-O": 2.5}
SYSTEMS = {
    "LJ8": System(_LJ8),
    "LJ8, 2-4 operations": System(_LJ8_SYM),
    "LJ8, two-point": System(_LJ8, settings=_AIRSS),
    "LJ8, 2-4 operations, two-point": System(_LJ8_SYM, settings=_AIRSS),
    "KA A4B4": System(Target("AlNi", (4, 4), 0.0, _KA, (6.0, 6.6), (2, 4))),
    "KA A6B2": System(Target("Al3Ni", (2, 2), 0.0, _KA, (6.7, 7.4), (2, 4))),
    "Si8": _chgnet("Si", 8, 20.0, {"Si-Si": 2.2}),
    "TiO2x2": _chgnet("TiO2", 2, 10.5, {"Ti-Ti": 2.7, "Ti-O": 1.75, "O-O": 2.3}),
    "MgSiO3x2": _chgnet("MgSiO3", 2, 10.4, _MSO),
}


def relaxed(name: str, ensemble: str, indices: range, seed: int) -> list[dict[str, Any]]:
    """One row for each candidate: status, enthalpy per atom, force calls, seconds."""
    system, source = SYSTEMS[name], RandomSource(ensemble=ensemble)
    options = {"batch": 10_000, "device": "cpu"} if system.relaxer == "chgnet" else {}
    relaxer = make_relaxer(system.relaxer, system.settings, options)
    candidates = [propose(source, "random", system.target, index, seed) for index in indices]
    rows = [{"system": name, "ensemble": ensemble, "index": c.index, "status": "none", "calls": 0} for c in candidates]
    drawn = [n for n, c in enumerate(candidates) if c.atoms is not None]
    structures = [candidates[n].atoms for n in drawn]
    for place, result in as_they_end(in_flight(relaxer), [a for a in structures if a is not None]):
        rows[drawn[place]] |= {
            "status": str(result.status),
            "energy": result.enthalpy_per_atom if str(result.status) == "converged" else None,
            "calls": result.force_calls,
            "seconds": result.seconds,
        }
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """One line for each system and ensemble."""
    lines = [
        "| system | ensemble | relaxations | lowest (eV/atom) | hits | per relaxation (95 %) | per 1,000 force calls |",
        "|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["system"], row["ensemble"]].append(row)
    for name in SYSTEMS:
        energies = [r["energy"] for r in rows if r["system"] == name and r.get("energy") is not None]
        if not energies:
            continue
        best = min(energies)
        for ensemble in ENSEMBLES:
            mine = groups[name, ensemble]
            if not mine:
                continue
            hits = sum(r.get("energy") is not None and r["energy"] < best + SYSTEMS[name].hit for r in mine)
            share = binomial_interval(hits, len(mine))
            lines.append(
                f"| {name} | {ensemble} | {len(mine)} | {best:.5f} | {hits} | {share.value:.1%} "
                f"({share.low:.1%}-{share.high:.1%}) | {1000 * hits / max(sum(r['calls'] for r in mine), 1):.2f} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Relax what is not yet in OUT, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, one for each relaxation")
    parser.add_argument("--systems", default=";".join(SYSTEMS), help=f"of {'; '.join(SYSTEMS)}")
    parser.add_argument("-n", type=int, default=600, help="relaxations for each system and ensemble")
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    rows = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    known = {(row["system"], row["ensemble"], row["index"]) for row in rows}
    for name in options.systems.split(";"):
        # In turns, so that whatever else the machine does meanwhile falls on both.
        for start in range(0, options.n, 50):
            for ensemble in ENSEMBLES:
                block = range(start, min(start + 50, options.n))
                if all((name, ensemble, index) in known for index in block):
                    continue
                new = relaxed(name, ensemble, block, options.seed)
                with options.out.open("a") as file:
                    file.writelines(json.dumps(row) + "\n" for row in new)
                rows += new
            sys.stderr.write(f"\r{name} {start}")
    sys.stdout.write(table(rows) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
