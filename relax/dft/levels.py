"""How accurate a DFT calculation is asked to be, and what follows from it for one structure.

All levels: PBE, plane waves, Gamma-centred k-points, Fermi-Dirac smearing, which costs an insulator nothing and which a
metal cannot do without.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from ...errors import unknown


@dataclass(frozen=True)
class Level:
    """One accuracy.

    Attributes
    ----------
    name : as the user writes it.
    cutoff : kinetic energy up to which there are plane waves, eV.
    kpoint_density : k-points per Å^-1 of each reciprocal axis, 2π included.
    smearing : k_B T of the Fermi-Dirac distribution, eV.
    force_tolerance : eV/Å. stress_tolerance_gpa : GPa. Both say when a relaxation has converged.
    energy_tolerance : eV/atom within which the electrons are self-consistent.
    """

    name: str
    cutoff: float
    kpoint_density: float
    smearing: float
    force_tolerance: float
    stress_tolerance_gpa: float
    energy_tolerance: float


LEVELS = {
    level.name: level
    for level in (
        Level("quick", 450.0, 1.5, 0.1, 0.05, 0.5, 1e-4),
        Level("normal", 600.0, 3.0, 0.05, 0.03, 0.2, 2e-5),
        # 64 k-points per Å^-3, which is 4 along an Å^-1, and 520 eV: those of the Materials Project's relaxations.
        Level("mp-like", 520.0, 4.0, 0.05, 0.02, 0.1, 1e-5),
    )
}
"""From the cheapest."""


def level_called(name: str) -> Level:
    """The level of that name; raises `InputError` with the names there are."""
    if name not in LEVELS:
        raise unknown("--level", name, LEVELS)
    return LEVELS[name]


def kpoint_grid(atoms: Atoms, density: float) -> tuple[int, int, int]:
    """K-points along each reciprocal axis: at least `density` (Å) per Å^-1, rounded up to 1 or an even number.

    Even grids about Gamma also hold the middles of the zone's faces, where many band edges lie.
    """
    lengths = 2 * math.pi * np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
    # An axis that meets the density up to rounding needs no more points.
    needed = [math.ceil(density * float(length) - 1e-6) for length in lengths]
    first, second, third = (1 if n <= 1 else n + n % 2 for n in needed)
    return first, second, third


def initial_moments(atoms: Atoms) -> np.ndarray | None:
    """Magnetic moments (n_atoms,) in Bohr magnetons to start from, all parallel; None where no element asks for spin.

    Those of free ions by Hund's rules for the magnetic 3d and 4f metals, and of the O2 molecule for pure oxygen. A
    ferromagnetic start finds no antiferromagnet.
    """
    symbols = atoms.get_chemical_symbols()
    table = _HUND | ({"O": 1.0} if set(symbols) == {"O"} else {})
    moments = np.array([table.get(symbol, 0.0) for symbol in symbols])
    return moments if moments.any() else None


_HUND = {
    **{"V": 3.0, "Cr": 4.0, "Mn": 5.0, "Fe": 4.0, "Co": 3.0, "Ni": 2.0},
    **{"Ce": 1.0, "Pr": 2.0, "Nd": 3.0, "Pm": 4.0, "Sm": 5.0, "Eu": 7.0, "Gd": 7.0},
    **{"Tb": 6.0, "Dy": 5.0, "Ho": 4.0, "Er": 3.0, "Tm": 2.0, "Yb": 1.0},
}
