"""Random structures per CPU-second on one core: this package against PyXtal, buildcell's figures beside.

Eight seeds, the same composition, volume, minimum distances and numbers of operations for all. A way of drawing is a
function of the index that returns a structure or None; what it costs is the CPU time of this process, Python and all,
failures included, compiling and tables left out (the first structures are not counted). PyXtal takes part where it is
installed: the same minimum distances and the same law for the space group, and its own law for volumes (between spheres
of covalent and of van der Waals radii), scaled to the seed's volume in the mean: more roomy cells than ours among them.
Where a seed gives nothing within --patience seconds, its cell says so.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/generation.py --seconds 10 --out generation.jsonl

buildcell 0.9.1 was measured once on another core of the same machine (its figures are given, not measured here).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import itertools
import json
import platform
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from pathlib import Path
from types import FrameType

import numpy as np
from ase import Atoms

from xtalseek.proposals import candidate_rng, propose
from xtalseek.proposals.random import ENSEMBLES, RandomSource
from xtalseek.proposals.wyckoff import groups_by_operations
from xtalseek.records import Target

Way = Callable[[int], Atoms | None]

SILICON = {"Si-Si": 2.2}
TITANATE = {"Sr-Sr": 3.3, "Sr-Ti": 2.9, "O-Sr": 2.3, "Ti-Ti": 3.2, "O-Ti": 1.7, "O-O": 2.4}
SILICATE = {"Mg-Mg": 2.9, "Mg-Si": 3.0, "Mg-O": 1.9, "Si-Si": 2.9, "O-Si": 1.55, "O-O": 2.5}
WARM_UP = 20


@dataclass(frozen=True)
class Seed:
    """A row of the table: atoms of the cell, their volume (Å^3, +- 5 %), minima (Å), operations, buildcell's figure."""

    atoms: dict[str, int]
    volume: float
    minima: dict[str, float]
    operations: tuple[int, int]
    buildcell: float

    def target(self) -> Target:
        """The seed in a target's words."""
        units, count = gcd(*self.atoms.values()), sum(self.atoms.values())
        formula = "".join(f"{symbol}{n // units}" for symbol, n in self.atoms.items())
        volume = 0.95 * self.volume / count, 1.05 * self.volume / count
        return Target(formula, (units, units), 0.0, self.minima, volume, self.operations)


SEEDS = {
    "Si8, P1": Seed({"Si": 8}, 160, SILICON, (1, 1), 164),
    "Si8, 2-4 operations": Seed({"Si": 8}, 160, SILICON, (2, 4), 162),
    "SrTiO3 x1, 2-4": Seed({"Sr": 1, "Ti": 1, "O": 3}, 60, TITANATE, (2, 4), 3.0),
    "SrTiO3 x1, 4-48": Seed({"Sr": 1, "Ti": 1, "O": 3}, 60, TITANATE, (4, 48), 0.74),
    "SrTiO3 x4, 2-4": Seed({"Sr": 4, "Ti": 4, "O": 12}, 240, TITANATE, (2, 4), 7.9),
    "MgSiO3 x4, P1": Seed({"Mg": 4, "Si": 4, "O": 12}, 208, SILICATE, (1, 1), 58),
    "MgSiO3 x4, 2-4": Seed({"Mg": 4, "Si": 4, "O": 12}, 208, SILICATE, (2, 4), 6.8),
    "MgSiO3 x4, 1-48": Seed({"Mg": 4, "Si": 4, "O": 12}, 208, SILICATE, (1, 48), 0.33),
}


def way_of(source: RandomSource) -> Callable[[Seed], Way]:
    """What a search draws: random numbers of each candidate's own, provenance and all."""

    def maker(seed: Seed) -> Way:
        target = seed.target()
        return lambda index: propose(source, "random", target, index, 1).atoms

    return maker


