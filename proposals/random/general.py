"""The general generator: any `Recipe`, drawn as AIRSS's buildcell 0.9.1 draws.

One attempt takes a space group, a cell, multiplicities, random points that merge into special positions, and pushes
units apart (Pickard and Needs, J. Phys.: Condens. Matter 23, 053201 (2011), doi:10.1088/0953-8984/23/5/053201). The law
is inferred from ensembles of buildcell's output and the description of it, see `cells`, `sites`, `push` and `soft`.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from ase import Atoms

from ..recipe import Drawn, Range, Recipe
from .cells import draw_cell
from .general_plan import GeneralPlan, lands_anywhere
from .push import PATIENCE, Layout, atom_positions, push_apart
from .regions import bond_angles_ok, coordination_ok, place_centre, random_rotation
from .settings import Setting, setting
from .shapes import SYSTEMS, is_prescribed, keeps_metric, prescribed_cell, with_symmetry
from .sites import fewest_sites, more_sites, place_sites
from .soft import soften

ATTEMPTS_PER_GROUP = 10
"""Failed attempts after which another group with as many operations is drawn: buildcell's own number, which shows in
its counts of rejects."""

ATTEMPTS_PER_COUNT = 200
"""Failed attempts after which another number of operations is drawn; buildcell waits for a second to pass."""

ATTEMPTS_PER_SITE = 200
"""Failed attempts after which one more inequivalent site is allowed."""

CLUSTER_VACUUM = 5.0
"""Å around a cluster."""

NO_CELL, NO_SITES, BOND_ANGLES, COORDINATION, OVERLAP = "cell", "sites", "bond angles", "coordination", "overlap"
"""Reasons of rejects besides pairs of species."""


class Rejected(Exception):
    """An attempt has failed; the argument is the reason."""


def draw_general(recipe: Recipe, rng: np.random.Generator, max_attempts: int = 500, faithful: bool = False) -> Drawn:
    """Draw one structure of `recipe`; supercell and edits are left to the caller.

    Units whose fields are all equal, labels included, are one kind: sites are shared out kind by kind.

    Parameters
    ----------
    max_attempts : trials of cell, sites and positions, after which there is no structure, but the reasons.
    faithful : copy buildcell's defects: soft spheres that adapt the cell lose the symmetry; one range of distances for
        all pairs acts as its lower end where there is neither symmetry nor a limit of overlap.

    Raises
    ------
    InputError : a crystal system that is none. InfeasibleTarget : a unit's least amplitude leaves no room.
    """
    plan = GeneralPlan.of(recipe)
    rejects: Counter[str] = Counter()
    by_group: Counter[int] = Counter()
    atoms: Atoms | None = None
    attempts = number = operations = 0
    volume = float(recipe.volume[0])
    counts = sorted(recipe.groups)
    while atoms is None and attempts < max_attempts:
        if attempts % ATTEMPTS_PER_COUNT == 0:
            operations = counts[int(rng.integers(len(counts)))]
        if attempts % ATTEMPTS_PER_GROUP == 0:
            groups = recipe.groups[operations]
            number = groups[int(rng.integers(len(groups)))]
        extra = int(rng.integers(recipe.more_sites[0], recipe.more_sites[1] + 1)) + attempts // ATTEMPTS_PER_SITE
        attempts += 1
        volume = float(rng.uniform(*recipe.volume))
        try:
            atoms, volume = _attempt(plan, number, volume, extra, rng, faithful)
        except Rejected as reason:
            rejects[str(reason)] += 1
            by_group[number] += 1
    return Drawn(atoms, number, operations, volume, attempts, dict(rejects), dict(by_group))


def _one_range(distances: tuple[Range, ...]) -> bool:
    return len(set(distances)) == 1 and distances[0][0] < distances[0][1]


def _attempt(
    plan: GeneralPlan, number: int, volume: float, extra: int, rng: np.random.Generator, faithful: bool
) -> tuple[Atoms, float]:
    """One trial: a structure and the volume (Å^3) of its cell; raises `Rejected`."""
    recipe = plan.recipe
    group = setting(number).permuted(rng.permutation(3))
    cell, rotations, translations = _draw_cell(recipe, number, group, volume, rng)
    if recipe.cluster:
        translations = np.zeros_like(translations)
    volume = abs(float(np.linalg.det(cell)))
    units, sizes = _share_out(plan, len(rotations), extra, rng)
    points, given = np.zeros((len(sizes), 3)), np.zeros(len(sizes), dtype=bool)
    inverse = np.linalg.inv(cell)
    firsts = np.cumsum([0, *sizes[:-1]])
    if not plan.free:
        for site, first in enumerate(firsts):
            unit = recipe.units[units[first]]
            if plan.confinement is not None or not lands_anywhere(unit):
                points[site] = place_centre(unit, cell, plan.confinement, rng) @ inverse
                given[site] = True
    points, operations, projectors, failed = place_sites(
        rng, cell, rotations, translations, np.array(sizes), points, given, not recipe.cluster
    )
    if failed >= 0:
        raise Rejected(NO_SITES)
    turns = inverse @ np.swapaxes(rotations, 1, 2) @ cell
    layout = Layout(
        turns,
        translations @ cell,
        inverse @ np.swapaxes(projectors, 1, 2) @ cell,
        np.repeat(np.arange(len(sizes)), sizes),
        operations,
        firsts,
        np.cumsum([0, *(len(plan.rows[unit]) for unit in units)]),
        np.zeros((sum(len(plan.rows[unit]) for unit in units), 3)),
        np.array([row for unit in units for row in plan.rows[unit]]),
        not recipe.cluster,
    )
    if not plan.free:
        _turn_units(recipe, layout, units, rng)
    lowest = faithful and number == 1 and recipe.overlap is None and _one_range(tuple(recipe.min_distances.values()))
    distances = plan.draw_distances(rng, lowest)
    cell, positions = _part(plan, cell, points @ cell, layout, distances, rng, faithful)
    order = np.argsort(units)
    rows = np.concatenate([np.arange(layout.start[c], layout.start[c + 1]) for c in order])
    symbols = [symbol for unit in recipe.units for symbol in unit.symbols]
    atoms = Atoms(symbols, positions=positions[rows], cell=cell, pbc=True)
    if recipe.cluster:
        atoms.pbc = False
        atoms.cell[:] = np.eye(3)
        atoms.center(vacuum=CLUSTER_VACUUM)
    _check_neighbours(plan, atoms, distances)
    if not recipe.cluster:
        atoms.wrap()
    return atoms, volume


def _draw_cell(
    recipe: Recipe, number: int, group: Setting, volume: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cell (3, 3) Å, and the operations' rotations (n, 3, 3) and translations (n, 3) in it, fractional columns."""
    own_system = SYSTEMS.get(recipe.crystal_system) == (group.system, group.centring) and recipe.cell is None
    if is_prescribed(recipe) and not (own_system and recipe.cell_constraints is None and number > 1):
        cell = prescribed_cell(recipe, volume, rng)
        if cell is None:
            raise Rejected(NO_CELL)
        if recipe.cell is not None and recipe.cell_amplitude and not recipe.fixed_axes:
            if not keeps_metric(np.asarray(recipe.cell, dtype=float), group.rotations):
                raise Rejected(NO_CELL)
            cell = with_symmetry(cell, group.rotations)
        if not keeps_metric(cell, group.rotations):
            raise Rejected(NO_CELL)
        return cell, group.rotations, group.translations
    cell, transform, found = draw_cell(
        rng, group.system, group.centring, group.basis, volume, recipe.lengths_ratio, recipe.flatness, recipe.compact
    )
    if not found:
        raise Rejected(NO_CELL)
    back = np.linalg.inv(transform).T
    return cell, back @ group.rotations @ transform.T, group.translations @ back.T


