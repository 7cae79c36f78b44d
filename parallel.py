"""Work spread over the cores this process may use, in the order given: one function, many items."""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int, int], object]
"""Called with how many are done, and of how many."""

FEWEST_FOR_A_POOL = 64
"""Below this, starting processes costs more than it saves."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def cores() -> int:
    """How many cores this process may use (`taskset`, Slurm and containers may allow fewer than there are)."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def parallel_map(
    call: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    fewest: int = FEWEST_FOR_A_POOL,
    progress: Progress | None = None,
) -> list[Result]:
    """`[call(item) for item in items]`, on a pool of processes where there are cores and items enough.

    Warnings raised by `call` are not shown: a CIF reader has something to say about every row.

    Parameters
    ----------
    call : a function of a module (the pool finds it by its name); items and results must be picklable.
    fewest : as many items make a pool worth its start.
    progress : told how many items are done, a few hundred times at most.
    """
    workers = min(cores(), len(items))
    # A worker of some other pool must not start a pool of its own.
    if workers < 2 or len(items) < fewest or multiprocessing.current_process().daemon:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _collected(map(call, items), len(items), progress)
    # Forked workers have everything imported already, and need no `if __name__ == "__main__"` in a user's script.
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context(method), initializer=_quiet_single_thread)
    with pool:
        try:
            # Small pieces, so that one slow item does not leave the other workers idle at the end.
            results = pool.map(call, items, chunksize=max(1, min(64, len(items) // (8 * workers))))
            return _collected(results, len(items), progress)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _collected(results: Iterable[Result], total: int, progress: Progress | None) -> list[Result]:
    done: list[Result] = []
    step = max(1, total // 200)
    for result in results:
        done.append(result)
        if progress is not None and (len(done) % step == 0 or len(done) == total):
            progress(len(done), total)
    return done


def _quiet_single_thread() -> None:
    """One thread per worker (for libraries loaded from here on), and no warnings."""
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    warnings.simplefilter("ignore")
