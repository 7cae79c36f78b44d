"""What `xtalseek compare` does between its words and its table: read the runs, measure, write."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .analysis.comparison import Comparison, compare_runs
from .analysis.comparison_plots import write_comparison_figures
from .analysis.comparison_report import write_comparison_report
from .command_words import positive
from .errors import InputError, unknown
from .files import write_atomic
from .search.store import load_run

_PAGES = (".html", ".htm")


def run_comparison(options: argparse.Namespace) -> Comparison:
    """Do what the words of the command line ask for; the files that they name are written before this returns.

    Raises
    ------
    InputError : a word that cannot be used, what is no run folder, a file that cannot be written.
    """
    within = positive("--within", options.within, "1")
    if options.report and Path(options.report).suffix.lower() not in _PAGES:
        raise unknown("suffix of --report", Path(options.report).suffix, _PAGES)
    comparison = compare_runs(
        [load_run(path) for path in options.runs], options.reference or [], within, options.baseline
    )
    if options.csv:
        with _writing("--csv", options.csv):
            write_atomic(Path(options.csv), comparison.to_csv())
    if options.out:
        with _writing("--out", options.out):
            write_atomic(Path(options.out), json.dumps(comparison.to_json(), indent=1) + "\n")
    if options.report:
        with _writing("--report", options.report):
            write_comparison_report(comparison, Path(options.report))
    if options.figures:
        write_comparison_figures(comparison, Path(options.figures))
    return comparison


@contextmanager
def _writing(option: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{option}: {path!r} cannot be written ({error.strerror}): choose another file") from error
