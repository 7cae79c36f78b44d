"""Which candidate comes next: the budget of a run, shared between its sources, and when it is enough.

It reads finished relaxations only, and lives where candidates are handed out: on rank 0.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
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

    def __init__(self, pending: Iterable[Assignment]) -> None:
        self._pending, self._waiting = deque(pending), deque[Assignment]()

    def next(self, ready: Callable[[str], bool]) -> Assignment | None:
        """The first that waits, or the first of a source that is ready."""
        if self._waiting and ready(self._waiting[0].source):
            return self._waiting.popleft()
        while self._pending:
            first = self._pending.popleft()
            if ready(first.source):
                return first
            self._waiting.append(first)
        return self._waiting.popleft() if self._waiting else None

    def learn(self, finished: Finished, good: bool) -> None:
        """The order is fixed."""


@dataclass
class _Tally:
    """What a source has done so far; seconds of drawing and relaxing."""

    drawn: int = 0
    finished: int = 0
    good: int = 0
    seconds: float = 0.0


class AdaptiveOrder:
    """Thompson sampling: the source whose rate of new low minima per second, drawn from the belief in it, is highest.

    Rates are believed to be gamma distributed, as of a Poisson process, starting from one find in the mean time of a
    relaxation (Thompson, Biometrika 25, 285 (1933), doi:10.2307/2332286).

    Parameters
    ----------
    sources : in turn they draw `TRIALS` candidates first. taken : indices of each that are finished already.
    first : number of the next candidate. left : how many may still be drawn. seed : of the run.
    """

    def __init__(
        self, sources: Sequence[str], taken: Mapping[str, Collection[int]], first: int, left: int, seed: int
    ) -> None:
        self._known = {source: _Tally(drawn=len(taken.get(source, ()))) for source in sources}
        self._free = {source: _not_in(set(taken.get(source, ()))) for source in sources}
        self._number, self._left, self._seed = first, left, seed

    def next(self, ready: Callable[[str], bool]) -> Assignment | None:
        """A candidate of the source that is drawn; its lowest index that is not taken."""
        if self._left <= 0:
            return None
        source = self._choose([name for name in self._known if ready(name)] or list(self._known))
        self._known[source].drawn += 1
        assignment = Assignment(self._number, source, next(self._free[source]))
        self._number, self._left = self._number + 1, self._left - 1
        return assignment

    def learn(self, finished: Finished, good: bool) -> None:
        """Count what the source found, and what it cost."""
        known = self._known[finished.source]
        known.finished += 1
        known.good += good
        known.seconds += finished.seconds

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


def _not_in(taken: Collection[int]) -> Iterator[int]:
    """The whole numbers from 0 that are not in `taken`, rising."""
    end = max(taken, default=-1) + 1
    return chain((i for i in range(end) if i not in taken), count(end))
