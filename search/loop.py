"""The search loop of one worker: propose, relax, write down, ask for more. It knows nothing of MPI."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..errors import InputError
from ..proposals import Source, make_source, propose
from ..records import Candidate, Record, Relaxation, Status
from ..relax import Relaxer, check_name, in_flight, make_relaxer
from .config import SearchConfig
from .schedule import Assignment
from .stop import Stop, StopRequested
from .store import Journal
from .tasks import Finished, Tasks


@dataclass(frozen=True, eq=False)
class Tools:
    """What a worker needs: its sources by name, and its relaxer."""

    sources: Mapping[str, Source]
    relaxer: Relaxer

    @property
    def needs_parent(self) -> frozenset[str]:
        """Sources whose candidates start from relaxed structures."""
        return frozenset(name for name, source in self.sources.items() if getattr(source, "needs_parent", False))


def make_sources(config: SearchConfig) -> dict[str, Source]:
    """The sources that `config` names, checked against its target.

    `source_options` belong to the one source there is, or are tables by source name where there are several.

    Raises
    ------
    InputError : unknown source or option, or only sources that start from what others found.
    InfeasibleTarget : a source can never draw a candidate for the target.
    """
    made = {}
    for name in config.source:
        options = config.source_options if len(config.source) == 1 else config.source_options.get(name, {})
        made[name] = make_source(name, options)
        if config.seed_text and not getattr(made[name], "reads_seeds", False):
            raise InputError(f"source {name!r} does not read AIRSS seeds: use --source random, or give a formula")
        made[name].check(config.target)
    if all(getattr(source, "needs_parent", False) for source in made.values()):
        raise InputError(
            f"source {config.source[0]!r} starts from structures that others found: name another with it, such as "
            f"--source random,{config.source[0]}"
        )
    return made


def make_tools(config: SearchConfig) -> Tools:
    """Sources and relaxer of one worker; what is wrong with the configuration shows here, before anything is written.

    Raises
    ------
    InputError : unknown names or options, an infeasible target, elements that the potential does not know.
    """
    check_name(config.relaxer)  # a misspelt name is told at once, before any potential is loaded
    sources = make_sources(config)
    relaxer = make_relaxer(config.relaxer, config.relax_settings, config.relaxer_options, config.target.composition)
    return Tools(sources, relaxer)


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


def work_through(config: SearchConfig, tools: Tools, tasks: Tasks, journal: Journal, stop: Stop, rank: int = 0) -> None:
    """Relax the candidates that `tasks` hands out until none is left or `stop` says so.

    The candidates in hand when a signal comes are dropped: they are not in the journal, so a resumed run draws them
    again.
    """
    under_way = in_flight(tools.relaxer)
    candidates: dict[int, Candidate] = {}
    more, with_atoms = True, bool(tools.needs_parent)

    def write_down(number: int, candidate: Candidate, relaxation: Relaxation) -> None:
        record = Record(candidate, relaxation, time.time(), rank, number)
        journal.append(record)
        tasks.done(Finished.of(record, with_atoms))

    try:
        while more or len(under_way):
            if more and under_way.has_room:
                assignment = None if stop.reason is not None else tasks.next()
                if assignment is None:
                    more = False
                    continue
                with stop.interruptible():
                    candidate = draw(config, tools.sources, assignment)
                if candidate.atoms is None:
                    unfit = Relaxation(None, Status.ERROR, message=candidate.note, pressure_gpa=config.pressure_gpa)
                    write_down(assignment.number, candidate, unfit)
                else:
                    candidates[assignment.number] = candidate
                    under_way.add(assignment.number, candidate.atoms)
                continue
            with stop.interruptible():
                under_way.lowest = tasks.lowest
                finished = under_way.advance()
            for number, relaxation in finished:
                write_down(number, candidates.pop(number), relaxation)
    except StopRequested:
        return