def _share_out(plan: GeneralPlan, operations: int, extra: int, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """Units in the order of sites, and the sites' multiplicities."""
    recipe = plan.recipe
    sites: list[list[int]] = []
    splittable = []
    for members in plan.kinds:
        unit, count = recipe.units[members[0]], len(members)
        whole = len(unit.symbols) > 1 or recipe.general_only
        if unit.occupation is not None:
            size = round(unit.occupation * operations)
            if size < 1 or abs(unit.occupation * operations - size) > 0.01 or count % size or operations % size:
                raise Rejected(NO_SITES)
            sizes = [size] * (count // size)
        else:
            sizes = list(fewest_sites(count, operations))
        if whole and sizes[-1] < operations:
            raise Rejected(NO_SITES)
        sites.append(sizes)
        splittable.append(unit.occupation is None and not whole)
    if extra:
        more_sites(sites, splittable, extra, operations, rng)
    return [index for members in plan.kinds for index in members], [size for sizes in sites for size in sizes]


def _turn_units(recipe: Recipe, layout: Layout, units: list[int], rng: np.random.Generator) -> None:
    """Turn rigid units at random, their images with the operations; and let those stay that are not to be pushed."""
    for site, first in enumerate(layout.first):
        unit = recipe.units[units[first]]
        if not unit.pushed:
            layout.projectors[site] = 0.0
        if len(unit.symbols) > 1:
            offsets = np.asarray(unit.offsets, dtype=float) @ random_rotation(unit.turn, rng).T
            for copy in np.flatnonzero(layout.site == site):
                here = slice(layout.start[copy], layout.start[copy + 1])
                layout.offsets[here] = offsets @ layout.turns[layout.operation[copy]]


def _part(
    plan: GeneralPlan,
    cell: np.ndarray,
    points: np.ndarray,
    layout: Layout,
    distances: np.ndarray,
    rng: np.random.Generator,
    faithful: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The cell and the atoms (a, 3) Å, pushed apart and softened as the recipe has it."""
    recipe = plan.recipe
    obeyed = (1 - recipe.slack) * distances
    points, first, second = push_apart(rng, cell, points, layout, obeyed, PATIENCE if recipe.push else 0)
    if first < 0 and recipe.overlap is not None:
        cell, points, layout, energy = soften(
            cell, points, layout, distances, recipe.overlap, recipe.adapt_cell, not faithful
        )
        if energy > recipe.overlap:
            raise Rejected(OVERLAP)
        points, first, second = push_apart(rng, cell, points, layout, obeyed, 0)
    if first >= 0:
        pair = sorted(plan.symbols[layout.kinds[atom]] for atom in (first, second))
        raise Rejected("-".join(pair))
    return cell, atom_positions(points, layout)


def _check_neighbours(plan: GeneralPlan, atoms: Atoms, distances: np.ndarray) -> None:
    recipe = plan.recipe
    if recipe.bond_angles is None and all(unit.coordination is None for unit in recipe.units):
        return
    needed = plan.by_pair(distances)
    if not bond_angles_ok(atoms, recipe.bond_angles, needed):
        raise Rejected(BOND_ANGLES)
    if not coordination_ok(atoms, recipe.units, needed):
        raise Rejected(COORDINATION)
