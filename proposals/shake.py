"""Relax and shake: the best structures found so far, shaken: the `shake` source.

Low minima tend to lie near others that are low. So atoms are moved at random, the cell is strained, and the result is
relaxed again (Pickard and Needs, J. Phys.: Condens. Matter 23, 053201 (2011),
doi:10.1088/0953-8984/23/5/053201).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from ..errors import InputError
from ..formula import pair_key
from ..records import Candidate, Parent, Target
from .radii import Pair, minimum_distances
from .random.pairs import shortest_distances

TRIALS = 1200
"""Draws before a shake is given up, the last 400 times smaller than the first."""
SHRINK = 0.995
"""Size of a draw, over that of the one before: slowly, since small shakes relax back."""
SQUEEZED = 0.9
"""Pairs that the parent holds closer than the limit may come as close as this part of its own distance."""


@dataclass(frozen=True)
class ShakeSource:
    """Shakes a parent, which whoever asks for a candidate has to choose.

    Attributes
    ----------
    displacement : farthest that an atom is moved, Å; it is uniform in a sphere, as AIRSS's POSAMP has it.
    strain : standard deviation of the components of the strain. It keeps the volume.

    Of 45 shakes of 15 minima of two Lennard-Jones mixtures (8 atoms, neighbours 2 Å apart), 21 relaxed to lower minima
    and 17 back; with 0.5 Å and 0.05, 3 and 42.

    Raises
    ------
    InputError : naming the field, the value and what is allowed.
    """

    displacement: float = 1.0
    strain: float = 0.1

    needs_parent = True
    """`propose` takes a `Parent`."""

    def __post_init__(self) -> None:
        for name, high in (("displacement", 5.0), ("strain", 0.5)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
                raise InputError(f"{name}: {value!r} is not a number from 0 to {high:g}, such as {high / 10:g}")
        if self.displacement == self.strain == 0:
            raise InputError("displacement and strain are both 0: nothing would be shaken")

    def check(self, target: Target) -> None:
        """Any target will do: its structures come from other sources."""

    def propose(self, target: Target, index: int, rng: np.random.Generator, parent: Parent | None = None) -> Candidate:
        """The structure of `parent`, shaken with the random numbers of `rng`; species in the target's order.

        No two atoms come closer than the target's minimum distances, those the parent itself falls short of excepted.

        Raises
        ------
        InputError : there is no parent.
        """
        if parent is None:
            raise InputError("shake has no structure to start from: name another source with it, --source random,shake")
        present = set(parent.atoms.get_chemical_symbols())
        # A seed's structures may hold other species than the target's formula.
        others = sorted(present - set(target.composition))
        atoms = in_order(parent.atoms, [*target.composition, *others])
        limits = shaking_limits(atoms, target)
        moved, scale = shaken(atoms, rng, self.displacement, self.strain, limits)
        provenance = {"parent": parent.name, "displacement": scale * self.displacement, "strain": scale * self.strain}
        note = "" if moved is not None else f"{parent.name} cannot be shaken: its atoms are as close as min_distances"
        return Candidate(target.name, "shake", index, moved, note=note, provenance=provenance)


def in_order(atoms: Atoms, species: list[str]) -> Atoms:
    """The atoms and nothing else, sorted into the order of `species`; those of one species stay in their order."""
    order = sorted(range(len(atoms)), key=lambda number: species.index(atoms.symbols[number]))
    return Atoms(atoms.numbers[order], atoms.positions[order], cell=atoms.cell, pbc=True)


def shaking_limits(atoms: Atoms, target: Target) -> dict[Pair, float]:
    """The shortest distance (Å) of every sorted pair of species that a shake of `atoms` may leave.

    A distance that the target gives and `atoms` keep, stays kept. Of the others, those from radii included, each may
    fall to the radii's or to `SQUEEZED` times the atoms' own, whichever is less.
    """
    composition = Counter(atoms.get_chemical_symbols())
    given = {key: d for pair, d in target.min_distances.items() if set(key := pair_key(pair)) <= set(composition)}
    usual, _ = minimum_distances(composition, given, atoms.get_volume())
    own = pair_distances(atoms, list(composition), max(usual.values()) / SQUEEZED)
    return {
        pair: usual[pair] if pair in given and own[pair] >= usual[pair] else min(usual[pair], SQUEEZED * own[pair])
        for pair in usual
    }


def pair_distances(atoms: Atoms, species: list[str], limit: float) -> dict[Pair, float]:
    """The shortest distance (Å) of every sorted pair of `species` in `atoms`; infinite from `limit` on."""
    kinds = np.array([species.index(symbol) for symbol in atoms.get_chemical_symbols()])
    shortest = shortest_distances(atoms.cell.array, atoms.positions, kinds, len(species), limit)
    return {
        (min(a, b), max(a, b)): float(shortest[i, j])
        for i, a in enumerate(species)
        for j, b in enumerate(species[: i + 1])
    }


def shaken(
    atoms: Atoms, rng: np.random.Generator, displacement: float, strain: float, limits: Mapping[Pair, float]
) -> tuple[Atoms | None, float]:
    """`atoms` strained at the same volume, each atom then moved.

    Parameters
    ----------
    displacement : largest length of a move, Å; moves are uniform in a sphere.
    strain : standard deviation of the strain's components.
    limits : shortest distance (Å) that may result, by sorted pair of species. Too close atoms are drawn again, a little
        less shaken each time.

    Returns
    -------
    The structure, or None where even the smallest shake ended too close; and the factor by which it was shrunk.
    """
    species = list(dict.fromkeys(atoms.get_chemical_symbols()))
    scale = 1.0
    for _ in range(TRIALS):
        noise = scale * strain * rng.standard_normal((3, 3))
        deformation = np.eye(3) + (noise + noise.T) / 2
        deformation /= abs(np.linalg.det(deformation)) ** (1 / 3)
        directions = rng.standard_normal((len(atoms), 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        moves = scale * displacement * rng.random((len(atoms), 1)) ** (1 / 3) * directions
        moved = Atoms(
            atoms.numbers, atoms.positions @ deformation + moves, cell=atoms.cell.array @ deformation, pbc=True
        )
        found = pair_distances(moved, species, max(limits.values()))
        if all(distance >= limits[pair] for pair, distance in found.items()):
            return moved, scale
        scale *= SHRINK
    return None, scale
