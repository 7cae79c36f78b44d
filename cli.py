"""The one command, `xtalseek`: parse, call, print.

The rooms are imported by the verb that needs them, so that `--help` answers at once, and so that a rank's share of the
cores is settled before torch starts its threads.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import __version__
from .errors import InfeasibleTarget, InputError, StorageError, unknown
from .mpi_jobs.world import World, find_world, limit_threads, share_of_cores
from .search.config import SearchConfig, parse_word, read_toml, resolve

if TYPE_CHECKING:
    from .search.store import Run

TARGET_WORDS = ("formula_units", "min_distances", "volume_per_atom", "symmetry_operations", "space_groups")
SOURCE_WORDS = ("num", "source", *TARGET_WORDS, "seed", "source_options")
SETTING_WORDS = ("pressure_gpa", "force_tolerance", "stress_tolerance_gpa", "max_steps", "max_seconds")
RELAX_WORDS = ("relaxer", *SETTING_WORDS, "relaxer_options")
SEARCH_WORDS = (*SOURCE_WORDS, *RELAX_WORDS, "out", "max_hours")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        choice = re.match(r"argument .*: invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if choice:
            allowed = [name.strip(" '") for name in choice[2].split(",")]
            message = str(unknown("verb" if "VERB" in message else "choice", choice[1], allowed))
        raise InputError(f"{message} (see `{self.prog} --help`)")


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : words after `xtalseek`; default: those of this process.

    Returns
    -------
    Exit status: 0 well, 1 the disk failed, 2 something given cannot be used, 3 no structure can satisfy the target, 130
    interrupted twice.
    """
    words = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    world = World()
    try:
        world = find_world()
        with world.aborting(passing=(InputError, SystemExit)):
            # Only rank 0 speaks, and only a search has work for the other ranks.
            if world.rank == 0 or words[:1] == ["search"]:
                options = _parse(words)
                options.call(options, world)
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
    threads = limit_threads(share_of_cores(world))
    from .analysis import find_minima, rank_table, write_best, write_report
    from .mpi_jobs.launch import run_search

    def finish(run: Run) -> None:
        minima = find_minima(run)
        write_best(run, minima=minima)
        report = write_report(run, minima=minima)
        _print(rank_table(run, minima, top=10))
        _print(f"report: {report}")

    run_search(config, world, finish, shlex.join(["xtalseek", *sys.argv[1:]]), threads)


def propose(options: argparse.Namespace, world: World) -> None:
    """`xtalseek propose`."""
    config = resolve(_words(options, (*SOURCE_WORDS, "pressure_gpa")))
    limit_threads(share_of_cores(world))
    from .formats import Frame
    from .search.loop import draw, make_sources
    from .structure_files import format_of, write_structures

    format_of(options.out)
    sources = make_sources(config)
    frames, failed = [], []
    for number in range(config.num):
        candidate = draw(config, sources, number)
        if candidate.atoms is None:
            failed.append(candidate)
        else:
            frames.append(Frame(candidate.name, candidate.atoms, source=candidate.source))
    if not frames:
        raise InfeasibleTarget(f"none of {config.num} candidates could be drawn; the first: {failed[0].note}")
    write_structures(options.out, frames)
    for candidate in failed:
        sys.stderr.write(f"{candidate.name}: {candidate.note}\n")
    _print(f"{len(frames)} of {config.num} candidates written to {options.out}")


