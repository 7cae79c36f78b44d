"""The verbs of the command line, and their options."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from . import __version__
from .command_words import CAMPAIGN_SEARCH_WORDS, RELAX_WORDS, SEARCH_WORDS, SOURCE_WORDS, add_words
from .errors import InputError, unknown
from .mpi_jobs.submit_words import add_submit, words_passed_on
from .search.campaign_words import CAMPAIGN_WORDS

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
    _add_formula(p)
    add_words(p, SEARCH_WORDS)
    _add_proposers(p)
    p = verb(
        "campaign",
        "search many compositions, or go on with them; several jobs may share the folder",
        "mpirun -n 64 xtalseek campaign FILE --budget random=20,unimat=40",
    )
    _add_campaign(p)
    p = verb(
        "submit",
        "run a search or campaign on a cluster, over as many jobs as it takes",
        "xtalseek submit RUN.toml --scheduler slurm --nodes 4 --time 12:00:00",
    )
    add_submit(p)
    p = verb("propose", "draw candidates without relaxing them", "xtalseek propose TiO2 -n 100 --out candidates.extxyz")
    _add_formula(p)
    add_words(p, SOURCE_WORDS)
    p.add_argument("--explain", action="store_true", help="print what rejected the trials, by cause and by space group")
    _add_out_file(p)
    _add_json(p)
    p = verb("seed", "write an AIRSS seed for a composition", "xtalseek seed SrTiO3 --out SrTiO3.cell")
    _add_seed(p)
    p = verb("relax", "relax structures from any files", "xtalseek relax *.cif --out relaxed.extxyz")
    p.add_argument("files", nargs="+", metavar="FILE", help="structures in any format that ASE reads, or packed .res")
    add_words(p, RELAX_WORDS)
    _add_out_file(p)
    _add_json(p)
    p = verb("status", "how far a search or campaign is, running or finished", "xtalseek status RUN")
    _add_run(p, "folder of a search or campaign")
    p.add_argument("--watch", action="store_true", help="follow a running search until it has finished, or Ctrl-C")
    p.add_argument("--brief", action="store_true", help="only what is done, asked for, and whether it is finished")
    _add_json(p)
    p = verb("rank", "the lowest minima, duplicates united", "xtalseek rank RUN --top 10")
    _add_run(p)
    _add_top(p)
    _add_json(p)
    p = verb("report", "write RUN/report.html, one file that works offline", "xtalseek report RUN --png")
    _add_run(p, "folder of a search or campaign")
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
    p = verb("init", "write a commented configuration to start from", "xtalseek init SrTiO3 --out SrTiO3.toml")
    _add_init(p)
    p = verb("doctor", "check this installation, and say what to mend", "xtalseek doctor --out runs")
    p.add_argument("--out", default=".", metavar="FOLDER", help="its disk is checked (default: the current folder)")
    _add_json(p)
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


def _add_formula(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("formula", nargs="?", metavar="FORMULA", help="one formula unit, such as SrTiO3")
    parser.add_argument(
        "--config", metavar="FILE.toml", help="read the words below from a file; options given here win"
    )


def _add_campaign(parser: argparse.ArgumentParser) -> None:
    text = "compositions: text with a formula per line, CSV with a column formula, or TOML"
    parser.add_argument("file", nargs="?", metavar="FILE", help=text)
    for name, word in CAMPAIGN_WORDS.items():
        option, flag = f"--{name.replace('_', '-')}", word.example == "true"
        if flag:
            parser.add_argument(option, dest=name, action="store_const", const="true", help=word.help)
        else:
            parser.add_argument(option, dest=name, metavar=word.example, help=word.help)
    add_words(parser, CAMPAIGN_SEARCH_WORDS)
    _add_proposers(parser)
    _add_standards(parser)


def _add_standards(parser: argparse.ArgumentParser) -> None:
    text = "relaxed structures, or run folders: the lowest known of each composition, to be beaten"
    parser.add_argument("--reference", nargs="+", metavar="FILE", help=text)
    text = "structures that compete on the hull, besides the elements and the campaign's own"
    parser.add_argument("--references", nargs="+", metavar="FILE", help=text)
    parser.add_argument("--no-hull", action="store_true", help="no formation energies: elements are not relaxed")


def _add_proposers(parser: argparse.ArgumentParser) -> None:
    text = "ranks that only propose, for the others to relax (default: those without a GPU where others have one)"
    parser.add_argument("--proposers", metavar="N", help=text)


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("formula", metavar="FORMULA", help="one formula unit, such as SrTiO3")
    text = "known structures, such as RUN/best/*.cif, to learn distances and volume from (default: from radii)"
    parser.add_argument("--learn-from", nargs="+", metavar="FILE", help=text)
    parser.add_argument("--formula-units", default="1-4", metavar="1-4", help="in a cell (default: 1-4)")
    parser.add_argument("--symmetry-operations", default="2-4", metavar="2-4", help="of the cell (default: 2-4)")
    parser.add_argument("--out", metavar="FILE.cell", help="where to write it (default: on the screen)")


def _add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("formula", nargs="?", metavar="FORMULA", help="one formula unit (default: an example)")
    text = "the file, which must not exist (default: FORMULA.toml, search.toml or campaign.toml)"
    parser.add_argument("--out", metavar="FILE.toml", help=text)
    parser.add_argument("--campaign", action="store_true", help="for `xtalseek campaign` instead of `search`")


def _add_run(parser: argparse.ArgumentParser, text: str = "folder of a search") -> None:
    parser.add_argument("run", metavar="RUN", help=text)


def _add_out_file(parser: argparse.ArgumentParser) -> None:
    text = "file by suffix: .extxyz, .res, .cif, .db, or a folder of CIFs"
    parser.add_argument("--out", required=True, metavar="FILE", help=text)


def _add_top(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--top", type=int, metavar="N", help="only the lowest N (default: all)")


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
    add_words(parser, RELAX_WORDS)
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
    parser.add_argument("--limit", metavar="N", help="only N of the targets, drawn at random (default: all)")
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
    parser.add_argument(
        "--engine", required=True, metavar="NAME", help="gpaw or espresso; how to install them is on the page DFT"
    )
    parser.add_argument("--top", default="5", metavar="N", help="so many of the lowest minima (default: 5)")
    parser.add_argument("--level", default="normal", metavar="NAME", help="quick, normal (default) or mp-like")
    parser.add_argument("--static", action="store_true", help="single points of the structures as they are")
    text = "structures of the elements and of competing phases, for formation energies and the hull"
    parser.add_argument("--references", nargs="+", metavar="FILE", help=text)
    parser.add_argument("--cutoff", metavar="EV", help="of the plane waves, in eV (default: the level's)")
    text = "distance within which structures are made symmetric first, Å (default: 0.1, that of `rank`)"
    parser.add_argument("--symprec", default="0.1", metavar="D", help=text)
    parser.add_argument("--max-steps", default="60", metavar="N", help="of a relaxation (default: 60)")
    parser.add_argument(
        "--max-seconds", metavar="S", help="no further step of a relaxation after so long (default: no limit)"
    )
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
    parser.add_argument(
        "--passes", metavar="N", help="through the data; the learning rate falls over them (default: 100)"
    )
    parser.add_argument("--batch", metavar="N", help="structures of one step (default: 128)")
    parser.add_argument("--learning-rate", metavar="X", help="the highest (default: 7e-4)")
    parser.add_argument(
        "--max-hours",
        metavar="12",
        help="stop cleanly after so many hours; the same command goes on (default: no limit)",
    )
    parser.add_argument("--seed", metavar="S", help="of every random choice (default: 0)")
    parser.add_argument("--settings", metavar="NAME=VALUE", help="of the model, as in width=128,layers=6")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU where there is one")
    parser.add_argument(
        "--half", action="store_true", help="write the weights as bfloat16, half the size (default: float32)"
    )
