"""The minima that a running search knows of, told apart by enthalpy and volume alone.

Enough to share a budget, to choose a parent and to know when to stop, while the search runs; what is the same structure
is decided afterwards, in `analysis`.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass

from ..records import Record
from .completeness import StoppingRule, completeness
from .tasks import Finished

SAME_ENTHALPY = 0.002
"""eV/atom; two relaxed structures nearer than this ..."""

SAME_VOLUME = 0.02
"""... whose volumes differ by less than this share are taken for the same minimum."""


@dataclass(eq=False)
class Known:
    """A minimum: its lowest member, and how often it was found."""

    lowest: Finished
    times: int = 1

    @property
    def enthalpy_per_atom(self) -> float:
        """eV/atom."""
        assert self.lowest.enthalpy_per_atom is not None
        return self.lowest.enthalpy_per_atom


class Found:
    """Known minima by rising enthalpy."""

    def __init__(self) -> None:
        self.minima: list[Known] = []
        self.relaxations = 0

    @classmethod
    def of(cls, relaxations: Iterable[Finished]) -> Found:
        """What is known once these have ended, in this order."""
        found = cls()
        for finished in relaxations:
            found.add(finished)
        return found

    @property
    def lowest(self) -> float | None:
        """eV/atom; None: none yet."""
        return self.minima[0].enthalpy_per_atom if self.minima else None

    @property
    def times(self) -> list[int]:
        """How often each was found, the lowest first."""
        return [known.times for known in self.minima]

    def enough(self, rule: StoppingRule | None) -> bool:
        """Whether the search may stop by `rule`."""
        return rule is not None and completeness(self.times).should_stop(rule)

    def add(self, finished: Finished) -> bool:
        """Count a finished relaxation; whether it ended in a minimum that was not known."""
        self.relaxations += 1
        height, volume = finished.enthalpy_per_atom, finished.volume_per_atom
        if height is None or volume is None:
            return False
        start = bisect_left(self.minima, height - SAME_ENTHALPY, key=lambda known: known.enthalpy_per_atom)
        for place in range(start, len(self.minima)):
            known = self.minima[place]
            if known.enthalpy_per_atom > height + SAME_ENTHALPY:
                break
            assert known.lowest.volume_per_atom is not None
            if abs(known.lowest.volume_per_atom - volume) < SAME_VOLUME * volume:
                known.times += 1
                if height < known.enthalpy_per_atom:
                    known.lowest = finished
                    insort(self.minima, self.minima.pop(place), key=lambda known: known.enthalpy_per_atom)
                return False
        insort(self.minima, Known(finished), key=lambda known: known.enthalpy_per_atom)
        return True


def found_in(records: Iterable[Record]) -> Found:
    """What a search knew once these relaxations had ended."""
    return Found.of(Finished.of(record) for record in sorted(records, key=lambda record: record.finished))
