"""Distances and volume from structures that are known to be good, as AIRSS's AUTO takes them from earlier results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.neighborlist import neighbor_list

from ...errors import InputError
from ..recipe import Pair

BEST_SHARE = 0.25
"""Share of the structures, lowest energy per atom first, that is learned from where all have energies."""
FACTOR = 0.9
"""Of the shortest distance of a pair: room for the relaxation to close."""
_CUTOFFS = (4.0, 8.0)
"""Å; pairs farther apart than the last in every structure are not learned."""


@dataclass(frozen=True)
class Learned:
    """What structures taught.

    Attributes
    ----------
    volume_per_atom : Å^3, the mean.
    distances : Å by sorted pair: 0.9 times the median, over structures, of the shortest distance.
    structures : how many were learned from.
    """

    volume_per_atom: float
    distances: Mapping[Pair, float]
    structures: int


def learn(structures: Sequence[Atoms]) -> Learned:
    """Volume and distances of the best of the structures: the lowest quarter where energies are there, else of all.

    Raises
    ------
    InputError : none given, or one that is empty or has no volume.
    """
    if not structures:
        raise InputError("no structure to learn from: give at least one")
    for atoms in structures:
        if len(atoms) == 0 or not abs(atoms.cell.volume) > 1e-3:
            raise InputError(f"structure {atoms.get_chemical_formula() or 'without atoms'} has no atoms or no volume")
    best = list(structures)
    energies = [_energy_per_atom(atoms) for atoms in structures]
    if all(energy is not None for energy in energies):
        order = np.argsort(np.array(energies, dtype=float), kind="stable")
        best = [structures[i] for i in order[: max(1, round(BEST_SHARE * len(structures)))]]
    shortest: dict[Pair, list[float]] = {}
    for atoms in best:
        for pair, distance in shortest_distances(atoms).items():
            shortest.setdefault(pair, []).append(distance)
    distances = {pair: FACTOR * float(np.median(found)) for pair, found in sorted(shortest.items())}
    volume = float(np.mean([abs(atoms.cell.volume) / len(atoms) for atoms in best]))
    return Learned(volume, distances, len(best))


def shortest_distances(atoms: Atoms) -> dict[Pair, float]:
    """Shortest distance (Å) of every sorted pair of species that comes within 8 Å, periodic images included."""
    symbols = np.array(atoms.get_chemical_symbols())
    species = sorted(set(symbols))
    wanted = len(species) * (len(species) + 1) // 2
    found: dict[Pair, float] = {}
    for cutoff in _CUTOFFS:
        first, second, lengths = neighbor_list("ijd", atoms, cutoff)
        for i, j, length in zip(symbols[first], symbols[second], lengths, strict=True):
            if i <= j:
                pair = (str(i), str(j))
                found[pair] = min(float(length), found.get(pair, np.inf))
        if len(found) == wanted:
            break
    return found


def _energy_per_atom(atoms: Atoms) -> float | None:
    for key in ("energy", "energy_per_atom", "enthalpy"):
        if key in atoms.info and atoms.calc is None:
            energy = float(atoms.info[key])
            return energy if key == "energy_per_atom" else energy / len(atoms)
    if atoms.calc is None:
        return None
    try:
        return float(atoms.get_potential_energy()) / len(atoms)
    except (PropertyNotImplementedError, RuntimeError):
        return None
