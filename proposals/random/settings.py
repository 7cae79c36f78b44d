"""Space groups in primitive settings, with what the general generator must know of their cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..wyckoff import UNIT, conventional_operations, primitive_basis, primitive_operations
from .cells import (
    A_CENTRED,
    C_CENTRED,
    CUBIC,
    F_CENTRED,
    HEXAGONAL,
    I_CENTRED,
    MONOCLINIC,
    ORTHORHOMBIC,
    PRIMITIVE,
    R_CENTRED,
    TETRAGONAL,
    TRICLINIC,
)


@dataclass(frozen=True, eq=False)
class Setting:
    """A space group in a primitive setting, and what cells it takes.

    Attributes
    ----------
    rotations : (n, 3, 3), translations : (n, 3), on fractional columns; the identity first.
    basis : (3, 3); primitive rows are basis @ conventional rows. system, centring : as in `cells`.
    """

    rotations: np.ndarray
    translations: np.ndarray
    basis: np.ndarray
    system: int
    centring: int

    def permuted(self, order: np.ndarray) -> Setting:
        """With the axes in another order."""
        rotations = np.ascontiguousarray(self.rotations[:, order][:, :, order])
        return Setting(
            rotations, np.ascontiguousarray(self.translations[:, order]), self.basis[order], self.system, self.centring
        )


@lru_cache(maxsize=230)
def setting(number: int) -> Setting:
    """The primitive setting of space group `number` (1-230)."""
    rotations, translations = primitive_operations(number)
    identity = (rotations == np.eye(3, dtype=int)).all(axis=(1, 2))
    order = np.argsort(~identity, kind="stable")
    last = (2, 15, 74, 142, 194, 230)
    systems = (TRICLINIC, MONOCLINIC, ORTHORHOMBIC, TETRAGONAL, HEXAGONAL, CUBIC)
    _, _, centring = conventional_operations(number)
    nonzero = {tuple(vector) for vector in centring.tolist()} - {(0, 0, 0)}
    named = {(12, 12, 0): C_CENTRED, (0, 12, 12): A_CENTRED, (12, 12, 12): I_CENTRED}
    by_count = {0: PRIMITIVE, 2: R_CENTRED, 3: F_CENTRED}
    return Setting(
        rotations[order].astype(float),
        (translations[order] % UNIT) / UNIT,
        np.ascontiguousarray(primitive_basis(number).T),
        next(system for system, end in zip(systems, last, strict=True) if number <= end),
        by_count[len(nonzero)] if len(nonzero) != 1 else named[nonzero.pop()],
    )
