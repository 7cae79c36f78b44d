"""Units of work: stretches of searches, and where they come from."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from .budget import Budget
from .schedule import Assignment
from .tasks import Wait


@dataclass(eq=False)
class Unit:
    """A stretch of one search, handed out under one budget.

    Attributes
    ----------
    search : the search. budget : hands out its candidates.
    size : what one relaxation is likely to cost, in any unit of cost: those that cost most get help first.
    blocks : how many candidates a source draws together; sources left out draw one by one.
    suspects : (source, index) of candidates that must be worked on alone.
    left : candidates not handed out yet, as far as is known.
    name : under which jobs claim it; empty: it is not shared.
    handed_out : nothing is left to hand out. pending : candidates handed out and not in the journal yet.
    given_up : candidates that workers died with, left to a resumed run.
    """

    search: str
    budget: Budget
    size: float = 1.0
    blocks: Mapping[str, int] = field(default_factory=dict)
    suspects: Collection[tuple[str, int]] = ()
    left: float = math.inf
    name: str = ""
    handed_out: bool = False
    pending: int = 0
    given_up: int = 0

    def next(self) -> Assignment | None:
        """The next candidate; None when all are handed out."""
        assignment = None if self.handed_out else self.budget.next()
        if assignment is None:
            self.handed_out = True
            return None
        self.pending += 1
        self.left -= 1
        alone = (assignment.source, assignment.index) in self.suspects
        return replace(assignment, alone=True) if alone else assignment


class Supply(Protocol):
    """Where units come from, biggest first."""

    @property
    def left(self) -> int:
        """Units that have not been taken yet, as far as is known."""

    def next(self) -> Unit | Wait | None:
        """The next unit; `WAIT` while other jobs hold what is left; None when there is no more."""

    def finished(self, unit: Unit) -> bool:
        """Take note that all of a unit is in the journal; whether its search is to be closed now."""

    def unclosed(self) -> list[str]:
        """Searches that are done, and were not closed: asked once, before the first unit."""


class OneUnit:
    """The supply of a single search, which is closed by who opened it."""

    def __init__(self, unit: Unit) -> None:
        self._unit: Unit | None = unit

    @property
    def left(self) -> int:
        """See `Supply`."""
        return int(self._unit is not None)

    def next(self) -> Unit | None:
        """The unit, once."""
        unit, self._unit = self._unit, None
        return unit

    def finished(self, unit: Unit) -> bool:
        """See `Supply`."""
        return False

    def unclosed(self) -> list[str]:
        """See `Supply`."""
        return []
