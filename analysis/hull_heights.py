"""Formation energies and heights above the hull of thousands of phases at once.

The same figures as `stability.stabilities`, which also says what a phase decomposes into and takes 18 s for 300 phases
of four elements: here a hull is one call of Qhull, and the heights of all phases over it one product of matrices.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.spatial import ConvexHull

from .stability import TIE, Phase, missing_elements

_STEEPEST = 1e-8
"""Facets whose unit normal points down by less than this are the walls of the hull, not its floor."""


@dataclass(frozen=True)
class Height:
    """Where a phase stands at 0 K, eV/atom.

    Attributes
    ----------
    formation : enthalpy of formation from the lowest phase of each element.
    above_hull : height above the lower hull of all phases, itself among them: 0 for a stable one.
    """

    formation: float
    above_hull: float


def heights(phases: Sequence[Phase]) -> dict[str, Height]:
    """The height of each phase whose elements all have a phase of their own, by name; others are left out.

    Source: the convex hull by Qhull (Barber, Dobkin and Huhdanpaa 1996, doi:10.1145/235815.235821). Phases that cost
    energy to form cannot be on it, and only what lies within the elements of a phase competes with it.
    """
    lost = set(missing_elements(phases))
    usable = [phase for phase in phases if not phase.elements & lost]
    ground: dict[str, float] = {}
    for phase in usable:
        if len(phase.elements) == 1:
            (symbol,) = phase.elements
            ground[symbol] = min(phase.enthalpy_per_atom, ground.get(symbol, math.inf))
    formation = {phase.name: _formation(phase, ground) for phase in usable}
    rivals: dict[frozenset[str], list[Phase]] = {}
    for phase in _lowest(usable):
        if formation[phase.name] < 0:
            rivals.setdefault(phase.elements, []).append(phase)
    systems: dict[frozenset[str], list[Phase]] = {}
    for phase in usable:
        systems.setdefault(phase.elements, []).append(phase)
    found = {}
    for system, own in systems.items():
        elements = sorted(system)
        within = [phase for part in _parts(system, rivals) for phase in rivals[part]]
        planes = _floor(_fractions(within, elements), np.array([formation[phase.name] for phase in within]))
        floor = (planes[:, :-1] @ _fractions(own, elements).T + planes[:, -1:]).max(axis=0)
        for phase, low in zip(own, floor, strict=True):
            above = formation[phase.name] - float(low)
            found[phase.name] = Height(formation[phase.name], 0.0 if abs(above) < TIE else above)
    return found


def _formation(phase: Phase, ground: Mapping[str, float]) -> float:
    atoms = sum(phase.composition.values())
    return phase.enthalpy_per_atom - sum(n * ground[symbol] for symbol, n in phase.composition.items()) / atoms


def _lowest(phases: Iterable[Phase]) -> list[Phase]:
    """Of each formula, for the hull has no use for the others."""
    lowest: dict[frozenset[tuple[str, int]], Phase] = {}
    for phase in phases:
        units = math.gcd(*phase.composition.values())
        formula = frozenset((symbol, n // units) for symbol, n in phase.composition.items())
        if formula not in lowest or phase.enthalpy_per_atom < lowest[formula].enthalpy_per_atom:
            lowest[formula] = phase
    return list(lowest.values())


def _parts(system: frozenset[str], known: Mapping[frozenset[str], object]) -> list[frozenset[str]]:
    """Those known that lie within a system, found the shorter way: by its subsets, or by going through all."""
    if 2 ** len(system) > len(known):
        return [part for part in known if part <= system]
    subsets = (frozenset(some) for size in range(1, len(system) + 1) for some in combinations(sorted(system), size))
    return [part for part in subsets if part in known]


def _fractions(phases: Sequence[Phase], elements: Sequence[str]) -> np.ndarray:
    """(n_phases, n_elements - 1); the last element is what is left."""
    counts = np.array([[phase.composition.get(symbol, 0) for symbol in elements] for phase in phases], dtype=float)
    counts = counts.reshape(-1, len(elements))
    shares: np.ndarray = (counts / counts.sum(axis=1, keepdims=True))[:, :-1]
    return shares


def _floor(fractions: np.ndarray, formation: np.ndarray) -> np.ndarray:
    """The planes of the lower hull of the elements (at 0) and of these phases, (n_planes, n_elements): slopes, height.

    The hull at a composition is the highest of them.
    """
    size = fractions.shape[1]
    if not size or not len(formation):
        return np.zeros((1, size + 1))
    corners = np.vstack([np.eye(size), np.zeros(size)])
    roof = np.full((1, size), 1 / (size + 1))  # a point above keeps the body from being flat
    points = np.column_stack([np.vstack([corners, fractions, roof]), np.zeros(size + 2 + len(fractions))])
    points[size + 1 : -1, -1], points[-1, -1] = formation, 1.0
    equations = ConvexHull(points).equations
    down = equations[equations[:, size] < -_STEEPEST]
    planes: np.ndarray = -np.column_stack([down[:, :size], down[:, -1]]) / down[:, size : size + 1]
    return planes
