"""How work is handed out: overhead, balance, and how many ranks one coordinator serves.

Relaxations are made up: they take no time, or sleep for times that differ 100-fold. What is measured is the desk, its
messages and the pull loop, without sources, potentials and journals:

- `overhead`: 10,000 candidates that take no time, on 4 ranks and on 2, with rank 0 at work too and without;
- `balance`: candidates of 0.03 to 3 s (log-uniform), 12 for each rank, in 4 searches whose sizes are known, on 2 to 64
  ranks that share this machine's cores. The ideal is what no schedule can beat: the sum over the ranks, or the longest;
- `coordinator`: processor time of rank 0 for each candidate where it does nothing else, and from it the number of ranks
  with relaxations of 10 s that it can serve;
- `bytes`: the longest messages.

    python benchmarks/scaling.py [overhead|balance|coordinator|bytes]...

`bookkeeping.py` measures the journal and resuming.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from ase.build import bulk

from xtalseek.mpi_jobs.messages import pack
from xtalseek.mpi_jobs.pull import Coordinator, WorkerTasks
from xtalseek.mpi_jobs.world import find_world
from xtalseek.records import Candidate
from xtalseek.search.budget import Budget, FixedOrder
from xtalseek.search.desk import Desk, SharedDesk
from xtalseek.search.provenance import provenance
from xtalseek.search.schedule import Assignment
from xtalseek.search.stop import Stop
from xtalseek.search.tasks import EVERYTHING, PROPOSE, Finished, Propose, Relax, Tasks
from xtalseek.search.units import Unit, Wait

RELAXATION_SECONDS = 10.0
ENOUGH_RANKS = 4096


class Units:
    """Searches in the order given, closed by nobody."""

    def __init__(self, units: list[Unit]) -> None:
        self._units = units

    @property
    def left(self) -> int:
        """Searches to come."""
        return len(self._units)

    def next(self) -> Unit | None:
        """The next search."""
        return self._units.pop(0) if self._units else None

    def finished(self, unit: Unit) -> bool:
        """Nothing to close."""
        return False

    def unclosed(self) -> list[str]:
        """None."""
        return []


def unit(search: str, num: int, size: float = 1.0) -> Unit:
    """`num` candidates."""
    order = FixedOrder(Assignment(n, "random", n) for n in range(num))
    return Unit(search, Budget(order, (), 0), size, left=num)


def made_up_durations(ranks: int) -> dict[str, np.ndarray]:
    """Seconds of each candidate, by search: log-uniform within a search, over 100-fold in all, the slowest first."""
    rng = np.random.default_rng(ranks)
    edges = np.geomspace(3.0, 0.03, 5)
    return {f"S{n}": np.exp(rng.uniform(*np.log(edges[[n + 1, n]]), 3 * ranks)) for n in range(4)}


def work(tasks: Tasks, seconds: dict[str, np.ndarray]) -> int:
    """Do all that is handed out; return how many candidates that was."""
    done = 0
    while (task := tasks.next()) is not None:
        assert isinstance(task, Relax), task
        n = task.assignment.index
        if task.search in seconds:
            time.sleep(seconds[task.search][n])
        name = f"{task.search}-random-{n:06d}"
        tasks.done(Finished(n, name, "random", n, "max_steps", None, None, 1, 1.0, search=task.search))
        done += 1
    return done


def on_ranks(units: list[Unit], seconds: dict[str, np.ndarray], leader_works: bool = True) -> dict[str, float] | None:
    """One round on the ranks of this job: what rank 0 saw."""
    world = find_world()
    stop = Stop()
    world.comm.Barrier()
    start, cpu = time.perf_counter(), time.process_time()
    if world.rank:
        tasks = WorkerTasks(world.comm)
        work(tasks, seconds)
        tasks.leave(None)
        return None
    roles = dict.fromkeys(range(world.size), EVERYTHING)
    desk = SharedDesk(Desk(Units(units), lambda finished: None, roles), stop)
    coordinator = Coordinator(world.comm, range(1, world.size), desk, stop, on_failure=world.abort)
    own = work(desk, seconds) if leader_works else 0
    coordinator.wait()
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    coordinator.release()
    return {"wall_s": wall, "leader_cpu_s": cpu, "by_leader": own}


def run_on(ranks: int, what: str) -> dict[str, float]:
    """This script on `ranks` ranks, and what its rank 0 printed."""
    launcher = [str(Path(sys.executable).parent / "mpirun"), "-n", str(ranks)]
    words = [*launcher, sys.executable, __file__, "--measure", what]
    finished = subprocess.run(words, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(finished.stdout)
    return found


def measure(what: str) -> dict[str, float] | None:
    """One measurement, on a rank of a job."""
    ranks = find_world().size
    if what.startswith("overhead"):
        num = 10_000
        found = on_ranks([unit("S", num)], {}, leader_works=what == "overhead")
        return found and {"candidates": num, "candidates_per_s": num / found["wall_s"], **found}
    if what == "coordinator":
        num = 20_000
        found = on_ranks([unit("S", num)], {}, leader_works=False)
        each = found["leader_cpu_s"] / num if found else 0.0
        return found and {
            "leader_cpu_us_per_candidate": 1e6 * each,
            "ranks_served_at_10_s": round(RELAXATION_SECONDS / each),
            "a_second_level_is_needed": RELAXATION_SECONDS / each < ENOUGH_RANKS,
        }
    seconds = made_up_durations(ranks)
    total = sum(float(s.sum()) for s in seconds.values())
    ideal = max(total / ranks, max(float(s.max()) for s in seconds.values()))
    found = on_ranks([unit(name, len(s), float(s.mean())) for name, s in seconds.items()], seconds)
    return found and {"ideal_s": ideal, "efficiency": ideal / found["wall_s"], **found}


def message_bytes() -> dict[str, int]:
    """Of the messages there are, for 8 atoms."""
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    relax = Relax("Li3Fe2P3O12", Assignment(123_456, "random", 123_456), lowest=-5.123456789)
    finished = Finished(1234, "Li3Fe2P3O12-random-001234", "random", 1234, "converged", -5.1, 10.1, 40, 12.3,
                        search="Li3Fe2P3O12")  # fmt: skip
    candidate = Candidate("NaCl", "unimat", 7, atoms, 0.1, provenance={"formula_units": 4, "draw": 7, "redraws": 1})
    propose = Propose("Li3Fe2P3O12", tuple(Assignment(-1, "unimat", n) for n in range(20)))
    messages = {
        "ask": ("next", (True,)), "wait": Wait(), "relax": relax, "finished": ("done", (finished,)),
        "relax_drawn": Relax("NaCl", relax.assignment, candidate), "draw_a_block_of_20": propose, PROPOSE: candidate,
    }  # fmt: skip
    return {f"{name}_bytes": len(pack(message)) for name, message in messages.items()}


def main() -> None:
    """All, or what is named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="*", default=["overhead", "balance", "coordinator", "bytes"])
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4, 8, 16, 32, 64], help="for balance")
    options = parser.parse_args()
    if options.measure:
        found = measure(options.measure)
        if found:
            sys.stdout.write(json.dumps(found))
        return
    result: dict[str, object] = {"hardware": provenance("python benchmarks/scaling.py", 1, 1)}
    if "overhead" in options.what:
        names = ("overhead", "overhead_without_leader")
        result["overhead"] = {f"{name}, {ranks} ranks": run_on(ranks, name) for name in names for ranks in (4, 2)}
    if "balance" in options.what:
        result["balance"] = {f"{ranks} ranks": run_on(ranks, "balance") for ranks in options.ranks}
    if "coordinator" in options.what:
        result["coordinator"] = run_on(2, "coordinator")
    if "bytes" in options.what:
        result["messages"] = message_bytes()
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
