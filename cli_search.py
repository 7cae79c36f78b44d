"""Verbs that make structures: propose, relax, search.

The rooms are imported by the verb that needs them: see `cli`.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cli_output import command_line, print_json, print_text
from .command_words import (
    RELAX_WORDS,
    SEARCH_WORDS,
    SETTING_WORDS,
    SOURCE_WORDS,
    default_words,
    given_words,
    whole,
)
from .errors import InfeasibleTarget
from .mpi_jobs.world import World, limit_threads, share_of_cores
from .relax.trust import require_typed
from .search.config import SearchConfig, parse_word, read_toml, resolve

if TYPE_CHECKING:
    from .records import Candidate, Relaxation
    from .search.store import Run


def search(options: argparse.Namespace, world: World) -> None:
    """`xtalseek search`."""
    config = resolve(_words(options, SEARCH_WORDS))
    if options.config:
        require_typed(config.relaxer, config.relaxer_options, given_words(options, RELAX_WORDS), options.config)
    if world.rank == 0:
        _warn_of_seed(config)
    threads = limit_threads(share_of_cores(world))
    from .analysis import find_minima, rank_table, write_best, write_report
    from .mpi_jobs.launch import run_search

    def finish(run: Run) -> None:
        minima = find_minima(run)
        write_best(run, minima=minima)
        report = write_report(run, minima=minima)
        print_text(rank_table(run, minima, top=10))
        print_text(f"report: {report}")

    run_search(config, world, finish, command_line(), threads, _proposers(options))


def campaign(options: argparse.Namespace, world: World) -> None:
    """`xtalseek campaign`."""
    threads = limit_threads(share_of_cores(world))
    from .campaign import run

    run(options, world, command_line(), threads, _proposers(options))


def submit(options: argparse.Namespace, world: World) -> None:
    """`xtalseek submit`."""
    from .submit import run_submit

    print_text(run_submit(options))


def propose(options: argparse.Namespace, world: World) -> None:
    """`xtalseek propose`."""
    config = resolve(_words(options, SOURCE_WORDS))
    _warn_of_seed(config)
    limit_threads(share_of_cores(world))
    from .formats import Frame
    from .proposals.explain import explain
    from .search.loop import draw
    from .search.workshop import make_sources
    from .structure_files import format_of, write_structures

    format_of(options.out)
    sources = make_sources(config)
    candidates = [draw(config, sources, assignment) for assignment in config.assignments()]
    frames = [Frame(c.name, c.atoms, source=c.source) for c in candidates if c.atoms is not None]
    failed = [c for c in candidates if c.atoms is None]
    if options.explain and not options.json:
        print_text("\n".join(explain(candidates)))
    if not frames:
        raise InfeasibleTarget(f"none of {config.num} candidates could be drawn; the first: {failed[0].note}")
    write_structures(options.out, frames)
    if options.json:
        print_json([_drawn(candidate) for candidate in candidates])
        return
    for candidate in failed:
        sys.stderr.write(f"{candidate.name}: {candidate.note}\n")
    print_text(f"{len(frames)} of {config.num} candidates written to {options.out}")


def seed(options: argparse.Namespace, world: World) -> None:
    """`xtalseek seed`."""
    from .files import write_atomic
    from .proposals.seeds.writer import write_seed
    from .structure_files import read_structures

    given = {name: parse_word(name, getattr(options, name)) for name in ("formula_units", "symmetry_operations")}
    structures = [atoms for _, atoms in read_structures(options.learn_from)] if options.learn_from else None
    text = write_seed(options.formula, structures, **given)
    if options.out:
        write_atomic(Path(options.out), text)
        print_text(
            f"seed written to {options.out}; try: xtalseek propose --seed-file {options.out} -n 20 --out drawn.res"
        )
    else:
        print_text(text.rstrip())


def relax(options: argparse.Namespace, world: World) -> None:
    """`xtalseek relax`."""
    given = {name: parse_word(name, value) for name, value in given_words(options, RELAX_WORDS).items()}
    words = default_words(RELAX_WORDS) | given
    limit_threads(share_of_cores(world))
    from .formats import Frame
    from .relax import RelaxSettings, as_they_end, in_flight, make_relaxer
    from .structure_files import format_of, read_structures, write_structures

    structures = read_structures(options.files)
    format_of(options.out)
    symbols = {symbol: None for _, atoms in structures for symbol in atoms.get_chemical_symbols()}
    settings = RelaxSettings(**{name: words[name] for name in SETTING_WORDS})
    relaxer = make_relaxer(words["relaxer"], settings, words["relaxer_options"], symbols)
    results: dict[int, Relaxation] = {}
    interrupted = False
    try:
        for place, result in as_they_end(in_flight(relaxer), [atoms for _, atoms in structures]):
            results[place] = result
            if not options.json:
                print_text("\n".join(_relaxed(structures[place][0], result)))
    except KeyboardInterrupt:  # what is finished is written all the same
        interrupted = True
    frames, rows = [], []
    for place, result in sorted(results.items()):  # in the order of the files, whichever ended first
        name, status = structures[place][0], result.status.value
        rows.append({
            "name": name, "status": status, "enthalpy_per_atom": result.enthalpy_per_atom,
            "force_calls": result.force_calls, "seconds": result.seconds, "message": result.message,
        })  # fmt: skip
        if result.atoms is not None:
            frames.append(Frame(name, result.atoms, result.energy, result.pressure_gpa, status=status))
    if frames:
        write_structures(options.out, frames)
    if options.json:
        print_json(rows)
    else:
        print_text(f"{len(frames)} of {len(structures)} structures written to {options.out}")
    if interrupted:
        raise KeyboardInterrupt


def train(options: argparse.Namespace, world: World) -> None:
    """`xtalseek train`."""
    limit_threads(share_of_cores(world))
    from .train import run_training

    fitted = run_training(options)
    done = fitted.progress
    state = "trained" if done.step == done.steps else "stopped; the same command goes on"
    if fitted.rank == 0:
        print_text(f"{state}: {done.passes:.1f} passes, {done.seconds / 3600:.2f} h, checkpoint {options.out}")


def _drawn(candidate: Candidate) -> dict[str, Any]:
    """What a script would ask about a candidate: whether it was drawn, and what it took."""
    return {
        "name": candidate.name, "source": candidate.source, "drawn": candidate.atoms is not None,
        "seconds": candidate.seconds, "note": candidate.note, "provenance": dict(candidate.provenance),
    }  # fmt: skip


def _relaxed(name: str, result: Relaxation) -> list[str]:
    """How a relaxation ended, for a terminal of 80 columns; its message in lines below."""
    energy = "" if result.enthalpy_per_atom is None else f"{result.enthalpy_per_atom:12.4f} eV/atom"
    row = f"{name:<30} {result.status.value:<11}{energy:<21} {result.force_calls:4d} force calls"
    indent = " " * 4
    more = textwrap.wrap(result.message, 80, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    return [row, *more]


def _warn_of_seed(config: SearchConfig) -> None:
    """What the reader of the seed has to say, a line each."""
    if config.seed_text:
        from .proposals.seeds import parse_seed

        for line in parse_seed(config.seed_text, config.label or "seed").warnings:
            sys.stderr.write(f"{config.seed_file}: {line}\n")


def _proposers(options: argparse.Namespace) -> int | None:
    return None if options.proposers is None else whole("--proposers", options.proposers, 0)


def _words(options: argparse.Namespace, allowed: Iterable[str]) -> dict[str, Any]:
    """The words given: those of the --config file, overruled by those of the command line."""
    from_file = read_toml(Path(options.config)) if options.config else {}
    return from_file | given_words(options, ("formula", *allowed))
