"""What `xtalseek verify` does between its words and its table: choose, calculate, resume, compare."""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ase.parallel import DummyMPI
from ase.parallel import world as ase_world

from .analysis import find_minima
from .command_words import positive, whole
from .errors import InputError
from .files import write_atomic
from .mpi_jobs.world import World, launcher_variables
from .records import Relaxation, Status
from .relax.dft import (
    DftSettings,
    Engine,
    EngineOptions,
    level_called,
    make_engine,
    primitive_cell,
    relax_with_dft,
)
from .relax.dft.store import MINIMUM, REFERENCE, Finished, Task, load, save
from .search.provenance import provenance
from .search.store import load_run
from .structure_files import read_structures
from .verify_table import Comparison, compare

log = logging.getLogger("xtalseek")


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that is to be calculated, the same on every rank.

    Attributes
    ----------
    folder : where the results go.
    potential : the search's, by name.
    settings : how each structure is treated.
    common : what all energies depend on, as plain values.
    tasks : minima, lowest first, then references.
    pending : numbers of those that are not finished, largest first.
    starts : for a pending task that is tried again, where its last attempt ended.
    """

    folder: Path
    potential: str
    settings: DftSettings
    common: Mapping[str, Any]
    tasks: tuple[Task, ...]
    pending: tuple[int, ...]
    starts: Mapping[int, Finished]


def run_verification(options: argparse.Namespace, world: World, command: str, threads: int) -> Comparison | None:
    """Do what the words of the command line ask for; the comparison is returned on rank 0 only.

    Structures are shared among the ranks without a word between them: the largest to the first rank, and so on around.

    Raises
    ------
    InputError : on every rank, a word that cannot be used, told before anything is calculated.
    StorageError : the disk is full.
    """
    with _every_rank_alone():
        engine, plan = _agree(options, world)
        if world.rank == 0:
            _write_settings(plan, engine, provenance(command, world.size, threads))
        for turn, number in enumerate(plan.pending):
            if turn % world.size == world.rank:
                _calculate(plan, number, engine, f"{turn + 1}/{len(plan.pending)}")
        _wait_for_all(world)
    if world.rank != 0:
        return None
    found = [load(plan.folder, task)[0] for task in plan.tasks]
    done = [finished for finished in found if finished is not None]
    return compare(done, engine.name, plan.potential, plan.settings, str(plan.folder))


def _agree(options: argparse.Namespace, world: World) -> tuple[Engine, Plan]:
    """The engine of this rank and the plan of rank 0, or the same error on all ranks."""
    engine: Engine | None = None
    plan: Plan | None = None
    error: InputError | None = None
    try:
        engine = make_engine(options.engine, _engine_options(options))
        if world.rank == 0:
            plan = make_plan(options, engine)
    except InputError as caught:
        error = caught
    if world.comm is not None:
        errors = [found for found in world.comm.allgather(error) if found is not None]
        error = errors[0] if errors else None
        plan = world.comm.bcast(plan)
    if error is not None:
        raise error
    assert engine is not None and plan is not None
    return engine, plan


def make_plan(options: argparse.Namespace, engine: Engine) -> Plan:
    """Read the run folder, the references and what is finished.

    Raises
    ------
    InputError : a word or a file that cannot be used, an element the engine has nothing for, nothing to verify.
    """
    run = load_run(options.run)
    settings = _settings(options, run.config.target.pressure_gpa)
    top = whole("--top", options.top, 0)
    symprec = positive("--symprec", options.symprec)
    minima = [m for m in find_minima(run) if not m.suspicious][:top]
    references = read_structures(options.references or [])
    if not minima and not references:
        raise InputError(f"{options.run!r} has no minimum to verify: see `xtalseek status {options.run}`")
    names = [name for name, _ in references]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"--references: two structures are called {twice[0]!r}: rename one of the files")
    common = _shared_settings(settings, symprec)
    tasks = [
        _task(m.name, MINIMUM, m.atoms, engine, common, symprec, m.enthalpy_per_atom, m.space_group) for m in minima
    ]
    tasks += [_task(name, REFERENCE, atoms, engine, common, symprec) for name, atoms in references]
    _tell_advice(engine, tasks, settings)
    folder = run.path / "dft" / _folder_name(options.engine, settings)
    pending, starts = [], {}
    for number, task in enumerate(tasks):
        done, why = load(folder, task)
        if why:
            log.info(f"{task.name}: done again, for {why}")
        again = options.retry and done is not None and done.relaxation.status is not Status.CONVERGED
        if done is None or again:
            pending.append(number)
        if done is not None and again:
            starts[number] = done
    pending.sort(key=lambda n: (-len(tasks[n].start), -tasks[n].start.get_volume(), n))
    if len(pending) < len(tasks):
        log.info(f"{len(tasks) - len(pending)} of {len(tasks)} structures are finished already, in {folder}")
    return Plan(folder, run.config.relaxer, settings, common, tuple(tasks), tuple(pending), starts)


def _calculate(plan: Plan, number: int, engine: Engine, turn: str) -> None:
    task, earlier = plan.tasks[number], plan.starts.get(number)
    start = task.start
    if earlier is not None and earlier.relaxation.atoms is not None and not plan.settings.static:
        start = earlier.relaxation.atoms
    log.info(f"{turn} {task.name}: {start.get_chemical_formula()}, {engine.name} {plan.settings.level.name}")
    text = plan.folder / "log" / f"{Path(task.file).stem}.txt"
    relaxation = relax_with_dft(start, engine, plan.settings, text)
    if earlier is not None:
        relaxation = _joined(earlier.relaxation, relaxation)
    save(plan.folder, Finished(task, relaxation))
    log.info(f"{turn} {task.name}: {relaxation.status} after {relaxation.seconds:.0f} s {relaxation.message}".rstrip())


def _joined(earlier: Relaxation, later: Relaxation) -> Relaxation:
    """Steps, calls and time of both attempts."""
    return replace(
        later,
        steps=earlier.steps + later.steps,
        force_calls=earlier.force_calls + later.force_calls,
        seconds=earlier.seconds + later.seconds,
    )


def _task(
    name: str,
    role: str,
    atoms: Any,
    engine: Engine,
    common: Mapping[str, Any],
    symprec: float,
    enthalpy: float | None = None,
    space_group: str = "",
) -> Task:
    symbols = sorted(set(atoms.get_chemical_symbols()))
    settings = {**common, "engine": engine.name, **engine.settings(symbols)}
    return Task(name, role, primitive_cell(atoms, symprec), settings, enthalpy, space_group)


def _settings(options: argparse.Namespace, pressure_gpa: float) -> DftSettings:
    return DftSettings(
        level=level_called(options.level),
        cutoff=None if options.cutoff is None else positive("--cutoff", options.cutoff),
        static=options.static,
        pressure_gpa=pressure_gpa,
        max_steps=whole("--max-steps", options.max_steps, 1),
        max_seconds=math.inf if options.max_seconds is None else positive("--max-seconds", options.max_seconds),
    )


def _shared_settings(settings: DftSettings, symprec: float) -> dict[str, Any]:
    """What the energy of every structure depends on. Limits of the optimiser are none of it."""
    return {
        "functional": "PBE",
        "level": settings.level.name,
        **{name: value for name, value in asdict(settings.level).items() if name != "name"},
        "cutoff": settings.cutoff_in_use,
        "static": settings.static,
        "pressure_gpa": settings.pressure_gpa,
        "symprec": symprec,
    }


def _folder_name(engine: str, settings: DftSettings) -> str:
    cutoff = "" if settings.cutoff is None else f"-{settings.cutoff:g}eV"
    return f"{engine}-{settings.level.name}{cutoff}{'-static' if settings.static else ''}"


def _write_settings(plan: Plan, engine: Engine, made_with: Mapping[str, Any]) -> None:
    """The settings of the folder, beside its results, for a person; each result holds its own once more."""
    if plan.pending:
        symbols = {symbol for task in plan.tasks for symbol in task.start.get_chemical_symbols()}
        settings = {"engine": engine.name, **plan.common, **engine.settings(symbols)}
        text = json.dumps({"settings": settings, "made_with": dict(made_with)}, indent=1) + "\n"
        write_atomic(plan.folder / "settings.json", text)


def _tell_advice(engine: Engine, tasks: Sequence[Task], settings: DftSettings) -> None:
    symbols = {symbol for task in tasks for symbol in task.start.get_chemical_symbols()}
    line = engine.advice(symbols, settings.cutoff_in_use)
    if line is not None:
        log.info(line)


def _engine_options(options: argparse.Namespace) -> EngineOptions:
    folder = None if options.pseudopotentials is None else Path(options.pseudopotentials)
    return EngineOptions(folder, shlex.split(options.launcher or ""))


@contextmanager
def _every_rank_alone() -> Iterator[None]:
    """Hide from ASE, from engines and from the programs they start that this process is a rank of a job.

    A serial GPAW refuses to start under a launcher; a pw.x that finds another MPI's variables hangs or fails; ASE takes
    every file that it reads or writes for something that all ranks do together. This process has joined its own job
    already, and needs the variables no more.
    """
    hidden = launcher_variables()
    ases = ase_world.comm
    for name in hidden:
        del os.environ[name]
    ase_world.comm = DummyMPI()
    try:
        yield
    finally:
        os.environ.update(hidden)
        ase_world.comm = ases


def _wait_for_all(world: World) -> None:
    """A barrier that leaves the core to those that still work."""
    if world.comm is not None:
        request = world.comm.Ibarrier()
        while not request.Test():
            time.sleep(0.2)
