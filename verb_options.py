"""Places and options of the verbs, for their parsers: those that are not words of a search."""

from __future__ import annotations

import argparse

from .command_words import CAMPAIGN_SEARCH_WORDS, RELAX_WORDS, add_words
from .search.campaign_words import CAMPAIGN_WORDS


def add_formula(parser: argparse.ArgumentParser) -> None:
    """A formula, or a file that says it."""
    parser.add_argument("formula", nargs="?", metavar="FORMULA", help="one formula unit, such as SrTiO3")
    parser.add_argument(
        "--config", metavar="FILE.toml", help="read the words below from a file; options given here win"
    )


def add_campaign(parser: argparse.ArgumentParser) -> None:
    """Of `campaign`."""
    text = "compositions: text with a formula per line, CSV with a column formula, or TOML"
    parser.add_argument("file", nargs="?", metavar="FILE", help=text)
    for name, word in CAMPAIGN_WORDS.items():
        option, flag = f"--{name.replace('_', '-')}", word.example == "true"
        if flag:
            parser.add_argument(option, dest=name, action="store_const", const="true", help=word.help)
        else:
            parser.add_argument(option, dest=name, metavar=word.example, help=word.help)
    add_words(parser, CAMPAIGN_SEARCH_WORDS)
    add_proposers(parser)
    add_standards(parser)


def add_standards(parser: argparse.ArgumentParser) -> None:
    """Of what a campaign is measured by."""
    text = "relaxed structures, or run folders: the lowest known of each composition, to be beaten"
    parser.add_argument("--reference", nargs="+", metavar="FILE", help=text)
    text = "structures that compete on the hull, besides the elements and the campaign's own"
    parser.add_argument("--references", nargs="+", metavar="FILE", help=text)
    parser.add_argument("--no-hull", action="store_true", help="no formation energies: elements are not relaxed")


def add_proposers(parser: argparse.ArgumentParser) -> None:
    """Of verbs that run on many ranks."""
    text = "ranks that only propose, for the others to relax (default: those without a GPU where others have one)"
    parser.add_argument("--proposers", metavar="N", help=text)


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Of `seed`."""
    parser.add_argument("formula", metavar="FORMULA", help="one formula unit, such as SrTiO3")
    text = "known structures, such as RUN/best/*.cif, to learn distances and volume from (default: from radii)"
    parser.add_argument("--learn-from", nargs="+", metavar="FILE", help=text)
    parser.add_argument("--formula-units", default="1-4", metavar="1-4", help="in a cell (default: 1-4)")
    parser.add_argument("--symmetry-operations", default="2-4", metavar="2-4", help="of the cell (default: 2-4)")
    parser.add_argument("--out", metavar="FILE.cell", help="where to write it (default: on the screen)")


def add_init(parser: argparse.ArgumentParser) -> None:
    """Of `init`."""
    parser.add_argument("formula", nargs="?", metavar="FORMULA", help="one formula unit (default: an example)")
    text = "the file, which must not exist (default: FORMULA.toml, search.toml or campaign.toml)"
    parser.add_argument("--out", metavar="FILE.toml", help=text)
    parser.add_argument("--campaign", action="store_true", help="for `xtalseek campaign` instead of `search`")


def add_run(parser: argparse.ArgumentParser, text: str = "folder of a search") -> None:
    """A run folder."""
    parser.add_argument("run", metavar="RUN", help=text)


def add_out_file(parser: argparse.ArgumentParser) -> None:
    """Of verbs that write structures."""
    text = "file by suffix: .extxyz, .res, .cif, .db, or a folder of CIFs"
    parser.add_argument("--out", required=True, metavar="FILE", help=text)


def add_top(parser: argparse.ArgumentParser) -> None:
    """Of verbs that list minima."""
    parser.add_argument("--top", type=int, metavar="N", help="only the lowest N (default: all)")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Of verbs whose output a script would read."""
    parser.add_argument("--json", action="store_true", help="print JSON for a script to read")


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Of `compare`."""
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
    add_json(parser)


def add_hull(parser: argparse.ArgumentParser) -> None:
    """Of `hull`."""
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
    add_json(parser)


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Of `evaluate`."""
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
    add_json(parser)


def add_verify(parser: argparse.ArgumentParser) -> None:
    """Of `verify`."""
    add_run(parser)
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
    add_json(parser)


def add_train(parser: argparse.ArgumentParser) -> None:
    """Of `train`."""
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
