"""What is done to a structure once its atoms keep their distances.

In this order: supercell, adatoms, permuted species, vacancies, a hole, magnetic moments, broken symmetry, vacuum,
frozen atoms. Minimum distances are obeyed to 1e-6 Å after each, if they were before; within a rigid unit they do not
count. Where chance decides whether an edit can be done at all, it is tried a fixed number of times, then `NoRoom` is
raised: another structure may have room. What no structure allows is an `InfeasibleTarget`.

A slab is a structure that gets vacuum: c leads out of its surface. A cluster has no periodic images. Adatoms land on
the surface of those, in contact with it, and inside of a bulk crystal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import floor

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.constraints import FixAtoms
from ase.neighborlist import neighbor_list

from ...errors import InfeasibleTarget
from ..recipe import Pair, Recipe
from .adatoms import NoRoom, add_unit
from .bodies import FROZEN, SPIN, UNIT, Distances, gather, grow, labelled, too_close, unlabelled

PERMUTATIONS = 50
"""Permutations tried for one that keeps the minimum distances."""

MOVES = 20
"""Displacements of a unit tried for one that keeps the minimum distances, before it stays where it is."""


def apply_edits(
    atoms: Atoms, recipe: Recipe, rng: np.random.Generator, min_distances: Mapping[Pair, float] | None = None
) -> tuple[Atoms, tuple[str, ...]]:
    """The structure after the recipe's supercell, edits and frozen units, and a line for each thing done.

    Parameters
    ----------
    atoms : units in recipe order; not changed. What is returned is periodic and wrapped, clusters too.
    min_distances : Å, as drawn for this structure; None: the low ends of the recipe's. Slack is taken off here.

    Raises
    ------
    NoRoom : an adatom finds no place, a permutation none that keeps the distances, or a hole swallows all atoms.
    InfeasibleTarget : a supercell without volume, species that are not there, or fewer of them than to be taken out.
    """
    lowest = {pair: low for pair, (low, _) in recipe.min_distances.items()}
    distances = Distances(min_distances or lowest, recipe.slack)
    edits, notes = recipe.edits, list[str]()
    atoms = labelled(atoms, recipe.units)
    surface = "cluster" if recipe.cluster else "slab" if edits.vacuum > 0 else ""
    if surface == "cluster":
        atoms.pbc = False
        gather(atoms, (0, 1, 2))
    elif surface == "slab":
        if recipe.confinement is not None and np.isfinite(recipe.confinement.radii[2]):
            # The slab's middle is the origin: its lower half lies at the top of the cell.
            gather(atoms, (2,))
        if edits.vacuum >= distances.between(atoms).max(initial=0.0):
            atoms.pbc = (True, True, False)
    if recipe.supercell is not None:
        atoms = _supercell(atoms, recipe.supercell, notes)
    for unit in edits.adatoms:
        add_unit(atoms, unit, int(atoms.arrays[UNIT].max()) + 1, distances, surface, recipe.confinement, rng)
    if edits.adatoms:
        notes.append(f"{_counted([unit.label or ''.join(unit.symbols) for unit in edits.adatoms])} added as adatoms")
    if edits.permute:
        _permute(atoms, edits.permute, edits.permute_fraction, distances, rng, notes)
    if edits.vacancies is not None:
        atoms = _take_out(atoms, *edits.vacancies, rng, notes)
    if edits.hole > 0:
        atoms = _empty_sphere(atoms, edits.hole, rng, notes)
    if edits.spin is not None:
        _set_spins(atoms, *edits.spin, edits.spin_species, rng, notes)
    elif atoms.arrays[SPIN].any():
        atoms.set_initial_magnetic_moments(atoms.arrays[SPIN])
    if edits.break_amplitude > 0:
        _displace(atoms, edits.break_amplitude, distances, rng, notes)
    if edits.vacuum > 0:
        grow(atoms, edits.vacuum * np.array([1, 1, 1] if recipe.cluster else [0, 0, 1]))
        notes.append(f"{edits.vacuum:g} Å of vacuum added {'around the cluster' if recipe.cluster else 'along c'}")
    if recipe.cluster:
        extent = np.array([atoms.positions.min(axis=0), atoms.positions.max(axis=0)])
        atoms.positions += atoms.cell.array.sum(axis=0) / 2 - extent.mean(axis=0)
    frozen = np.flatnonzero(atoms.arrays[FROZEN])
    unlabelled(atoms)
    atoms.pbc = True
    atoms.wrap(eps=1e-12)
    if len(frozen):
        atoms.set_constraint(FixAtoms(indices=frozen))
        notes.append(f"{len(frozen)} atoms frozen")
    return atoms, tuple(notes)


def _counted(names: list[str]) -> str:
    """As in "2 O, 1 Ti", in alphabetical order."""
    return ", ".join(f"{number} {name}" for name, number in sorted(Counter(names).items()))


def _supercell(atoms: Atoms, rows: np.ndarray, notes: list[str]) -> Atoms:
    rows = np.asarray(rows)
    size = round(abs(float(np.linalg.det(rows))))
    if size == 0:
        raise InfeasibleTarget(f"supercell {rows.tolist()} has no volume: its rows must not lie in one plane")
    units = atoms.arrays[UNIT]
    large = make_supercell(atoms, rows, wrap=False)
    # Each copy of a unit is a unit of its own.
    large.arrays[UNIT] = np.concatenate([units + copy * (units.max(initial=0) + 1) for copy in range(size)])
    large.info = dict(atoms.info)
    notes.append(f"supercell of {size} cells")
    return large


def _permute(
    atoms: Atoms,
    species: tuple[str, ...],
    fraction: float,
    distances: Distances,
    rng: np.random.Generator,
    notes: list[str],
) -> None:
    """Swap places among single atoms of the species; what is frozen is the place."""
    symbols = np.array(atoms.get_chemical_symbols())
    missing = [kind for kind in species if kind not in symbols]
    if missing:
        raise InfeasibleTarget(f"no {missing[0]} to permute: the structure holds {', '.join(sorted(set(symbols)))}")
    sizes = Counter(atoms.arrays[UNIT].tolist())
    alone = np.array([sizes[unit] == 1 for unit in atoms.arrays[UNIT]])
    eligible = np.flatnonzero(np.isin(symbols, species) & alone)
    count = floor(fraction * len(eligible) + 0.5)
    if count < 2:
        notes.append(f"nothing permuted: {count} of {len(eligible)} atoms take part")
        return
    required = distances.between(atoms)
    trial = atoms.copy()
    for _ in range(PERMUTATIONS):
        taken = rng.choice(eligible, count, replace=False)
        new = rng.permutation(taken)
        trial.positions = atoms.positions
        trial.positions[taken] = atoms.positions[new]
        close = too_close(trial, required)
        if close is None:
            atoms.positions = trial.positions
            atoms.arrays[FROZEN][taken] = atoms.arrays[FROZEN][new]
            notes.append(f"{count} atoms of {', '.join(species)} permuted")
            return
    assert close is not None
    pair = "-".join(sorted(symbols[list(close)]))
    raise NoRoom(
        f"none of {PERMUTATIONS} permutations of {', '.join(species)} keeps the minimum distances (last: {pair}): make "
        "the distances of these species more alike, or permute a smaller fraction"
    )


def _take_out(atoms: Atoms, number: int, species: str, rng: np.random.Generator, notes: list[str]) -> Atoms:
    symbols = np.array(atoms.get_chemical_symbols())
    eligible = np.flatnonzero(symbols == species) if species else np.arange(len(atoms))
    if number > len(eligible):
        raise InfeasibleTarget(
            f"{number} vacancies of {species or 'any species'} asked for, but there are {len(eligible)} of them"
            f" ({atoms.get_chemical_formula()}): ask for fewer"
        )
    if number == len(atoms):
        raise InfeasibleTarget(f"{number} vacancies would leave no atom: ask for fewer")
    gone = rng.choice(eligible, number, replace=False)
    return _without(atoms, gone, "", notes)


def _empty_sphere(atoms: Atoms, radius: float, rng: np.random.Generator, notes: list[str]) -> Atoms:
    """Take out all atoms within `radius` Å of a random point (of the cell; of a cluster's extent), images included."""
    if atoms.pbc.any():
        point = rng.random(3) @ atoms.cell.array
    else:
        point = rng.uniform(atoms.positions.min(axis=0), atoms.positions.max(axis=0))
    marked = atoms + Atoms("X", positions=[point])
    first, second = neighbor_list("ij", marked, radius)
    gone = np.unique(second[(first == len(atoms)) & (second < len(atoms))])
    if len(gone) == len(atoms):
        raise NoRoom(f"a hole of {radius:g} Å leaves no atom: make it smaller, or the cell larger")
    return _without(atoms, gone, f" of a hole of {radius:g} Å", notes)


def _without(atoms: Atoms, gone: np.ndarray, where: str, notes: list[str]) -> Atoms:
    notes.append(f"{_counted([atoms.symbols[int(index)] for index in gone]) or 'nothing'} taken out{where}")
    keep = np.setdiff1d(np.arange(len(atoms)), gone)
    return atoms[keep]


def _set_spins(
    atoms: Atoms, total: float, size: float, species: tuple[str, ...], rng: np.random.Generator, notes: list[str]
) -> None:
    """+size or -size at random on every atom of `species` (all: ()), so that the sum is as near `total` as can be."""
    symbols = np.array(atoms.get_chemical_symbols())
    carriers = np.flatnonzero(np.isin(symbols, species)) if species else np.arange(len(atoms))
    count, whose = len(carriers), f" of {', '.join(species)}" if species else ""
    if abs(total) > count * abs(size) + 1e-9:
        raise InfeasibleTarget(
            f"a total spin of {total:g} needs more than {count} atoms{whose} of {abs(size):g}: raise the size"
        )
    up = 0 if size == 0 else min(count, max(0, floor((count + total / size) / 2 + 0.5)))
    moments = np.zeros(len(atoms))
    moments[carriers] = size * rng.permutation(np.where(np.arange(count) < up, 1.0, -1.0))
    atoms.set_initial_magnetic_moments(moments)
    notes.append(f"magnetic moments of {abs(size):g} on {count} atoms{whose}, in all {moments.sum():g}")


def _displace(atoms: Atoms, amplitude: float, distances: Distances, rng: np.random.Generator, notes: list[str]) -> None:
    """Move every unit that is not frozen by a random vector of up to `amplitude` Å that keeps the distances."""
    required = distances.between(atoms)
    reach = float(required.max(initial=0.0)) + 2 * amplitude
    first, second, offsets = neighbor_list("ijS", atoms, reach)
    shifts = offsets @ atoms.cell.array
    units = atoms.arrays[UNIT]
    stayed = 0
    for unit in np.unique(units[~atoms.arrays[FROZEN]]):
        own = units == unit
        pairs = own[first] & ~own[second]
        vectors = atoms.positions[second[pairs]] + shifts[pairs] - atoms.positions[first[pairs]]
        needed = required[first[pairs], second[pairs]]
        for _ in range(MOVES):
            move = rng.standard_normal(3)
            move *= amplitude * np.cbrt(rng.random()) / np.linalg.norm(move)
            if (np.linalg.norm(vectors - move, axis=1) >= needed).all():
                atoms.positions[own] += move
                break
        else:
            stayed += 1
    kept = f"; {stayed} units had no room and stayed" if stayed else ""
    notes.append(f"atoms displaced by up to {amplitude:g} Å{kept}")
