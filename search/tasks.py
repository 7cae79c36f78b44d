"""Who relaxes which candidate: what the search loop is handed, and the version for a single process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from ..records import Record


@dataclass(frozen=True)
class Finished:
    """Word that a candidate is in the journal: a few bytes, all that ever travels between ranks.

    Attributes
    ----------
    number : the candidate's number in the run.
    name : the candidate's name.
    status : how its relaxation ended.
    enthalpy_per_atom : eV/atom; None unless it converged.
    force_calls : evaluations of the potential.
    """

    number: int
    name: str
    status: str
    enthalpy_per_atom: float | None
    force_calls: int

    @classmethod
    def of(cls, number: int, record: Record) -> Finished:
        """What `record`, candidate `number`, has to say."""
        relaxation = record.relaxation
        enthalpy = relaxation.enthalpy_per_atom if relaxation.status == "converged" else None
        return cls(number, record.name, relaxation.status.value, enthalpy, relaxation.force_calls)


class Tasks(Protocol):
    """Hands out candidates' numbers and takes back word that they are done.

    Attributes
    ----------
    lowest : eV/atom; the lowest enthalpy known when the last number was handed out; None: none yet.
    """

    lowest: float | None

    def next(self) -> int | None:
        """The next candidate's number; None when there is nothing left to do."""

    def done(self, finished: Finished) -> None:
        """Tell that a candidate is in the journal."""


class LocalTasks:
    """Numbers handed out in order within one process; safe to share between threads.

    Parameters
    ----------
    pending : numbers still to do.
    on_done : called for each finished candidate, by one thread at a time.
    lowest : of the candidates finished before, eV/atom.
    """

    def __init__(
        self, pending: Iterable[int], on_done: Callable[[Finished], None], lowest: float | None = None
    ) -> None:
        self.lowest = lowest
        self._pending = iter(pending)
        self._on_done = on_done
        self._lock = threading.Lock()

    def next(self) -> int | None:
        """The next number, or None when all are handed out."""
        with self._lock:
            return next(self._pending, None)

    def done(self, finished: Finished) -> None:
        """Pass the news on."""
        with self._lock:
            found = finished.enthalpy_per_atom
            if found is not None and (self.lowest is None or found < self.lowest):
                self.lowest = found
            self._on_done(finished)
