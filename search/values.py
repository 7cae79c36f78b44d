"""Values as they stand in TOML or on the command line, read as what they mean; each reader takes either form.

They raise ValueError with what is allowed, or Python's own error where nothing can be made of a value at all.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def one_line(value: Any) -> str:
    """Text without control characters, stripped."""
    if not isinstance(value, str) or not value.strip() or re.search(r"[\x00-\x1f\x7f]", encodable(value)):
        raise ValueError("text on one line")
    return value.strip()


def many_lines(value: Any) -> str:
    """Any text that can be written to a file."""
    if not isinstance(value, str):
        raise ValueError("text")
    return encodable(value)


def encodable(text: str) -> str:
    """The text, where it can be written to a file."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("text in UTF-8") from error
    return text


def whole(low: int) -> Callable[[Any], int]:
    """A whole number from `low` up."""

    def parse(value: Any) -> int:
        number = float(value) if isinstance(value, str) else value
        if isinstance(number, bool) or number != int(number) or number < low:
            raise ValueError(f"a whole number from {low} up")
        return int(number)

    return parse


def one_of(names: Iterable[str]) -> Callable[[Any], str]:
    """One of some words."""

    def parse(value: Any) -> str:
        if value not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return str(value)

    return parse


def real(value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not math.isfinite(float(value)):
        raise ValueError("a finite number")
    return float(value)


def positive(value: Any) -> float:
    """A number above zero."""
    if isinstance(value, bool) or not 0 < float(value) < math.inf:
        raise ValueError("a number above zero")
    return float(value)


def not_negative(value: Any) -> float:
    """Zero, or a number above."""
    if isinstance(value, bool) or not 0 <= float(value) < math.inf:
        raise ValueError("zero or a number above")
    return float(value)


def interval(parse_end: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, Any]]:
    """A range "1-4", a pair, or one value that stands for both ends."""

    def parse(value: Any) -> tuple[Any, Any]:
        parts = value.split("-") if isinstance(value, str) else value
        parts = list(parts) if isinstance(parts, list | tuple) else [parts]
        if len(parts) not in (1, 2):
            raise ValueError("a number, or a range")
        return parse_end(parts[0]), parse_end(parts[-1])

    return parse


def several(parse_item: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """A list, or text with commas."""

    def parse(value: Any) -> tuple[Any, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        parts = list(parts) if isinstance(parts, list | tuple) else [parts]
        return tuple(parse_item(part.strip() if isinstance(part, str) else part) for part in parts)

    return parse


def table(parse_value: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    """A mapping, or text like "name=value,name=value"."""

    def parse(value: Any) -> dict[str, Any]:
        if isinstance(value, str):
            pairs = [part.partition("=") for part in value.split(",") if part.strip()]
            if not all(equals for _, equals, _ in pairs):
                raise ValueError("name=value pairs")
            value = {key.strip(): text.strip() for key, _, text in pairs}
        if not isinstance(value, Mapping):
            raise ValueError("name=value pairs")
        return {str(key): parse_value(item) for key, item in value.items()}

    return parse


def option_value(value: Any) -> Any:
    """A plug-in's option: on the command line numbers, true and false are written as in JSON, all else is text."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value
