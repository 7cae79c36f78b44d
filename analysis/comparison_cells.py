"""Figures of a comparison as cells of a table: text, interval, and what they are sorted by."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .statistics.intervals import Estimate

UNKNOWN = "–"


@dataclass(frozen=True)
class Cell:
    """A figure of a table: its text, its interval below it, and what it is sorted by."""

    text: str
    interval: str = ""
    key: float = math.inf

    @property
    def sort_text(self) -> str:
        """The key as the page's script reads it."""
        return "Infinity" if math.isinf(self.key) else f"{self.key:.9g}"


def whole_cell(number: int) -> Cell:
    """A count."""
    return Cell(str(number), key=number)


def percent_cell(share: Estimate | None) -> Cell:
    """A share in percent."""
    if share is None or share.value is None:
        return Cell(UNKNOWN)
    known = share.low is not None and share.high is not None
    interval = f"{100 * (share.low or 0):.0f} to {100 * (share.high or 0):.0f}" if known else ""
    return Cell(f"{100 * share.value:.0f}", interval, share.value)


def share_cell(estimate: Estimate) -> Cell:
    """A number from 0 to 1."""
    if estimate.value is None:
        return Cell(UNKNOWN)
    return Cell(f"{estimate.value:.2f}", f"{estimate.low or 0:.2f} to {estimate.high or 0:.2f}", estimate.value)


def cost_cell(estimate: Estimate) -> Cell:
    """A budget; ∞ stands for what was not reached."""
    value, low, high = ("∞" if v is None else rounded(v) for v in (estimate.value, estimate.low, estimate.high))
    interval = "" if estimate.low is None else f"{low} to {high}"
    return Cell(value, interval, math.inf if estimate.value is None else estimate.value)


def ratio_cell(estimate: Estimate | None) -> Cell:
    """A ratio; ∞ for an end that is open."""
    if estimate is None or (estimate.value is None and estimate.low is None):
        return Cell(UNKNOWN)
    text = "∞" if estimate.value is None else f"{estimate.value:.2g}"
    interval = "" if estimate.low is None else between(estimate).replace(" and ", " to ")
    return Cell(text, interval, math.inf if estimate.value is None else estimate.value)


def between(estimate: Estimate) -> str:
    """The ends of an interval in words; ∞ for one that is open."""
    low, high = ("∞" if v is None or math.isinf(v) else f"{v:.2g}" for v in (estimate.low, estimate.high))
    return f"{low} and {high}"


def rounded(cost: float) -> str:
    """A cost in few digits."""
    return f"{cost:.3g}" if cost < 1000 else f"{cost:.0f}"


def p_value_cell(value: float | None) -> Cell:
    """A p-value; nothing is smaller than 0.001."""
    return Cell(UNKNOWN) if value is None else Cell(f"{value:.3f}" if value >= 0.001 else "<0.001", key=value)
