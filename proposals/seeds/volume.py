"""The volume of a seed's cell: which directive gives it, and how it grows with what the cell holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...errors import InputError
from ..recipe import Range
from .distances import radius_volumes
from .keys import Keys
from .learning import Learned

VOLUME_LAWS = ("buildcell", "per_formula_unit")
SPREAD = 0.05
"""VARVOL is drawn within this share."""
PER_ATOM = (0.1, 1e6)
"""Å^3; volumes per atom that can be meant."""


@dataclass(frozen=True)
class Volume:
    """Where the volume comes from.

    Attributes
    ----------
    source : "VARVOL", "TARGVOL", "VOL", "LATTICE" (the given cell's volume), "cell" (the cell as given), "atoms" (VOL
        of each), "learned" or "radii".
    span : Å^3, smallest and largest, before any multiplication.
    law : of `VOLUME_LAWS`.
    lines : listed atoms.
    """

    source: str
    span: Range
    law: str
    lines: int

    def of(self, composition: Mapping[str, int], units: int, shared: bool, learned: Learned | None) -> Range:
        """Smallest and largest volume (Å^3) of a cell.

        Parameters
        ----------
        composition : atoms in the cell.
        units : formula units in the cell.
        shared : whether NATOM shared atoms out, so that a formula unit has no volume of its own.
        learned : what structures taught; where it is needed.
        """
        atoms = sum(composition.values())
        if self.source == "learned":
            assert learned is not None
            mean = learned.volume_per_atom * atoms
            return (1 - SPREAD) * mean, (1 + SPREAD) * mean
        if self.source == "radii":
            return radius_volumes(composition)
        factor = 1.0
        if self.source in ("VARVOL", "TARGVOL", "LATTICE"):
            by_unit = self.law == "per_formula_unit" and not shared and self.source != "LATTICE"
            factor = units if by_unit else atoms / self.lines
        return factor * self.span[0], factor * self.span[1]


def find_volume(
    keys: Keys, cell: np.ndarray | None, is_kept: bool, by_atoms: bool, law: str, lines: int, learned: bool
) -> Volume:
    """Which volume holds, with a warning for each that does not.

    Parameters
    ----------
    cell : (3, 3) Å, as given; None: not given.
    is_kept : whether the cell stays as given.
    by_atoms : whether every listed atom has a VOL.
    lines : listed atoms.
    learned : whether it comes from structures.

    Raises
    ------
    InputError : a bad value, or an unknown law.
    """
    if law not in VOLUME_LAWS:
        raise InputError(f"volume_law: {law!r} is not one of {', '.join(VOLUME_LAWS)}")
    given = [key for key in ("VOL", "VARVOL", "TARGVOL") if keys.has(key)]
    spans = {key: keys.span(key, 0.01) for key in given}
    if cell is not None and is_kept:
        for key in given:
            keys.without_effect(key, "the cell is given and stays as it is")
        size = abs(float(np.linalg.det(cell)))
        return Volume("cell", (size, size), law, lines)
    if learned:
        for key in given:
            keys.without_effect(key, "MINSEP=AUTO takes the volume from the structures")
        return Volume("learned", (0.0, 0.0), law, lines)
    for key in given[1:]:
        keys.without_effect(key, f"{given[0]} gives the volume")
    if given:
        key = given[0]
        low, high = spans[key] or (0.0, 0.0)
        if key == "VARVOL":
            directive = keys.get(key)
            if low < high and directive is not None:
                keys.warnings.append(
                    directive.place.note(
                        f"VARVOL={directive.value} makes buildcell hang; read as TARGVOL={directive.value}"
                    )
                )
            else:
                low, high = (1 - SPREAD) * low, (1 + SPREAD) * high
        return Volume(key, (low, high), law, lines)
    if by_atoms:
        return Volume("atoms", (0.0, 0.0), law, lines)
    if cell is not None:
        size = abs(float(np.linalg.det(cell)))
        return Volume("LATTICE", ((1 - SPREAD) * size, (1 + SPREAD) * size), law, lines)
    keys.warnings.append("no VARVOL, TARGVOL or LATTICE block: the volume follows from radii")
    return Volume("radii", (0.0, 0.0), law, lines)
