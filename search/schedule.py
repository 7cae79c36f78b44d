"""How a search's candidates are shared between its sources: equally, by weights, or as a search goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import InputError, unknown
from ..records import Parent

EQUAL, ADAPTIVE = "equal", "adaptive"


@dataclass(frozen=True, eq=False)
class Assignment:
    """Which candidate is to be relaxed next.

    Attributes
    ----------
    number : its place in the order in which the run hands candidates out, from 0.
    source, index : the candidate.
    parent : the structure that it starts from, for sources that need one; None: the run has none yet.
    alone : no other structure may be in the worker's hands meanwhile: it is suspected of having crashed one before.
    """

    number: int
    source: str
    index: int
    parent: Parent | None = None
    alone: bool = False


def shares(schedule: str, sources: Sequence[str]) -> dict[str, float]:
    """The weight of each source in `schedule`: "equal", or "random=3,unimat=1" (left out: 1).

    Raises
    ------
    InputError : neither of these nor "adaptive", a source that the search has not, or a weight that is not positive.
    """
    weights = dict.fromkeys(sources, 1.0)
    if schedule in (EQUAL, ADAPTIVE):
        return weights
    for part in schedule.split(","):
        name, equals, text = (word.strip() for word in part.partition("="))
        if not equals:
            raise InputError(
                f"schedule: cannot use {schedule!r}: allowed are {EQUAL}, {ADAPTIVE}, or weights such as "
                + ",".join(f"{source}={n}" for n, source in zip((3, 1, 1, 1), sources, strict=False))
            )
        if name not in weights:
            raise unknown("source in schedule", name, sources)
        try:
            weights[name] = float(text)
        except ValueError:
            weights[name] = 0.0
        if not 0 < weights[name] < float("inf"):
            raise InputError(f"schedule: the weight {text!r} of {name} is not a number above zero")
    return weights


def fixed_order(weights: Mapping[str, float], start: int = 0) -> Iterator[Assignment]:
    """Candidates without end, from number `start` on, so that after any number of them each source has its share to
    within one.

    As seats are shared by Sainte-Laguë's rule: a source's candidate n comes when (2 n + 1) / weight is lowest. Sources
    of equal weight take turns in the order named.
    """
    total = sum(weights.values())
    number = 0
    drawn = dict.fromkeys(weights, 0)
    if len(set(weights.values())) == 1:
        weights, total = dict.fromkeys(weights, 1.0), float(len(weights))
    if all(weight.is_integer() for weight in weights.values()):
        # The order repeats itself once each source has had as many as its weight: no need to go through it all.
        turns = start // int(total)
        number, drawn = turns * int(total), {name: turns * int(weight) for name, weight in weights.items()}
    while True:
        source = min(drawn, key=lambda name: (2 * drawn[name] + 1) * total / weights[name])
        if number >= start:
            yield Assignment(number, source, drawn[source])
        drawn[source] += 1
        number += 1
