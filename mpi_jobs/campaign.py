"""A campaign on the ranks of a job, round after round; other jobs may work on the same folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..proposals import sources
from ..search.campaign import Round, open_campaign, round_of, standings
from ..search.campaign_config import Campaign
from ..search.campaign_units import CampaignUnits, lines_done
from ..search.claims import Claims, Heartbeat
from ..search.config import SearchConfig
from ..search.desk import Desk, SharedDesk
from ..search.in_hand import InHand, Suspect, suspects
from ..search.loop import work_through
from ..search.progress import CampaignProgress
from ..search.provenance import provenance
from ..search.results import write_results
from ..search.rounds import read_rounds, share_round, standing_lines, write_round
from ..search.run import log_file, read_run, tidy_up
from ..search.stop import Stop
from ..search.store import Run
from ..search.workshop import Workshop
from .launch import Team, together
from .roles import choose_roles, take_seats
from .world import World

log = logging.getLogger("xtalseek")

_TRIED = 20

Learn = Callable[[Campaign, int, str | None], str | None]
"""Called with the campaign, the number of the coming round, and the checkpoint so far; returns the next one's."""


@dataclass(frozen=True)
class CampaignCalls:
    """What a campaign asks of those who know more than searching.

    Attributes
    ----------
    close : makes of a finished search what people read; called on any rank.
    learn : fine-tunes the model between rounds. finish : makes the summary, told why searches were left out.
    """

    close: Callable[[Run], None]
    learn: Learn
    finish: Callable[[Campaign, Mapping[str, str]], None]


def run_campaign(
    campaign: Campaign,
    world: World,
    calls: CampaignCalls,
    command: str = "",
    threads: int = 1,
    proposers: int | None = None,
) -> None:
    """Run or resume a campaign, or join other jobs that are at it, on all ranks of `world`.

    Parameters
    ----------
    campaign : the same on every rank. command, threads, proposers : see `run_search`.

    Raises
    ------
    InputError : on every rank, where no relaxer can be made, or the folder belongs to something else.
    """
    seats = take_seats(world)
    workshop = Workshop(campaign.searches, world.rank)
    together(world, lambda: _try_tools(workshop))
    team = Team(world, choose_roles(seats, proposers))
    if world.rank != 0:
        team.follow_opening()
        _follow(campaign, world, team, workshop, calls)
        return
    made_with = provenance(command, world.size, threads)
    opened = team.lead_opening(lambda: open_campaign(campaign, made_with))
    workshop.turn_to(opened.searches)
    _Lead(opened, world, team, workshop, calls, made_with).run()


def _try_tools(workshop: Workshop) -> None:
    """Make sources and a relaxer, so that a missing package or a misspelt name is told before anything is written.

    Raises
    ------
    InputError : a source that does not exist; or that of the first composition, where none of the first `_TRIED` has
        tools.
    """
    for source in {name: None for config in workshop.configs.values() for name in config.source}:
        sources.get(source)
    refused: InputError | None = None
    for search in list(workshop.configs)[:_TRIED]:
        try:
            workshop.sources(search)
            workshop.relaxer(search)
        except InputError as error:
            refused = refused or error
        else:
            return
    assert refused is not None
    raise refused


def _follow(campaign: Campaign, world: World, team: Team, workshop: Workshop, calls: CampaignCalls) -> None:
    stop, closing = Stop(), _Closing(workshop, calls.close)
    with world.aborting(), stop.listening(campaign.max_hours), InHand(Path(campaign.out)) as in_hand:
        opened = None
        while (news := team.follow(workshop, stop, in_hand, closing)) is not None:
            opened, number, shares, checkpoint = news
            workshop.turn_to(round_of(opened, number, shares, checkpoint).configs)


class _Closing:
    """Closes searches; what goes wrong with one never stops the others."""

    def __init__(self, workshop: Workshop, close: Callable[[Run], None]) -> None:
        self._workshop, self._close = workshop, close

    def __call__(self, search: str) -> None:
        # results.h5 comes last: without it a resumed campaign closes the search again.
        try:
            run = read_run(self._workshop.configs[search].out)
            self._report(search, run)
            write_results(run)
        except Exception as error:
            _warn(search, error)

    def _report(self, search: str, run: Run) -> None:
        try:
            self._close(run)
        except OSError:
            raise  # a full disk; all is made once there is room
        except Exception as error:
            _warn(search, error)


