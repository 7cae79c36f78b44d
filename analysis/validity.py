"""Is a generated structure possible at all? The two tests of CDVAE (Xie et al. 2022, arXiv:2110.06197), section 5.

Structural validity: no two atoms nearer than 0.5 Å, and a cell of at least 0.1 Å^3. Composition validity: charges can
be balanced with known oxidation states, cations less electronegative than anions (SMACT, Davies et al. 2016,
doi:10.1016/j.chempr.2016.09.010); elements and alloys of metals pass.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib import import_module
from typing import Any

import numpy as np
from ase import Atoms
from pymatgen.core import Lattice

from ..parallel import parallel_map

SHORTEST_DISTANCE = 0.5
"""Å"""
SMALLEST_VOLUME = 0.1
"""Å^3, of the cell."""
MOST_COMBINATIONS = 10_000_000
"""Of oxidation states; a composition with more counts as invalid, as in DiffCSP."""
NEEDS_SMACT = "pip install 'xtalseek[metrics]'"

Composition = tuple[tuple[str, int], ...]


def reduced_composition(atoms: Atoms) -> Composition:
    """(symbol, count) sorted by symbol, with the smallest whole numbers: what all cells of a compound share."""
    counts = Counter(atoms.get_chemical_symbols())
    units = math.gcd(*counts.values()) or 1
    return tuple(sorted((symbol, count // units) for symbol, count in counts.items()))


def structure_is_valid(atoms: Atoms | None) -> bool:
    """No two atoms of the cell, or of its neighbours, nearer than 0.5 Å, and a volume of at least 0.1 Å^3.

    As in CDVAE an atom's distance to its own images is not looked at. None is a structure that was never made.
    """
    if atoms is None or len(atoms) == 0:
        return False
    cell = atoms.cell.array
    if not (np.isfinite(cell).all() and np.isfinite(atoms.positions).all()):
        return False
    if abs(np.linalg.det(cell)) < SMALLEST_VOLUME:
        return False
    try:
        scaled = atoms.get_scaled_positions(wrap=True)
        distances = Lattice(cell).get_all_distances(scaled, scaled)
    except Exception:  # a cell too skewed to be reduced
        return False
    np.fill_diagonal(distances, np.inf)
    return bool(distances.min() >= SHORTEST_DISTANCE)


def is_compact(atoms: Atoms) -> bool:
    """Valid, and no layer or chain squeezed flat: 1 Å^3 per atom at least, and no atom on its own image.

    Neighbours are searched for in a sphere; in a cell 1e-9 Å thin it holds billions of atoms, and no search ends.
    """
    if not structure_is_valid(atoms) or atoms.get_volume() < len(atoms):
        return False
    return bool(min(Lattice(atoms.cell.array).get_lll_reduced_lattice().abc) >= SHORTEST_DISTANCE)


def structures_are_valid(structures: Sequence[Atoms | None]) -> np.ndarray:
    """`structure_is_valid` of each, booleans (n,), on all cores."""
    return np.array(parallel_map(structure_is_valid, structures, fewest=2000), dtype=bool)


def compositions_are_valid(structures: Sequence[Atoms | None]) -> np.ndarray | None:
    """`composition_is_valid` of each, booleans (n,); False where there is no structure. None without SMACT."""
    if smact_package() is None:
        return None
    return np.array([a is not None and composition_is_valid(reduced_composition(a)) for a in structures], dtype=bool)


@lru_cache(maxsize=100_000)
def composition_is_valid(composition: Composition) -> bool:
    """Whether some choice of one oxidation state per element is neutral and passes Pauling's test.

    The oxidation states are those of SMACT's first list (`oxidation_states_smact14`), which was its only one when CDVAE
    was published; newer lists give other shares.

    Raises
    ------
    ImportError : SMACT is not installed; see `compositions_are_valid`.
    """
    smact = smact_package()
    if smact is None:
        raise ImportError(NEEDS_SMACT)
    symbols = [symbol for symbol, _ in composition]
    if len(symbols) == 1 or all(symbol in smact.metals for symbol in symbols):
        return True
    elements: Mapping[str, Any] = smact.element_dictionary(symbols)
    states = [
        np.array(getattr(e, "oxidation_states_smact14", None) or e.oxidation_states or [], dtype=np.int16)
        for e in (elements[symbol] for symbol in symbols)
    ]
    negativities = [elements[symbol].pauling_eneg for symbol in symbols]
    if not 0 < math.prod(map(len, states)) <= MOST_COMBINATIONS:
        return False
    charge = np.zeros((1,) * len(states), dtype=np.int16)
    for axis, (state, (_, count)) in enumerate(zip(states, composition, strict=True)):
        charge = charge + (state * count).reshape([-1 if a == axis else 1 for a in range(len(states))])
    return _pauling(np.argwhere(charge == 0), states, negativities)


def _pauling(choices: np.ndarray, states: Sequence[np.ndarray], negativities: Sequence[float | None]) -> bool:
    """Whether in one of the choices (n, n_elements) every cation is less electronegative than every anion.

    An element without a known electronegativity passes, as in CDVAE.
    """
    highest_cation, lowest_anion = np.full(len(choices), -np.inf), np.full(len(choices), np.inf)
    for column, state, negativity in zip(choices.T, states, negativities, strict=True):
        if negativity is None:
            continue
        chosen = state[column]
        highest_cation[chosen > 0] = np.maximum(highest_cation[chosen > 0], negativity)
        lowest_anion[chosen < 0] = np.minimum(lowest_anion[chosen < 0], negativity)
    return bool((highest_cation < lowest_anion).any())


@cache
def smact_package() -> Any:
    """SMACT, or None where it is not installed: it is optional, and slow to import."""
    try:
        return import_module("smact")
    except ImportError:
        return None
