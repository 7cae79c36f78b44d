"""How long it takes to unite the duplicates of 6,000 relaxed structures of one composition.

Distinct crystals of TiO2 (random candidates of 1 to 4 formula units) are copied in other cells, doubled, turned,
shifted, reordered, half of them mirrored, with noise; a third of the crystals lie within 5 meV/atom of each other, so
that energies do not tell them apart. A small part is also united the plain way, with pymatgen's reduction and
StructureMatcher for every pair in the windows of energy and volume, to compare answers and times.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/duplicates.py
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np
import spglib
from ase import Atoms
from ase.build import make_supercell
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.io.ase import AseAtomsAdaptor

from xtalseek.analysis.duplicates import MatchTolerances, unite
from xtalseek.proposals import make_source, propose
from xtalseek.records import Target
from xtalseek.search.provenance import provenance


def crystals(count: int) -> list[Atoms]:
    """Random candidates."""
    source, target = make_source("random"), Target("TiO2", formula_units=(1, 4))
    found = (propose(source, "random", target, index, seed=1).atoms for index in range(2 * count))
    return [atoms for atoms in found if atoms is not None][:count]


def disguised(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """The same crystal as another relaxation would leave it."""
    shear = np.eye(3, dtype=int)
    first, second = rng.permutation(3)[:2]
    shear[first, second] = rng.integers(-1, 2)
    shear[first, first] *= rng.integers(1, 3)
    other = make_supercell(atoms, shear)
    other = other[rng.permutation(len(other))]
    if rng.random() < 0.5:
        other.set_cell(other.cell.array * [1, 1, -1], scale_atoms=True)
    other.positions += rng.random(3) @ other.cell.array
    other.rotate(float(rng.uniform(0, 360)), rng.normal(size=3), rotate_cell=True)
    other.wrap()
    other.positions += rng.normal(scale=0.01, size=other.positions.shape)
    return other


def plainly(structures: list[Atoms], names: list[str], energies: list[float], t: MatchTolerances) -> list[list[int]]:
    """Every pair in the windows by StructureMatcher, on cells that pymatgen reduced."""
    matcher = StructureMatcher(t.length, t.site, t.angle, primitive_cell=False, scale=False)
    groups: list[list[int]] = []
    reduced = {}
    for place in sorted(range(len(structures)), key=lambda p: (energies[p], names[p])):
        structure = AseAtomsAdaptor.get_structure(structures[place])
        primitive = structure.get_primitive_structure(tolerance=t.primitive).get_reduced_structure("niggli")
        reduced[place] = primitive
        volume = primitive.volume / len(primitive)
        for group in groups:
            other = reduced[group[0]]
            if (
                energies[place] - energies[group[0]] <= t.energy_per_atom
                and len(other) == len(primitive)
                and abs(other.volume / len(other) - volume) <= t.volume * other.volume / len(other)
                and matcher.fit(other, primitive, skip_structure_reduction=True)
            ):
                group.append(place)
                break
        else:
            groups.append([place])
    return groups


def larger(atoms: Atoms, t: MatchTolerances) -> bool:
    """Whether pymatgen misses a translation that spglib finds, within one tolerance."""
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    dataset = spglib.get_symmetry_dataset(cell, symprec=t.primitive)
    found = AseAtomsAdaptor.get_structure(atoms).get_primitive_structure(tolerance=t.primitive)
    return dataset is not None and len(found) > len(set(dataset.mapping_to_primitive))


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--distinct", type=int, default=600)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--compared", type=int, default=60, help="structures that are united the plain way, too")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    distinct = crystals(options.distinct)
    heights = [0.005 * rng.random() if n % 3 == 0 else rng.random() for n in range(len(distinct))]
    origin = np.repeat(np.arange(len(distinct)), options.copies)
    structures = [disguised(distinct[n], rng) for n in origin]
    energies = [float(heights[n] + 1e-4 * rng.random()) for n in origin]
    names = [f"{place:06d}" for place in range(len(structures))]
    tolerances = MatchTolerances()
    unite(structures[:2], names[:2])  # numba compiles
    clock, processor = time.perf_counter(), time.process_time()
    groups = unite(structures, names, energies, tolerances)
    seconds, cpu = time.perf_counter() - clock, time.process_time() - processor
    # Crystals that are all within the energy window, and a few copies of each.
    few = [p for p in range(len(structures)) if origin[p] % 3 == 0 and p % options.copies < 3][: options.compared]
    part = [structures[p] for p in few], [names[p] for p in few], [energies[p] for p in few]
    processor = time.process_time()
    plain = plainly(*part, tolerances)
    plain_cpu = time.process_time() - processor
    processor = time.process_time()
    quick = unite(*part, tolerances)
    quick_cpu = time.process_time() - processor
    home = {p: group[0] for group in groups for p in group}
    mixed = sum(len({int(origin[p]) for p in group}) > 1 for group in groups)
    result = {
        "structures": len(structures),
        "atoms": [int(min(map(len, structures))), int(max(map(len, structures)))],
        "crystals_made": len(distinct),
        "minima_found": len(groups),
        "minima_with_copies_of_two_crystals": mixed,
        "crystals_split": sum(len({home[p] for p in np.flatnonzero(origin == n)}) > 1 for n in range(len(distinct))),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "compared": {
            "structures": len(few),
            "crystals": len({int(origin[p]) for p in few}),
            "plain_minima": len(plain),
            "minima": len(quick),
            "same_answer": sorted(map(sorted, plain)) == sorted(map(sorted, quick)),
            "cells_that_pymatgen_left_larger": sum(larger(structures[p], tolerances) for p in few),
            "plain_cpu_seconds": round(plain_cpu, 2),
            "cpu_seconds": round(quick_cpu, 3),
        },
        "tolerances": str(tolerances),
        "hardware": provenance("benchmarks/duplicates.py", ranks=1, threads=1),
    }
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
