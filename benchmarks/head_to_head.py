"""Head to head: ways of proposing structures, the same compositions, the same relaxer, so many relaxations each.

Compositions are drawn from a data set of known crystals, whose lowest structure of that composition is the reference,
relaxed with the same potential. Every search is a run folder under OUT, so that a run that was stopped goes on where it
was, and OUT/references.extxyz holds the references. Two processes share the work by --part 1/2 and --part 2/2; then

    OMP_NUM_THREADS=1 python benchmarks/head_to_head.py --data $DATA/mp --out h2h
    xtalseek compare h2h/*/* --reference h2h/references.extxyz

draws the comparison.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from xtalseek.datasets import read_dataset
from xtalseek.formats import Frame
from xtalseek.formula import reduced_formula
from xtalseek.relax import RelaxSettings, make_relaxer
from xtalseek.search.config import resolve
from xtalseek.search.run import search
from xtalseek.structure_files import write_structures


def ways(data: Path) -> dict[str, dict[str, Any]]:
    """Words of a search for each way of proposing, by the name of its folder."""
    known = {"prototypes": str(data / "train.csv.gz"), "same_formula": False}
    return {
        "random": {"source": "random"},
        "buildcell": {"source": "random", "source_options": {"ensemble": "buildcell-0.9.1"}},
        "unimat": {"source": "unimat"},
        "substitution": {"source": "substitution", "source_options": known},
        "mixture": {
            "source": ["unimat", "substitution", "random"],
            "schedule": "adaptive",
            "source_options": {"substitution": known},
        },
    }


def compositions(data: Path, count: int, most_atoms: int, seed: int) -> dict[str, Atoms]:
    """So many references by reduced formula, drawn at random: of compounds whose lowest known cell is small enough."""
    dataset = read_dataset([str(data / "val.csv.gz")])
    lowest: dict[str, int] = {}
    for place in np.argsort(dataset.formation_energies, kind="stable"):
        lowest.setdefault(reduced(dataset.structures[place])[0], int(place))
    fit = {
        name: atoms
        for name, place in sorted(lowest.items())
        if len(atoms := dataset.structures[place]) <= most_atoms and len(set(atoms.numbers)) > 1
    }
    chosen = np.random.default_rng(seed).permutation(list(fit))[:count]
    return {str(name): fit[str(name)] for name in chosen}


def reduced(atoms: Atoms) -> tuple[str, int]:
    """The reduced formula, elements in alphabetical order, and how many of its units the cell holds."""
    symbols = atoms.get_chemical_symbols()
    return reduced_formula({symbol: symbols.count(symbol) for symbol in sorted(set(symbols))})


def main() -> None:
    """Do the searches of this part that are not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.csv.gz and val.csv.gz")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run folders")
    parser.add_argument("--targets", type=int, default=20)
    parser.add_argument("--relaxations", type=int, default=50, help="of each way for each composition")
    parser.add_argument("--most-atoms", type=int, default=12)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--part", default="1/1", help="1/2 and 2/2 share the work between two processes")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    part, parts = (int(text) for text in options.part.split("/"))
    references = compositions(options.data, options.targets, options.most_atoms, options.seed)
    if part == 1:
        relaxer = make_relaxer("chgnet", RelaxSettings(), {"device": "cpu"})
        results = zip(references, relaxer.relax(list(references.values())), strict=True)
        frames = [Frame(name, x.atoms, x.energy, status=x.status.value) for name, x in results if x.atoms is not None]
        write_structures(options.out / "references.extxyz", frames)
    for number, (name, atoms) in enumerate(references.items()):
        if number % parts != part - 1:
            continue
        for way, words in ways(options.data).items():
            sys.stderr.write(f"{number + 1}/{len(references)} {name} {way}\n")
            folder = options.out / name / way
            more = {
                "formula": name,
                "formula_units": reduced(atoms)[1],
                "num": options.relaxations,
                "seed": options.seed,
            }
            search(resolve(words | more | {"out": str(folder), "relaxer_options": {"device": "cpu"}}))


if __name__ == "__main__":
    main()
