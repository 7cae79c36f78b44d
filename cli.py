"""The one command, `xtalseek`: parse, call, print.

The rooms are imported by the verb that needs them, so that `--help` answers at once, and so that a rank's share of the
cores is settled before torch starts its threads.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from . import __version__
from .arguments import parse
from .cli_analysis import compare, evaluate, export, hull, rank, report, status, verify
from .cli_output import command_line, print_text
from .cli_search import campaign, propose, relax, search, seed, submit, train
from .errors import InfeasibleTarget, InputError, StorageError
from .mpi_jobs.world import World, find_world, share_of_cores


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


def version(options: argparse.Namespace, world: World) -> None:
    """`xtalseek version`."""
    from .search.provenance import provenance

    found = provenance(command_line(), world.size, share_of_cores(world))
    print_text(json.dumps(found, indent=1) if options.json else f"xtalseek {__version__}")


def init(options: argparse.Namespace, world: World) -> None:
    """`xtalseek init`."""
    from .starter import write_starter

    print_text(write_starter(options.formula, options.out, options.campaign))


def doctor(options: argparse.Namespace, world: World) -> None:
    """`xtalseek doctor`; raises SystemExit(1) where something is broken."""
    from .doctor import run_doctor

    if not run_doctor(Path(options.out), options.json, print_text):
        raise SystemExit(1)


def completion(options: argparse.Namespace, world: World) -> None:
    """`xtalseek completion`."""
    from .completion import completion_script

    print_text(completion_script(options.shell))


_VERBS = {
    call.__name__: call
    for call in (
        *(search, campaign, submit, propose, seed, relax, train),
        *(status, rank, report, compare, hull, export, verify, evaluate),
        *(version, init, doctor, completion),
    )
}
