"""What `xtalseek campaign` does between its words and its table: read, leave out what is known, search, sum up.

What only rank 0 needs, and that at the end, is imported there: torch and pymatgen's prototypes take seconds.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .analysis import find_minima, write_best, write_report
from .analysis.campaign_report import told_as_refused, write_campaign_report, write_campaign_summary
from .analysis.campaign_summary import CampaignSummary
from .analysis.novelty import CompositionNovelty, composition_novelty, zero_shot
from .command_words import CAMPAIGN_SEARCH_WORDS, RELAX_WORDS, given_words
from .errors import InputError
from .mpi_jobs.campaign import CampaignCalls, run_campaign
from .mpi_jobs.world import World
from .proposals.unimat.compositions import DEFAULT, read_compositions
from .relax.trust import require_typed
from .search.campaign import round_of
from .search.campaign_config import Campaign, checkpoint_of, read_campaign, read_campaign_folder
from .search.campaign_words import CAMPAIGN_WORDS
from .search.rounds import read_rounds
from .search.store import Run, load_run

if TYPE_CHECKING:
    from .campaign_hull import Standards

log = logging.getLogger("xtalseek")


def run(options: argparse.Namespace, world: World, command: str, threads: int, proposers: int | None) -> None:
    """Do what the words of the command line ask for, on all ranks; rank 0 prints.

    Raises
    ------
    InputError : a file, word or composition that cannot be used; a campaign folder that belongs to something else.
    """
    words = given_words(options, (*CAMPAIGN_SEARCH_WORDS, *CAMPAIGN_WORDS))
    campaign = read_campaign(options.file, words)
    typed = given_words(options, RELAX_WORDS)
    if options.file:
        for config in campaign.searches.values():
            require_typed(config.relaxer, config.relaxer_options, typed, options.file)
    if campaign.zero_shot:
        campaign = _unseen(campaign)

    def finish(done: Campaign, refused: Mapping[str, str]) -> None:
        from .campaign_hull import Standards

        standards = Standards(options.reference or (), not options.no_hull, options.references or (), typed=typed)
        sys.stdout.write("\n".join(_sum_up(done, refused, standards)) + "\n")
        sys.stdout.flush()

    run_campaign(campaign, world, CampaignCalls(_close, _learn, finish), command, threads, proposers)


def campaign_status(folder: str) -> CampaignSummary:
    """Where each composition of a campaign stands, without a hull; it may be running.

    Raises
    ------
    InputError : not a campaign folder.
    """
    from .campaign_hull import Standards

    return _summary(read_campaign_folder(folder), told_as_refused(Path(folder)), Standards(hull=False))


def campaign_report(folder: str, standards: Standards) -> list[str]:
    """Write a campaign's summary and report anew; return what to print.

    Raises
    ------
    InputError : not a campaign folder, or standards that cannot be used.
    """
    return _sum_up(read_campaign_folder(folder), told_as_refused(Path(folder)), standards)


def _sum_up(campaign: Campaign, refused: Mapping[str, str], standards: Standards) -> list[str]:
    folder = Path(campaign.out)
    summary = _summary(campaign, refused, standards)
    first = {name: config.num for name, config in campaign.searches.items()}
    write_campaign_summary(summary, folder)
    report = write_campaign_report(summary, folder, [first, *read_rounds(folder, campaign.searches)])
    return [*summary.lines(), f"table: {folder / 'summary.csv'}", f"report: {report}"]


def _summary(campaign: Campaign, refused: Mapping[str, str], standards: Standards) -> CampaignSummary:
    from .campaign_hull import summarise_campaign

    rounds = read_rounds(Path(campaign.out), campaign.searches)
    asked = {name: config.num + sum(r.get(name, 0) for r in rounds) for name, config in campaign.searches.items()}
    return summarise_campaign(
        Path(campaign.out), campaign.searches, standards, novelty=_novelty(campaign), asked=asked, refused=refused
    )


def _novelty(campaign: Campaign) -> dict[str, CompositionNovelty]:
    """Of each composition for the checkpoint that its search names, where that says what it was trained on."""
    training = _trained_on(campaign)
    return {
        name: composition_novelty(config.formula, seen)
        for name, config in campaign.searches.items()
        if (seen := training[checkpoint_of(config)]) is not None
    }


def _trained_on(campaign: Campaign) -> dict[str, frozenset[str] | None]:
    """Compositions that each checkpoint was trained on, by the checkpoint's name."""
    named = {checkpoint_of(config) for config in campaign.searches.values()}
    return {name: read_compositions(Path(name) if name else DEFAULT) for name in named}


def _unseen(campaign: Campaign) -> Campaign:
    """The campaign without the compositions that their model was trained on."""
    unseen: dict[str, set[str]] = {}
    for checkpoint, training in _trained_on(campaign).items():
        if training is None:
            told = f"the checkpoint {checkpoint!r}" if checkpoint else "the checkpoint"
            raise InputError(f"zero_shot: {told} does not say what it was trained on: train it with this xtalseek")
        unseen[checkpoint] = set(zero_shot((config.formula for config in campaign.searches.values()), training))
    kept = {n: config for n, config in campaign.searches.items() if config.formula in unseen[checkpoint_of(config)]}
    if not kept:
        raise InputError("zero_shot: the model was trained on every composition given: give others, or leave it out")
    given = len(campaign.searches)
    if len(kept) < given:
        log.info("%d of %d compositions left out: seen in training", given - len(kept), given)
    return replace(campaign, searches=kept)


def _close(run: Run) -> None:
    """The lowest minima and the report of one search."""
    minima = find_minima(run)
    write_best(run, minima=minima)
    write_report(run, minima=minima)


def _learn(campaign: Campaign, number: int, checkpoint: str | None) -> str | None:
    """The checkpoint for round `number`, fine-tuned on what the round before found; the old one where that fails."""
    from .learning import fine_tune

    folder = Path(campaign.out)
    before = round_of(campaign, number - 1, read_rounds(folder, campaign.searches), checkpoint)
    runs = [load_run(config.out) for config in before.configs.values() if (Path(config.out) / "config.toml").is_file()]
    try:
        report = fine_tune(
            runs, checkpoint or campaign.parent_checkpoint(), folder / "models" / f"round-{number:02d}", seed=number
        )
    except InputError as error:
        log.warning("%s", error)
        return checkpoint
    log.info("%s", report.words)
    return str(report.checkpoint)
