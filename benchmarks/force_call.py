"""One energy, force and stress call: this package's CHGNet against the CHGNet package's own calculator.

Both see the same geometries in turns, on one thread: crystals of 5 to 40 atoms, each as it is and shaken until nothing
is left of its symmetry. The shortest and the median time of each are printed: the shortest is the code's, the median
the machine's, too.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/force_call.py
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from chgnet.model import CHGNet
from chgnet.model.dynamics import CHGNetCalculator

from xtalseek.relax.chgnet import ChgnetEvaluator
from xtalseek.relax.contract import Evaluation

REPEATS = 25


def crystals() -> dict[str, Atoms]:
    """Perovskites of 5 to 40 atoms, silicon and rocksalt of 8, at their usual densities."""
    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    perovskite = Atoms("SrTiO3", cell=[3.95] * 3, pbc=True, scaled_positions=places)
    copies = {5: (1, 1, 1), 10: (1, 1, 2), 20: (1, 2, 2), 40: (2, 2, 2)}
    found = {f"SrTiO3, {n} atoms": perovskite * repeat for n, repeat in copies.items()}
    found["Si, 8 atoms"] = bulk("Si", cubic=True)
    found["NaCl, 8 atoms"] = bulk("NaCl", "rocksalt", 5.64, cubic=True)
    return found


def milliseconds(call: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def compare(atoms: Atoms, model: CHGNetCalculator, evaluator: ChgnetEvaluator) -> str:
    """Times of both on tiny moves of one structure, the shortest and the median, and their ratios."""
    memory, peers, ours = None, [], []
    for step in range(REPEATS + 3):
        moved = atoms.copy()
        moved.positions += 1e-5 * step
        moved.calc = model
        peer = milliseconds(lambda moved=moved: (moved.get_potential_energy(), moved.get_forces(), moved.get_stress()))  # type: ignore[misc]
        start = time.perf_counter()
        (found,) = evaluator.evaluate([moved], [memory])
        seconds = time.perf_counter() - start
        assert isinstance(found, Evaluation)
        memory = found.memory
        if step >= 3:  # the first ones warm up
            peers.append(peer)
            ours.append(1000 * seconds)
    ratios = min(peers) / min(ours), np.median(peers) / np.median(ours)
    return (
        f"{min(peers):.1f} ({np.median(peers):.1f}) | {min(ours):.1f} ({np.median(ours):.1f}) | "
        f"{ratios[0]:.1f} ({ratios[1]:.1f}) |"
    )


def main() -> None:
    """Print the table."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    network = CHGNet.load(use_device="cpu", verbose=False)
    model = CHGNetCalculator(network, use_device="cpu", on_isolated_atoms="error")
    evaluator = ChgnetEvaluator(device="cpu")
    sys.stdout.write("| structure | package, ms: shortest (median) | xtalseek | times as fast |\n|---|---|---|---|\n")
    for name, atoms in crystals().items():
        shaken = atoms.copy()
        shaken.rattle(0.05, seed=1)
        for kind, structure in (("shaken", shaken), ("symmetric", atoms)):
            sys.stdout.write(f"| {name}, {kind} | {compare(structure, model, evaluator)}\n")


if __name__ == "__main__":
    main()
