"""Which candidate comes next: the budget of a run, shared between its sources, and when it is enough.

It reads finished relaxations only, and lives where candidates are handed out: on rank 0.
"""

from __future__ import annotations

import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from ..records import Parent
from .completeness import StoppingRule
from .found import Found
from .schedule import Assignment
from .tasks import Finished

PARENTS = 5
"""A candidate that needs a parent starts from one of so many of the lowest minima, each as likely."""

WINDOW = 0.1
"""eV/atom; a new minimum counts for its source where it lies no higher than this above the lowest known."""

TRIALS = 3
"""Candidates that each source draws before an adaptive budget judges it."""


class Order(Protocol):
    """Who draws next."""

    def next(self, ready: Callable[[str], bool]) -> Assignment | None:
        """The next candidate, of a source that is ready where there is one; None when all are handed out."""

    def learn(self, finished: Finished, good: bool) -> None:
        """Take note of a finished relaxation, and whether it found something."""

    def skip(self, finished: Finished) -> None:
        """Never hand out what was finished before; told before anything is handed out."""


class Budget:
    """Hands out candidates until none is left, or what was found is enough.

    Parameters
    ----------
    order : who draws next. needs_parent : sources whose candidates start from a relaxed structure.
    seed : of the run, for the choice of parents. until : when the search has found enough.
    """

    def __init__(
        self, order: Order, needs_parent: Collection[str], seed: int, until: StoppingRule | None = None
    ) -> None:
        self.found = Found()
        self._order, self._needs_parent, self._seed, self._until = order, frozenset(needs_parent), seed, until
        self._enough = False

    @property
    def lowest(self) -> float | None:
        """The lowest enthalpy known, eV/atom; None: none yet."""
        return self.found.lowest

    def next(self) -> Assignment | None:
        """The next candidate to relax; None when there is nothing left to do."""
        if self._enough:
            return None
        assignment = self._order.next(lambda source: source not in self._needs_parent or bool(self.found.minima))
        if assignment is not None and assignment.source in self._needs_parent:
            return replace(assignment, parent=self._parent(assignment))
        return assignment

    def done(self, finished: Finished) -> None:
        """Take note of a finished relaxation."""
        new = self.found.add(finished)
        height, lowest = finished.enthalpy_per_atom, self.found.lowest
        good = new and height is not None and lowest is not None and height <= lowest + WINDOW
        self._order.learn(finished, good)
        self._enough = self.found.enough(self._until)

    def resume(self, finished: Finished) -> None:
        """Take note of a relaxation that was finished before this search was gone on with, in order of finishing."""
        self._order.skip(finished)
        self.done(finished)

    def _parent(self, assignment: Assignment) -> Parent | None:
        """One of the lowest minima, by random numbers of the candidate's own."""
        lowest = [known.lowest for known in self.found.minima[:PARENTS]]
        if not lowest:
            return None
        spawn_key = (zlib.crc32(f"parent of {assignment.source}".encode()), assignment.index)
        rng = np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=spawn_key))
        chosen = lowest[int(rng.integers(len(lowest)))]
        assert chosen.atoms is not None
        return Parent(chosen.name, chosen.atoms)


class FixedOrder:
    """Candidates in a given order; those of a source that is not ready wait until it is, or nothing else is left."""

    def __init__(self, assignments: Iterable[Assignment]) -> None:
        self._assignments, self._waiting = iter(assignments), deque[Assignment]()
        self._finished: defaultdict[str, set[int]] = defaultdict(set)

    def next(self, ready: Callable[[str], bool]) -> Assignment | None:
        """The first that waits, or the first of a source that is ready."""
        if self._waiting and ready(self._waiting[0].source):
            return self._waiting.popleft()
        for assignment in self._assignments:
            if assignment.index in self._finished[assignment.source]:
                self._finished[assignment.source].discard(assignment.index)
            elif ready(assignment.source):
                return assignment
            else:
                self._waiting.append(assignment)
        return self._waiting.popleft() if self._waiting else None

    def learn(self, finished: Finished, good: bool) -> None:
        """The order is fixed."""

    def skip(self, finished: Finished) -> None:
        """See `Order`."""
        self._finished[finished.source].add(finished.index)


@dataclass
class _Tally:
    """What a source has done so far; seconds of drawing and relaxing. `before` : indices of an earlier session."""

    drawn: int = 0
    finished: int = 0
    good: int = 0
    seconds: float = 0.0
    next_index: int = 0
    before: set[int] = field(default_factory=set)


class AdaptiveOrder:
    """Thompson sampling: the source whose rate of new low minima per second, drawn from the belief in it, is highest.

    Rates are believed to be gamma distributed, as of a Poisson process, starting from one find in the mean time of a
    relaxation (Thompson, Biometrika 25, 285 (1933), doi:10.2307/2332286).

    Parameters
    ----------
    sources : in turn they draw `TRIALS` candidates first. num : how many may be drawn in all. seed : of the run.
    """

    def __init__(self, sources: Sequence[str], num: int, seed: int) -> None:
        self._known = {source: _Tally() for source in sources}
        self._number, self._left, self._seed = 0, num, seed

    def next(self, ready: Callable[[str], bool]) -> Assignment | None:
        """A candidate of the source that is drawn; its lowest index that is not taken."""
        if self._left <= 0:
            return None
        source = self._choose([name for name in self._known if ready(name)] or list(self._known))
        known = self._known[source]
        while known.next_index in known.before:
            known.next_index += 1
        assignment = Assignment(self._number, source, known.next_index)
        known.drawn, known.next_index = known.drawn + 1, known.next_index + 1
        self._number, self._left = self._number + 1, self._left - 1
        return assignment

    def learn(self, finished: Finished, good: bool) -> None:
        """Count what the source found, and what it cost."""
        known = self._known[finished.source]
        known.finished += 1
        known.good += good
        known.seconds += finished.seconds

    def skip(self, finished: Finished) -> None:
        """See `Order`."""
        known = self._known[finished.source]
        known.before.add(finished.index)
        known.drawn += 1
        self._number, self._left = max(self._number, finished.number + 1), self._left - 1

    def _choose(self, names: Sequence[str]) -> str:
        untried = [name for name in names if self._known[name].drawn < TRIALS]
        if untried:
            return min(untried, key=lambda name: self._known[name].drawn)
        spawn_key = (zlib.crc32(b"schedule"), self._number)
        rng = np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=spawn_key))
        seconds, finished = (sum(getattr(k, what) for k in self._known.values()) for what in ("seconds", "finished"))
        typical = max(seconds / max(finished, 1), 1e-9)
        rates = {name: rng.gamma(1 + k.good) / (typical + k.seconds) for name, k in self._known.items()}
        return max(names, key=lambda name: rates[name])
