"""Verbs that read what searches left: tables, reports, comparisons, hulls, DFT.

The rooms are imported by the verb that needs them: see `cli`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .cli_output import command_line, print_json, print_text, tell
from .command_words import POTENTIAL_WORDS, given_words
from .errors import InputError
from .mpi_jobs.world import World, limit_threads, share_of_cores
from .search.campaign_files import CAMPAIGN_FILE


def status(options: argparse.Namespace, world: World) -> None:
    """`xtalseek status`."""
    if options.watch:
        if options.json:
            raise InputError("--watch draws for a person, --json prints for a script: give one of them")
        from .analysis.watch import watch

        watch([options.run])
        return
    if options.brief:
        from .search.how_far import how_far

        done, num, finished = how_far(options.run)
        state = "finished" if finished else "unfinished"
        brief = {"done": done, "num": num, "state": state}
        print_text(json.dumps(brief) if options.json else f"{done} of {num} candidates done, {state}")
        return
    if _is_campaign(options.run):
        from .campaign import campaign_status

        standing = campaign_status(options.run)
        tell(standing, options.json)
        return
    from .analysis import summarise
    from .search.store import load_run

    summary = summarise(load_run(options.run))
    tell(summary, options.json)


def rank(options: argparse.Namespace, world: World) -> None:
    """`xtalseek rank`."""
    from .analysis import find_minima, rank_rows, rank_table
    from .search.store import load_run

    run = load_run(options.run)
    minima = find_minima(run)
    if options.json:
        print_json(rank_rows(minima, options.top))
    else:
        print_text(rank_table(run, minima, top=options.top))


def report(options: argparse.Namespace, world: World) -> None:
    """`xtalseek report`."""
    from .analysis import write_figures, write_report
    from .search.store import load_run

    if _is_campaign(options.run):
        limit_threads(share_of_cores(world))
        from .campaign import campaign_report
        from .campaign_hull import Standards

        typed = given_words(options, POTENTIAL_WORDS)
        standards = Standards(options.reference or (), options.hull, options.references or (), typed=typed)
        print_text("\n".join(campaign_report(options.run, standards)))
        return
    run = load_run(options.run)
    figure = drawing = above = None
    if options.hull:
        limit_threads(share_of_cores(world))
        from .analysis.hull_plot import hull_drawing, hull_figure
        from .hull import hull_of_run

        found = hull_of_run(options.run, options.references, given_words(options, POTENTIAL_WORDS))
        figure, drawing = hull_figure(found), hull_drawing(found)
        above = {row.name: row.above_hull for row in found.rows}
    print_text(f"report: {write_report(run, png=options.png, hull=figure, above_hull=above)}")
    if options.figures:
        files = write_figures(run, Path(options.figures), hull=drawing)
        print_text(f"figures: {len(files)} files in {options.figures}")


def compare(options: argparse.Namespace, world: World) -> None:
    """`xtalseek compare`."""
    from .compare import run_comparison

    comparison = run_comparison(options)
    tell(comparison, options.json)


def hull(options: argparse.Namespace, world: World) -> None:
    """`xtalseek hull`."""
    limit_threads(share_of_cores(world))
    from .hull import run_hull

    found = run_hull(options)
    tell(found, options.json)
    if options.out and not options.json:
        print_text(f"written: {options.out}")


def export(options: argparse.Namespace, world: World) -> None:
    """`xtalseek export`."""
    from .analysis import find_minima
    from .formats import frame_of
    from .search.store import load_run
    from .structure_files import write_structures

    run = load_run(options.run)
    if options.all:
        found = [frame for record in run.records if (frame := frame_of(record)) is not None]
    else:
        found = [minimum.frame for minimum in find_minima(run) if not minimum.suspicious][: options.top]
    if not found:
        raise InputError(
            f"{options.run!r} holds no relaxed structure to export yet: see `xtalseek status {options.run}`"
        )
    write_structures(options.out, found, options.format)
    print_text(f"{len(found)} structures written to {options.out}")


def evaluate(options: argparse.Namespace, world: World) -> None:
    """`xtalseek evaluate`."""
    limit_threads(share_of_cores(world))
    from .evaluate import run_evaluation

    evaluation = run_evaluation(options)
    tell(evaluation, options.json)


def verify(options: argparse.Namespace, world: World) -> None:
    """`xtalseek verify`."""
    command, threads = command_line(), limit_threads(share_of_cores(world))
    from .verify import run_verification

    comparison = run_verification(options, world, command, threads)
    if comparison is not None:
        tell(comparison, options.json)


def _is_campaign(folder: str) -> bool:
    return (Path(folder) / CAMPAIGN_FILE).is_file()
