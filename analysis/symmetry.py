"""Space groups of relaxed structures, which are symmetric only within what the relaxation left over."""

from __future__ import annotations

import spglib
from ase import Atoms

SYMPREC = 0.1
"""Distance (Å) within which atoms of a relaxed structure count as symmetric. Forces of 0.05 eV/Å leave about that much
along soft modes: anatase found at random is P2_1 when judged at 0.05 Å, and I4_1/amd at 0.1 Å."""


def space_group(atoms: Atoms, symprec: float = SYMPREC) -> tuple[str, int]:
    """International symbol and number; ("n/a", 0) where spglib finds none."""
    dataset = _dataset(atoms, symprec)
    return ("n/a", 0) if dataset is None else (str(dataset.international), int(dataset.number))


def conventional_cell(atoms: Atoms, symprec: float = SYMPREC) -> Atoms:
    """The standardised conventional cell, symmetrised within `symprec`, for drawing; `atoms` where spglib fails."""
    dataset = _dataset(atoms, symprec)
    if dataset is None:
        return atoms
    return Atoms(numbers=dataset.std_types, scaled_positions=dataset.std_positions, cell=dataset.std_lattice, pbc=True)


def _dataset(atoms: Atoms, symprec: float) -> spglib.SpglibDataset | None:
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    try:
        return spglib.get_symmetry_dataset(cell, symprec=symprec)
    except Exception:  # spglib has changed what it raises; a structure without a label is no reason to stop
        return None