def relax(options: argparse.Namespace, world: World) -> None:
    """`xtalseek relax`."""
    given = _words(options, RELAX_WORDS)
    words = {
        name: parse_word(name, given[name]) if name in given else default
        for name, default in _defaults(RELAX_WORDS).items()
    }
    limit_threads(share_of_cores(world))
    from .formats import Frame
    from .relax import RelaxSettings, make_relaxer
    from .structure_files import format_of, read_structures, write_structures

    structures = read_structures(options.files)
    format_of(options.out)
    symbols = {symbol: None for _, atoms in structures for symbol in atoms.get_chemical_symbols()}
    settings = RelaxSettings(**{name: words[name] for name in SETTING_WORDS})
    relaxer = make_relaxer(words["relaxer"], settings, words["relaxer_options"], symbols)
    frames, rows = [], []
    for name, atoms in structures:
        result = relaxer.relax([atoms])[0]
        row = {
            "name": name, "status": result.status.value, "enthalpy_per_atom": result.enthalpy_per_atom,
            "force_calls": result.force_calls, "seconds": result.seconds, "message": result.message,
        }  # fmt: skip
        rows.append(row)
        if not options.json:
            energy = "" if result.enthalpy_per_atom is None else f"{result.enthalpy_per_atom:12.4f} eV/atom"
            _print(f"{name:<30} {row['status']:<11}{energy:<21} {result.force_calls:4d} force calls  {result.message}")
        if result.atoms is not None:
            pressure, status = result.pressure_gpa, result.status.value
            frames.append(Frame(name, result.atoms, result.energy, pressure, status=status))
    if frames:
        write_structures(options.out, frames)
    if options.json:
        _print(json.dumps(rows, indent=1))
    else:
        _print(f"{len(frames)} of {len(structures)} structures written to {options.out}")


def status(options: argparse.Namespace, world: World) -> None:
    """`xtalseek status`."""
    from .analysis import summarise
    from .search.store import load_run

    summary = summarise(load_run(options.run))
    _print(json.dumps(summary.to_json(), indent=1) if options.json else "\n".join(summary.lines()))


def rank(options: argparse.Namespace, world: World) -> None:
    """`xtalseek rank`."""
    from .analysis import find_minima, rank_rows, rank_table
    from .search.store import load_run

    run = load_run(options.run)
    minima = find_minima(run)
    if options.json:
        _print(json.dumps(rank_rows(minima, options.top), indent=1))
    else:
        _print(rank_table(run, minima, top=options.top))


def report(options: argparse.Namespace, world: World) -> None:
    """`xtalseek report`."""
    from .analysis import write_report
    from .search.store import load_run

    _print(f"report: {write_report(load_run(options.run), png=options.png)}")


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


def version(options: argparse.Namespace, world: World) -> None:
    """`xtalseek version`."""
    from .search.provenance import provenance

    found = provenance(shlex.join(["xtalseek", *sys.argv[1:]]), world.size, share_of_cores(world))
    _print(json.dumps(found, indent=1) if options.json else f"xtalseek {__version__}")


