"""What the report says of a run: how sure, the funnel, and what each source brought."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ase import Atoms

from xtalseek.analysis import convergence, find_minima
from xtalseek.analysis.findings import FEWEST_TO_JUDGE, found_by, funnel, how_sure, reached, source_rows
from xtalseek.records import Candidate, Record, Relaxation, Status
from xtalseek.search.completeness import completeness
from xtalseek.search.store import Run

MakeRun = Callable[..., Run]
MakeRecord = Callable[..., Record]


def words_of(run: Run) -> str:
    sure = how_sure(find_minima(run), run.config)
    assert sure is not None
    return " ".join(sure.sentences()).replace("\u00a0", " ")


def test_chance_of_a_new_minimum_is_the_share_of_singletons(
    make_run: MakeRun, make_record: MakeRecord, rutile: Atoms, anatase: Atoms
) -> None:
    found = [(rutile, -8.9)] * 9 + [(anatase, -8.8)] * 2 + [(rutile, -8.0)]
    run = make_run([make_record(n, a, e) for n, (a, e) in enumerate(found)], {"num": 12})
    sure = how_sure(find_minima(run), run.config)
    assert sure is not None and sure.judged and sure.figures == completeness([9, 2, 1])
    words = words_of(run)
    assert "found 9 times in 12 relaxations" in words and "1 of 3 distinct minima was found only once" in words
    assert "is about 8 % (" in words and "lower below 22 %" in words  # 1 / 12; 1 - 0.05^(1 / 12)
    assert "rough guide" not in words


def test_too_few_relaxations_are_refused(make_run: MakeRun, make_record: MakeRecord, rutile: Atoms) -> None:
    few = make_run([make_record(n, rutile) for n in range(FEWEST_TO_JUDGE - 1)])
    assert "say nothing about the minima that were not found" in words_of(few) and "%" not in words_of(few)
    enough = make_run([make_record(n, rutile) for n in range(FEWEST_TO_JUDGE)], folder="enough")
    # Never that nothing is left to be found, though the estimate itself is 0.
    assert "about 0 % (0 % to " in words_of(enough) and "0 % to 0 %" not in words_of(enough)
    assert how_sure([], few.config) is None


@pytest.mark.parametrize("words", [{"schedule": "adaptive", "source": ["random", "unimat"]}, {"source": ["shake"]}])
def test_candidates_that_learn_are_no_independent_draws(
    make_run: MakeRun, make_record: MakeRecord, rutile: Atoms, words: dict[str, object]
) -> None:
    source = words["source"][0] if isinstance(words["source"], list) else ""
    run = make_run([make_record(n, rutile, source=source) for n in range(10)], words)
    assert "rough guide only" in words_of(run)


def test_funnel_narrows_and_says_why(make_run: MakeRun, disguises: list[Record]) -> None:
    none = Record(Candidate("TiO2", "random", 10, None), Relaxation(None, Status.ERROR, "no structure"), number=10)
    run = make_run([*disguises, none], {"num": 11})
    stages = funnel(run, find_minima(run))
    assert [(stage.name, stage.count) for stage in stages] == [
        ("drawn", 10), ("relaxed", 10), ("converged", 8), ("believed", 8), ("distinct minima", 2)
    ]  # fmt: skip
    assert [stage.lost for stage in stages] == [
        "1 could not be drawn", "", "2 did not converge", "", "6 were found before"
    ]  # fmt: skip


def test_what_each_source_brought(make_run: MakeRun, make_record: MakeRecord, rutile: Atoms, anatase: Atoms) -> None:
    """In the order of the run: rutile by random, rutile and anatase by seeds, anatase by random, a failure."""
    order: list[tuple[str, int, Atoms, float | None]]
    order = [("random", 0, rutile, -8.9), ("seeds", 0, rutile, -8.9), ("seeds", 1, anatase, -8.8)]
    order += [("random", 1, anatase, -8.8), ("random", 2, anatase, None)]
    records = [
        Record(r.candidate, r.relaxation, number=n)
        for n, (source, index, atoms, height) in enumerate(order)
        for r in [make_record(index, atoms, height, Status.NAN if height is None else Status.CONVERGED, source=source)]
    ]
    run = make_run(records, {"source": ["random", "seeds"]})
    minima = find_minima(run)
    random, seeds = source_rows(run, minima)
    assert (random.candidates, random.converged, random.minima, random.first, random.lowest_hits) == (3, 2, 2, 1, 1)
    assert (seeds.candidates, seeds.converged, seeds.minima, seeds.first, seeds.lowest_hits) == (2, 2, 2, 1, 1)
    assert random.lowest_enthalpy_per_atom == pytest.approx(-8.9)
    sources = {record.name: record.candidate.source for record in run.records}
    assert sorted(found_by(minima[0], sources).split(", ")) == ["random 1", "seeds 1"]


def test_cost_of_the_lowest_counts_what_came_before(make_run: MakeRun, make_record: MakeRecord, rutile: Atoms) -> None:
    heights = [-8.0, None, -8.9, -8.9005]
    records = [
        make_record(n, rutile, e, Status.NAN if e is None else Status.CONVERGED, force_calls=7)
        for n, e in enumerate(heights)
    ]
    (curve,) = convergence(make_run(records))
    assert reached(curve, "relaxations") == "3 relaxations"  # within 1 meV/atom of the lowest
    assert reached(curve, "force_calls") == "21 force calls"
