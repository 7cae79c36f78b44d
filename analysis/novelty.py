"""How new a composition is to a model: what its training compositions have in common with it.

Structures play no part here: `generated.against_hull` tells those that are in a training set.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..formula import parse_formula, reduced_formula

_TIE = 1e-9
Composition = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class CompositionNovelty:
    """A composition against those that a model was trained on.

    Attributes
    ----------
    system : its chemical system, elements in the order of the formula ("Sr-Ti-O").
    seen : whether the same reduced formula is among them.
    system_seen : how many have exactly its elements.
    prototype_seen : how many have its anonymous formula, such as ABC3, of whatever elements.
    nearest : the training composition at the smallest distance, first by name of those as near; None where none shares
        an element.
    distance : to `nearest`: the share of atoms that differ, half the sum over the elements of the absolute differences
        of atomic fractions; 0 for the same composition, 1 where no element is shared.
    """

    system: str
    seen: bool
    system_seen: int
    prototype_seen: int
    nearest: str | None
    distance: float

    @property
    def words(self) -> str:
        """For a table: "unseen; Sr-Ti-O seen 12 times"."""
        if self.system_seen:
            times = "once" if self.system_seen == 1 else f"{self.system_seen} times"
            return f"{'seen' if self.seen else 'unseen'}; {self.system} seen {times}"
        return f"unseen; {self.system} unseen; nearest {self.nearest or 'none'}"


def composition_novelty(formula: str, training: frozenset[str]) -> CompositionNovelty:
    """How new `formula` is to a model that was trained on the compositions `training`.

    Parameters
    ----------
    formula : as a user writes it; only its proportions count.
    training : formulas, in any order of elements (`proposals.unimat.checkpoint.training_compositions`). What is worked
        out of a set is kept for the next call with it: 10,000 calls with 20,000 compositions take seconds.

    Raises
    ------
    InputError : `formula`, or one of `training`, is not a formula.
    """
    known = _index(training)
    counts = _reduced(formula)
    nearest, distance = known.nearest(counts)
    return CompositionNovelty(
        system="-".join(parse_formula(formula)),
        seen=_sorted(counts) in known.compositions,
        system_seen=known.systems[frozenset(counts)],
        prototype_seen=known.prototypes[_prototype(counts)],
        nearest=nearest,
        distance=distance,
    )


def zero_shot(formulas: Iterable[str], training: frozenset[str]) -> list[str]:
    """Those of `formulas`, in their order, whose composition the model never saw.

    Raises
    ------
    InputError : something is not a formula.
    """
    known = _index(training).compositions
    return [formula for formula in formulas if _sorted(_reduced(formula)) not in known]


class _Index:
    """Training compositions, counted once for all questions."""

    def __init__(self, training: frozenset[str]) -> None:
        self.names = sorted(training)
        counted = [_reduced(name) for name in self.names]
        self.compositions: set[Composition] = {_sorted(counts) for counts in counted}
        # By composition, not by name: "TiO2" and "O4Ti2" are one.
        distinct = [dict(composition) for composition in self.compositions]
        self.systems = Counter(frozenset(counts) for counts in distinct)
        self.prototypes = Counter(_prototype(counts) for counts in distinct)
        # By element: which compositions hold it, and its atomic fraction in each.
        holders: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for row, counts in enumerate(counted):
            atoms = sum(counts.values())
            for symbol, n in counts.items():
                holders[symbol].append((row, n / atoms))
        self._holders = {
            symbol: (np.array([row for row, _ in found]), np.array([fraction for _, fraction in found]))
            for symbol, found in holders.items()
        }

    def nearest(self, counts: Mapping[str, int]) -> tuple[str | None, float]:
        """The name that shares most atoms with `counts`, and the share of those that differ."""
        shared = np.zeros(len(self.names))
        atoms = sum(counts.values())
        for symbol, n in counts.items():
            if symbol in self._holders:
                rows, fractions = self._holders[symbol]
                shared[rows] += np.minimum(fractions, n / atoms)
        most = shared.max(initial=0.0)
        if most == 0:
            return None, 1.0
        return self.names[int(np.argmax(shared >= most - _TIE))], max(0.0, 1.0 - float(most))


@lru_cache(maxsize=4)
def _index(training: frozenset[str]) -> _Index:
    return _Index(training)


def _reduced(formula: str) -> dict[str, int]:
    counts = parse_formula(formula)
    units = reduced_formula(counts)[1]
    return {symbol: n // units for symbol, n in counts.items()}


def _sorted(counts: Mapping[str, int]) -> Composition:
    return tuple(sorted(counts.items()))


def _prototype(counts: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(sorted(counts.values()))
