"""The cell that DFT is given: primitive, and symmetric to the last digit."""

from __future__ import annotations

import numpy as np
import spglib
from ase import Atoms


def primitive_cell(atoms: Atoms, symprec: float) -> Atoms:
    """The primitive cell, made symmetric within `symprec` (Å) and Niggli-reduced; a copy of `atoms` where spglib fails.

    A relaxed structure is symmetric within what the relaxation left over only, and a DFT code that sees no symmetry
    takes every k-point for itself: several times the work. What is made symmetric stays so when it relaxes. Cells with
    angles far from 90° have uneven k-points, and GPAW warns of wrong results.
    """
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    try:
        found = spglib.standardize_cell(cell, to_primitive=True, no_idealize=False, symprec=symprec)
        reduced = None if found is None else spglib.niggli_reduce(found[0])
    except Exception:  # spglib has changed what it raises
        found = reduced = None
    if found is None or reduced is None:
        return Atoms(atoms.numbers, cell=atoms.cell, positions=atoms.positions, pbc=True)
    lattice, positions, numbers = found
    primitive = Atoms(numbers=np.asarray(numbers), cell=lattice, scaled_positions=positions, pbc=True)
    # The same lattice by other vectors: the atoms stay where they are.
    primitive.set_cell(reduced)
    primitive.wrap(eps=1e-9)
    return primitive
