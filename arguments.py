"""The words of the command line, made from the configuration's fields, so that TOML and options share each of them."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, fields
from typing import Any, NoReturn

from . import __version__
from .errors import InputError, unknown
from .search.config import SearchConfig

TARGET_WORDS = ("formula_units", "min_distances", "volume_per_atom", "symmetry_operations", "space_groups")
SOURCE_WORDS = ("num", "source", "schedule", *TARGET_WORDS, "seed_file", "pressure_gpa", "seed", "source_options")
SETTING_WORDS = (
    "pressure_gpa", "force_tolerance", "stress_tolerance_gpa", "max_steps", "max_seconds", "optimiser", "saddle_push",
    "push_apart",
)  # fmt: skip
RELAX_WORDS = ("relaxer", *SETTING_WORDS, "relaxer_options")
SEARCH_WORDS = (*SOURCE_WORDS, *RELAX_WORDS, "until", "early_stop_window", "out", "max_hours")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        choice = re.match(r"argument .*: invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if choice:
            allowed = [name.strip(" '") for name in choice[2].split(",")]
            message = str(unknown("verb" if "VERB" in message else "choice", choice[1], allowed))
        raise InputError(f"{message} (see `{self.prog} --help`)")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The verb and its options, still as text where they are words of the configuration.

    Raises
    ------
    InputError : an unknown verb or option, told with the nearest, or one that is missing.
    SystemExit : after `--help` and `--version`.
    """
    parser = _Parser(prog="xtalseek", description="Search crystal structures: propose, relax, rank, compare.")
    parser.add_argument("--version", action="version", version=f"xtalseek {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, text: str, example: str) -> argparse.ArgumentParser:
        return verbs.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=f"example:  {example}",
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip

    p = verb(
        "search", "search a composition, or go on with a search", "mpirun -n 2 xtalseek search SrTiO3 -n 60 --out RUN"
    )
    _add_formula(p)
    _add_words(p, SEARCH_WORDS)
    p = verb("propose", "draw candidates without relaxing them", "xtalseek propose TiO2 -n 100 --out candidates.extxyz")
    _add_formula(p)
    _add_words(p, SOURCE_WORDS)
    p.add_argument("--explain", action="store_true", help="print what rejected the trials, by cause and by space group")
    _add_out_file(p)
    p = verb("seed", "write an AIRSS seed for a composition", "xtalseek seed SrTiO3 --out SrTiO3.cell")
    _add_seed(p)
    p = verb("relax", "relax structures from any files", "xtalseek relax *.cif --out relaxed.extxyz")
    p.add_argument("files", nargs="+", metavar="FILE", help="structures in any format that ASE reads, or packed .res")
    _add_words(p, RELAX_WORDS)
    _add_out_file(p)
    _add_json(p)
    p = verb("status", "how far a search is, running or finished", "xtalseek status RUN")
    _add_run(p)
    p.add_argument("--watch", action="store_true", help="follow a running search until it has finished, or Ctrl-C")
    _add_json(p)
    p = verb("rank", "the lowest minima, duplicates united", "xtalseek rank RUN --top 10")
    _add_run(p)
    _add_top(p)
    _add_json(p)
    p = verb("report", "write RUN/report.html, one file that works offline", "xtalseek report RUN --png")
    _add_run(p)
    p.add_argument("--png", action="store_true", help="write the plots as PNG files too, to RUN/plots/")
    p.add_argument("--figures", metavar="DIR", help="write the figures as PNG and SVG files too, for papers")
    p.add_argument("--hull", action="store_true", help="with the convex hull of its elements, as `hull` makes it")
    text = "for --hull: structures of the elements and of competing phases (default: known crystals of the elements)"
    p.add_argument("--references", nargs="+", metavar="FILE", help=text)
    p = verb(
        "compare",
        "which source finds low structures sooner, and how sure that is",
        "xtalseek compare RUN... --reference relaxed.extxyz --csv table.csv",
    )
    _add_compare(p)
    p = verb(
        "hull", "phases of a chemical system on their convex hull", "xtalseek hull Sr-Ti-O RUN1 RUN2 --out hull.png"
    )
    _add_hull(p)
    p = verb("export", "write the minima for other programs", "xtalseek export RUN --format res --out minima.res")
    _add_run(p)
    p.add_argument("--format", choices=("cif", "res", "extxyz", "ase-db"), help="default: by the suffix of --out")
    p.add_argument("--out", required=True, metavar="PATH", help="file or folder to write")
    _add_top(p)
    p.add_argument("--all", action="store_true", help="every relaxation, duplicates and failures too")
    p = verb("verify", "check the lowest minima with DFT", "xtalseek verify RUN --engine gpaw --top 5")
    _add_verify(p)
    p = verb(
        "evaluate",
        "measure a generator against known structures",
        "xtalseek evaluate --data test.csv.gz --samples 1,5,20",
    )
    _add_evaluate(p)
    p = verb("train", "train a generator on known structures", "xtalseek train --data train.csv.gz --out CKPT")
    _add_train(p)
    p = verb("version", "the version, with --json also of what it runs on", "xtalseek version --json")
    _add_json(p)

    options, extra = parser.parse_known_args(words)
    if extra:
        raise _not_known(extra[0], options.verb, verbs.choices[options.verb])
    return options


def given_words(options: argparse.Namespace, words: Iterable[str]) -> dict[str, Any]:
    """Those of `words` that stand on the command line, as they were typed."""
    typed = {name: getattr(options, name, None) for name in words}
    return {name: value for name, value in typed.items() if value is not None}


def default_words(words: Iterable[str]) -> dict[str, Any]:
    """The configuration's default for each of `words`."""
    wanted = set(words)
    return {
        word.name: word.default_factory() if word.default_factory is not MISSING else word.default
        for word in fields(SearchConfig)
        if word.name in wanted
    }


def _not_known(word: str, verb: str, parser: argparse.ArgumentParser) -> InputError:
    if not word.startswith("-"):
        return InputError(f"{word!r} is one word too many for `xtalseek {verb}` (see `xtalseek {verb} --help`)")
    known = [name for action in parser._actions for name in action.option_strings if name.startswith("--")]
    return unknown("option", word.partition("=")[0], known)


def _add_formula(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("formula", nargs="?", metavar="FORMULA", help="one formula unit, such as SrTiO3")
    parser.add_argument(
        "--config", metavar="FILE.toml", help="read the words below from a file; options given here win"
    )


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("formula", metavar="FORMULA", help="one formula unit, such as SrTiO3")
    text = "known structures, such as RUN/best/*.cif, to learn distances and volume from (default: from radii)"
    parser.add_argument("--learn-from", nargs="+", metavar="FILE", help=text)
    parser.add_argument("--formula-units", default="1-4", metavar="1-4", help="in a cell (default: 1-4)")
    parser.add_argument("--symmetry-operations", default="2-4", metavar="2-4", help="of the cell (default: 2-4)")
    parser.add_argument("--out", metavar="FILE.cell", help="where to write it (default: on the screen)")


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="run folder")


def _add_out_file(parser: argparse.ArgumentParser) -> None:
    text = "file by suffix: .extxyz, .res, .cif, .db, or a folder of CIFs"
    parser.add_argument("--out", required=True, metavar="FILE", help=text)


def _add_top(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--top", type=int, metavar="N", help="only the lowest N")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for a script to read")


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders: other targets, sources or seeds")
    text = (
        "the structure to find for each target, relaxed with the same potential: files or run folders (default: the "
        "lowest found)"
    )
    parser.add_argument("--reference", nargs="+", metavar="FILE", help=text)
    parser.add_argument("--by", choices=("source",), default="source", help="what is compared (default: source)")
    text = "a hit lies so near the reference, meV/atom (default: 1)"
    parser.add_argument("--within", default="1", metavar="MEV", help=text)
    text = "what the others are compared with (default: the first)"
    parser.add_argument("--baseline", metavar="SOURCE", help=text)
    parser.add_argument("--csv", metavar="FILE", help="write a row per target and source")
    parser.add_argument("--out", metavar="FILE.json", help="write all figures and curves")
    parser.add_argument("--report", metavar="FILE.html", help="draw it: one HTML file that works offline")
    parser.add_argument("--figures", metavar="DIR", help="draw it for papers: PNG and SVG files")
    _add_json(parser)


def _add_hull(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("system", metavar="SYSTEM", help="its elements, such as Sr-Ti-O")
    parser.add_argument("runs", nargs="*", metavar="RUN", help="run folders within it, made with one potential")
    text = (
        "structures of the elements and of competing phases, relaxed as the runs were; of a run folder its energies "
        "(default: known crystals of the elements)"
    )
    parser.add_argument("--references", nargs="+", metavar="FILE", help=text)
    text = "of relaxed references (default: ~/.cache/xtalseek/references)"
    parser.add_argument("--cache", metavar="FOLDER", help=text)
    text = "structures known before, of which found ones are told to be novel: what a generator was trained on"
    parser.add_argument("--known", nargs="+", metavar="FILE", help=text)
    text = "the plot as .png, .svg or .html, or every phase as .json"
    parser.add_argument("--out", metavar="FILE", help=text)
    _add_words(parser, RELAX_WORDS)
    _add_json(parser)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    text = "known structures: CSV with a column cif, any structure file, or a run folder"
    parser.add_argument("--data", nargs="+", required=True, metavar="FILE", help=text)
    parser.add_argument(
        "--model", metavar="CKPT", help="checkpoint of the generator (default: the one that comes along)"
    )
    text = "structures that another generator drew, in the same formats; matched to targets by name, or by composition"
    parser.add_argument("--structures", nargs="+", metavar="FILE", help=text)
    parser.add_argument("--samples", default="1", metavar="K,K,...", help="match@k for these numbers (default: 1)")
    parser.add_argument("--limit", metavar="N", help="only N of the targets, drawn at random")
    parser.add_argument("--seed", default="0", metavar="S", help="of the draw, and of the generator (default: 0)")
    parser.add_argument("--source-options", metavar="NAME=VALUE", help="settings of the generator")
    text = "COV-R and COV-P too, 0.2 s per structure; CUTOFF 0.4 (default; MP-20), 0.2 (Perov-5, Carbon-24)"
    parser.add_argument("--coverage", nargs="?", const="0.4", metavar="CUTOFF", help=text)
    text = "distance of energies too, by single points of this potential: chgnet, or module:Class"
    parser.add_argument("--energies", metavar="POTENTIAL", help=text)
    parser.add_argument("--save", metavar="FILE", help="keep the samples: .extxyz, .cif, .res, .db")
    _add_json(parser)


def _add_verify(parser: argparse.ArgumentParser) -> None:
    _add_run(parser)
    parser.add_argument("--engine", required=True, metavar="NAME", help="gpaw or espresso (see docs/dft.md)")
    parser.add_argument("--top", default="5", metavar="N", help="so many of the lowest minima (default: 5)")
    parser.add_argument("--level", default="normal", metavar="NAME", help="quick, normal (default) or mp-like")
    parser.add_argument("--static", action="store_true", help="single points of the structures as they are")
    text = "structures of the elements and of competing phases, for formation energies and the hull"
    parser.add_argument("--references", nargs="+", metavar="FILE", help=text)
    parser.add_argument("--cutoff", metavar="EV", help="of the plane waves, instead of the level's")
    text = "distance within which structures are made symmetric first, Å (default: 0.1, that of `rank`)"
    parser.add_argument("--symprec", default="0.1", metavar="Å", help=text)
    parser.add_argument("--max-steps", default="60", metavar="N", help="of a relaxation (default: 60)")
    parser.add_argument("--max-seconds", metavar="S", help="no further step of a relaxation after so long")
    parser.add_argument("--retry", action="store_true", help="go on with those that ended otherwise than converged")
    parser.add_argument("--pseudopotentials", metavar="FOLDER", help="PBE .UPF files, one an element, for espresso")
    parser.add_argument("--launcher", metavar="WORDS", help='what starts pw.x, such as "mpirun -n 4"')
    _add_json(parser)


def _add_train(parser: argparse.ArgumentParser) -> None:
    text = "structures to learn from: CSV with a column cif, any structure file, or a run folder"
    parser.add_argument("--data", nargs="+", required=True, metavar="FILE", help=text)
    parser.add_argument("--held-out", nargs="+", metavar="FILE", help="others, to log loss and match rate on")
    text = "checkpoint folder; the same command on it goes on where it was stopped"
    parser.add_argument("--out", required=True, metavar="CKPT", help=text)
    parser.add_argument("--model", default="unimat-sparse", help="unimat-sparse (default) or unimat-unet")
    parser.add_argument("--passes", metavar="100", help="through the data; the learning rate falls over them")
    parser.add_argument("--batch", metavar="128", help="structures of one step")
    parser.add_argument("--learning-rate", metavar="7e-4", help="the highest")
    parser.add_argument("--max-hours", metavar="12", help="stop cleanly after so many hours, to be gone on with")
    parser.add_argument("--seed", metavar="0", help="of every random choice")
    parser.add_argument("--settings", metavar="NAME=VALUE", help="of the model, as in width=128,layers=6")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU where there is one")
    parser.add_argument("--half", action="store_true", help="write the weights as bfloat16, half the size")


def _add_words(parser: argparse.ArgumentParser, words: Iterable[str]) -> None:
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


def whole(option: str, text: str, low: int, example: str = "") -> int:
    """The whole number that an option was given; raises InputError where it is none or less than `low`."""
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if number < low:
        hint = f", for example {example}" if example else ""
        raise InputError(f"{option}: cannot use {text!r}: allowed are whole numbers from {low}{hint}")
    return number


def positive(option: str, text: str, example: str = "") -> float:
    """The positive number that an option was given; raises InputError where it is none."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        hint = f", for example {example}" if example else ""
        raise InputError(f"{option}: cannot use {text!r}: allowed is a positive number{hint}")
    return number
