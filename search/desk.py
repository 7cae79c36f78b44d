"""The desk: who works on what next, over all searches and all workers of a job.

Each worker is attached to a unit of work, a stretch of one search, and stays with it: it then knows the search's
sources already, writes to few files, and an adaptive budget learns between two draws. When a unit is handed out the
worker takes the next, biggest first. Where few are left it helps where relaxations take longest instead, so that the
short ones come last and nobody idles at the end.

Candidates of a source that draws in blocks are drawn by one worker, whole blocks at a time, and relaxed by all. Where
some workers only relax (those with a GPU) and others only propose, every candidate is drawn ahead of need.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import replace

from ..records import Candidate
from .schedule import Assignment
from .stop import Stop
from .tasks import CLOSE, EVERYTHING, PROPOSE, RELAX, WAIT, Close, Finished, Propose, Relax, Task, Wait
from .units import Supply, Unit

AHEAD = 3
"""Candidates that lie drawn for each worker that only relaxes."""

SEVERAL = 3
"""Units for each worker, below which all work on the biggest first."""

LONGEST_WAIT = 1.0
"""Seconds after which a worker without a task asks again: other jobs may have left something."""

Key = tuple[str, str, int]
"""A candidate: search, source, index."""


class Desk:
    """Hands out tasks: plain data in, plain data out, without MPI or files, and not for two threads at once.

    Parameters
    ----------
    supply : the units. on_done : called for each finished candidate.
    roles : of each worker, by its number; a worker's tasks are of these kinds.
    """

    def __init__(
        self, supply: Supply, on_done: Callable[[Finished], None], roles: Mapping[int, Collection[str]] | None = None
    ) -> None:
        self._supply, self._on_done = supply, on_done
        self._roles = {worker: frozenset(kinds) for worker, kinds in (roles or {0: EVERYTHING}).items()}
        self._units: list[Unit] = []
        self._no_more_units = False
        self._attached: dict[int, Unit] = {}
        self._hands: defaultdict[int, dict[Hashable, Task]] = defaultdict(dict)
        self._unit_of: dict[Key, Unit] = {}
        self._again: deque[Relax] = deque()
        self._ready: deque[Relax] = deque()
        self._to_close = deque(supply.unclosed())
        self._drawn: dict[Key, Candidate] = {}
        self._awaited: dict[Key, list[Assignment]] = {}
        """What is to be relaxed once a block, named by its first candidate, is drawn."""
        self._deaths: Counter[Key] = Counter()

    def next(self, worker: int = 0) -> Task | Wait | None:
        """A task for a worker; `WAIT` while all there is lies in other hands; None when everything is done."""
        roles = self._roles[worker]
        task: Task | None = None
        if CLOSE in roles and self._to_close:
            task = Close(self._to_close.popleft())
        elif RELAX in roles and (self._ready or PROPOSE in roles):
            task = self._ready.popleft() if self._ready else self._relax(worker)
        elif PROPOSE in roles and RELAX not in roles:
            task = self._propose(worker)
        if task is None and CLOSE in roles and self._to_close:  # this worker has just found out that a search has ended
            task = Close(self._to_close.popleft())
        if task is None:
            return None if self._all_done() else WAIT
        self._hands[worker][_key(task)] = task
        return task

    def done(self, finished: Finished, worker: int = 0) -> None:
        """A candidate is in the journal."""
        key = finished.search, finished.source, finished.index
        self._hands[worker].pop(key, None)
        unit = self._unit_of.pop(key)
        unit.budget.done(finished)
        unit.pending -= 1
        self._on_done(finished)
        self._end(unit)

    def drawn(self, task: Propose, candidates: Sequence[Candidate], worker: int = 0) -> None:
        """Candidates were drawn for others to relax."""
        self._hands[worker].pop(_key(task), None)
        for assignment, candidate in zip(task.assignments, candidates, strict=True):
            self._drawn[task.search, assignment.source, assignment.index] = candidate
        for assignment in self._awaited.pop(_first(task), []):
            self._ready.append(self._relaxing(task.search, assignment))

    def closed(self, task: Close, worker: int = 0) -> None:
        """A search was closed."""
        self._hands[worker].pop(_key(task), None)

    def lost(self, worker: int) -> None:
        """A worker is dead: hand out again what it had, to be worked on alone.

        A candidate that two workers died with is left to a resumed run, which looks at what they left behind: it may
        kill whoever touches it.
        """
        self._roles.pop(worker, None)
        self._attached.pop(worker, None)
        if not {RELAX, PROPOSE, CLOSE} <= frozenset().union(*self._roles.values()):
            self._roles = dict.fromkeys(self._roles, EVERYTHING)
        for task in self._hands.pop(worker, {}).values():
            if isinstance(task, Close):
                self._to_close.append(task.search)
            elif isinstance(task, Relax):
                self._hand_out_again(task)
            else:
                for assignment in self._awaited.pop(_first(task), []):
                    self._hand_out_again(Relax(task.search, assignment))

    def _hand_out_again(self, task: Relax) -> None:
        key = task.search, task.assignment.source, task.assignment.index
        self._deaths[key] += 1
        if self._deaths[key] > 1:
            unit = self._unit_of.pop(key)
            unit.pending, unit.given_up = unit.pending - 1, unit.given_up + 1
            self._end(unit)
            return
        again = replace(task, assignment=replace(task.assignment, alone=True))
        (self._again if task.candidate is None else self._ready).append(again)

    def _relax(self, worker: int) -> Task | None:
        """A candidate to draw and relax, or a block to draw for all."""
        while (found := self._assignment_for(worker)) is not None:
            unit, assignment = found
            task = self._from_a_block(unit, assignment)
            if not isinstance(task, Wait):
                return task
        return None

    def _propose(self, worker: int) -> Propose | None:
        """Candidates to draw ahead of need, as long as too few lie ready."""
        relaxing = sum(1 for roles in self._roles.values() if RELAX in roles)
        while len(self._ready) + sum(map(len, self._awaited.values())) < AHEAD * relaxing:
            found = self._assignment_for(worker)
            if found is None:
                return None
            unit, assignment = found
            if assignment.source not in unit.blocks:
                self._awaited[unit.search, assignment.source, assignment.index] = [assignment]
                return Propose(unit.search, (assignment,))
            task = self._from_a_block(unit, assignment)
            if isinstance(task, Propose):
                return task
            if isinstance(task, Relax):
                self._ready.append(task)
        return None

    def _assignment_for(self, worker: int) -> tuple[Unit, Assignment] | None:
        """What a dead worker left, or the next candidate of the unit that the worker is attached to."""
        if self._again:
            task = self._again.popleft()
            return self._unit_of[task.search, task.assignment.source, task.assignment.index], task.assignment
        while (unit := self._unit_for(worker)) is not None:
            assignment = unit.next()
            if assignment is not None:
                self._unit_of[unit.search, assignment.source, assignment.index] = unit
                return unit, assignment
            self._end(unit)
        return None

    def _from_a_block(self, unit: Unit, assignment: Assignment) -> Task | Wait:
        """What to do first for a candidate; `WAIT` where its block is being drawn.

        A worker on its own draws all candidates itself: its source keeps the block that it drew.
        """
        source, size = assignment.source, unit.blocks.get(assignment.source, 1)
        if size == 1 or len(self._roles) == 1 or (unit.search, source, assignment.index) in self._drawn:
            return self._relaxing(unit.search, assignment)
        first = assignment.index // size * size
        waiting = self._awaited.setdefault((unit.search, source, first), [])
        waiting.append(assignment)
        if len(waiting) > 1:
            return WAIT
        return Propose(unit.search, tuple(Assignment(-1, source, i) for i in range(first, first + size)))

    def _relaxing(self, search: str, assignment: Assignment) -> Relax:
        key = search, assignment.source, assignment.index
        return Relax(search, assignment, self._drawn.pop(key, None), self._unit_of[key].budget.lowest)

    def _unit_for(self, worker: int) -> Unit | None:
        """The worker's own unit, the next one, or the one where help is needed most."""
        own = self._attached.get(worker)
        if own is not None and not own.handed_out:
            return own
        unit = self._in_need_of_help() if self._supply.left < SEVERAL * len(self._roles) else None
        unit = unit or self._new_unit() or self._in_need_of_help()
        if unit is not None:
            self._attached[worker] = unit
        return unit

    def _new_unit(self) -> Unit | None:
        unit = None if self._no_more_units else self._supply.next()
        if isinstance(unit, Unit):
            self._units.append(unit)
            return unit
        self._no_more_units = self._no_more_units or unit is None
        return None

    def _in_need_of_help(self) -> Unit | None:
        return max((unit for unit in self._units if not unit.handed_out), key=self._need_of_help, default=None)

    def _need_of_help(self, unit: Unit) -> tuple[float, float]:
        """Long relaxations are not to be left for the end; of equal ones where each worker has most to do."""
        helpers = sum(1 for other in self._attached.values() if other is unit)
        return unit.size, unit.left / max(helpers, 1)

    def _end(self, unit: Unit) -> None:
        """Put a unit away once all of it is in the journal."""
        if not unit.handed_out or unit.pending or unit not in self._units:
            return
        self._units.remove(unit)
        if all(other.search != unit.search for other in self._units):
            # What blocks held beyond the last candidate that was asked for.
            self._drawn = {key: candidate for key, candidate in self._drawn.items() if key[0] != unit.search}
        if not unit.given_up and self._supply.finished(unit):
            self._to_close.append(unit.search)

    def _all_done(self) -> bool:
        return self._no_more_units and not (self._units or self._to_close or any(self._hands.values()))


