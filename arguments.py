"""The verbs of the command line, and their options."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from . import __version__
from .command_words import RELAX_WORDS, SEARCH_WORDS, SOURCE_WORDS, add_words
from .errors import InputError, unknown
from .mpi_jobs.submit_words import add_submit, words_passed_on
from .verb_options import (
    add_campaign,
    add_compare,
    add_evaluate,
    add_formula,
    add_hull,
    add_init,
    add_json,
    add_out_file,
    add_proposers,
    add_run,
    add_seed,
    add_top,
    add_train,
    add_verify,
)

_BEGIN = """\
to begin:
  xtalseek doctor                 does this installation work?
  xtalseek search MgO -n 6 --formula-units 1-2
                                  a first search; its files lie in runs/MgO
  xtalseek search --help          every verb has its words and an example
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        choice = re.match(r"argument .*: invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if choice:
            allowed = [name.strip(" '") for name in choice[2].split(",")]
            message = str(unknown("verb" if "VERB" in message else "choice", choice[1], allowed))
        elif message.endswith("required: VERB"):
            message = "no VERB given, such as search in `xtalseek search MgO -n 6`"
        raise InputError(f"{message} (see `{self.prog} --help`)")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The verb and its options, still as text where they are words of the configuration.

    Raises
    ------
    InputError : an unknown verb or option, told with the nearest, or one that is missing.
    SystemExit : after `--help` and `--version`.
    """
    parser, verbs = build_parser()
    passed: list[str] = []
    if words[:1] and words[0] == "submit":
        words, passed = words_passed_on(words)
    options, extra = parser.parse_known_args(words)
    options.passed = passed
    if extra:
        raise _not_known(extra[0], options.verb, verbs[options.verb])
    return options


def build_parser() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    """The whole command's parser, and that of each verb by its name."""
    parser = _Parser(
        prog="xtalseek", description="Search crystal structures: propose, relax, rank, compare.", epilog=_BEGIN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
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
    add_formula(p)
    add_words(p, SEARCH_WORDS)
    add_proposers(p)
    p = verb(
        "campaign",
        "search many compositions, or go on with them; several jobs may share the folder",
        "mpirun -n 64 xtalseek campaign FILE --budget random=20,unimat=40",
    )
    add_campaign(p)
    p = verb(
        "submit",
        "run a search or campaign on a cluster, over as many jobs as it takes",
        "xtalseek submit RUN.toml --scheduler slurm --nodes 4 --time 12:00:00",
    )
    add_submit(p)
    p = verb("propose", "draw candidates without relaxing them", "xtalseek propose TiO2 -n 100 --out candidates.extxyz")
    add_formula(p)
    add_words(p, SOURCE_WORDS)
    p.add_argument("--explain", action="store_true", help="print what rejected the trials, by cause and by space group")
    add_out_file(p)
    add_json(p)
    p = verb("seed", "write an AIRSS seed for a composition", "xtalseek seed SrTiO3 --out SrTiO3.cell")
    add_seed(p)
    p = verb("relax", "relax structures from any files", "xtalseek relax *.cif --out relaxed.extxyz")
    p.add_argument("files", nargs="+", metavar="FILE", help="structures in any format that ASE reads, or packed .res")
    add_words(p, RELAX_WORDS)
    add_out_file(p)
    add_json(p)
    p = verb("status", "how far a search or campaign is, running or finished", "xtalseek status RUN")
    add_run(p, "folder of a search or campaign")
    p.add_argument("--watch", action="store_true", help="follow a running search until it has finished, or Ctrl-C")
    p.add_argument("--brief", action="store_true", help="only what is done, asked for, and whether it is finished")
    add_json(p)
    p = verb("rank", "the lowest minima, duplicates united", "xtalseek rank RUN --top 10")
    add_run(p)
    add_top(p)
    add_json(p)
    p = verb("report", "write RUN/report.html, one file that works offline", "xtalseek report RUN --png")
    add_run(p, "folder of a search or campaign")
    p.add_argument("--png", action="store_true", help="write the plots as PNG files too, to RUN/plots/")
    p.add_argument("--figures", metavar="DIR", help="write the figures as PNG and SVG files too, for papers")
    p.add_argument("--hull", action="store_true", help="with the convex hull of its elements, as `hull` makes it")
    text = "for a campaign: relaxed structures, or run folders: the lowest known of each composition"
    p.add_argument("--reference", nargs="+", metavar="FILE", help=text)
    text = "for --hull: structures of the elements and of competing phases (default: known crystals of the elements)"
    p.add_argument("--references", nargs="+", metavar="FILE", help=text)
    text = "for --hull: that of the run, once more, where it is a module:Class or reads weights from a file"
    p.add_argument("--relaxer", metavar="NAME", help=text)
    p.add_argument("--relaxer-options", metavar="NAME=VALUE", help="for --hull: those of the run, once more")
    p = verb(
        "compare",
        "which source finds low structures sooner, and how sure that is",
        "xtalseek compare RUN... --reference relaxed.extxyz --csv table.csv",
    )
    add_compare(p)
    p = verb(
        "hull", "phases of a chemical system on their convex hull", "xtalseek hull Sr-Ti-O RUN1 RUN2 --out hull.png"
    )
    add_hull(p)
    p = verb("export", "write the minima for other programs", "xtalseek export RUN --format res --out minima.res")
    add_run(p)
    p.add_argument("--format", choices=("cif", "res", "extxyz", "ase-db"), help="default: by the suffix of --out")
    p.add_argument("--out", required=True, metavar="PATH", help="file or folder to write")
    add_top(p)
    p.add_argument("--all", action="store_true", help="every relaxation, duplicates and failures too")
    p = verb("verify", "check the lowest minima with DFT", "xtalseek verify RUN --engine gpaw --top 5")
    add_verify(p)
    p = verb(
        "evaluate",
        "measure a generator against known structures",
        "xtalseek evaluate --data test.csv.gz --samples 1,5,20",
    )
    add_evaluate(p)
    p = verb("train", "train a generator on known structures", "xtalseek train --data train.csv.gz --out CKPT")
    add_train(p)
    p = verb("version", "the version, with --json also of what it runs on", "xtalseek version --json")
    add_json(p)
    p = verb("init", "write a commented configuration to start from", "xtalseek init SrTiO3 --out SrTiO3.toml")
    add_init(p)
    p = verb("doctor", "check this installation, and say what to mend", "xtalseek doctor --out runs")
    p.add_argument("--out", default=".", metavar="FOLDER", help="its disk is checked (default: the current folder)")
    add_json(p)
    p = verb(
        "completion",
        "print a shell script that completes xtalseek's words",
        "source <(xtalseek completion bash)",
    )
    p.add_argument("shell", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")
    return parser, verbs.choices


def _not_known(word: str, verb: str, parser: argparse.ArgumentParser) -> InputError:
    if not word.startswith("-"):
        return InputError(f"{word!r} is one word too many for `xtalseek {verb}` (see `xtalseek {verb} --help`)")
    known = [name for action in parser._actions for name in action.option_strings if name.startswith("--")]
    return unknown("option", word.partition("=")[0], known)
