"""The words of the command line that the configuration's fields stand for, so that TOML and options share each."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Any

from .errors import InputError
from .search.config import SearchConfig

TARGET_WORDS = ("formula_units", "min_distances", "volume_per_atom", "symmetry_operations", "space_groups")
SOURCE_WORDS = ("num", "source", "schedule", *TARGET_WORDS, "seed_file", "pressure_gpa", "seed", "source_options")
SETTING_WORDS = (
    "pressure_gpa", "force_tolerance", "stress_tolerance_gpa", "max_steps", "max_seconds", "optimiser", "saddle_push",
    "push_apart",
)  # fmt: skip
POTENTIAL_WORDS = ("relaxer", "relaxer_options")
RELAX_WORDS = ("relaxer", *SETTING_WORDS, "relaxer_options")
SEARCH_WORDS = (*SOURCE_WORDS, *RELAX_WORDS, "until", "early_stop_window", "out", "max_hours")
CAMPAIGN_SEARCH_WORDS = tuple(dict.fromkeys(w for w in SEARCH_WORDS if w not in ("out", "max_hours", "seed_file")))
"""Words of a search that the compositions of a campaign can share."""


def given_words(options: argparse.Namespace, words: Iterable[str]) -> dict[str, Any]:
    """Those of `words` that stand on the command line, as they were typed."""
    typed = {name: getattr(options, name, None) for name in words}
    return {name: value for name, value in typed.items() if value is not None}


def default_words(words: Iterable[str]) -> dict[str, Any]:
    """The configuration's default for each of `words`."""
    wanted = set(words)
    return {
        word.name: word.default_factory() if word.default_factory is not MISSING else word.default
        for word in fields(SearchConfig)
        if word.name in wanted
    }


def add_words(parser: argparse.ArgumentParser, words: Iterable[str]) -> None:
    """Add those of `words` that are fields of the configuration, in its order."""
    for word in fields(SearchConfig):
        if word.name not in words:
            continue
        about = word.metadata
        names = [f"--{word.name.replace('_', '-')}"] + ([about["short"]] if about["short"] else [])
        default = _shown_default(word.default)
        text = about["help"] + (f" (default: {default})" if default and "default" not in about["help"] else "")
        parser.add_argument(*names, dest=word.name, metavar=about["example"], help=text.replace("%", "%%"))


def _shown_default(default: Any) -> str:
    """A default as it would be typed; empty where there is none to show."""
    if default is MISSING or default is None:
        return ""
    if isinstance(default, tuple):
        return (", " if all(isinstance(item, str) for item in default) else "-").join(map(str, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


def whole(option: str, text: str, low: int, example: str = "") -> int:
    """The whole number that an option was given; raises InputError where it is none or less than `low`."""
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if number < low:
        hint = f", for example {example}" if example else ""
        raise InputError(f"{option}: cannot use {text!r}: allowed are whole numbers from {low}{hint}")
    return number


def positive(option: str, text: str, example: str = "") -> float:
    """The positive number that an option was given; raises InputError where it is none."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        hint = f", for example {example}" if example else ""
        raise InputError(f"{option}: cannot use {text!r}: allowed is a positive number{hint}")
    return number
