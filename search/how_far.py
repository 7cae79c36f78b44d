"""How far a search or a campaign is, from the journals alone: what a job script asks before it submits itself again."""

from __future__ import annotations

from glob import escape
from pathlib import Path

from .campaign import is_complete, round_of
from .campaign_config import Campaign, read_campaign_folder
from .campaign_files import CAMPAIGN_FILE
from .claims import CLAIMS_FOLDER
from .config import SearchConfig
from .finished import read_finished
from .rounds import read_rounds
from .store import CONFIG_FILE, read_config


def how_far(folder: str | Path) -> tuple[int, int, bool]:
    """Candidates that are done and asked for, and whether the search or campaign is finished.

    Of a campaign, in the rounds so far; a composition that was refused counts as finished.

    Raises
    ------
    InputError : neither a run folder nor that of a campaign.
    """
    if (Path(folder) / CAMPAIGN_FILE).is_file():
        return _of_campaign(read_campaign_folder(folder))
    config, finished = read_config(Path(folder)), read_finished(Path(folder))
    return len(finished), config.num, is_complete(config, finished)


def _of_campaign(campaign: Campaign) -> tuple[int, int, bool]:
    folder = Path(campaign.out)
    shares = read_rounds(folder, campaign.searches)
    last: dict[str, tuple[str, SearchConfig]] = {}
    for number in range(1, len(shares) + 2):
        configs = round_of(campaign, number, shares, None).configs
        last |= {config.out: (name, config) for name, config in configs.items()}
    done, num = 0, 0
    complete = len(shares) + 1 >= campaign.rounds or shares[-1:] == [{}]
    for name, config in last.values():
        finished = read_finished(Path(config.out))
        done, num = done + len(finished), num + config.num
        complete = complete and (is_complete(config, finished) or _was_refused(folder, name, config))
    return done, num, complete


def _was_refused(folder: Path, name: str, config: SearchConfig) -> bool:
    """Whether a job has put the search away without making its run folder."""
    marks = (folder / CLAIMS_FOLDER).glob(f"*-{escape(name)}-*.done")
    return not (Path(config.out) / CONFIG_FILE).exists() and any(marks)
