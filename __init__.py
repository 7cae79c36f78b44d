"""xtalseek: propose, relax and rank crystal structures for a composition, and measure what finds them first.

The functions in `__all__` are those of `xtalseek.api`, which lists the whole public interface, types and registries
too; `xtalseek.testing` is for authors of plug-ins. Importing the package loads nothing, so that it is instant.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import compare_runs, find_minima, load_run, propose, relax, search

# Of random structures spglib prints lines that nobody can act on; what failed is seen in what it returns.
os.environ.setdefault("SPGLIB_WARNING", "OFF")

__version__ = "0.1.0"
__all__ = ["compare_runs", "find_minima", "load_run", "propose", "relax", "search"]


def __getattr__(name: str) -> Any:
    if name in ("search", "relax"):  # packages too, which can be called
        return import_module(f".{name}", __name__)
    if name in __all__:
        return getattr(import_module(".api", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
