"""Who relaxes which candidate: what the search loop is handed, and the version for a single process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ase import Atoms

from ..records import Record
from .schedule import Assignment

if TYPE_CHECKING:
    from .budget import Budget


@dataclass(frozen=True, eq=False)
class Finished:
    """Word that a candidate is in the journal: a few bytes, all that ever travels between ranks.

    Attributes
    ----------
    number : the candidate's number in the run.
    name, source, index : of the candidate.
    status : how its relaxation ended.
    enthalpy_per_atom : eV/atom; None unless it converged.
    volume_per_atom : Å^3; None unless it converged.
    force_calls : evaluations of the potential.
    seconds : of drawing and relaxing it.
    atoms : the relaxed structure, where it may become a parent; None unless it converged.
    """

    number: int
    name: str
    source: str
    index: int
    status: str
    enthalpy_per_atom: float | None
    volume_per_atom: float | None
    force_calls: int
    seconds: float
    atoms: Atoms | None = None

    @classmethod
    def of(cls, record: Record, with_atoms: bool = False) -> Finished:
        """What `record` has to say."""
        candidate, relaxation = record.candidate, record.relaxation
        atoms = relaxation.atoms if relaxation.status == "converged" else None
        return cls(
            number=record.number,
            name=record.name,
            source=candidate.source,
            index=candidate.index,
            status=relaxation.status.value,
            enthalpy_per_atom=None if atoms is None else relaxation.enthalpy_per_atom,
            volume_per_atom=None if atoms is None else float(atoms.get_volume()) / len(atoms),
            force_calls=relaxation.force_calls,
            seconds=record.seconds,
            atoms=atoms if with_atoms else None,
        )


class Tasks(Protocol):
    """Hands out candidates and takes back word that they are done.

    Attributes
    ----------
    lowest : eV/atom; the lowest enthalpy known when the last candidate was handed out; None: none yet.
    """

    @property
    def lowest(self) -> float | None: ...

    def next(self) -> Assignment | None:
        """The next candidate to relax; None when there is nothing left to do."""

    def done(self, finished: Finished) -> None:
        """Tell that a candidate is in the journal."""


class LocalTasks:
    """Candidates handed out within one process; safe to share between threads.

    Parameters
    ----------
    budget : what decides.
    on_done : called for each finished candidate, by one thread at a time.
    """

    def __init__(self, budget: Budget, on_done: Callable[[Finished], None]) -> None:
        self._budget, self._on_done = budget, on_done
        self._lock = threading.Lock()

    @property
    def lowest(self) -> float | None:
        """Of all that is finished, eV/atom."""
        return self._budget.lowest

    def next(self) -> Assignment | None:
        """The next candidate, or None when all are handed out."""
        with self._lock:
            return self._budget.next()

    def done(self, finished: Finished) -> None:
        """Pass the news on."""
        with self._lock:
            self._budget.done(finished)
            self._on_done(finished)
