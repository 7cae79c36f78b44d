"""A campaign from round to round: which searches a round has, and who gets how much of the next one's budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import InputError
from .campaign_config import Campaign, campaign_to_toml, difference, read_campaign_folder
from .campaign_files import CAMPAIGN_FILE
from .completeness import completeness
from .config import SearchConfig
from .finished import FinishedRun, read_finished
from .found import Found
from .rounds import Standing
from .store import is_taken, write_settings


@dataclass(frozen=True)
class Round:
    """One sharing of a budget.

    Attributes
    ----------
    number : from 1.
    configs : the searches that have a share; their `num` counts the candidates of all rounds up to this one.
    begun : candidates that each had before this round.
    """

    number: int
    configs: Mapping[str, SearchConfig]
    begun: Mapping[str, int]


def round_of(campaign: Campaign, number: int, shares: Sequence[Mapping[str, int]], checkpoint: str | None) -> Round:
    """A round of a campaign.

    Parameters
    ----------
    number : from 1. shares : candidates by composition of each follow-up round up to this one, round 2 first.
    checkpoint : of the UniMat model fine-tuned before this round; None: the one that there was.
    """
    if number == 1:
        return Round(1, campaign.searches, {})
    configs = campaign.in_round(number, checkpoint)
    own = {name: share for name, share in shares[number - 2].items() if name in configs}
    if campaign.learn:  # its searches have folders of their own
        return Round(number, {name: replace(configs[name], num=share) for name, share in own.items()}, {})
    begun = {name: configs[name].num + sum(earlier.get(name, 0) for earlier in shares[: number - 2]) for name in own}
    grown = {name: replace(configs[name], num=begun[name] + share) for name, share in own.items()}
    return Round(number, grown, begun)


def standings(campaign: Campaign, rounds: int) -> list[Standing]:
    """How far each composition has come in the rounds so far."""
    found = []
    for name in campaign.searches:
        minima, candidates = Found(), 0
        for out in dict.fromkeys(campaign.in_round(number)[name].out for number in range(1, rounds + 1)):
            for finished in read_finished(Path(out)):
                minima.add(finished)
                candidates += 1
        found.append(Standing(name, candidates, completeness(minima.times)))
    return found


def is_complete(config: SearchConfig, finished: FinishedRun, numbers: range | None = None) -> bool:
    """Whether a search's candidates, or those of some numbers, are all in the journal, or enough was found."""
    if numbers is not None:
        return len(finished.within(numbers)) >= len(numbers)
    if len(finished) >= config.num:
        return True
    return Found.of(finished).enough(config.stopping_rule)


def open_campaign(campaign: Campaign, made_with: Mapping[str, Any]) -> Campaign:
    """Make the campaign folder, or open the one that is there to go on with it; return what the campaign now is.

    Compositions that an earlier command named and this one leaves out stay part of the campaign.

    Raises
    ------
    InputError : a folder that belongs to another campaign or to something else, or may not be written.
    StorageError : the disk is full or fails.
    """
    folder = Path(campaign.out)
    if (folder / CAMPAIGN_FILE).is_file():
        stored = read_campaign_folder(folder)
        differing = difference(stored, campaign)
        if differing:
            raise InputError(
                f"campaign folder {campaign.out!r} belongs to another campaign ({'; '.join(differing[:3])}): "
                "give another --out"
            )
        kept = {
            name: replace(config, num=max(config.num, stored.searches[name].num)) if name in stored.searches else config
            for name, config in campaign.searches.items()
        }
        campaign = replace(campaign, searches=dict(stored.searches) | kept)
        if campaign == stored:
            return campaign
    elif is_taken(folder):
        raise InputError(f"{campaign.out!r} exists and is not a campaign folder: give another --out")
    write_settings(folder / CAMPAIGN_FILE, campaign_to_toml(campaign, made_with), f"campaign folder {campaign.out!r}")
    return campaign
