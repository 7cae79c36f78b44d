"""Reads stored results only: minima, convergence, tables, plots and the report. Nothing here relaxes anything again."""

from .curves import Convergence, convergence
from .minima import MatchTolerances, Minimum, find_minima
from .plots import write_figures, write_plots
from .report import write_best, write_report
from .summary import RunSummary, summarise
from .symmetry import space_group
from .tables import rank_rows, rank_table

__all__ = [
    "Convergence",
    "MatchTolerances",
    "Minimum",
    "RunSummary",
    "convergence",
    "find_minima",
    "rank_rows",
    "rank_table",
    "space_group",
    "summarise",
    "write_best",
    "write_figures",
    "write_plots",
    "write_report",
]
