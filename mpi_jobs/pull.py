"""The pull loop: ranks ask rank 0 for the next task when they are free, since relaxations differ 100-fold in time.

Rank 0 works like the others. A thread of its own answers them, and it alone calls MPI there while the search runs, so
that an answer never waits for a force call. Nobody waits inside MPI, where a waiting process burns a whole core: both
sides look for messages, and sleep in between, a little longer each time.

Where MPI lives on after a rank has died (Open MPI's `mpirun --with-ft ulfm`), what the dead rank had in hand is handed
out again; elsewhere MPI ends the job, and the same command resumes it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..records import Candidate
from ..search.desk import LONGEST_WAIT, SharedDesk
from ..search.stop import Stop
from ..search.tasks import Close, Finished, Propose, Task, Wait
from .messages import LONGEST_NAP, receive, send, unpack

log = logging.getLogger("xtalseek")

_TO_RANK_0 = 1
_TO_WORKER = 2
PATIENCE = 60.0
"""Seconds that a stopping search waits for ranks that do not answer, busy in a library that hears no signal."""


class WorkerTasks:
    """The tasks of ranks 1 and up, asked of rank 0."""

    def __init__(self, comm: Any) -> None:
        self._comm = comm

    def next(self, wait: bool = True) -> Task | Wait | None:
        """See `Tasks`."""
        self._tell("next", wait)
        task: Task | Wait | None = receive(self._comm, 0, _TO_WORKER)
        return task

    def done(self, finished: Finished) -> None:
        """See `Tasks`."""
        self._tell("done", finished)

    def drawn(self, task: Propose, candidates: Sequence[Candidate]) -> None:
        """See `Tasks`."""
        self._tell("drawn", task, candidates)

    def closed(self, task: Close) -> None:
        """See `Tasks`."""
        self._tell("closed", task)

    def leave(self, reason: str | None) -> Any:
        """Say that this rank is through (`reason`: what stopped it), and sleep until rank 0 says what comes next.

        Without that the rank would wait in MPI's own end, at 100 % of a core that another rank may need.
        """
        self._tell("leave", reason)
        return receive(self._comm, 0, _TO_WORKER)

    def _tell(self, word: str, *content: object) -> None:
        send(self._comm, (word, content), 0, _TO_RANK_0)


class Coordinator:
    """Rank 0's answering thread.

    Parameters
    ----------
    comm : the communicator. ranks : those alive, rank 0 left out.
    desk : what rank 0's own loop draws from too.
    stop : rank 0's; set when another rank is told to end.
    on_failure : called, inside the thread, where the thread itself fails.
    """

    def __init__(
        self, comm: Any, ranks: Sequence[int], desk: SharedDesk, stop: Stop, on_failure: Callable[[], None]
    ) -> None:
        self._comm, self._desk, self._stop, self._on_failure = comm, desk, stop, on_failure
        self.alive = set(ranks)
        self._working = set(ranks)
        self._parked: set[int] = set()
        self._last_offer = (-1, 0.0)
        self._thread = threading.Thread(target=self._guarded_serve, name="coordinator", daemon=True)
        self._thread.start()

    def wait(self) -> bool:
        """Wait, asleep, until all ranks have left. False where a stopped search has waited for `PATIENCE` in vain."""
        while self._thread.is_alive():
            self._thread.join(PATIENCE if self._stop.reason is not None else 0.2)
            if self._stop.reason is not None and self._thread.is_alive():
                return False
        return True

    def release(self, what_next: Any = None) -> None:
        """Tell the ranks that have left what comes next; None: the end."""
        for rank in sorted(self.alive):
            self._send(rank, what_next)

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
            try:
                came = self._comm.iprobe(tag=_TO_RANK_0, status=status)
                message = self._comm.recv(source=status.Get_source(), tag=_TO_RANK_0) if came else None
            except MPI.Exception as error:
                self._bury(error)
                continue
            if message is None:
                self._offer_again()
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_NAP)
                continue
            pause = 1e-5
            self._hear(status.Get_source(), *unpack(message))
            self._offer_again()

    def _hear(self, rank: int, word: str, content: tuple[Any, ...]) -> None:
        if rank not in self._working:  # it was taken for dead
            return
        if word == "next":
            self._answer(rank, *content)
        elif word == "leave":
            self._working.discard(rank)
            if content[0] is not None:
                self._stop.request(content[0])
        else:
            getattr(self._desk, word)(*content, worker=rank)

    def _answer(self, rank: int, wait: bool) -> None:
        """Send a task, or leave the rank asleep until there is one."""
        task = None if self._stop.reason is not None else self._desk.offer(rank)
        if wait and isinstance(task, Wait):
            self._parked.add(rank)
        else:
            self._parked.discard(rank)
            self._send(rank, task)

    def _offer_again(self) -> None:
        """Ask for the parked ranks, where something has changed or may have."""
        version, now = self._desk.version, time.monotonic()
        if not self._parked or (
            version == self._last_offer[0] and now - self._last_offer[1] < LONGEST_WAIT and self._stop.reason is None
        ):
            return
        self._last_offer = version, now
        for rank in sorted(self._parked):
            self._answer(rank, wait=True)

    def _send(self, rank: int, message: Any) -> None:
        from mpi4py import MPI

        try:
            send(self._comm, message, rank, _TO_WORKER)
        except MPI.Exception as error:
            self._bury(error)

    def _bury(self, error: Exception) -> None:
        """Hand out again what dead ranks had. MPI without fault tolerance never comes here: it ends the job.

        Raises
        ------
        Exception : `error`, where it was something else than a death.
        """
        from mpi4py import MPI

        if not isinstance(error, MPI.Exception) or error.Get_error_class() not in (
            getattr(MPI, "ERR_PROC_FAILED", -1), getattr(MPI, "ERR_PROC_FAILED_PENDING", -1)
        ):  # fmt: skip
            raise error
        self._comm.Ack_failed()
        failed = self._comm.Get_failed()
        group = self._comm.Get_group()
        dead = set(MPI.Group.Translate_ranks(failed, list(range(failed.size)), group)) & self.alive
        for rank in sorted(dead):
            log.warning("rank %d has died: what it had in hand is handed out again", rank)
            self.alive.discard(rank)
            self._working.discard(rank)
            self._parked.discard(rank)
            self._desk.lost(rank)