class SharedDesk:
    """A desk that the threads of a process share: `Tasks` for its own worker, and the whole desk for a coordinator.

    Parameters
    ----------
    desk : what decides. stop : ends the waiting. worker : the one that works in this process.
    """

    def __init__(self, desk: Desk, stop: Stop, worker: int = 0) -> None:
        self._desk, self._stop, self._worker = desk, stop, worker
        self._changed = threading.Condition()
        self.version = 0
        """Changes with what the desk knows."""

    def next(self, wait: bool = True) -> Task | Wait | None:
        """See `Tasks`."""
        with self._changed:
            while self._stop.reason is None:
                task = self._desk.next(self._worker)
                if not (wait and isinstance(task, Wait)):
                    return task
                self._changed.wait(LONGEST_WAIT)
        return None

    def offer(self, worker: int) -> Task | Wait | None:
        """A task for another process's worker; never sleeps."""
        with self._changed:
            return self._desk.next(worker)

    def done(self, finished: Finished, worker: int | None = None) -> None:
        """See `Tasks`."""
        self._tell(self._desk.done, finished, worker=worker)

    def drawn(self, task: Propose, candidates: Sequence[Candidate], worker: int | None = None) -> None:
        """See `Tasks`."""
        self._tell(self._desk.drawn, task, candidates, worker=worker)

    def closed(self, task: Close, worker: int | None = None) -> None:
        """See `Tasks`."""
        self._tell(self._desk.closed, task, worker=worker)

    def lost(self, worker: int) -> None:
        """A worker is dead."""
        self._tell(self._desk.lost, worker=worker)

    def _tell(self, call: Callable[..., None], *news: object, worker: int | None) -> None:
        with self._changed:
            call(*news, worker=self._worker if worker is None else worker)
            self.version += 1
            self._changed.notify_all()


def _key(task: Task) -> Hashable:
    """What a task is remembered by while a worker has it in hand."""
    if isinstance(task, Close):
        return task.search
    if isinstance(task, Relax):
        return task.search, task.assignment.source, task.assignment.index
    return "block", *_first(task)


def _first(task: Propose) -> Key:
    first = task.assignments[0]
    return task.search, first.source, first.index
