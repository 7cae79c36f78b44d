"""The pull loop: ranks ask rank 0 for the next candidate when they are free, since relaxations differ 100-fold in time.

Rank 0 works like the others. A thread of its own answers them, and it alone calls MPI there while the search runs, so
that an answer never waits for a force call. Nobody waits inside MPI, where a waiting process burns a whole core: both
sides look for messages, and sleep in between, a little longer each time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ..search.schedule import Assignment
from ..search.stop import Stop
from ..search.tasks import Finished, LocalTasks

_TO_RANK_0 = 1
_TO_WORKER = 2
LONGEST_NAP = 0.002
PATIENCE = 60.0
"""Seconds that a stopping search waits for ranks that do not answer, busy in a library that hears no signal."""


def receive(comm: Any, source: int, tag: int, nap: float = LONGEST_NAP) -> Any:
    """The next message, waited for asleep."""
    pause = 1e-5
    while not comm.iprobe(source=source, tag=tag):
        time.sleep(pause)
        pause = min(2 * pause, nap)
    return comm.recv(source=source, tag=tag)


class WorkerTasks:
    """The tasks of ranks 1 and up, asked of rank 0."""

    def __init__(self, comm: Any) -> None:
        self._comm = comm
        self.lowest: float | None = None

    def next(self) -> Assignment | None:
        """The next candidate; None when rank 0 has nothing more for this rank."""
        self._comm.send(("next", None), dest=0, tag=_TO_RANK_0)
        assignment: Assignment | None
        assignment, self.lowest = receive(self._comm, 0, _TO_WORKER)
        return assignment

    def done(self, finished: Finished) -> None:
        """Tell rank 0 that a candidate is in the journal."""
        self._comm.send(("done", finished), dest=0, tag=_TO_RANK_0)

    def leave(self, reason: str | None) -> None:
        """Say that this rank is through (`reason`: what stopped it), and sleep until rank 0 has closed the run.

        Without that the rank would wait in MPI's own end, at 100 % of a core that another rank may need.
        """
        self._comm.send(("leave", reason), dest=0, tag=_TO_RANK_0)
        receive(self._comm, 0, _TO_WORKER, nap=0.05)


class Coordinator:
    """Rank 0's answering thread.

    Parameters
    ----------
    comm : the communicator.
    tasks : what rank 0's own loop draws from too.
    stop : rank 0's; set when another rank is told to end.
    on_failure : called, inside the thread, where the thread itself fails.
    """

    def __init__(self, comm: Any, tasks: LocalTasks, stop: Stop, on_failure: Callable[[], None]) -> None:
        self._comm, self._tasks, self._stop, self._on_failure = comm, tasks, stop, on_failure
        self._working = comm.size - 1
        self._thread = threading.Thread(target=self._guarded_serve, name="coordinator", daemon=True)
        self._thread.start()

    def wait(self) -> bool:
        """Wait, asleep, until all ranks have left. False where a stopped search has waited for `PATIENCE` in vain."""
        while self._thread.is_alive():
            self._thread.join(PATIENCE if self._stop.reason is not None else 0.2)
            if self._stop.reason is not None and self._thread.is_alive():
                return False
        return True

    def release(self) -> None:
        """Let the ranks that have left end."""
        for rank in range(1, self._comm.size):
            self._comm.send(None, dest=rank, tag=_TO_WORKER)

    def _guarded_serve(self) -> None:
        try:
            self._serve()
        except BaseException:
            self._on_failure()

    def _serve(self) -> None:
        from mpi4py import MPI

        status = MPI.Status()
        pause = 1e-5
        while self._working:
            if not self._comm.iprobe(tag=_TO_RANK_0, status=status):
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_NAP)
                continue
            pause = 1e-5
            rank = status.Get_source()
            word, content = self._comm.recv(source=rank, tag=_TO_RANK_0)
            if word == "next":
                assignment = None if self._stop.reason is not None else self._tasks.next()
                self._comm.send((assignment, self._tasks.lowest), dest=rank, tag=_TO_WORKER)
            elif word == "done":
                self._tasks.done(content)
            else:
                self._working -= 1
                if content is not None:
                    self._stop.request(content)
