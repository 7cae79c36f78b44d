"""Optimisers by name: what turns forces into the next geometry. Measured in docs/results/optimisers.md."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .contract import LARGEST_MOVE, LARGEST_STRAIN, Move, Optimiser, apply, generalised_force
from .fire import Fire
from .quasi_newton import QuasiNewton
from .two_point import TwoPoint

__all__ = ["DEFAULT", "LARGEST_MOVE", "LARGEST_STRAIN", "OPTIMISERS", "Move", "Optimiser", "apply", "generalised_force"]

OPTIMISERS: Mapping[str, Optimiser] = MappingProxyType(
    {
        "fire": Fire(),
        "lbfgs": QuasiNewton(),
        "preconditioned-lbfgs": QuasiNewton(preconditioned=True),
        "two-point": TwoPoint(),
    }
)
DEFAULT = "preconditioned-lbfgs"
"""The one that asked for the fewest force calls."""
