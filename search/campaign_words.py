"""The words of a campaign as a whole, and those that each of its compositions can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..errors import InputError, unknown
from .config import SearchConfig, parse_word
from .schedule import EQUAL
from .values import one_line, positive, table, whole

DEFAULT_MAX_ATOMS = 20


def _flag(value: Any) -> bool:
    if value in ("true", "false"):
        return bool(value == "true")
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


@dataclass(frozen=True)
class CampaignWord:
    """A word that a campaign has besides those of a search: `parse` takes its TOML or its command-line form."""

    parse: Callable[[Any], Any]
    example: str
    help: str


CAMPAIGN_WORDS: Mapping[str, CampaignWord] = {
    "out": CampaignWord(
        one_line,
        "CAMPAIGN",
        "campaign folder; the same command on it resumes (default: campaigns/ and FILE's name)",
    ),
    "budget": CampaignWord(
        table(whole(1)),
        "random=20,unimat=40",
        "candidates of each source for a composition, in place of num, source and schedule",
    ),
    "chemical_system": CampaignWord(
        one_line, "Li-Fe-P-O", "every formula of these elements, those that balance charges first"
    ),
    "max_atoms": CampaignWord(
        whole(2), "20", f"atoms in a cell at most, of the chemical system (default: {DEFAULT_MAX_ATOMS})"
    ),
    "subsystems": CampaignWord(_flag, "true", "formulas of two or more of the system's elements too"),
    "limit": CampaignWord(whole(1), "100", "only the first so many formulas of the chemical system (default: all)"),
    "rounds": CampaignWord(
        whole(1), "3", "a first round, and follow-up rounds for compositions still improving (default: 1)"
    ),
    "follow_up": CampaignWord(
        whole(1), "500", "candidates of each follow-up round over all compositions (default: half of the first's)"
    ),
    "learn": CampaignWord(_flag, "true", "fine-tune the UniMat model after each round, for the next"),
    "zero_shot": CampaignWord(_flag, "true", "only compositions that the UniMat model never saw"),
    "max_hours": CampaignWord(positive, "12", "end cleanly after so many hours (default: no limit)"),
}
"""Words of a campaign as a whole. `out` and `max_hours` take the place of the search's words of the same name."""

_SEARCH_WORDS = frozenset(f.name for f in fields(SearchConfig))
COMPOSITION_WORDS = (_SEARCH_WORDS | {"budget"}) - {"out", "max_hours"}
"""Words that a composition can have of its own, or share with the others."""
NAMES_COMPOSITION = ("formula", "seed_file", "seed_text")
"""Those that it cannot share."""


def check_words(words: Mapping[str, Any]) -> None:
    """Raise InputError where a word is none that all compositions share and none of the campaign."""
    known = _SEARCH_WORDS | CAMPAIGN_WORDS.keys()
    for name in words:
        if name in NAMES_COMPOSITION:
            raise InputError(f'{name}: belongs to one composition; write compositions = ["MgO"], or a line per formula')
        if name not in known:
            raise unknown("key", name, known)


def parse_campaign_word(name: str, given: Any) -> Any:
    """The value of one of `CAMPAIGN_WORDS`; raises InputError where it cannot be read as such."""
    word = CAMPAIGN_WORDS[name]
    try:
        return word.parse(given)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{name}: cannot use {given!r}: allowed is for example {word.example}") from error


def shared_words(words: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `words` that every composition's search is given; a wrong value is told here, once."""
    for_searches = without_budget({name: given for name, given in words.items() if name in COMPOSITION_WORDS})
    return {name: parse_word(name, given) for name, given in for_searches.items()}


def without_budget(words: Mapping[str, Any]) -> dict[str, Any]:
    """`words` with those that a budget in them stands for; raises InputError where both are there."""
    if "budget" not in words:
        return dict(words)
    budget: dict[str, int] = parse_campaign_word("budget", words["budget"])
    if not budget:
        raise InputError("budget: names no source; write for example random=20,unimat=40")
    for name in ("num", "source", "schedule"):
        if name in words:
            raise InputError(f"{name}: follows from the budget; leave one of the two out")
    schedule = ",".join(f"{source}={n}" for source, n in budget.items()) if len(budget) > 1 else EQUAL
    return {name: given for name, given in words.items() if name != "budget"} | {
        "num": sum(budget.values()),
        "source": list(budget),
        "schedule": schedule,
    }
