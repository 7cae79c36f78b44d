"""A search on the ranks of a job: every rank makes its tools, rank 0 opens the run folder, all pull."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..search.config import SearchConfig
from ..search.desk import Desk, SharedDesk
from ..search.in_hand import InHand
from ..search.loop import work_through
from ..search.provenance import provenance
from ..search.run import close_run, log_file, open_run, search, start_counting
from ..search.stop import Stop
from ..search.store import Run
from ..search.units import OneUnit
from ..search.workshop import Workshop
from .pull import Coordinator, WorkerTasks
from .roles import choose_roles, take_seats
from .world import World

log = logging.getLogger("xtalseek")


def run_search(
    config: SearchConfig,
    world: World,
    finish: Callable[[Run], None],
    command: str = "",
    threads: int = 1,
    proposers: int | None = None,
) -> None:
    """Run or resume a search on all ranks of `world`.

    Parameters
    ----------
    config : the same on every rank. world : from `find_world`.
    finish : called on rank 0 with what the run folder holds in the end, while the other ranks still sleep.
    command : what the user typed, for the record. threads : of each rank, likewise.
    proposers : so many ranks only propose; None: chosen from the hardware.

    Raises
    ------
    InputError : on every rank, see `Workshop.check` and `open_run`.
    """
    if world.comm is None:
        finish(search(config, command, threads))
        return
    seats = take_seats(world)
    workshop = Workshop({"": config}, world.rank)
    together(world, lambda: workshop.check(""))
    team = Team(world, choose_roles(seats, proposers))
    if world.rank == 0:
        opened = team.lead_opening(lambda: open_run(config, provenance(command, world.size, threads)))
        workshop.turn_to({"": opened})
        unit, meter = start_counting(workshop)
        stop, folder = Stop(), Path(opened.out)
        with world.aborting(), log_file(folder), stop.listening(config.max_hours), InHand(folder) as in_hand:
            team.lead(workshop, Desk(OneUnit(unit), meter.update, team.roles), stop, in_hand)
            meter.close()
            finish(close_run(opened, stop))
            team.dismiss()
    else:
        team.follow_opening()
        stop = Stop()
        with world.aborting(), stop.listening(config.max_hours), InHand(Path(config.out)) as in_hand:
            team.follow(workshop, stop, in_hand)


def together(world: World, prepare: Callable[[], None]) -> None:
    """`prepare` on every rank, or one error on all of them where a rank fails (a package missing on its node).

    Raises
    ------
    InputError : the first rank's that failed.
    """
    error = None
    try:
        prepare()
    except InputError as caught:
        error = caught
    errors = [error] if world.comm is None else world.comm.allgather(error)
    for found in errors:
        if found is not None:
            raise found


class Team:
    """The ranks of a job, and the words between rank 0 and the others.

    Attributes
    ----------
    roles : of each rank that is alive.
    """

    def __init__(self, world: World, roles: dict[int, frozenset[str]]) -> None:
        self.roles = roles
        self._world = world
        self._coordinator: Coordinator | None = None
        self._all_left = True

    def lead_opening(self, open_folder: Callable[[], Any]) -> Any:
        """Rank 0: open the folder; where that fails, all ranks raise the same."""
        if self._world.comm is None:
            return open_folder()
        try:
            opened = open_folder()
        except InputError as error:
            self._world.comm.bcast(error)
            raise
        self._world.comm.bcast(None)
        return opened

    def follow_opening(self) -> None:
        """Every other rank: wait for the folder.

        Raises
        ------
        InputError : rank 0's.
        """
        refused = self._world.comm.bcast(None)
        if refused is not None:
            raise refused

    def lead(
        self,
        workshop: Workshop,
        desk: Desk,
        stop: Stop,
        in_hand: InHand,
        close: Callable[[str], None] = lambda search: None,
    ) -> None:
        """Rank 0: work and coordinate until all ranks have left the desk. They then wait for `go_on` or `dismiss`."""
        shared = SharedDesk(desk, stop)
        alive = [rank for rank in self.roles if rank != 0]
        self._coordinator = Coordinator(self._world.comm, alive, shared, stop, on_failure=self._world.abort)
        work_through(workshop, shared, stop, in_hand, close)
        workshop.rest()
        self._all_left = self._coordinator.wait()
        self.roles = {rank: kinds for rank, kinds in self.roles.items() if rank in {0, *self._coordinator.alive}}

    def go_on(self, news: Any) -> None:
        """Rank 0: tell the others to work on; `news` is what their `follow` returns."""
        assert self._coordinator is not None and news is not None
        self._coordinator.release(news)

    def dismiss(self) -> None:
        """Rank 0: let the others end."""
        assert self._coordinator is not None
        if not self._all_left:
            log.info("some ranks did not answer and are ended; their candidates are drawn again on resuming")
            self._world.comm.Abort(0)
        self._coordinator.release(None)

    def follow(
        self, workshop: Workshop, stop: Stop, in_hand: InHand, close: Callable[[str], None] = lambda search: None
    ) -> Any:
        """Every other rank: do what rank 0 hands out; return what comes next, None for the end."""
        tasks = WorkerTasks(self._world.comm)
        work_through(workshop, tasks, stop, in_hand, close)
        workshop.rest()
        return tasks.leave(stop.reason)
