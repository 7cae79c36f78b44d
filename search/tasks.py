"""What travels between the desk, where candidates are handed out, and those who work on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ase import Atoms

from ..records import Candidate, Record
from .schedule import Assignment


@dataclass(frozen=True, eq=False)
class Finished:
    """Word that a candidate is in the journal: a few hundred bytes.

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
    search : the search of a campaign that it belongs to; empty: the only one.
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
    search: str = ""

    @classmethod
    def of(cls, record: Record, with_atoms: bool = False, search: str = "") -> Finished:
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
            search=search,
        )


@dataclass(frozen=True, eq=False)
class Relax:
    """Relax one candidate, and write it down.

    Attributes
    ----------
    search : the search it belongs to. assignment : which candidate.
    candidate : the candidate, where another worker has drawn it; None: draw it first.
    lowest : of that search, eV/atom, when this was handed out; None: nothing converged yet.
    """

    search: str
    assignment: Assignment
    candidate: Candidate | None = None
    lowest: float | None = None


@dataclass(frozen=True, eq=False)
class Propose:
    """Draw candidates, of one source, for others to relax."""

    search: str
    assignments: tuple[Assignment, ...]


@dataclass(frozen=True, eq=False)
class Close:
    """All candidates of a search are done: make of its journal what people read."""

    search: str


Task = Relax | Propose | Close
RELAX, PROPOSE, CLOSE = "relax", "propose", "close"
EVERYTHING = frozenset({RELAX, PROPOSE, CLOSE})
"""Roles of a worker: the kinds of task that it takes."""


class Wait:
    """Nothing to do now, but there will be."""


WAIT = Wait()


class Tasks(Protocol):
    """Hands out tasks to one worker and takes back word that they are done."""

    def next(self, wait: bool = True) -> Task | Wait | None:
        """What to do next; None when there is nothing left to do.

        Parameters
        ----------
        wait : sleep while all there is lies in other hands; otherwise `WAIT` is returned then.
        """

    def done(self, finished: Finished) -> None:
        """Tell that a candidate is in the journal."""

    def drawn(self, task: Propose, candidates: Sequence[Candidate]) -> None:
        """Hand over the candidates of `task`, in its order."""

    def closed(self, task: Close) -> None:
        """Tell that a search was closed."""
