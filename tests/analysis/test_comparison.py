"""Sources compared over run folders: small cases by hand, refusals, labels, and what is printed and written."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from running import toy_search

from xtalseek.analysis.comparison import Comparison, compare_runs
from xtalseek.analysis.comparison_figures import AXES
from xtalseek.analysis.comparison_runs import TargetKey
from xtalseek.cli import main
from xtalseek.compare import run_comparison
from xtalseek.errors import InputError
from xtalseek.formats import Frame
from xtalseek.records import Record, Status
from xtalseek.search.store import Run
from xtalseek.structure_files import write_structures

MakeRun = Callable[..., Run]
MakeRecord = Callable[..., Record]
Searched = Callable[..., Run]

SALT = bulk("NaCl", "rocksalt", a=5.64)
FORMULAS = ("LiF", "LiCl", "LiBr", "NaF", "NaCl", "NaBr", "KF", "KCl")


@pytest.fixture
def searched(make_run: MakeRun, make_record: MakeRecord) -> Searched:
    """A run from the enthalpies (eV/atom) that one source found; None: not converged."""
    made: list[Run] = []

    def make(heights: Sequence[float | None], formula: str = "NaCl", source: str = "random", **words: Any) -> Run:
        records = [
            make_record(
                n, SALT, h, Status.MAX_STEPS if h is None else Status.CONVERGED,
                source=source, target=formula, force_calls=10 * (n + 1), seconds=1.5, finished=float(n),
            )
            for n, h in enumerate(heights)
        ]  # fmt: skip
        made.append(make_run(records, {"formula": formula, "source": source, **words}, folder=f"run{len(made)}"))
        return made[-1]

    return make


def share_of_hits(comparison: Comparison, source: str) -> dict[str, int]:
    return {row.target: row.hits for row in comparison.rows if row.source == source}


def test_figures_of_one_source_by_hand(searched: Searched) -> None:
    """Two targets of five relaxations: hits 2 of 5 and none within 1 meV, but within 10."""
    runs = [
        searched([-3.0, None, -4.0, -3.9995, -3.0]),
        searched([-2.0, -2.995, -2.0, None, None], "KCl"),
        searched([-3.0], "KCl", source="unimat"),
    ]
    random, unimat = compare_runs(runs).sources
    assert (random.source, random.targets, random.relaxations, random.depth) == ("random", 2, 10, 5)
    assert random.converged.value == pytest.approx((4 / 5 + 3 / 5) / 2)
    assert random.any_converged.value == 1
    one, five, twenty = (random.hits[k] for k in (1, 5, 20))
    assert one is not None and one.value == pytest.approx((2 / 5 + 0) / 2)
    assert five is not None and five.value == pytest.approx(0.5)
    assert twenty is None
    assert random.within[10].value == 1
    curve = random.success["relaxations"]
    assert curve is not None
    np.testing.assert_allclose(curve.share, [0.2, 0.35, 0.45, 0.5, 0.5])
    assert random.median["relaxations"].value == 4
    # In the order run: the third relaxation of NaCl, after 10 + 20 + 30 calls; KCl is censored.
    np.testing.assert_array_equal(random.as_run["relaxations"].times, [3, 5])
    np.testing.assert_allclose(random.as_run["relaxations"].share, [0.5, 0.5])
    assert random.as_run["force_calls"].times[0] == 60
    assert random.as_run["seconds"].times[0] == pytest.approx(6)  # with 0.5 s each to propose
    assert unimat.any_converged.value == 1


def test_rows_by_hand(searched: Searched) -> None:
    comparison = compare_runs([searched([-3.0, None, -4.0, -3.9995, -3.985])])
    (row,) = comparison.rows
    assert (row.target, row.relaxations, row.converged, row.hits) == ("NaCl", 5, 4, 2)
    assert (row.hits_within_10_mev, row.hits_within_25_mev) == (2, 3)
    assert (row.first_relaxations, row.first_force_calls, row.force_calls) == (3, 60, 150)
    assert row.lowest == row.reference == pytest.approx(-4)
    assert row.hit_share_low is not None and 0.05 < row.hit_share_low < row.hit_share < 0.86
    assert "relative to the lowest that any of these sources found" in comparison.reference_words


def test_a_reference_that_was_not_reached_gives_no_hit(searched: Searched, tmp_path: Path) -> None:
    run = searched([-3.0, -4.0, -3.5])
    write_structures(tmp_path / "reference.extxyz", [Frame("rocksalt", SALT, energy=-4.1 * 2, status="converged")])
    comparison = compare_runs([run], [tmp_path / "reference.extxyz"])
    assert comparison.rows[0].hits == 0
    assert comparison.rows[0].above_reference_mev == pytest.approx(100)
    assert comparison.sources[0].success["relaxations"] is None
    assert compare_runs([run], [tmp_path / "reference.extxyz"], within_mev=150).rows[0].hits == 1
    assert "lower than the reference" not in " ".join(comparison.notes)


def test_what_lies_below_the_reference_is_a_hit_and_told(searched: Searched) -> None:
    comparison = compare_runs([searched([-4.0, -4.2])], [searched([-4.0]).path])
    assert comparison.rows[0].hits == 2
    assert any("lower than the reference: NaCl by 200 meV/atom (random)" in note for note in comparison.notes)


def test_targets_without_a_reference_are_all_named(searched: Searched, tmp_path: Path) -> None:
    runs = [searched([-4.0], f) for f in ("NaCl", "KCl", "LiF")]
    file = tmp_path / "reference.cif"
    write_structures(file, [Frame("NaCl", SALT, energy=-8.0), Frame("slow", bulk("LiF", "rocksalt", a=4), energy=-8.0,
                                                                    status="max_steps")])  # fmt: skip
    with pytest.raises(InputError, match=r"no reference for KCl, LiF \(not converged, so not counted: slow"):
        compare_runs(runs, [file])
    under_pressure = searched([-4.0], "NaCl", pressure_gpa=10)
    with pytest.raises(InputError, match="no reference for NaCl at 10 GPa"):
        compare_runs([under_pressure], [file])


def test_a_reference_needs_an_energy_of_the_same_potential(searched: Searched, tmp_path: Path) -> None:
    run = searched([-4.0])
    write_structures(tmp_path / "bare.cif", [Frame("NaCl", SALT)])
    with pytest.raises(InputError, match=r"'bare' in .*bare.cif' has no energy: relax it .*xtalseek relax"):
        compare_runs([run], [tmp_path / "bare.cif"])
    with pytest.raises(InputError, match="was relaxed with module:Other and the runs with chgnet"):
        compare_runs([run], [searched([-4.0], relaxer="module:Other").path])


def test_runs_relaxed_differently_are_refused_with_the_words_that_differ(searched: Searched) -> None:
    runs = [searched([-4.0]), searched([-4.0], source="unimat", force_tolerance=0.01, optimiser="fire")]
    with pytest.raises(InputError, match="relaxed differently") as told:
        compare_runs(runs)
    assert "force_tolerance is 0.05 in" in str(told.value) and "optimiser is" in str(told.value)
    assert "max_steps" not in str(told.value)


def test_nothing_to_compare_is_told(searched: Searched) -> None:
    with pytest.raises(InputError, match="no candidate has been relaxed yet"):
        compare_runs([searched([])])
    with pytest.raises(InputError, match="no relaxation of any target has converged"):
        compare_runs([searched([None, None])])
    with pytest.raises(InputError, match="at least one run"):
        compare_runs([])
    with pytest.raises(InputError, match=r"unknown --baseline 'randm'.*did you mean 'random'"):
        compare_runs([searched([-4.0])], baseline="randm")


def test_a_hole_in_the_potential_is_no_hit(searched: Searched) -> None:
    """One relaxation 6 eV/atom below the others is what `minima.believable` does not believe."""
    (row,) = compare_runs([searched([-4.0, -4.0, -3.9, -3.8, -3.7, -10.0])]).rows
    assert (row.converged, row.hits) == (5, 2)


def test_names_and_options_tell_sources_apart(searched: Searched) -> None:
    runs = [
        searched([-4.0]),
        searched([-4.0], source_options={"ensemble": "buildcell-0.9.1"}),
        searched([-4.0], source="unimat", source_options={"samples": 8}),
    ]
    labels = [s.source for s in compare_runs(runs).sources]
    assert labels == ["random", "random[ensemble=buildcell-0.9.1]", "unimat"]
    assert compare_runs(runs, baseline="unimat").sources[0].source == "unimat"


def test_the_same_compound_written_otherwise_is_the_same_target(searched: Searched) -> None:
    comparison = compare_runs([searched([-4.0, -3.0]), searched([-3.5], "Cl2Na2", source="unimat")])
    assert list(comparison.references) == [TargetKey("ClNa")]
    assert share_of_hits(comparison, "random") == {"NaCl": 1}
    assert comparison.pairs[0].targets == 1


def test_replicas_are_pooled_and_repeats_counted_once(searched: Searched) -> None:
    comparison = compare_runs([searched([-4.0, -3.0], seed=1), searched([-3.0, -4.0, -4.0], seed=2)])
    (row,) = comparison.rows
    assert (row.runs, row.relaxations, row.hits) == (2, 5, 3)
    again = compare_runs([searched([-4.0, -3.0], seed=1), searched([-4.0, -3.0, -4.0], seed=1)])
    (row,) = again.rows
    assert (row.runs, row.relaxations, row.hits) == (1, 3, 2)
    assert any("drew the same candidates" in note for note in again.notes)


def mixed(make_run: MakeRun, make_record: MakeRecord, schedule: str = "equal") -> Run:
    """Four relaxations handed out as random, unimat, random, unimat; only the last is a hit, and it finished first."""
    drawn = [("random", 0, -3.0), ("unimat", 0, -3.0), ("random", 1, -3.0), ("unimat", 1, -4.0)]
    records = [
        replace(make_record(n, SALT, h, source=source, target="NaCl", finished=100.0 - turn), number=turn)
        for turn, (source, n, h) in enumerate(drawn)
    ]
    words = {"formula": "NaCl", "source": "random,unimat", "schedule": schedule, "seed": 9}
    return make_run(records, words, folder="mixed")


def test_a_mixture_counts_as_a_whole_and_by_its_parts(make_run: MakeRun, make_record: MakeRecord) -> None:
    comparison = compare_runs([mixed(make_run, make_record)])
    assert [s.source for s in comparison.sources] == ["random+unimat", "random", "unimat"]
    rows = {row.source: row for row in comparison.rows}
    assert (rows["random+unimat"].relaxations, rows["random+unimat"].first_relaxations) == (4, 4)
    assert (rows["random"].hits, rows["unimat"].hits, rows["unimat"].first_relaxations) == (0, 1, 2)


def test_parts_of_a_mixture_do_not_add_to_runs_of_their_own(
    make_run: MakeRun, make_record: MakeRecord, searched: Searched
) -> None:
    comparison = compare_runs([searched([-3.0, -3.0, -3.5]), mixed(make_run, make_record)])
    assert [s.source for s in comparison.sources] == ["random", "random+unimat", "unimat"]
    assert comparison.sources[0].relaxations == 3
    assert any(note.startswith("random: on targets with runs of its own") for note in comparison.notes)


def test_an_adaptive_mixture_is_named_so_and_judged_in_the_order_handed_out(
    make_run: MakeRun, make_record: MakeRecord
) -> None:
    """Not averaged over orders, and not in the order of finishing."""
    whole = compare_runs([mixed(make_run, make_record, "adaptive")]).sources[0]
    assert whole.source == "random+unimat (adaptive)"
    assert not whole.exchangeable
    curve = whole.success["relaxations"]
    assert curve is not None
    np.testing.assert_array_equal(curve.share, [0, 0, 0, 1])
    assert whole.as_run["relaxations"].times[0] == 4


def test_weights_are_part_of_the_name(make_run: MakeRun, make_record: MakeRecord) -> None:
    whole = compare_runs([mixed(make_run, make_record, "random=3,unimat=1")]).sources[0]
    assert whole.source == "random+unimat (random=3,unimat=1)"
    assert whole.exchangeable


def test_a_ranked_source_is_judged_in_the_order_run(searched: Searched) -> None:
    """The hit comes first: all credit for it, where an exchangeable source would get a quarter."""
    runs = [searched([-4.0, -3.0, -3.0, -3.0], source=s) for s in ("substitution", "random")]
    substitution, random = compare_runs(runs).sources
    first = [s.hits[1] for s in (substitution, random)]
    assert [e and e.value for e in first] == pytest.approx([1, 0.25])
    assert not substitution.exchangeable and random.exchangeable
    (pair,) = compare_runs(runs).pairs
    assert pair.chance_ratio is None


@pytest.fixture
def head_to_head(searched: Searched) -> list[Run]:
    """Eight targets of thirty relaxations; the second source hits ten times as often."""
    rng = np.random.default_rng(0)
    return [
        searched(np.where(rng.random(30) < chance, -4.0, -3.0).tolist(), formula, source)
        for source, chance in (("random", 0.03), ("unimat", 0.3))
        for formula in FORMULAS
    ]


def test_a_clear_winner_is_called_so_with_an_interval(head_to_head: list[Run]) -> None:
    (pair,) = compare_runs(head_to_head).pairs
    assert (pair.source, pair.baseline, pair.targets, pair.depth) == ("unimat", "random", 8, 30)
    assert pair.verdict == "faster"
    assert pair.ratio.value is not None and pair.ratio.high is not None and pair.ratio.value < pair.ratio.high < 1
    assert (pair.outcome.wins, pair.outcome.losses) == (8, 0)
    assert pair.log_rank is not None and pair.log_rank < 0.05
    (reverse,) = compare_runs(head_to_head, baseline="unimat").pairs
    assert reverse.verdict == "slower"
    assert reverse.ratio.value == pytest.approx(1 / pair.ratio.value)


def test_the_same_on_four_targets_is_too_few(head_to_head: list[Run]) -> None:
    (pair,) = compare_runs([*head_to_head[:4], *head_to_head[8:12]]).pairs
    assert pair.verdict == "too few"
    assert pair.ratio.low is None and pair.ratio.high is None and pair.log_rank is None


def test_the_order_of_the_runs_does_not_matter(head_to_head: list[Run]) -> None:
    straight = compare_runs(head_to_head, baseline="random").to_json()
    shuffled = compare_runs(head_to_head[::-1], baseline="random").to_json()
    for comparison in (straight, shuffled):
        comparison.pop("runs")
    by_row = [sorted(c.pop("targets"), key=lambda r: (r["target"], r["source"])) for c in (straight, shuffled)]
    assert by_row[0] == by_row[1]
    assert straight == shuffled


def test_bands_are_there_to_be_drawn(head_to_head: list[Run]) -> None:
    comparison = compare_runs(head_to_head)
    assert len(comparison.bands) == 2 * len(FORMULAS) * len(AXES)
    for (target, _source, _axis), band in comparison.bands.items():
        assert target in comparison.references
        known = band.median[np.isfinite(band.median)]
        assert (np.diff(known) <= 0).all() and (known >= 0).all()
        assert len(band.budget) == len(band.low) == len(band.high)


def test_the_table_is_for_people(head_to_head: list[Run]) -> None:
    lines = compare_runs(head_to_head).lines()
    assert max(map(len, lines)) <= 100
    text = "\n".join(lines)
    assert "16 runs, 8 targets; a hit is within 1 meV/atom of the reference" in text
    assert "95 % intervals" in text and "independent draws" in text and "Kaplan-Meier" in text
    assert [line for line in lines if line.startswith("unimat") and line.endswith("faster")]
    assert [line for line in lines if line.startswith("unimat") and " 8/0/0 " in line]
    assert sum(line.startswith(FORMULAS) for line in lines) == 16


def test_a_source_cut_short_is_told(searched: Searched) -> None:
    notes = compare_runs([searched([-4.0] * 20), searched([-4.0] * 3, "KCl")]).notes
    assert "random: only 3 relaxations of KCl, so K is 3 for all its targets" in notes


def test_json_and_csv_hold_every_figure(head_to_head: list[Run]) -> None:
    comparison = compare_runs(head_to_head)
    found = json.loads(json.dumps(comparison.to_json(), allow_nan=False))
    unimat = found["sources"][1]
    assert unimat["hits"]["5"]["low"] < unimat["hits"]["5"]["value"] < unimat["hits"]["5"]["high"]
    assert unimat["hits"]["50"] is None
    assert set(unimat["within"]) == {"1", "10", "25"}
    assert len(unimat["success"]["relaxations"]["share"]) == 30
    assert all("assumptions" in unimat[name] for name in ("converged", "any_converged", "area"))
    assert found["pairs"][0]["verdict"] == "faster"
    rows = list(csv.DictReader(io.StringIO(comparison.to_csv())))
    assert len(rows) == 16
    assert [int(row["hits"]) for row in rows] == [row.hits for row in comparison.rows]
    assert math.isclose(float(rows[0]["lowest"]), comparison.rows[0].lowest or 0)


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small finished searches of NaCl by both ensembles of random, and the lowest as a relaxed file."""
    folder = tmp_path_factory.mktemp("toys")
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert main(list(toy_search("fast", num=4))) == 0
        assert main(list(toy_search("old", "--source-options", "ensemble=buildcell-0.9.1", num=4))) == 0
        relax = ("--relaxer", "toy_potentials:Pairs", "--out", "reference.extxyz")
        assert main(["relax", str(min(Path("fast/best").glob("*.cif"))), *relax]) == 0
    finally:
        os.chdir(before)
    return folder


