"""The one command, `xtalseek`: parse, call, print.

The rooms are imported by the verb that needs them, so that `--help` answers at once, and so that a rank's share of the
cores is settled before torch starts its threads.
"""

from __future__ import annotations

import argparse
import json
import logging
import shlex
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from . import __version__
from .arguments import parse
from .command_words import (
    POTENTIAL_WORDS,
    RELAX_WORDS,
    SEARCH_WORDS,
    SETTING_WORDS,
    SOURCE_WORDS,
    default_words,
    given_words,
    whole,
)
from .errors import InfeasibleTarget, InputError, StorageError
from .mpi_jobs.world import World, find_world, limit_threads, share_of_cores
from .records_json import to_json
from .relax.trust import require_typed
from .search.config import SearchConfig, parse_word, read_toml, resolve

if TYPE_CHECKING:
    from .records import Candidate, Relaxation
    from .search.store import Run


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : words after `xtalseek`; default: those of this process.

    Returns
    -------
    Exit status: 0 well, 1 the disk failed, 2 something given cannot be used, 3 no structure can satisfy the target, 130
    interrupted twice. `doctor` ends with 1, by SystemExit, where it found something broken.
    """
    words = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    world = World()
    try:
        world = find_world()
        with world.aborting(passing=(InputError, SystemExit)):
            # Only rank 0 speaks, and only searches and DFT have work for the other ranks.
            if world.rank == 0 or words[:1] in (["search"], ["campaign"], ["verify"]):
                options = parse(words)
                _VERBS[options.verb](options, world)
    except InputError as error:
        if world.rank == 0:
            sys.stderr.write(f"xtalseek: {error}\n")
        return 3 if isinstance(error, InfeasibleTarget) else 2
    except StorageError as error:
        sys.stderr.write(f"xtalseek: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("xtalseek: interrupted\n")
        return 130
    except BrokenPipeError:  # the reader of our output, `head` for instance, has seen enough
        sys.stderr.close()
        return 0
    return 0


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
        _print(rank_table(run, minima, top=10))
        _print(f"report: {report}")

    run_search(config, world, finish, _command(), threads, _proposers(options))


def campaign(options: argparse.Namespace, world: World) -> None:
    """`xtalseek campaign`."""
    threads = limit_threads(share_of_cores(world))
    from .campaign import run

    run(options, world, _command(), threads, _proposers(options))


def submit(options: argparse.Namespace, world: World) -> None:
    """`xtalseek submit`."""
    from .submit import run_submit

    _print(run_submit(options))


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
        _print("\n".join(explain(candidates)))
    if not frames:
        raise InfeasibleTarget(f"none of {config.num} candidates could be drawn; the first: {failed[0].note}")
    write_structures(options.out, frames)
    if options.json:
        _print_json([_drawn(candidate) for candidate in candidates])
        return
    for candidate in failed:
        sys.stderr.write(f"{candidate.name}: {candidate.note}\n")
    _print(f"{len(frames)} of {config.num} candidates written to {options.out}")


def _drawn(candidate: Candidate) -> dict[str, Any]:
    """What a script would ask about a candidate: whether it was drawn, and what it took."""
    return {
        "name": candidate.name, "source": candidate.source, "drawn": candidate.atoms is not None,
        "seconds": candidate.seconds, "note": candidate.note, "provenance": dict(candidate.provenance),
    }  # fmt: skip


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
        _print(f"seed written to {options.out}; try: xtalseek propose --seed-file {options.out} -n 20 --out drawn.res")
    else:
        _print(text.rstrip())


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
                _print("\n".join(_relaxed(structures[place][0], result)))
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
        _print_json(rows)
    else:
        _print(f"{len(frames)} of {len(structures)} structures written to {options.out}")
    if interrupted:
        raise KeyboardInterrupt


def _relaxed(name: str, result: Relaxation) -> list[str]:
    """How a relaxation ended, for a terminal of 80 columns; its message in lines below."""
    energy = "" if result.enthalpy_per_atom is None else f"{result.enthalpy_per_atom:12.4f} eV/atom"
    row = f"{name:<30} {result.status.value:<11}{energy:<21} {result.force_calls:4d} force calls"
    indent = " " * 4
    more = textwrap.wrap(result.message, 80, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    return [row, *more]


def status(options: argparse.Namespace, world: World) -> None:
    """`xtalseek status`."""
    if options.watch:
        if options.json:
            raise InputError("--watch draws for a person, --json prints for a script: give one of them")
        from .analysis.watch import watch

        watch([options.run])
        return
    if options.brief:
        from .search.how_far import how_far

        done, num, finished = how_far(options.run)
        state = "finished" if finished else "unfinished"
        brief = {"done": done, "num": num, "state": state}
        _print(json.dumps(brief) if options.json else f"{done} of {num} candidates done, {state}")
        return
    if _is_campaign(options.run):
        from .campaign import campaign_status

        standing = campaign_status(options.run)
        _tell(standing, options.json)
        return
    from .analysis import summarise
    from .search.store import load_run

    summary = summarise(load_run(options.run))
    _tell(summary, options.json)


def rank(options: argparse.Namespace, world: World) -> None:
    """`xtalseek rank`."""
    from .analysis import find_minima, rank_rows, rank_table
    from .search.store import load_run

    run = load_run(options.run)
    minima = find_minima(run)
    if options.json:
        _print_json(rank_rows(minima, options.top))
    else:
        _print(rank_table(run, minima, top=options.top))


def report(options: argparse.Namespace, world: World) -> None:
    """`xtalseek report`."""
    from .analysis import write_figures, write_report
    from .search.store import load_run

    if _is_campaign(options.run):
        limit_threads(share_of_cores(world))
        from .campaign import campaign_report
        from .campaign_hull import Standards

        typed = given_words(options, POTENTIAL_WORDS)
        standards = Standards(options.reference or (), options.hull, options.references or (), typed=typed)
        _print("\n".join(campaign_report(options.run, standards)))
        return
    run = load_run(options.run)
    figure = drawing = above = None
    if options.hull:
        limit_threads(share_of_cores(world))
        from .analysis.hull_plot import hull_drawing, hull_figure
        from .hull import hull_of_run

        found = hull_of_run(options.run, options.references, given_words(options, POTENTIAL_WORDS))
        figure, drawing = hull_figure(found), hull_drawing(found)
        above = {row.name: row.above_hull for row in found.rows}
    _print(f"report: {write_report(run, png=options.png, hull=figure, above_hull=above)}")
    if options.figures:
        files = write_figures(run, Path(options.figures), hull=drawing)
        _print(f"figures: {len(files)} files in {options.figures}")


def compare(options: argparse.Namespace, world: World) -> None:
    """`xtalseek compare`."""
    from .compare import run_comparison

    comparison = run_comparison(options)
    _tell(comparison, options.json)


def hull(options: argparse.Namespace, world: World) -> None:
    """`xtalseek hull`."""
    limit_threads(share_of_cores(world))
    from .hull import run_hull

    found = run_hull(options)
    _tell(found, options.json)
    if options.out and not options.json:
        _print(f"written: {options.out}")


def export(options: argparse.Namespace, world: World) -> None:
    """`xtalseek export`."""
    from .analysis import find_minima
    from .formats import frame_of
    from .search.store import load_run
    from .structure_files import write_structures

    run = load_run(options.run)
    if options.all:
        found = [frame for record in run.records if (frame := frame_of(record)) is not None]
    else:
        found = [minimum.frame for minimum in find_minima(run) if not minimum.suspicious][: options.top]
    if not found:
        raise InputError(
            f"{options.run!r} holds no relaxed structure to export yet: see `xtalseek status {options.run}`"
        )
    write_structures(options.out, found, options.format)
    _print(f"{len(found)} structures written to {options.out}")


def evaluate(options: argparse.Namespace, world: World) -> None:
    """`xtalseek evaluate`."""
    limit_threads(share_of_cores(world))
    from .evaluate import run_evaluation

    evaluation = run_evaluation(options)
    _tell(evaluation, options.json)


def train(options: argparse.Namespace, world: World) -> None:
    """`xtalseek train`."""
    limit_threads(share_of_cores(world))
    from .train import run_training

    fitted = run_training(options)
    done = fitted.progress
    state = "trained" if done.step == done.steps else "stopped; the same command goes on"
    if fitted.rank == 0:
        _print(f"{state}: {done.passes:.1f} passes, {done.seconds / 3600:.2f} h, checkpoint {options.out}")


def verify(options: argparse.Namespace, world: World) -> None:
    """`xtalseek verify`."""
    command, threads = _command(), limit_threads(share_of_cores(world))
    from .verify import run_verification

    comparison = run_verification(options, world, command, threads)
    if comparison is not None:
        _tell(comparison, options.json)


def version(options: argparse.Namespace, world: World) -> None:
    """`xtalseek version`."""
    from .search.provenance import provenance

    found = provenance(_command(), world.size, share_of_cores(world))
    _print(json.dumps(found, indent=1) if options.json else f"xtalseek {__version__}")


def init(options: argparse.Namespace, world: World) -> None:
    """`xtalseek init`."""
    from .starter import write_starter

    _print(write_starter(options.formula, options.out, options.campaign))


def doctor(options: argparse.Namespace, world: World) -> None:
    """`xtalseek doctor`; raises SystemExit(1) where something is broken."""
    from .doctor import run_doctor

    if not run_doctor(Path(options.out), options.json, _print):
        raise SystemExit(1)


def completion(options: argparse.Namespace, world: World) -> None:
    """`xtalseek completion`."""
    from .completion import completion_script

    _print(completion_script(options.shell))


def _is_campaign(folder: str) -> bool:
    return (Path(folder) / "campaign.toml").is_file()


def _warn_of_seed(config: SearchConfig) -> None:
    """What the reader of the seed has to say, a line each."""
    if config.seed_text:
        from .proposals.seeds import parse_seed

        for line in parse_seed(config.seed_text, config.label or "seed").warnings:
            sys.stderr.write(f"{config.seed_file}: {line}\n")


def _command() -> str:
    return shlex.join(["xtalseek", *sys.argv[1:]])


def _proposers(options: argparse.Namespace) -> int | None:
    return None if options.proposers is None else whole("--proposers", options.proposers, 0)


def _words(options: argparse.Namespace, allowed: Iterable[str]) -> dict[str, Any]:
    """The words given: those of the --config file, overruled by those of the command line."""
    from_file = read_toml(Path(options.config)) if options.config else {}
    return from_file | given_words(options, ("formula", *allowed))


class _Result(Protocol):
    """What the verbs of analysis give: the same for a script and for a person."""

    def to_json(self) -> Any: ...

    def lines(self) -> list[str]: ...


def _tell(result: _Result, as_json: bool) -> None:
    if as_json:
        _print_json(result.to_json())
    else:
        _print("\n".join(result.lines()))


def _print_json(value: Any) -> None:
    """As every JSON reader takes it: what is not finite is null, and not NaN."""
    _print(json.dumps(json.loads(to_json(value)), indent=1))


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


_VERBS = {
    call.__name__: call
    for call in (
        *(search, campaign, submit, propose, seed, relax, status, rank, report),
        *(compare, hull, export, verify, evaluate, train, version),
        *(init, doctor, completion),
    )
}
