"""Cells of which something is prescribed: given ones, displaced ones, fixed axes, fixed edges and angles, a system."""

from __future__ import annotations

import numpy as np

from ...errors import InputError
from ..recipe import Recipe
from .cells import (
    CUBIC,
    HEXAGONAL,
    MONOCLINIC,
    ORTHORHOMBIC,
    PRIMITIVE,
    R_CENTRED,
    SHAPE_TRIES,
    TETRAGONAL,
    TRICLINIC,
    cell_of,
    draw_shape,
    random_edges,
)

SYSTEMS = {
    "Tric": (TRICLINIC, PRIMITIVE),
    "Mono": (MONOCLINIC, PRIMITIVE),
    "Orth": (ORTHORHOMBIC, PRIMITIVE),
    "Tetra": (TETRAGONAL, PRIMITIVE),
    "Rhom": (HEXAGONAL, R_CENTRED),
    "Hexa": (HEXAGONAL, PRIMITIVE),
    "Cubi": (CUBIC, PRIMITIVE),
}
"""Lattice system and centring by AIRSS's names."""

_RHOMBOHEDRAL = np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3


def is_prescribed(recipe: Recipe) -> bool:
    """Whether the cell's shape is not the random one of the group drawn."""
    given = recipe.cell is not None and (recipe.cell_amplitude is not None or bool(recipe.fixed_axes))
    return given or recipe.cell_constraints is not None or bool(recipe.crystal_system)


def prescribed_cell(recipe: Recipe, volume: float, rng: np.random.Generator) -> np.ndarray | None:
    """A cell (3, 3) Å, rows, of what the recipe prescribes; None where no draw was thick enough.

    A given cell that is kept or displaced keeps its own volume; all others take `volume` (Å^3), except where every
    edge is prescribed.

    Raises
    ------
    InputError : a crystal system that is none.
    """
    if recipe.cell is not None and recipe.cell_amplitude is not None:
        return _displaced(recipe.cell, recipe.cell_amplitude, recipe.fixed_axes, rng)
    if recipe.cell is not None and recipe.fixed_axes:
        return _with_fixed_axes(recipe, volume, rng)
    if recipe.cell_constraints is not None:
        return _constrained(recipe, volume, rng)
    if recipe.crystal_system not in SYSTEMS:
        raise InputError(f"crystal_system: {recipe.crystal_system!r} is none of {', '.join(SYSTEMS)}")
    shape, found = draw_shape(rng, *SYSTEMS[recipe.crystal_system], recipe.lengths_ratio, recipe.flatness)
    if recipe.crystal_system == "Rhom":
        shape = _RHOMBOHEDRAL @ shape
    return shape * np.cbrt(volume / np.linalg.det(shape)) if found else None


def keeps_metric(cell: np.ndarray, rotations: np.ndarray) -> bool:
    """Whether the operations (n, 3, 3) on fractional columns are isometries of the cell."""
    metric = cell @ cell.T
    moved = np.swapaxes(rotations, 1, 2) @ metric @ rotations
    return bool(np.abs(moved - metric).max() < 1e-5 * np.trace(metric))


def with_symmetry(cell: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """The cell nearest to `cell` of which the operations are isometries: the metric averaged, the orientation kept."""
    metric = cell @ cell.T
    averaged = (np.swapaxes(rotations, 1, 2) @ metric @ rotations).mean(axis=0)
    lower = np.linalg.cholesky(averaged)
    left, _, right = np.linalg.svd(lower.T @ cell)
    return lower @ left @ right


def _displaced(cell: np.ndarray, amplitude: float, fixed: str, rng: np.random.Generator) -> np.ndarray | None:
    cell = np.asarray(cell, dtype=float)
    if amplitude == 0:
        return cell
    for _ in range(100):
        shift = rng.standard_normal((3, 3))
        shift *= (amplitude * np.cbrt(rng.random(3)) / np.linalg.norm(shift, axis=1))[:, None]
        shift[["abc".index(axis) for axis in fixed]] = 0
        # A cell turned inside out or flat is no cell.
        if np.linalg.det(cell + shift) / np.linalg.det(cell) > 0.1:
            return cell + shift
    return None


def _with_fixed_axes(recipe: Recipe, volume: float, rng: np.random.Generator) -> np.ndarray | None:
    """The fixed vectors as they are, the others in random directions, as long as the volume wants them."""
    assert recipe.cell is not None
    free = [i for i, axis in enumerate("abc") if axis not in recipe.fixed_axes]
    cell = np.array(recipe.cell, dtype=float)
    if not free:
        return cell
    scale = np.cbrt(volume)
    for _ in range(SHAPE_TRIES):
        directions = rng.standard_normal((3, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        cell[free] = (directions * random_edges(rng, recipe.lengths_ratio)[:, None] * scale)[free]
        size = float(np.linalg.det(cell))
        if size < 0:
            cell[free[0]] *= -1
        if abs(size) / np.linalg.norm(cell, axis=1).prod() >= max(recipe.flatness, 1e-3):
            cell[free] *= (volume / abs(size)) ** (1 / len(free))
            return cell
    return None


def _constrained(recipe: Recipe, volume: float, rng: np.random.Generator) -> np.ndarray | None:
    values = np.asarray(recipe.cell_constraints, dtype=float)
    free_angles = bool((values[3:] <= 0).any())
    for _ in range(SHAPE_TRIES):
        drawn = np.concatenate([random_edges(rng, recipe.lengths_ratio), 180 * rng.random(3)])
        for part in (slice(0, 3), slice(3, 6)):
            tied = values[part] == -1
            if tied.any():
                drawn[part][tied] = drawn[part][tied][0]
        given = values > 0
        drawn[given] = values[given]
        cell, thickness = cell_of(drawn[:3], np.radians(drawn[3:]))
        if thickness > (recipe.flatness if free_angles else 1e-3):
            free = ~given[:3]
            if free.any():
                cell[free] *= (volume / np.linalg.det(cell)) ** (1 / free.sum())
            return cell
    return None
