"""A second opinion: how far another set of weights disagrees where a relaxation came to rest.

Networks fitted to the same data from different starts agree where the data were dense, and drift apart where they only
guess. Energies of the sets have different origins and cannot be compared; forces and stresses can. At a minimum of the
first set its own are nearly zero, and the number is what is left of the second one's.

Source: the idea is that of a committee: Schran, Brezina, Marsalek, J. Chem. Phys. 153, 104105 (2020),
doi:10.1063/5.0016004.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms

from .contract import Evaluation, Evaluator

DISAGREEMENT_LIMIT = 0.5
"""eV/Å, chosen for CHGNet's "0.3.0" against its "0.2.0".

Of 300 structures of Materials Project as they stand 3 lie above it (median 0.08, 99th percentile 0.44, most 0.66), of
95 relaxed with CHGNet 2 (median 0.07). Of 60 random candidates of SrTiO3, MgSiO3, Li3N and FeS2, after at most 60
steps, 13 do: 5 of the 9 that are more than 0.5 eV/atom above the best of their formula, 8 of the others.
"""


def disagreement(first: Evaluation, second: Evaluation, volume: float) -> float:
    """How far two potentials disagree on one geometry, in eV/Å: the largest of what they say of an atom or the cell.

    A difference of stress pulls at each atom like a force of that stress times the area that an atom takes up.

    Parameters
    ----------
    first, second : of the same structure, the atoms in the same order.
    volume : Å^3 of the cell.
    """
    n_atoms = len(first.forces)
    force = float(np.sqrt(((first.forces - second.forces) ** 2).sum(axis=1).max()))
    stress = float(np.abs(first.stress - second.stress).max())
    return max(force, stress * (volume / n_atoms) ** (2 / 3))


def second_opinion(evaluator: Evaluator, atoms: Atoms, first: Evaluation) -> str | None:
    """Ask another potential about a structure that came to rest: a line of warning, or None where the two agree.

    Parameters
    ----------
    evaluator : the other potential; asked once, so that it costs a force call for each relaxation.
    atoms : periodic.
    first : what the potential that relaxed it says.
    """
    (second,) = evaluator.evaluate([atoms], [None])
    if isinstance(second, Exception):
        return f"a second opinion failed: {' '.join(str(second).split())[:200]}"
    value = disagreement(first, second, float(atoms.get_volume()))
    if value <= DISAGREEMENT_LIMIT:  # written so that NaN warns
        return None
    return f"a second set of weights disagrees by {value:.2g} eV/Å: the potential may be guessing; check with DFT"
