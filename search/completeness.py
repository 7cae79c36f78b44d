"""How complete a search is, from how often each distinct minimum was found, and when to stop it.

What counts are relaxations that ended in a minimum; the order in which they came does not matter. All of it takes the
relaxations for independent draws, each ending in a minimum by a chance of that minimum's own: true of sources that
propose independently, not of those that start from what was found.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import gammaincinv

from ..errors import InputError

_Z = 1.959964
_TAIL = 0.025
EXAMPLE = "found-5-times|unseen<0.05"


@dataclass(frozen=True)
class Completeness:
    """Of one search. Intervals are at 95 %.

    Attributes
    ----------
    relaxations : that ended in a minimum: the sum of times found.
    minima : distinct ones. singletons, doubletons : minima found once, and twice.
    lowest_found : how often the lowest was found.
    unseen : chance that the next relaxation ends in a minimum not seen so far: singletons / relaxations (Good 1953,
        doi:10.1093/biomet/40.3-4.237). unseen_low, unseen_high : its interval.
    all_minima : a lower bound of the number of minima, seen or not (Chao 1987, doi:10.2307/2531532, corrected where
        there are no doubletons). all_minima_low, all_minima_high : its log-normal interval, from `minima` on where the
        singletons may be chance (`unseen_low` is 0). Minima too rare to leave a trace are in neither: where basins
        differ much in size there are more than `all_minima_high`.
    missed_lower : the chance, at the outset, to miss a lower minimum this way if it were as easy to find as the lowest
        found: 2^-m for m times found, as m hits on two equal minima all fall on the higher one.
    lower_chance : the next relaxation finds something lower than the lowest so far with no more chance than this, at
        95 % (no lower one in n draws: 1 - 0.05^(1/n)).
    """

    relaxations: int
    minima: int
    singletons: int
    doubletons: int
    lowest_found: int
    unseen: float
    unseen_low: float
    unseen_high: float
    all_minima: float
    all_minima_low: float
    all_minima_high: float
    missed_lower: float
    lower_chance: float

    def should_stop(self, rule: StoppingRule) -> bool:
        """Whether one of the rule's conditions is met."""
        found = rule.times_found is not None and self.lowest_found >= rule.times_found
        return found or (rule.unseen is not None and self.unseen_high < rule.unseen)

    def lines(self) -> list[str]:
        """For a person: figures, each with what it assumes."""
        if self.relaxations == 0:
            return ["completeness: nothing can be said before a relaxation has ended in a minimum"]
        return [
            f"{self.minima} distinct minima in {self.relaxations} relaxations; at least {self.all_minima:.0f} exist "
            f"({self.all_minima_low:.0f}-{self.all_minima_high:.0f}; Chao's lower bound)",
            f"chance that the next relaxation finds a new minimum: {100 * self.unseen:.1f} % "
            f"({100 * self.unseen_low:.1f}-{100 * self.unseen_high:.1f} %; Good-Turing), "
            f"a lower one: below {100 * self.lower_chance:.1f} %",
            f"lowest found {self.lowest_found} times: a lower one as easy to find would be missed with a chance of "
            f"{100 * self.missed_lower:.2g} %",
            "taken for granted: relaxations are independent draws",
        ]


@dataclass(frozen=True)
class StoppingRule:
    """When a search has seen enough; with both conditions either is enough.

    Attributes
    ----------
    times_found : the lowest minimum was found so often. With 5 a lower one that is as easy to find as the lowest is
        missed in 2^-5 = 3 % of searches, also where the rule is asked after every relaxation.
    unseen : the chance that the next relaxation finds a new minimum is below this at 95 % confidence. The estimate
        itself would not do: it is 0 as soon as the first minimum is found a second time. The upper end of its interval
        needs 74 relaxations for 0.05 even where each minimum was found often.
    text : as the user wrote it.
    """

    times_found: int | None
    unseen: float | None
    text: str