def pyxtal_way(seed: Seed) -> Way:
    """PyXtal at the same distances and volume, the space group drawn as ours is. ImportError where it is missing."""
    pyxtal = importlib.import_module("pyxtal").pyxtal
    symmetry_group = lru_cache(importlib.import_module("pyxtal.symmetry").Group)  # its tables are made once, as ours
    element = importlib.import_module("pyxtal.database.element").Element
    misfit = importlib.import_module("pyxtal.msg").Comp_CompatibilityError
    tolerance_matrix = importlib.import_module("pyxtal.tolerance").Tol_matrix

    tolerances = tolerance_matrix(*((*pair.split("-"), d) for pair, d in seed.minima.items()), prototype="atomic")
    spheres = {symbol: (element(symbol).covalent_radius, element(symbol).vdw_radius) for symbol in seed.atoms}
    factor = seed.volume / sum(
        n * 2 / 3 * np.pi * (spheres[symbol][0] ** 3 + spheres[symbol][1] ** 3) for symbol, n in seed.atoms.items()
    )
    groups = list(groups_by_operations(*seed.operations).values())
    centring = {"P": 1, "A": 2, "B": 2, "C": 2, "I": 2, "F": 4, "R": 3}

    def draw(index: int) -> Atoms | None:
        rng = candidate_rng(1, "pyxtal", index)
        members = groups[rng.integers(len(groups))]
        number = int(members[rng.integers(len(members))])
        group = symmetry_group(number)
        cells = centring[group.symbol[0]]  # PyXtal counts atoms of the conventional cell
        counts = [n * cells for n in seed.atoms.values()]
        made = pyxtal()
        try:
            made.from_random(3, group, list(seed.atoms), counts, factor, tm=tolerances, random_state=rng, max_count=1)
        except (misfit, RuntimeError):  # the group cannot hold the atoms; or its attempts were in vain
            return None
        return made.to_ase(resort=False) if made.valid else None

    return draw


class OutOfTimeError(Exception):
    """A single call took longer than the row has."""


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Interrupt what runs after `seconds` of CPU time; libraries that swallow exceptions are interrupted again."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def measure(way: Way, seconds: float, patience: float, warm_up: int) -> tuple[int, int, float]:
    """Structures, calls and CPU seconds of `way`; none where it gives nothing within `patience` seconds."""
    made = calls = 0
    start = time.process_time()
    try:
        with no_longer_than(max(seconds, patience)):
            for index in range(warm_up):
                way(index)
            start = time.process_time()
            for index in itertools.count(warm_up):
                calls += 1
                made += way(index) is not None
                spent = time.process_time() - start
                if spent > (seconds if made else patience):
                    break
    except OutOfTimeError:
        pass
    return made, calls, time.process_time() - start


def hardware() -> dict[str, str]:
    """What the figures were measured on, and with."""
    model = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        names = [line.split(":")[1].strip() for line in cpus.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    versions = {}
    for package in ("numpy", "numba", "ase", "pyxtal"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {"cpu": model, "python": platform.python_version(), **versions}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="CPU seconds per row and way (10)")
    parser.add_argument("--patience", type=float, default=20.0, help="CPU seconds without any structure (20)")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--out", type=Path, help="JSON lines: the hardware, then one line a row and way")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    makers = {name: way_of(RandomSource(ensemble=name)) for name in ENSEMBLES}
    if importlib.util.find_spec("pyxtal"):
        makers["PyXtal"] = pyxtal_way
    else:
        sys.stderr.write("PyXtal is not installed: its column is left out (pip install pyxtal)\n")
    lines: list[dict[str, object]] = [dict(hardware())]
    sys.stdout.write(f"| seed | {' | '.join(makers)} | buildcell itself (given) | times buildcell |\n")
    sys.stdout.write(f"|---|{'---|' * len(makers)}---|---|\n")
    for maker in makers.values():
        maker(SEEDS["Si8, P1"])(0)  # compiles, or loads what was compiled
    for name, seed in SEEDS.items():
        if options.only not in name:
            continue
        cells, ours = [], 0.0
        for way, maker in makers.items():
            warm_up = 0 if way == "PyXtal" else WARM_UP
            made, calls, seconds = measure(maker(seed), options.seconds, options.patience, warm_up)
            rate = made / seconds
            ours = rate if way == "xtalseek" else ours
            cells.append(f"{rate:.3g}" if made else f"0 in {seconds:.0f} s")
            lines.append({"seed": name, "way": way, "structures": made, "calls": calls, "cpu_seconds": seconds})
        sys.stdout.write(f"| {name} | {' | '.join(cells)} | {seed.buildcell} | {ours / seed.buildcell:.0f} |\n")
        sys.stdout.flush()
    if options.out:
        options.out.write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        sys.stdout.write(json.dumps(lines[0]) + "\n")


if __name__ == "__main__":
    main()
