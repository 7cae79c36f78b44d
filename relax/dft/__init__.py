"""DFT on what a search found: accuracy levels, the engines GPAW and Quantum ESPRESSO, one structure at a time."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import unknown
from .cells import primitive_cell
from .contract import Engine, EngineOptions
from .espresso import EspressoEngine
from .gpaw import GpawEngine
from .levels import LEVELS, Level, kpoint_grid, level_called
from .relaxation import DftSettings, relax_with_dft

__all__ = [
    "ENGINES",
    "LEVELS",
    "DftSettings",
    "Engine",
    "EngineOptions",
    "Level",
    "kpoint_grid",
    "level_called",
    "make_engine",
    "primitive_cell",
    "relax_with_dft",
]

ENGINES: dict[str, Callable[[EngineOptions], Engine]] = {"gpaw": GpawEngine, "espresso": EspressoEngine}
"""By the name that the user writes."""


def make_engine(name: str, options: EngineOptions) -> Engine:
    """The engine of that name.

    Raises
    ------
    InputError : an unknown name, one that is not installed (the line says how it is), or options that it does not take.
    """
    if name not in ENGINES:
        raise unknown("--engine", name, ENGINES)
    return ENGINES[name](options)
