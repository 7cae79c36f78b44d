"""One search from start to end: open or resume its run folder, work through its candidates, close it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import InputError, StorageError
from ..files import remove_leftovers
from .budget import AdaptiveOrder, Budget, FixedOrder, Order
from .config import SearchConfig, difference, to_toml
from .desk import Desk, SharedDesk
from .finished import FinishedRun, read_finished, scan_run
from .found import found_in
from .in_hand import InHand, Suspect, quarantine, suspects, tidy
from .loop import work_through
from .progress import Progress, progress
from .provenance import provenance
from .results import write_results
from .schedule import ADAPTIVE
from .stop import Stop
from .store import CONFIG_FILE, LOG_FOLDER, Run, is_taken, journal_files, load_run, read_config, write_settings
from .tasks import Finished
from .units import OneUnit, Unit
from .workshop import Workshop

log = logging.getLogger("xtalseek")

IN_MEMORY_BYTES = 200_000_000
"""Of a journal, some 100,000 records, which take three times that in memory."""


def open_run(config: SearchConfig, made_with: Mapping[str, Any]) -> SearchConfig:
    """Make the run folder, or open the one that is there to go on with it; return what the run now is.

    Parameters
    ----------
    config : what is asked for.
    made_with : versions and hardware to note in config.toml.

    Raises
    ------
    InputError : a folder that belongs to another configuration or to something else, or may not be written.
    StorageError : the disk is full or fails.
    """
    folder = Path(config.out)
    if (folder / CONFIG_FILE).is_file():
        stored = read_config(folder)
        differing = difference(stored, config)
        if differing:
            raise InputError(
                f"run folder {config.out!r} belongs to another search ({'; '.join(differing)}): give another --out"
            )
        # A run once made longer stays that long, also where a later command asks for fewer candidates.
        config = replace(config, num=max(config.num, stored.num))
        if all(getattr(stored, name) == getattr(config, name) for name in ("num", "max_hours", "until")):
            return config
    elif is_taken(folder):
        raise InputError(f"{config.out!r} exists and is not a run folder: give another --out")
    write_settings(folder / CONFIG_FILE, to_toml(config, made_with), f"run folder {config.out!r}")
    return config


def likely_size(config: SearchConfig) -> float:
    """Atoms in a candidate's cell, on average."""
    return sum(config.target.composition.values()) * sum(config.formula_units) / 2


def open_unit(
    workshop: Workshop,
    finished_run: FinishedRun,
    search: str = "",
    numbers: range | None = None,
    crashed: Iterable[Suspect] = (),
) -> tuple[Unit, int]:
    """What is left to do of a search whose run folder is open, and how many of its candidates are done.

    Candidates that have crashed the process twice are put aside, with an outcome that says so.

    Parameters
    ----------
    workshop : knows the search. finished_run : what is in its journal.
    numbers : of the candidates that the unit is about, where the schedule is fixed; None: all.
    crashed : candidates that were in hand when a process crashed.
    """
    config = workshop.configs[search]
    folder, needs_parent = Path(config.out), workshop.needs_parent(search)
    order: Order
    if config.schedule == ADAPTIVE:
        order = AdaptiveOrder(config.source, config.num, config.seed)
    else:
        order = FixedOrder(config.assignments(numbers))
    budget = Budget(order, needs_parent, config.seed, config.stopping_rule)
    own = finished_run if numbers is None else finished_run.within(numbers)
    done = len(own)
    crashed_here = {(s.source, s.index): s for s in crashed if numbers is None or s.number in numbers}
    for finished in own.in_order(with_atoms=bool(needs_parent)):
        crashed_here.pop((finished.source, finished.index), None)
        budget.resume(finished)
    suspected = set()
    for name, suspect in crashed_here.items():
        if not suspect.guilty:
            suspected.add(name)
            continue
        record = quarantine(folder, suspect, config.target.name, config.pressure_gpa)
        workshop.journal(search).append(record)
        log.warning("%s: %s", record.name, record.relaxation.message)
        done += 1
        budget.resume(Finished.of(record))
    left = (config.num if numbers is None else len(numbers)) - done
    return Unit(search, budget, likely_size(config), workshop.blocks(search), suspected, left), done


def search(config: SearchConfig, command: str = "", threads: int = 1) -> Run:
    """Run or resume a search in this process and return what its run folder then holds.

    `mpi_jobs.run_search` does the same on many ranks.

    Raises
    ------
    InputError : see `Workshop.check` and `open_run`.
    """
    workshop = Workshop({"": config})
    workshop.check("")
    config = open_run(config, provenance(command, ranks=1, threads=threads))
    workshop.turn_to({"": config})
    unit, meter = start_counting(workshop)
    stop = Stop()
    folder = Path(config.out)
    with log_file(folder), stop.listening(config.max_hours):
        try:
            with InHand(folder) as in_hand:
                work_through(workshop, SharedDesk(Desk(OneUnit(unit), meter.update), stop), stop, in_hand)
        finally:
            meter.close()
            workshop.rest()
        return close_run(config, stop)


def start_counting(workshop: Workshop) -> tuple[Unit, Progress]:
    """What is left to do of a single search, and what shows how it goes."""
    config = workshop.configs[""]
    folder = Path(config.out)
    unit, done = open_unit(workshop, read_finished(folder), crashed=suspects(folder))
    tidy_up(folder, {"": folder})
    return unit, progress(config.num, done, unit.budget.lowest)


def tidy_up(folder: Path, runs: Mapping[str, Path]) -> None:
    """Remove from `folder` what dead processes left there and is of no use, given the run folder of each search."""

    @cache
    def finished(search: str) -> frozenset[tuple[str, int]]:
        return (
            frozenset((each.source, each.index) for each in read_finished(runs[search]))
            if search in runs
            else frozenset()
        )

    tidy(folder, lambda search, source, index: (source, index) in finished(search))
    for each in {folder, *runs.values()}:
        remove_leftovers(each)


def close_run(config: SearchConfig, stop: Stop) -> Run:
    """Read the journal once more, make results.h5 from it, and log how the search ended."""
    run = read_run(config.out)
    write_results(run)
    left = config.num - len(run.records)
    if left > 0 and found_in(run.records).enough(config.stopping_rule):
        log.info("enough was found (%s): %d candidates of %d left out", config.until, left, config.num)
    elif left > 0:
        log.info("%s: %d candidates left; the same command goes on with them", stop.reason or "stopped", left)
    return run


def read_run(out: str) -> Run:
    """A run, whose records stay on the disk where they are very many."""
    size = sum(file.stat().st_size for file in journal_files(Path(out)))
    return load_run(out) if size <= IN_MEMORY_BYTES else scan_run(out)


class _LogFile(logging.FileHandler):
    """A log that nobody hears of where the disk is full: the journal tells of that."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Called by `logging` where a line cannot be written."""

    def close(self) -> None:
        """What the buffer still holds may not find room either."""
        with suppress(OSError):
            super().close()


@contextmanager
def log_file(folder: Path) -> Iterator[None]:
    """Also write what is logged to RUN/log/, a file per process that ever ran the search.

    Raises
    ------
    StorageError : the file cannot be made.
    """
    path = folder / LOG_FOLDER / f"search-{os.getpid()}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(path, mode="a", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {str(path)!r} ({error.strerror}): make room") from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
