"""One search from start to end: open or resume its run folder, work through its candidates, close it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import write_atomic
from .budget import AdaptiveOrder, Budget, FixedOrder, Order
from .config import SearchConfig, difference, to_toml
from .found import found_in
from .loop import Tools, make_tools, work_through
from .progress import Progress, progress
from .provenance import provenance
from .results import write_results
from .schedule import ADAPTIVE
from .stop import Stop
from .store import CONFIG_FILE, Journal, Run, load_run
from .tasks import Finished, LocalTasks

log = logging.getLogger("xtalseek")


def open_run(config: SearchConfig, made_with: Mapping[str, Any]) -> Run:
    """Make the run folder, or open the one that is there to go on with it.

    Parameters
    ----------
    config : what is asked for.
    made_with : versions and hardware to note in config.toml.

    Raises
    ------
    InputError : a folder that belongs to another configuration or to something else.
    """
    folder = Path(config.out)
    if (folder / CONFIG_FILE).is_file():
        run = load_run(folder)
        differing = difference(run.config, config)
        if differing:
            raise InputError(
                f"run folder {config.out!r} belongs to another search ({'; '.join(differing)}): give another --out"
            )
        # A run once made longer stays that long, also where a later command asks for fewer candidates.
        config = replace(config, num=max(config.num, run.config.num))
        if all(getattr(run.config, name) == getattr(config, name) for name in ("num", "max_hours", "until")):
            return run
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{config.out!r} exists and is not a run folder: give another --out")
    try:
        write_atomic(folder / CONFIG_FILE, to_toml(config, made_with))
    except OSError as error:
        raise InputError(f"run folder {config.out!r} cannot be written: {error.strerror}") from error
    return load_run(folder)


def start_counting(run: Run, config: SearchConfig, tools: Tools) -> tuple[LocalTasks, Progress]:
    """What is still to do in `run`, and its progress, counting on from what its journal holds."""
    budget = Budget(_order(run, config), tools.needs_parent, config.seed, config.stopping_rule)
    for record in sorted(run.records, key=lambda record: record.finished):
        budget.done(Finished.of(record, with_atoms=bool(tools.needs_parent)))
    meter = progress(config.num, len(run.records), budget.lowest)
    return LocalTasks(budget, meter.update), meter


def _order(run: Run, config: SearchConfig) -> Order:
    """The candidates that are not in the journal yet, in the order in which they are drawn."""
    taken: dict[str, set[int]] = {}
    for record in run.records:
        taken.setdefault(record.candidate.source, set()).add(record.candidate.index)
    if config.schedule == ADAPTIVE:
        first = max((record.number for record in run.records), default=-1) + 1
        return AdaptiveOrder(config.source, taken, first, config.num - len(run.records), config.seed)
    return FixedOrder(a for a in config.assignments() if a.index not in taken.get(a.source, ()))


def search(config: SearchConfig, command: str = "", threads: int = 1) -> Run:
    """Run or resume a search in this process and return what its run folder then holds.

    `mpi_jobs.run_search` does the same on many ranks.

    Raises
    ------
    InputError : see `make_tools` and `open_run`.
    """
    tools = make_tools(config)
    run = open_run(config, provenance(command, ranks=1, threads=threads))
    tasks, meter = start_counting(run, config, tools)
    stop, journal = Stop(), Journal(run.path)
    with log_file(run.path), stop.listening(config.max_hours):
        try:
            work_through(config, tools, tasks, journal, stop)
        finally:
            meter.close()
            journal.close()
        return close_run(run.path, config, stop)


def close_run(folder: Path, config: SearchConfig, stop: Stop) -> Run:
    """Read the journal once more, make results.h5 from it, and log how the search ended."""
    run = load_run(folder)
    write_results(run)
    left = config.num - len(run.records)
    if left > 0 and found_in(run.records).enough(config.stopping_rule):
        log.info("enough was found (%s): %d candidates of %d left out", config.until, left, config.num)
    elif left > 0:
        log.info("%s: %d candidates left; the same command goes on with them", stop.reason or "stopped", left)
    return run


@contextmanager
def log_file(folder: Path) -> Iterator[None]:
    """Also write what is logged to RUN/log/, a file per process that ever ran the search."""
    (folder / "log").mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / "log" / f"search-{os.getpid()}.log", mode="a", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
