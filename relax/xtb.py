"""Extended tight binding through tblite: no fit to crystals, but bonds, charges and dispersion for elements up to Rn.

Source: GFN1-xTB, Grimme, Bannwarth, Shushkov, J. Chem. Theory Comput. 13, 1989 (2017), doi:10.1021/acs.jctc.7b00118.
Tested with tblite 0.8.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii

from ..errors import unknown
from .calculators import AseEvaluator
from .contract import Evaluation, Evaluator
from .potentials import Potential

METHODS = ("GFN1-xTB", "GFN2-xTB", "IPEA1-xTB")
LAST_ELEMENT = 86
"""Rn: none of the methods has parameters beyond it."""


@dataclass(frozen=True, eq=False)
class RepeatedEvaluator:
    """Asks about supercells, for a calculator that knows no k-points but the Gamma point.

    Attributes
    ----------
    evaluator : is asked about the supercells.
    min_length : Å; the cell is repeated until its faces lie at least so far apart.
    """

    evaluator: AseEvaluator
    min_length: float
    capacity = 0.0

    def evaluate(self, structures: Sequence[Atoms], memories: Sequence[object]) -> list[Evaluation | Exception]:
        """See `Evaluator`; energies and forces are those of the cells that were given."""
        return [self._evaluate_one(atoms) for atoms in structures]

    def size(self, atoms: Atoms) -> float:
        """Number of atoms in the supercell."""
        return float(len(atoms) * np.prod(self.repeats(atoms)))

    def repeats(self, atoms: Atoms) -> tuple[int, int, int]:
        """How often the cell is repeated along each of its vectors."""
        # The rows of the reciprocal cell have as lengths the inverse distances between opposite faces.
        spacings = np.linalg.norm(atoms.cell.reciprocal(), axis=1)
        a, b, c = (max(1, int(np.ceil(self.min_length * spacing - 1e-9))) for spacing in spacings)
        return a, b, c

    def _evaluate_one(self, atoms: Atoms) -> Evaluation | Exception:
        repeats = self.repeats(atoms)
        (found,) = self.evaluator.evaluate(
            [Atoms(atoms.numbers, cell=atoms.cell, positions=atoms.positions) * repeats], [None]
        )
        if isinstance(found, Exception):
            return found
        cells = int(np.prod(repeats))
        # The mean over the copies, which differ by rounding alone.
        return Evaluation(found.energy / cells, found.forces.reshape(cells, -1, 3).mean(axis=0), found.stress)


def tblite(
    method: str = "GFN1-xTB",
    charge: float = 0.0,
    multiplicity: int | None = None,
    spin_polarization: float | None = None,
    electronic_temperature: float = 300.0,
    accuracy: float = 1.0,
    max_iterations: int = 250,
    min_length: float = 0.0,
) -> Potential:
    """Extended tight binding, periodic, at the Gamma point.

    Without k-points the energy of a small cell is not that of the crystal: MgO in its cubic cell of 8 atoms lies
    3.5 eV/atom below MgO in its primitive cell of 2. Compare energies only between large cells, or give `min_length`.

    Parameters
    ----------
    method : "GFN1-xTB", "GFN2-xTB" or "IPEA1-xTB".
    charge : of the cell, e.
    multiplicity : 2 S + 1 of the cell; default: the lowest that the number of electrons allows.
    spin_polarization : factor on the spin-dependent (Hund) terms, 1 for their full strength; default: without them.
    electronic_temperature : K.
    accuracy : of the integrals and of self-consistency; smaller is more accurate.
    max_iterations : of the self-consistency; a structure that does not get there ends as an `error`.
    min_length : Å; the cell is repeated until its faces lie so far apart, which 10 makes slow and sound; 0: never.
    """
    from tblite.ase import TBLite

    if method not in METHODS:
        raise unknown("method", method, METHODS)
    if multiplicity is not None and multiplicity < 1:
        raise ValueError("multiplicity must be at least 1")
    if min_length < 0:
        raise ValueError("min_length must not be negative")
    calculator = TBLite(
        method=method,
        charge=charge,
        multiplicity=multiplicity,
        spin_polarization=spin_polarization,
        electronic_temperature=electronic_temperature,
        accuracy=accuracy,
        max_iterations=max_iterations,
        verbosity=0,
        # Each geometry starts from the same guess: what a rank finds must not depend on what it relaxed before.
        cache_api=False,
    )
    evaluator: Evaluator = AseEvaluator(calculator)
    if min_length > 0:
        evaluator = RepeatedEvaluator(AseEvaluator(calculator), min_length)
    return Potential("tblite", evaluator, covalent_radii, elements=frozenset(chemical_symbols[1 : LAST_ELEMENT + 1]))
