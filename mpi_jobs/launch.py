"""A search on the ranks of a job: every rank makes its tools, rank 0 opens the run folder, all pull."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..search.config import SearchConfig
from ..search.loop import Tools, make_tools, work_through
from ..search.provenance import provenance
from ..search.run import close_run, log_file, open_run, search, start_counting
from ..search.stop import Stop
from ..search.store import Journal, Run
from .pull import Coordinator, WorkerTasks
from .world import World

log = logging.getLogger("xtalseek")


def run_search(
    config: SearchConfig, world: World, finish: Callable[[Run], None], command: str = "", threads: int = 1
) -> None:
    """Run or resume a search on all ranks of `world`.

    Parameters
    ----------
    config : the same on every rank. world : from `find_world`.
    finish : called on rank 0 with what the run folder holds in the end, while the other ranks still sleep.
    command : what the user typed, for the record. threads : of each rank, likewise.

    Raises
    ------
    InputError : on every rank, see `make_tools` and `open_run`.
    """
    if world.comm is None:
        finish(search(config, command, threads))
        return
    tools = _make_tools_together(config, world)
    if world.rank == 0:
        _lead(config, tools, world, finish, provenance(command, world.size, threads))
    else:
        _follow(config, tools, world)


def _make_tools_together(config: SearchConfig, world: World) -> Tools:
    """The tools of every rank, or one error on all of them where a rank fails (a package missing on its node)."""
    tools, error = None, None
    try:
        tools = make_tools(config)
    except InputError as caught:
        error = caught
    errors = [found for found in world.comm.allgather(error) if found is not None]
    if errors:
        raise errors[0]
    assert tools is not None
    return tools


def _lead(
    config: SearchConfig, tools: Tools, world: World, finish: Callable[[Run], None], made_with: Mapping[str, Any]
) -> None:
    """Rank 0: open the folder, tell the others, work and coordinate, close the folder."""
    try:
        run = open_run(config, made_with)
    except InputError as error:
        world.comm.bcast(error)
        raise
    world.comm.bcast(None)
    tasks, meter = start_counting(run, config, tools)
    stop, journal = Stop(), Journal(run.path, rank=0)
    with world.aborting(), log_file(run.path), stop.listening(config.max_hours):
        coordinator = Coordinator(world.comm, tasks, stop, on_failure=world.abort)
        work_through(config, tools, tasks, journal, stop)
        journal.close()
        all_left = coordinator.wait()
        meter.close()
        finish(close_run(run.path, config, stop))
        if not all_left:
            log.info("some ranks did not answer and are ended; their candidates are drawn again on resuming")
            world.comm.Abort(0)
        coordinator.release()


def _follow(config: SearchConfig, tools: Tools, world: World) -> None:
    """Every other rank: relax what rank 0 hands out."""
    refused = world.comm.bcast(None)
    if refused is not None:
        raise refused
    tasks, stop, journal = WorkerTasks(world.comm), Stop(), Journal(Path(config.out), rank=world.rank)
    with world.aborting(), stop.listening(config.max_hours):
        work_through(config, tools, tasks, journal, stop, world.rank)
        journal.close()
        tasks.leave(stop.reason)
