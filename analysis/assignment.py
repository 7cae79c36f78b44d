"""Which target a generated structure belongs to: what a generator is asked for, and what its files are read back as."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from ase import Atoms

from ..datasets import Dataset
from .matching import primitive_cells
from .validity import reduced_composition

Samples = list[list[Atoms | None]]
"""For each target its samples in the order drawn; None where the generator gave up."""


def compositions(references: Sequence[Atoms]) -> list[dict[str, int]]:
    """Atoms of each element in the primitive cell of each reference: what a generator is asked for."""
    cells = primitive_cells(references)
    return [
        dict(Counter((reference if cell is None else cell).get_chemical_symbols()))
        for cell, reference in zip(cells, references, strict=True)
    ]


def sample_name(target: str, rank: int) -> str:
    """The name of a target's sample number `rank` (from 0) in a file, from which `assign` knows both again."""
    return f"{target}#{rank}"


def assign(found: Dataset, targets: Dataset, sizes: Sequence[Mapping[str, int]]) -> tuple[Samples, int]:
    """Give structures that some generator wrote to the targets, each to one, in the order of the file.

    A structure whose name is a target's, or a `sample_name`, is that target's. Any other goes to a target of its
    composition: of those with as many atoms in the primitive cell, where there are any, the one that has fewest.

    Parameters
    ----------
    sizes : the targets' `compositions`.

    Returns
    -------
    samples : for each target, all that are its own.
    unused : how many belong to no target.
    """
    by_name: dict[str, list[int]] = defaultdict(list)
    by_formula: dict[tuple[tuple[str, int], ...], list[int]] = defaultdict(list)
    for number, (name, atoms) in enumerate(zip(targets.names, targets.structures, strict=True)):
        by_name[name].append(number)
        by_formula[reduced_composition(atoms)].append(number)
    atoms_in = [sum(counts.values()) for counts in sizes]
    samples: Samples = [[] for _ in targets.names]
    unused = 0
    for name, atoms in zip(found.names, found.structures, strict=True):
        ranked = re.fullmatch(r"(.*)#(\d{1,6})", name)
        family = by_formula.get(reduced_composition(atoms), [])
        if ranked and ranked[1] in by_name:
            own = min(by_name[ranked[1]], key=lambda n: len(samples[n]))
            # What was given up, and so is not in the file, keeps its place.
            samples[own] += [None] * (int(ranked[2]) - len(samples[own]))
        elif name in by_name:
            own = min(by_name[name], key=lambda n: len(samples[n]))
        elif family:
            same = [number for number in family if atoms_in[number] == len(atoms)]
            own = min(same or family, key=lambda n: len(samples[n]))
        else:
            unused += 1
            continue
        samples[own].append(atoms)
    return samples, unused
