"""Where a relaxation is heading, from its first steps: for giving up on those that cannot win."""

from __future__ import annotations

import math
from collections.abc import Sequence

FIRST_STEPS = 20
"""Steps that every relaxation is granted from its start, and again from the push off its symmetry: what falls in them
says little of the rest, and what rests on a saddle point leaves it slowly at first."""
SAFETY = 10.0
"""Times the forecast drop that a relaxation is credited with."""


def forecast(enthalpies: Sequence[float]) -> float:
    """A cautious estimate of the enthalpy at which a relaxation will come to rest, eV/atom.

    The last third of the steps dropped by d, the third before by D. Were that to go on in the same ratio, what is left
    to drop is d (d/D) / (1 - d/D); `SAFETY` times that is taken off the lowest enthalpy so far.

    Parameters
    ----------
    enthalpies : eV/atom after each step.

    Returns
    -------
    -inf where nothing can be said: too few steps, or drops that do not get smaller.
    """
    if len(enthalpies) <= FIRST_STEPS:
        return -math.inf
    third = len(enthalpies) // 3
    now, before, earlier = (min(enthalpies[: len(enthalpies) - n * third]) for n in range(3))
    last, first = before - now, earlier - before
    if first <= 0:
        # Nothing gained for two thirds of the steps: at rest, as far as the enthalpy tells, unless it falls again now.
        return now if last <= 0 else -math.inf
    ratio = last / first
    return now - SAFETY * last * ratio / (1 - ratio) if ratio < 1 else -math.inf
