"""The units of one round of a campaign, biggest first, claimed from the other jobs that share its folder."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

from ..errors import InputError
from .campaign import is_complete
from .claims import Claims
from .config import SearchConfig
from .finished import FinishedRun, read_finished
from .in_hand import Suspect
from .results import RESULTS_FILE, is_whole
from .run import likely_size, open_run, open_unit
from .schedule import ADAPTIVE
from .store import journal_files
from .tasks import WAIT, Wait
from .units import Unit
from .workshop import Workshop

SHARED = 64
"""Candidates of a unit that several jobs may share a search by."""
ASK_AGAIN = 5.0
"""Seconds between two looks at what other jobs hold."""


def can_be_split(config: SearchConfig, has_parents: bool) -> bool:
    """Whether several jobs may work on a search at once: no candidate depends on what others found."""
    return not (config.schedule == ADAPTIVE or config.until or config.early_stop_window is not None or has_parents)


class CampaignUnits:
    """The supply of one round.

    Parameters
    ----------
    workshop : knows the searches; their `num` counts the candidates of all rounds up to this one.
    number : of the round, from 1.
    begun : candidates of each search in the rounds before, which this one goes on from; left out: 0.
    claims : what this and other jobs work on.
    made_with : for the run folders. crashed : candidates that were in hand when a process crashed, by run folder.
    refused : a search that cannot be made is left out, and this is told why; the others go on.
    """

    def __init__(
        self,
        workshop: Workshop,
        number: int,
        begun: Mapping[str, int],
        claims: Claims,
        made_with: Mapping[str, Any],
        crashed: Mapping[str, Sequence[Suspect]],
        refused: Callable[[str, str], None],
    ) -> None:
        self._workshop, self._claims, self._made_with = workshop, claims, made_with
        self._crashed, self._refused = crashed, refused
        self._units: dict[str, list[str]] = {}
        """Names of each search's units."""
        self._pending = deque(self._all_units(number, begun))
        self._held: deque[tuple[str, str, range | None]] = deque()
        self._next_look = 0.0
        self._read: tuple[str, FinishedRun] | None = None
        """The last search's journal as it was opened: of its free units nothing can have been written since."""

    @property
    def left(self) -> int:
        """See `Supply`."""
        return len(self._pending) + len(self._held)

    def next(self) -> Unit | Wait | None:
        """See `Supply`."""
        if not self._pending and self._held and time.monotonic() >= self._next_look:
            self._claims.refresh()
            self._pending, self._held = self._held, deque()
            self._next_look = time.monotonic() + ASK_AGAIN
        while self._pending:
            name, search, numbers = self._pending.popleft()
            if self._claims.state(name) != "free":
                self._read = None  # who worked on it has written on
            if not self._claims.take(name):
                if self._claims.state(name) != "done":
                    self._held.append((name, search, numbers))
                continue
            unit = self._open(name, search, numbers)
            if unit is not None:
                return unit
        return WAIT if self._held else None

    def finished(self, unit: Unit) -> bool:
        """See `Supply`; a search is closed by the job that finishes the last of its units."""
        self._claims.finished(unit.name)
        return self._is_done(unit.search)

    def unclosed(self) -> list[str]:
        """Searches that were finished by a job that died before it closed them."""
        return [search for search in self._units if self._is_done(search) and not _is_closed(self._config(search))]

    def _config(self, search: str) -> SearchConfig:
        return self._workshop.configs[search]

    def _is_done(self, search: str) -> bool:
        return all(self._claims.state(name) == "done" for name in self._units[search])

    def _all_units(self, number: int, begun: Mapping[str, int]) -> Iterator[tuple[str, str, range | None]]:
        for search in sorted(self._workshop.configs, key=lambda name: -likely_size(self._config(name))):
            config, first = self._config(search), begun.get(search, 0)
            ranges: list[range | None] = [None] if first < config.num else []
            if self._can_be_split(search):
                ranges = [range(i, min(i + SHARED, config.num)) for i in range(first, config.num, SHARED)]
            names = [f"{number:02d}-{search}-{place:04d}" for place in range(len(ranges))]
            if any(self._claims.state(name) == "done" for name in names):
                finished = read_finished(Path(config.out))
                names = [self._name(*each, finished, config) for each in zip(names, ranges, strict=True)]
            self._units[search] = names
            yield from zip(names, [search] * len(ranges), ranges, strict=True)

    def _can_be_split(self, search: str) -> bool:
        try:
            return can_be_split(self._config(search), bool(self._workshop.needs_parent(search)))
        except InputError:  # told when the search is opened, and only that search is left out
            return False

    def _name(self, name: str, numbers: range | None, finished: FinishedRun, config: SearchConfig) -> str:
        """A unit's own name, or another where it is marked as finished and its journal was damaged since."""
        names = chain([name], (f"{name}-again{time}" for time in count(1)))
        return next(
            each for each in names if self._claims.state(each) != "done" or is_complete(config, finished, numbers)
        )

    def _open(self, name: str, search: str, numbers: range | None) -> Unit | None:
        """The unit, its run folder made; None where the search cannot be made."""
        workshop = self._workshop
        try:
            workshop.check(search)
            if self._read is None or self._read[0] != search:
                config = open_run(workshop.configs[search], self._made_with)
                self._read = search, read_finished(Path(config.out))
            unit, _ = open_unit(
                workshop, self._read[1], search, numbers, self._crashed.get(workshop.noted_as(search), ())
            )
        except InputError as error:
            self._refused(search, str(error))
            self._claims.finished(name)
            return None
        unit.name = name
        return unit


def _is_closed(config: SearchConfig) -> bool:
    """Whether results.h5 is whole, and younger than the journal."""
    results = Path(config.out) / RESULTS_FILE
    journal = (file.stat().st_mtime_ns for file in journal_files(Path(config.out)))
    return is_whole(results) and results.stat().st_mtime_ns >= max(journal, default=0)


def lines_done(configs: Mapping[str, SearchConfig]) -> int:
    """Candidates in all journals, counted quickly: for showing how far a campaign is."""
    files = (file for config in configs.values() for file in journal_files(Path(config.out)))
    return sum(file.read_bytes().count(b"\n") for file in files)
