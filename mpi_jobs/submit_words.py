"""The words of `xtalseek submit`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .batch import SCHEDULERS


def words_passed_on(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words before the first `--`, and those behind it, which are for the search or campaign."""
    cut = words.index("--") if "--" in words else len(words)
    return list(words[:cut]), list(words[cut + 1 :])


def add_submit(parser: argparse.ArgumentParser) -> None:
    """Add the words of `xtalseek submit`; what stands behind `--` is the caller's to put into `options.passed`."""
    text = "a search's TOML file, or a campaign's file; words behind -- are passed on to the search or campaign"
    parser.add_argument("config", metavar="CONFIG", help=text)
    text = "the batch system; local: in the background on this machine"
    parser.add_argument("--scheduler", required=True, choices=SCHEDULERS, help=text)
    text = "limit of each job: minutes, H:MM:SS or D-HH:MM:SS"
    parser.add_argument("--time", required=True, metavar="12:00:00", help=text)
    parser.add_argument("--nodes", default="1", metavar="N", help="(default: 1)")
    parser.add_argument("--ranks-per-node", metavar="N", help="(default: one per GPU, else one per core)")
    text = "shared by the ranks as threads (default: this machine's for local, else as the batch system gives them)"
    parser.add_argument("--cores-per-node", metavar="N", help=text)
    parser.add_argument("--gpus-per-node", default="0", metavar="N", help="(default: none)")
    parser.add_argument("--memory", default="", metavar="64G", help="of a node")
    parser.add_argument("--partition", "--queue", default="", metavar="NAME", help="where to queue")
    parser.add_argument("--account", default="", metavar="NAME", help="whom to charge")
    parser.add_argument("--job-name", metavar="NAME", help="(default: that of CONFIG)")
    parser.add_argument("--out", metavar="FOLDER", help="for the script and its output (default: RUN/log)")
    text = "shell line before the command, repeated for more (default: activate this Python environment)"
    parser.add_argument("--setup", action="append", metavar="LINE", help=text)
    text = "further line for the batch system, such as '#SBATCH --qos=long', repeated for more"
    parser.add_argument("--header", action="append", default=[], metavar="LINE", help=text)
    text = "shell words that start the ranks, such as 'srun --mpi=pmix' (default: mpirun, as mpi4py's MPI needs it)"
    parser.add_argument("--launcher", metavar="WORDS", help=text)
    text = "seconds before the limit at which the search is told to end (default: 300)"
    parser.add_argument("--grace", default="300", metavar="S", help=text)
    text = "how often a job may submit itself again (default: 100)"
    parser.add_argument("--max-resubmits", default="100", metavar="N", help=text)
    parser.add_argument(
        "--array", default="1", metavar="N", help="so many independent jobs on one campaign (default: 1)"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the script, write and submit nothing")
