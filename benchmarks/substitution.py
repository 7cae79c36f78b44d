"""How soon the substitution source proposes the known structure, unrelaxed, and how good its volumes are.

Targets are structures of DATA, each asked for with its own number of formula units. A match is that of `xtalseek
evaluate`: pymatgen's StructureMatcher with the tolerances of CDVAE and DiffCSP. Intervals are Wilson's, 95 %.

    OMP_NUM_THREADS=1 python benchmarks/substitution.py --data VAL --prototypes TRAIN -n 100

prints one JSON object, with the AFLOW prototypes that pymatgen carries next to those given.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections import Counter
from typing import Any

import numpy as np
from ase import Atoms

from xtalseek.analysis.matching import match_distances, match_rates, primitive_cell
from xtalseek.datasets import Dataset, read_dataset
from xtalseek.errors import InfeasibleTarget
from xtalseek.formula import reduced_formula
from xtalseek.proposals import propose
from xtalseek.proposals.radii import estimated_volume
from xtalseek.proposals.substitution import SubstitutionSource
from xtalseek.records import Candidate, Target
from xtalseek.search.provenance import provenance

KS = (1, 5, 20, 50)


def candidates(source: SubstitutionSource, reference: Atoms) -> list[Candidate]:
    """The first candidates, without those that repeat the list once it is through."""
    formula, units = reduced_formula(Counter(reference.get_chemical_symbols()))
    target = Target(formula, (units, units))
    try:
        source.check(target)
    except InfeasibleTarget:
        return []
    drawn = (propose(source, "substitution", target, index, 0) for index in range(max(KS)))
    return [candidate for candidate in drawn if candidate.provenance["round"] == 0]


def measured(source: SubstitutionSource, references: list[Atoms]) -> dict[str, Any]:
    """Match rates; and the error of the volumes of the first candidates, with that of the compositions' estimates."""
    start = time.process_time()
    drawn = [candidates(source, reference) for reference in references]
    seconds = time.process_time() - start
    samples = [[primitive_cell(candidate.atoms) for candidate in row] for row in drawn]
    distances = match_distances(samples, references)
    distances = np.pad(distances, ((0, 0), (0, max(KS) - distances.shape[1])), constant_values=np.nan)
    errors: dict[str, list[float]] = {
        "of first candidates": [],
        "of first matches": [],
        "of estimates for the same": [],
    }
    for reference, row, own in zip(references, drawn, distances, strict=True):
        real = _volume(reference)
        if row and row[0].atoms is not None:
            errors["of first candidates"].append(abs(_volume(row[0].atoms) / real - 1))
        hits = np.flatnonzero(np.isfinite(own))
        if len(hits):
            first = row[hits[0]].atoms
            assert first is not None
            errors["of first matches"].append(abs(_volume(first) / real - 1))
            estimate = estimated_volume(Counter(reference.get_chemical_symbols()))
            errors["of estimates for the same"].append(abs(estimate / real - 1))
    return {
        "targets without a fit": sum(not row for row in drawn),
        "candidates": float(np.mean([len(row) for row in drawn])),
        "processor seconds per target": round(seconds / len(references), 2),
        "matched within": {
            str(rate.k): f"{rate.rate:.1%} ({rate.low:.1%}-{rate.high:.1%})" for rate in match_rates(distances, KS)
        },
        "median volume error": {name: round(float(np.median(values)), 3) for name, values in errors.items() if values},
    }


def _volume(atoms: Atoms) -> float:
    return float(atoms.get_volume()) / len(atoms)


def references_of(data: Dataset, size: int, most_atoms: int, seed: int) -> list[Atoms]:
    """Primitive cells of `size` structures of at most `most_atoms` atoms, drawn at random."""
    found: list[Atoms] = []
    for number in np.random.default_rng(seed).permutation(len(data)):
        cell = primitive_cell(data.structures[number])
        if cell is not None and len(cell) <= most_atoms:
            found.append(cell)
        if len(found) == size:
            break
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="known structures to be found")
    parser.add_argument("--prototypes", required=True, help="known structures to start from")
    parser.add_argument("-n", type=int, default=100, help="targets")
    parser.add_argument("--most-atoms", type=int, default=20, help="of a target's primitive cell")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    references = references_of(read_dataset([options.data]), options.n, options.most_atoms, options.seed)
    found = {
        name: measured(SubstitutionSource(prototypes=path, same_formula=False), references)
        for name, path in ((options.prototypes, options.prototypes), ("AFLOW", ""))
    }
    result = {"targets": len(references)} | found | {"provenance": provenance("", 1, 1)}
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