def options(*runs: str, **words: Any) -> argparse.Namespace:
    defaults = {
        "reference": None,
        "within": "1",
        "baseline": None,
        "csv": None,
        "out": None,
        "report": None,
        "figures": None,
    }
    return argparse.Namespace(runs=list(runs), **defaults | words)


@pytest.mark.slow
def test_real_searches_are_compared_with_a_relaxed_file(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toys)
    table, figures = tmp_path / "table.csv", tmp_path / "figures.json"
    comparison = run_comparison(
        options("fast", "old", reference=["reference.extxyz"], within="2", csv=str(table), out=str(figures))
    )
    assert [s.source for s in comparison.sources] == ["random", "random[ensemble=buildcell-0.9.1]"]
    assert share_of_hits(comparison, "random")["NaCl"] >= 1
    assert table.read_text() == comparison.to_csv()
    assert json.loads(figures.read_text())["within_mev"] == 2
    assert "reference.extxyz" in "\n".join(comparison.lines())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"within": "none"}, "--within: cannot use 'none'"),
        ({"within": "-1"}, "--within: cannot use '-1'"),
        ({"reference": ["absent.cif"]}, "'absent.cif' does not exist"),
        ({"csv": "fast/config.toml/x.csv"}, "--csv: 'fast/config.toml/x.csv' cannot be written"),
        ({"baseline": "unimat"}, "unknown --baseline 'unimat'"),
    ],
)
def test_bad_words_are_told_in_one_line(
    words: dict[str, Any], told: str, toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toys)
    with pytest.raises(InputError) as error:
        run_comparison(options("fast", **words))
    assert told in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(InputError, match="'absent' is not a run folder"):
        run_comparison(options("absent"))
