"""`xtalseek doctor`: does this installation work? Every check runs, each is told as it ends."""

from __future__ import annotations

import contextlib
import io
import json
import os
import textwrap
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from .doctor_checks import (
    Finding,
    check_checkpoint,
    check_disk,
    check_espresso,
    check_gpaw,
    check_gpu,
    check_mpi,
    check_packages,
    check_python,
    check_threads,
    cpu_quota,
)
from .doctor_potentials import check_potential, names_of_potentials
from .mpi_jobs.world import World, limit_threads, share_of_cores

_WIDTH, _NAME, _STATE = 80, 20, 8


def run_doctor(out: Path, as_json: bool, tell: Callable[[str], object]) -> bool:
    """Run every check and tell each finding, or all of them as JSON in the end; return whether nothing is broken.

    Parameters
    ----------
    out : folder whose disk is checked, or in which such a folder would be made.
    """
    findings: list[Finding] = []
    absent: list[str] = []
    for found in examine(out):
        findings.append(found)
        kind, _, name = found.name.partition(" ")
        if as_json:
            continue
        if kind == "potential" and found.ok == "absent":
            absent.append(name)
            continue
        if absent and kind != "potential":
            tell(row(_others(absent)))
            absent = []
        tell(row(found))
    count = {state: sum(found.ok == state for found in findings) for state in ("broken", "warning")}
    if as_json:
        tell(json.dumps([asdict(found) for found in findings], indent=1))
    elif any(count.values()):
        tell(f"{count['broken']} broken, {count['warning']} with a warning: see the lines with ->")
    else:
        tell("nothing is broken")
    return not count["broken"]


def examine(out: Path) -> Iterator[Finding]:
    """The findings, one after the other. They take some ten seconds in all, and leave nothing behind.

    Threads are limited for this process, as in a search.
    """
    given, cores = os.environ.get("OMP_NUM_THREADS"), share_of_cores(World())
    limit_threads(cores)
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("Python", check_python),
        ("packages", check_packages),
        ("MPI", check_mpi),
        ("threads", partial(check_threads, given, cores, cpu_quota())),
        *((f"potential {name}", partial(check_potential, name)) for name in names_of_potentials()),
        ("GPU", check_gpu),
        ("disk", partial(check_disk, out)),
        ("UniMat checkpoint", check_checkpoint),
        ("DFT gpaw", check_gpaw),
        ("DFT espresso", check_espresso),
    ]
    for name, check in checks:
        yield safely(name, check)


def safely(name: str, check: Callable[[], Finding]) -> Finding:
    """What a check finds, or that it failed; what packages print and warn of meanwhile is dropped."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return check()
    except Exception as error:  # whatever a broken package raises: the other checks go on
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return Finding(name, "broken", reason, "install xtalseek and its packages again, in a new environment")


def _others(names: list[str]) -> Finding:
    """The potentials that are not installed, as one finding: nobody wants all of them."""
    mend = f"only for a search with one of them: pip install 'xtalseek[{names[0]}]' and the like"
    return Finding("other potentials", "absent", f"not installed: {', '.join(names)}", mend)


def row(found: Finding) -> str:
    """A finding as rows of a table, 80 columns wide."""
    margin = " " * (_NAME + _STATE)
    what = textwrap.wrap(found.what, _WIDTH - len(margin), break_on_hyphens=False) or [""]
    rows = [f"{found.name:<{_NAME}}{found.ok:<{_STATE}}{what[0]}", *(margin + line for line in what[1:])]
    rows += textwrap.wrap(
        found.mend, _WIDTH, initial_indent="    -> ", subsequent_indent="       ", break_on_hyphens=False
    )
    return "\n".join(rows)
