"""What the directives say of the cell's shape and of regions: each function reads its own from the keys."""

from __future__ import annotations

import numpy as np

from ...errors import InputError
from ..recipe import Confinement
from .groups import SYSTEMS
from .keys import Keys
from .tags import Tags
from .text import Directive
from .values import numbers


def system(keys: Keys) -> str:
    directive = keys.get("SYSTEM")
    if directive is None:
        return ""
    found = [name for name in SYSTEMS if directive.value.strip().lower()[:4] == name.lower()[:4]]
    if not found:
        raise directive.place.error(f"SYSTEM={directive.value[:20]!r}: write one of {', '.join(SYSTEMS)}")
    if keys.has("CELLCON"):
        raise directive.place.error("SYSTEM and CELLCON both give the shape of the cell: keep one")
    return found[0]


def cell_freedom(keys: Keys, cell: np.ndarray | None) -> tuple[bool, str, float | None]:
    """Whether the given cell stays, its axes that do, and the amplitude (Å) of its random change."""
    axes = ("ab" if keys.has("ABFIX") else "") + ("c" if keys.has("CFIX") else "")
    amplitude = keys.real("CELLAMP", -1.0)
    if cell is None:
        for key in ("FIX", "ABFIX", "CFIX", "CELLAMP"):
            directive = keys.get(key)
            if directive is not None and (key != "CELLAMP" or amplitude >= 0):
                raise directive.place.error(f"{key} needs the cell that it speaks of: add a LATTICE block")
        return False, "", None
    if keys.has("FIX") or axes == "abc" or amplitude == 0:
        for key in ("CELLAMP",) if keys.has("FIX") else ():
            keys.without_effect(key, "FIX keeps the cell")
        return True, "", None
    return False, axes, amplitude if amplitude > 0 else None


def compact(keys: Keys, is_fixed: bool, cluster: bool) -> bool:
    if is_fixed or cluster:
        keys.without_effect(
            "COMPACT", "a cluster's cell is not reduced" if cluster else "the cell, or an axis, is fixed"
        )
        return False
    if keys.has("NOCOMPACT"):
        keys.without_effect("COMPACT", "NOCOMPACT is given too")
        return False
    return True


def constraints(keys: Keys) -> tuple[float, ...] | None:
    directive = keys.get("CELLCON")
    if directive is None:
        return None
    found = numbers(directive.value, (6,), "CELLCON", directive.place)
    if not all(v >= 0 or v == -1 for v in found) or not all(v < 180 for v in found[3:]):
        raise directive.place.error("CELLCON: write lengths in Å and angles below 180 degrees, -1 or 0 where random")
    return tuple(found)


def box(keys: Keys, general: Tags) -> np.ndarray:
    """A cubic cell around a cluster for which none is given."""
    sizes = [keys.real(key, 0.0) for key in ("SPHERE", "CYLINDER")] + [general.posamp or 0.0]
    directive = keys.get("ELLIPSOID")
    if directive is not None:
        radius, spread = ellipsoid_size(directive)
        sizes.append(radius * float(np.exp(spread)))
    if max(sizes) <= 0:
        raise InputError(
            "CLUSTER: no LATTICE block and no SPHERE, ELLIPSOID or POSAMP; give one, for the size of the box"
        )
    edge = 2 * max(sizes) + (0.0 if keys.has("VACUUM") else 10.0)
    keys.warnings.append(f"CLUSTER without a LATTICE block: the box is a cube of {edge:g} Å before any VACUUM")
    return edge * np.eye(3)


def ellipsoid_size(directive: Directive) -> tuple[float, float]:
    radius, spread = numbers(directive.value, (2,), "ELLIPSOID", directive.place)
    if not (0 < radius <= 1000 and 0 <= spread <= 3):
        raise directive.place.error("ELLIPSOID: write a radius above 0 Å and a spread from 0 to 3, such as 4 0.5")
    return radius, spread


def confinement(keys: Keys, slab: bool) -> Confinement | None:
    """The region in which units land; several given: what they have in common along each axis."""
    radii = np.full(3, np.inf)
    for key, axes in (("SPHERE", (0, 1, 2)), ("CYLINDER", (0, 1))):
        if keys.has(key):
            radius = keys.real(key, 0.0)
            if radius <= 0:
                keys.without_effect(key, "attractive potentials (negative values) are not known here; write a radius")
            else:
                radii[list(axes)] = np.minimum(radii[list(axes)], radius)
    if keys.has("WIDTH"):
        width = keys.real("WIDTH", 0.0, 0.0)
        if slab:
            radii[2] = min(radii[2], width / 2)
        else:
            keys.without_effect("WIDTH", "there is no SLAB")
    return Confinement((float(radii[0]), float(radii[1]), float(radii[2]))) if np.isfinite(radii).any() else None


def bond_angles(keys: Keys) -> tuple[float, float] | None:
    low, high = keys.real("MINBANGLE", 0.0, 0.0, 180.0), keys.real("MAXBANGLE", 180.0, 0.0, 180.0)
    directive = keys.get("MINBANGLE") or keys.get("MAXBANGLE")
    if directive is None:
        return None
    if low > high:
        raise directive.place.error(f"MINBANGLE={low:g} is above MAXBANGLE={high:g}")
    return low, high