def _parse(words: list[str]) -> argparse.Namespace:
    """The options of one verb; a word that the verb does not know is told with the nearest that it does."""
    parser = _Parser(prog="xtalseek", description="Search crystal structures: propose, relax, rank, compare.")
    parser.add_argument("--version", action="version", version=f"xtalseek {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(call: Callable[..., None], text: str, example: str, json_too: bool = False) -> argparse.ArgumentParser:
        made = verbs.add_parser(
            call.__name__, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=f"example:  {example}",
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        made.set_defaults(call=call)
        if json_too:
            made.add_argument("--json", action="store_true", help="print JSON for a script to read")
        return made

    p = verb(
        search, "search a composition, or go on with a search", "mpirun -n 2 xtalseek search SrTiO3 -n 60 --out RUN"
    )
    _add_words(p, SEARCH_WORDS, formula=True)
    p = verb(propose, "draw candidates without relaxing them", "xtalseek propose TiO2 -n 100 --out candidates.extxyz")
    _add_words(p, (*SOURCE_WORDS, "pressure_gpa"), formula=True)
    p.add_argument(
        "--out", required=True, metavar="FILE", help="file by suffix: .extxyz, .res, .cif, .db, or a folder of CIFs"
    )
    p = verb(relax, "relax structures from any files", "xtalseek relax *.cif --out relaxed.extxyz", json_too=True)
    p.add_argument("files", nargs="+", metavar="FILE", help="structures in any format that ASE reads, or packed .res")
    _add_words(p, RELAX_WORDS)
    p.add_argument(
        "--out", required=True, metavar="FILE", help="file by suffix: .extxyz, .res, .cif, .db, or a folder of CIFs"
    )
    p = verb(status, "how far a search is, running or finished", "xtalseek status RUN", json_too=True)
    p.add_argument("run", metavar="RUN", help="run folder")
    p = verb(rank, "the lowest minima, duplicates united", "xtalseek rank RUN --top 10", json_too=True)
    p.add_argument("run", metavar="RUN", help="run folder")
    p.add_argument("--top", type=int, metavar="N", help="only the lowest N")
    p = verb(report, "write RUN/report.html, one file that works offline", "xtalseek report RUN --png")
    p.add_argument("run", metavar="RUN", help="run folder")
    p.add_argument("--png", action="store_true", help="write the plots as PNG files too, to RUN/plots/")
    p = verb(export, "write the minima for other programs", "xtalseek export RUN --format res --out minima.res")
    p.add_argument("run", metavar="RUN", help="run folder")
    p.add_argument("--format", choices=("cif", "res", "extxyz", "ase-db"), help="default: by the suffix of --out")
    p.add_argument("--out", required=True, metavar="PATH", help="file or folder to write")
    p.add_argument("--top", type=int, metavar="N", help="only the lowest N")
    p.add_argument("--all", action="store_true", help="every relaxation, duplicates and failures too")
    verb(version, "the version, with --json also of what it runs on", "xtalseek version --json", json_too=True)

    options, extra = parser.parse_known_args(words)
    if extra:
        chosen = verbs.choices[options.verb]
        known = [name for action in chosen._actions for name in action.option_strings if name.startswith("--")]
        given = extra[0].partition("=")[0]
        raise (
            unknown("option", given, known)
            if given.startswith("-")
            else InputError(
                f"{given!r} is one word too many for `xtalseek {options.verb}` (see `xtalseek {options.verb} --help`)"
            )
        )
    return options


def _add_words(parser: argparse.ArgumentParser, words: Iterable[str], formula: bool = False) -> None:
    """Options made from the configuration's own fields, so that TOML and command line share every word."""
    if formula:
        parser.add_argument("formula", nargs="?", metavar="FORMULA", help="one formula unit, such as SrTiO3")
        parser.add_argument(
            "--config", metavar="FILE.toml", help="read the words below from a file; options given here win"
        )
    for word in fields(SearchConfig):
        if word.name not in words:
            continue
        about = word.metadata
        names = [f"--{word.name.replace('_', '-')}"] + ([about["short"]] if about["short"] else [])
        default = _shown_default(word.default)
        text = about["help"] + (f" (default: {default})" if default and "default" not in about["help"] else "")
        parser.add_argument(*names, dest=word.name, metavar=about["example"], help=text.replace("%", "%%"))


def _shown_default(default: Any) -> str:
    """A default as it would be typed; empty where there is none to show."""
    if default is MISSING or default is None:
        return ""
    if isinstance(default, tuple):
        return (", " if all(isinstance(item, str) for item in default) else "-").join(map(str, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


def _words(options: argparse.Namespace, allowed: Iterable[str]) -> dict[str, Any]:
    """The words given: those of the --config file, then those of the command line."""
    given: dict[str, Any] = {}
    if getattr(options, "config", None):
        given = read_toml(Path(options.config))
    typed = {name: getattr(options, name, None) for name in ("formula", *allowed)}
    return given | {name: value for name, value in typed.items() if value is not None}


def _defaults(words: Iterable[str]) -> Mapping[str, Any]:
    """The configuration's default for each of `words`."""
    wanted = set(words)
    return {
        f.name: f.default_factory() if f.default_factory is not MISSING else f.default
        for f in fields(SearchConfig)
        if f.name in wanted
    }


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
