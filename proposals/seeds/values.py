"""Numbers, ranges and lists as they stand in a seed; what cannot be read is one clear line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import InputError

MAX_NUMBER = 1e6
"""No length, angle, volume or count in a seed is larger."""

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d{1,2})?"
_RANGE = re.compile(rf"({_NUMBER})(?:\s*-\s*({_NUMBER}))?")
_ONE = re.compile(_NUMBER)


@dataclass(frozen=True)
class Place:
    """Where something stands: the seed's name and the line's number, from 1."""

    seed: str
    line: int

    def error(self, problem: str) -> InputError:
        """The error that starts with this place."""
        return InputError(f"{self.seed}, line {self.line}: {problem}")

    def note(self, remark: str) -> str:
        """A warning's text: the line, then the remark."""
        return f"line {self.line}: {remark}"


def is_number(word: str) -> bool:
    """Whether the word is one plain number."""
    return _ONE.fullmatch(word) is not None


def number(text: str, key: str, place: Place, low: float = -MAX_NUMBER, high: float = MAX_NUMBER) -> float:
    """One number within low to high.

    Raises
    ------
    InputError : anything else.
    """
    word = text.strip()
    if not is_number(word) or not low <= (value := _float(word)) <= high:
        raise place.error(f"{key}={_shown(text)}: write one number {_within(low, high)}")
    return value


def real_range(text: str, key: str, place: Place, low: float = 0.0, high: float = MAX_NUMBER) -> tuple[float, float]:
    """A number, or two joined by a hyphen, smaller first.

    Raises
    ------
    InputError : anything else.
    """
    match = _RANGE.fullmatch(text.strip())
    if match:
        first, last = _float(match[1]), _float(match[2] or match[1])
        if low <= first <= last <= high:
            return first, last
    raise place.error(f"{key}={_shown(text)}: write a number {_within(low, high)}, or a range such as 2-3")


def whole_range(text: str, key: str, place: Place, low: int, high: int) -> tuple[int, int]:
    """A whole number, or two joined by a hyphen, smaller first.

    Raises
    ------
    InputError : anything else.
    """
    match = re.fullmatch(r"\+?(\d{1,9})(?:\s*-\s*(\d{1,9}))?", text.strip(), re.ASCII)
    if match:
        first, last = int(match[1]), int(match[2] or match[1])
        if low <= first <= last <= high:
            return first, last
    raise place.error(f"{key}={_shown(text)}: write a whole number from {low} to {high}, or a range such as 2-4")


def whole_list(text: str, key: str, place: Place, low: int, high: int) -> tuple[int, ...]:
    """Whole numbers and ranges joined by commas or blanks, each number once.

    Raises
    ------
    InputError : anything else.
    """
    numbers: set[int] = set()
    for word in re.split(r"[,\s]+", text.strip()):
        first, last = whole_range(word, key, place, low, high)
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))


def numbers(text: str, counts: Sequence[int], key: str, place: Place) -> list[float]:
    """As many numbers as one of `counts` says.

    Raises
    ------
    InputError : another number of them, or something that is none.
    """
    words = re.split(r"[,\s]+", text.strip())
    if len(words) not in counts or not all(is_number(word) and abs(_float(word)) <= MAX_NUMBER for word in words):
        raise place.error(f"{key}={_shown(text)}: write {' or '.join(map(str, counts))} numbers, blanks between them")
    return [_float(word) for word in words]


def fraction(text: str, key: str, place: Place) -> float:
    """A share above 0 and up to 1, as 0.5 or as 1/2.

    Raises
    ------
    InputError : anything else.
    """
    above, _, below = text.strip().partition("/")
    if is_number(above) and (not below or is_number(below)):
        divisor = _float(below) if below else 1.0
        if divisor > 0 and 0 < (value := _float(above) / divisor) <= 1:
            return value
    raise place.error(f"{key}={_shown(text)}: write a share above 0 and up to 1, such as 0.5 or 1/2")


def _float(word: str) -> float:
    return float(word.lower().replace("d", "e"))


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _within(low: float, high: float) -> str:
    if high >= MAX_NUMBER:
        return "" if low <= -MAX_NUMBER else f"from {low:g} up"
    return f"from {low:g} to {high:g}"
