"""What `xtalseek compare` does between its words and its table: read the runs, measure, write."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .analysis.comparison import Comparison, compare_runs
from .arguments import positive
from .errors import InputError
from .files import write_atomic
from .search.store import load_run


def run_comparison(options: argparse.Namespace) -> Comparison:
    """Do what the words of the command line ask for; `--csv` and `--out` are written before this returns.

    Raises
    ------
    InputError : a word that cannot be used, what is no run folder, a file that cannot be written.
    """
    within = positive("--within", options.within, "1")
    comparison = compare_runs(
        [load_run(path) for path in options.runs], options.reference or [], within, options.baseline
    )
    if options.csv:
        _write(options.csv, comparison.to_csv(), "--csv")
    if options.out:
        _write(options.out, json.dumps(comparison.to_json(), indent=1) + "\n", "--out")
    return comparison


def _write(path: str, text: str, option: str) -> None:
    try:
        write_atomic(Path(path), text)
    except OSError as error:
        raise InputError(f"{option}: {path!r} cannot be written ({error.strerror}): choose another file") from error