def completeness(times_found: Sequence[int]) -> Completeness:
    """The figures of a search.

    Parameters
    ----------
    times_found : of each distinct minimum, lowest minimum first.

    Raises
    ------
    InputError : a minimum that was not found.
    """
    if any(times < 1 for times in times_found):
        raise InputError("times found: each minimum was found at least once")
    n, seen = int(sum(times_found)), len(times_found)
    if n == 0:
        return Completeness(0, 0, 0, 0, 0, 1.0, 0.0, 1.0, 0.0, 0.0, math.inf, 1.0, 1.0)
    once, twice = (sum(times == number for times in times_found) for number in (1, 2))
    low, high = _unseen_interval(once, twice, n)
    total, total_low, total_high = _chao(seen, once, twice, n)
    return Completeness(
        relaxations=n,
        minima=seen,
        singletons=once,
        doubletons=twice,
        lowest_found=int(times_found[0]),
        unseen=once / n,
        unseen_low=low,
        unseen_high=high,
        all_minima=total,
        all_minima_low=total_low if low > 0 else float(seen),
        all_minima_high=total_high,
        missed_lower=0.5 ** int(times_found[0]),
        lower_chance=1 - 0.05 ** (1 / n),
    )


def parse_rule(text: str) -> StoppingRule:
    """A rule as users write it: "found-5-times", "unseen<0.05", or both joined by "|".

    Raises
    ------
    InputError : anything else, or a number that no search can meet.
    """
    times: int | None = None
    unseen: float | None = None
    for part in text.split("|"):
        word = part.strip()
        found = re.fullmatch(r"found-(\d+)-times", word)
        below = re.fullmatch(r"unseen\s*<\s*(\d*\.?\d+)", word)
        if found and times is None and int(found[1]) >= 2:
            times = int(found[1])
        elif below and unseen is None and 0 < float(below[1]) < 1:
            unseen = float(below[1])
        else:
            raise InputError(
                f"until: cannot use {word!r}: allowed are found-N-times (N from 2 up) and unseen<X (0 < X < 1), "
                f"each once, joined by |, for example {EXAMPLE}"
            )
    return StoppingRule(times, unseen, text)


def _unseen_interval(once: int, twice: int, n: int) -> tuple[float, float]:
    """From Esty's variance of estimate minus truth (1983, doi:10.1214/aos/1176346256).

    It is that of the number of singletons, about their number, and that of the unseen mass itself, about twice the
    doubletons. At the upper end the exact limit of a Poisson mean (Garwood 1936, doi:10.1093/biomet/28.3-4.437) stands
    in for the first, so that no singletons do not mean no doubt; both are added as squares.
    """
    up = float(gammaincinv(once + 1, 1 - _TAIL)) - once
    low = (once - _Z * math.sqrt(once + 2 * twice)) / n
    return max(0.0, low), min(1.0, (once + math.sqrt(up**2 + _Z**2 * 2 * twice)) / n)


def _chao(seen: int, once: int, twice: int, n: int) -> tuple[float, float, float]:
    """Chao's lower bound and its interval; formulas also in Chao and Jost (2012, doi:10.1890/11-1952.1)."""
    share = (n - 1) / n
    if twice:
        ratio = once / twice
        unseen = share * once * ratio / 2
        variance = twice * (share * ratio**2 / 2 + share**2 * ratio**3 + share**2 * ratio**4 / 4)
    else:
        unseen = share * once * (once - 1) / 2
        total = seen + unseen
        variance = unseen + share**2 * once * (2 * once - 1) ** 2 / 4 - share**2 * once**4 / (4 * total)
    if unseen > 0:
        factor = math.exp(_Z * math.sqrt(math.log1p(max(variance, 0.0) / unseen**2)))
        return seen + unseen, seen + unseen / factor, seen + unseen * factor
    # Nothing points to more minima: how many of `seen` equal ones would by chance have been missed in n draws.
    missed = math.exp(-n / seen)
    high = seen / (1 - missed) + _Z * math.sqrt(seen * missed) / (1 - missed)
    return float(seen), float(seen), high