def _warn(search: str, error: Exception) -> None:
    log.warning("%s: no report: %s: %s", search, type(error).__name__, " ".join(str(error).split())[:200])


class _Lead:
    """Rank 0, or the only process."""

    def __init__(
        self,
        campaign: Campaign,
        world: World,
        team: Team,
        workshop: Workshop,
        calls: CampaignCalls,
        made_with: Mapping[str, Any],
    ) -> None:
        self._campaign, self._world, self._team, self._workshop = campaign, world, team, workshop
        self._calls, self._made_with = calls, made_with
        self._folder = Path(campaign.out)
        self._refused: dict[str, str] = {}
        self._stop = Stop()

    def run(self) -> None:
        """All rounds, and the summary."""
        campaign, stop = self._campaign, self._stop
        with ExitStack() as stack:
            stack.enter_context(self._world.aborting())
            stack.enter_context(log_file(self._folder))
            stack.enter_context(stop.listening(campaign.max_hours))
            heartbeat = stack.enter_context(Heartbeat(self._folder))
            in_hand = stack.enter_context(InHand(self._folder))
            claims = Claims(self._folder, heartbeat.job)
            crashed: dict[str, list[Suspect]] = {}
            for suspect in suspects(self._folder):
                crashed.setdefault(suspect.search, []).append(suspect)
            tidy_up(self._folder, {run.name: run for run in (self._folder / "runs").glob("*") if run.is_dir()})
            checkpoint: str | None = None
            shares: list[dict[str, int]] = []
            for number in count(1):
                self._work(round_of(campaign, number, shares, checkpoint), claims, crashed, in_hand)
                if stop.reason is not None or number == campaign.rounds:
                    break
                following = self._next_shares(number + 1)
                if not following:
                    break
                shares.append(following)
                if campaign.learn:
                    checkpoint = self._calls.learn(campaign, number + 1, checkpoint)
                if self._world.comm is not None:
                    self._team.go_on((campaign, number + 1, shares, checkpoint))
            if stop.reason is not None:
                log.info("%s: the same command goes on with what is left", stop.reason)
            self._calls.finish(campaign, self._refused)
            if self._world.comm is not None:
                self._team.dismiss()

    def _work(self, this: Round, claims: Claims, crashed: Mapping[str, Sequence[Suspect]], in_hand: InHand) -> None:
        workshop, stop = self._workshop, self._stop
        workshop.turn_to(this.configs)
        units = CampaignUnits(workshop, this.number, this.begun, claims, self._made_with, crashed, self._refuse)
        meter = CampaignProgress(_total(this.configs), lines_done(this.configs), len(this.configs), this.number)
        desk = Desk(units, meter.update, self._team.roles)
        closing = _Closing(workshop, self._calls.close)
        if self._world.comm is None:
            work_through(workshop, SharedDesk(desk, stop), stop, in_hand, closing)
            workshop.rest()
        else:
            self._team.lead(workshop, desk, stop, in_hand, closing)
        meter.close()

    def _refuse(self, search: str, reason: str) -> None:
        log.warning("%s is left out: %s", search, reason)
        self._refused[search] = reason

    def _next_shares(self, number: int) -> dict[str, int]:
        """Who gets how much of a follow-up round: what any job wrote down first; nothing where all is settled."""
        written = read_rounds(self._folder, self._campaign.searches)
        if len(written) >= number - 1:
            return written[number - 2]
        standing = standings(self._campaign, number - 1)
        open_ones = [one for one in standing if one.name not in self._refused]
        shares = share_round(self._campaign.follow_up_candidates, open_ones)
        for line in standing_lines(open_ones, shares):
            log.info(line)
        return write_round(self._folder, number, shares, self._campaign.searches)


def _total(configs: Mapping[str, SearchConfig]) -> int:
    return sum(config.num for config in configs.values())
