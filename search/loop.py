"""The search loop of one worker: propose, relax, write down, ask for more. It knows nothing of MPI."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count

from ..proposals import Source, propose
from ..records import Candidate, Record, Relaxation, Status
from .config import SearchConfig
from .in_hand import InHand
from .schedule import Assignment
from .stop import Stop, StopRequested
from .tasks import WAIT, Close, Finished, Propose, Relax, Tasks
from .workshop import Workshop


def draw(config: SearchConfig, sources: Mapping[str, Source], assignment: Assignment) -> Candidate:
    """The candidate of an assignment: a pure function of the configuration and the assignment.

    A source that fails on it gives a candidate without a structure and the reason, not an exception.
    """
    source, index = assignment.source, assignment.index
    start = time.perf_counter()
    try:
        candidate = propose(sources[source], source, config.target, index, config.seed, assignment.parent)
    except Exception as error:  # a plug-in's fault must not cost the other candidates
        note = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        candidate = Candidate(config.target.name, source, index, atoms=None, note=note)
    return replace(candidate, seconds=time.perf_counter() - start)


def work_through(
    workshop: Workshop,
    tasks: Tasks,
    stop: Stop,
    in_hand: InHand,
    close: Callable[[str], None] = lambda search: None,
) -> None:
    """Do what `tasks` hands out until nothing is left or `stop` says so.

    The candidates in hand when a signal comes are dropped: they are not in the journal, so a resumed run draws them
    again.

    Parameters
    ----------
    workshop : sources, relaxers and journals. in_hand : keeps note of what could crash the process.
    close : makes of a search's journal what people read.
    """
    worker = _Worker(workshop, tasks, stop, in_hand)
    try:
        while stop.reason is None:
            task = tasks.next(wait=not worker.busy) if worker.has_room else WAIT
            if isinstance(task, Relax):
                worker.begin(task)
            elif isinstance(task, Propose):
                worker.propose(task)
            elif isinstance(task, Close):
                close(task.search)
                tasks.closed(task)
            elif worker.busy:
                worker.advance_until_some_end()
            elif task is None:
                return
    except StopRequested:
        return


class _Worker:
    """What is under way in one process."""

    def __init__(self, workshop: Workshop, tasks: Tasks, stop: Stop, in_hand: InHand) -> None:
        self._workshop, self._tasks, self._stop, self._in_hand = workshop, tasks, stop, in_hand
        self._keys = count()
        self._relaxing: dict[int, tuple[Relax, Candidate]] = {}

    @property
    def busy(self) -> bool:
        """Whether relaxations are under way."""
        return bool(self._relaxing)

    @property
    def has_room(self) -> bool:
        """Whether another structure would join the next step."""
        return all(under_way.has_room for under_way in self._workshop.all_under_way() if len(under_way))

    def begin(self, task: Relax) -> None:
        """Draw the candidate where that is not done yet, and start its relaxation."""
        assignment = task.assignment
        while assignment.alone and self.busy:
            self.advance_until_some_end()
        candidate = task.candidate or self._draw(task.search, assignment)
        if candidate.atoms is None:
            pressure = self._workshop.configs[task.search].pressure_gpa
            unfit = Relaxation(None, Status.ERROR, message=candidate.note, pressure_gpa=pressure)
            self._write_down(task, candidate, unfit)
            return
        self._in_hand.begins_to_relax(self._workshop.noted_as(task.search), assignment.number, candidate)
        under_way = self._workshop.under_way(task.search)
        under_way.lowest = task.lowest
        key = next(self._keys)
        self._relaxing[key] = task, candidate
        under_way.add(key, candidate.atoms)
        while assignment.alone and self.busy:
            self.advance_until_some_end()

    def propose(self, task: Propose) -> None:
        """Draw candidates for others."""
        drawn = []
        for assignment in task.assignments:
            drawn.append(self._draw(task.search, assignment))
            self._in_hand.done(self._workshop.noted_as(task.search), assignment.number)
        self._tasks.drawn(task, drawn)

    def advance_until_some_end(self) -> None:
        """Move all relaxations on until some are done, and write those down."""
        ended = 0
        while self.busy and not ended:
            for under_way in self._workshop.all_under_way():
                if not len(under_way):
                    continue
                with self._stop.interruptible():
                    finished = under_way.advance()
                for key, relaxation in finished:
                    self._write_down(*self._relaxing.pop(key), relaxation)
                ended += len(finished)

    def _draw(self, search: str, assignment: Assignment) -> Candidate:
        self._in_hand.begins_to_draw(self._workshop.noted_as(search), assignment)
        with self._stop.interruptible():
            return draw(self._workshop.configs[search], self._workshop.sources(search), assignment)

    def _write_down(self, task: Relax, candidate: Candidate, relaxation: Relaxation) -> None:
        workshop, search = self._workshop, task.search
        record = Record(candidate, relaxation, time.time(), workshop.rank, task.assignment.number)
        workshop.journal(search).append(record)
        self._in_hand.done(workshop.noted_as(search), task.assignment.number)
        self._tasks.done(Finished.of(record, bool(workshop.needs_parent(search)), search))
