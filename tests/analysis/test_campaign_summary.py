"""A campaign in rows: figures that can be counted by hand, rounds as one search, folders read one at a time."""

from __future__ import annotations

import csv
import gc
import io
import json
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from crystals import relaxed_again

from xtalseek.analysis.campaign_runs import campaign_runs
from xtalseek.analysis.campaign_summary import CampaignRow, CampaignSummary, idle_row, summarise_search
from xtalseek.records import Record, Status
from xtalseek.search.store import Run

MakeRun = Callable[..., Run]
MakeRecord = Callable[..., Record]


@pytest.fixture
def records(make_record: MakeRecord, disguises: list[Record], anatase: Atoms) -> list[Record]:
    """Rutile five times near -8.9 eV/atom and anatase three times near -8.898 from random; seeds find anatase again."""
    seeds = [
        make_record(0, anatase, -8.8979, source="seeds"),
        make_record(1, anatase, None, Status.NAN, source="seeds"),
    ]
    return [*disguises, *seeds]


def test_row_of_a_search(make_run: MakeRun, records: list[Record]) -> None:
    run = make_run(records, {"num": 12, "source": ["random", "seeds"]}, "campaign/runs/TiO2")
    row = summarise_search("TiO2", [run], reference=-8.898 + 0.0011, novelty=SimpleNamespace(seen=False, words="new"))
    heights = [r.relaxation.enthalpy_per_atom for r in records if r.relaxation.status is Status.CONVERGED]
    assert row.lowest == min(h for h in heights if h is not None) == pytest.approx(-8.9, abs=5e-4)
    assert (row.state, row.done, row.num, row.converged, row.minima) == ("finished", 12, 12, 9, 2)
    assert (row.times_found, row.space_group, row.folder, row.rounds) == (5, "P4_2/mnm", "runs/TiO2", 1)
    assert row.formula == "TiO2" and row.atoms_per_formula_unit == 3 and row.pressure_gpa == 0
    assert row.found_by == ("random",)
    lowest = {own.source: (own.candidates, own.lowest_enthalpy_per_atom) for own in row.sources}
    assert lowest == {"random": (10, row.lowest), "seeds": (2, pytest.approx(-8.8979))}
    assert row.missed_lower == 2**-5 and row.unseen is None  # nine relaxations say nothing of what is unseen
    assert row.force_calls == 120 and row.seconds == pytest.approx(12 * 2.5)
    assert (row.seen, row.novelty) == (False, "new")
    assert row.formation is None and row.above_hull is None


@pytest.mark.parametrize(("above_anatase_mev", "below"), [(0.5, 1), (1.5, 2), (-1.5, 0)])
def test_below_the_reference_by_more_than_1_mev(
    make_run: MakeRun, make_record: MakeRecord, rutile: Atoms, anatase: Atoms, above_anatase_mev: float, below: int
) -> None:
    run = make_run([make_record(0, rutile, -8.9), make_record(1, anatase, -8.898)], {"num": 2})
    reference = -8.898 + above_anatase_mev / 1000
    row = summarise_search("TiO2", [run], reference=reference)
    assert row.below_reference == below
    assert row.above_reference == pytest.approx(-8.9 - reference)
    without = summarise_search("TiO2", [run])
    assert without.below_reference is None and without.above_reference is None


def test_rounds_are_one_search(make_run: MakeRun, disguises: list[Record], make_record: MakeRecord) -> None:
    """Split over two folders that both number their candidates from 0, nothing is lost and nothing counts twice."""
    whole = make_run(disguises, {"num": 10}, "whole")
    again = [replace(r, candidate=replace(r.candidate, index=n)) for n, r in enumerate(disguises[4:])]
    first = make_run(disguises[:4], {"num": 4}, "campaign/runs/TiO2")
    second = make_run(again, {"num": 6}, "campaign/runs/TiO2-round2")
    one, two = summarise_search("TiO2", [whole]), summarise_search("TiO2", [first, second])
    for name in ("state", "done", "num", "converged", "minima", "lowest", "times_found", "missed_lower", "force_calls"):
        assert getattr(two, name) == getattr(one, name)
    assert two.rounds == 2
    order = sorted(disguises[:8], key=lambda record: record.relaxation.enthalpy_per_atom or 0.0)
    in_second = order[0] in disguises[4:]
    assert two.folder == f"runs/TiO2{'-round2' if in_second else ''}"
    assert two.lowest_name.startswith("TiO2-round2-random" if in_second else "TiO2-random")


def test_a_lowest_of_a_later_round_says_where_it_lies(
    make_run: MakeRun, make_record: MakeRecord, rutile: Atoms, anatase: Atoms
) -> None:
    first = make_run([make_record(0, anatase, -8.8)], {"num": 1}, "campaign/runs/TiO2")
    second = make_run(
        [make_record(0, rutile, -8.9, source="seeds")], {"num": 1, "source": "seeds"}, "c/runs/TiO2-round2"
    )
    row = summarise_search("TiO2", [first, second])
    assert (row.lowest_name, row.folder) == ("TiO2-round2-seeds-000000", "runs/TiO2-round2")
    assert [own.source for own in row.sources] == ["random", "seeds"] and row.found_by == ("seeds",)


def test_more_asked_for_is_not_finished(make_run: MakeRun, disguises: list[Record]) -> None:
    run = make_run(disguises, {"num": 10})
    assert summarise_search("TiO2", [run]).state == "finished"
    row = summarise_search("TiO2", [run], asked=15)
    assert (row.state in ("running", "stopped"), row.done, row.num) == (True, 10, 15)


def test_nothing_converged(make_run: MakeRun, make_record: MakeRecord, rutile: Atoms) -> None:
    run = make_run([make_record(0, rutile, None, Status.NAN)], {"num": 1})
    row = summarise_search("TiO2", [run], reference=-8.9)
    assert (row.lowest, row.minima, row.times_found, row.below_reference) == (None, 0, 0, 0)
    assert row.found_by == () and row.missed_lower is None and row.above_reference is None


def test_folders_are_read_one_at_a_time(make_run: MakeRun, disguises: list[Record], tmp_path: Path) -> None:
    names = ["A", "B", "C"]
    for name in names:
        make_run(disguises, {}, f"campaign/runs/{name}")
    alive: list[weakref.ref[Run]] = []
    for searched in campaign_runs(tmp_path / "campaign"):
        gc.collect()
        assert [ref() for ref in alive] == [None] * len(alive)
        assert searched.name == names[len(alive)]
        alive.append(weakref.ref(searched.runs[0]))
        del searched
    assert len(alive) == 3


def test_folders_that_cannot_be_read_are_told(make_run: MakeRun, disguises: list[Record], tmp_path: Path) -> None:
    for name in ("TiO2", "TiO2-round2", "TiO2-round10", "Good"):
        make_run(disguises, {"seed": 2 if name.endswith("10") else 1}, f"campaign/runs/{name}")
    runs = tmp_path / "campaign" / "runs"
    (runs / "TiO2-round2" / "config.toml").write_bytes(b"\xff\xfe formula = [")
    (runs / "Empty").mkdir()
    (runs / "notes.txt").write_text("mine")
    (runs / ".hidden").mkdir()
    found = {one.name: one for one in campaign_runs(tmp_path / "campaign")}
    assert list(found) == ["Empty", "Good", "TiO2"]
    assert found["Empty"].runs == [] and "not a run folder" in found["Empty"].reason
    assert len(found["Good"].runs) == 1 and found["Good"].reason == ""
    assert [run.path.name for run in found["TiO2"].runs] == ["TiO2", "TiO2-round10"]
    assert found["TiO2"].reason.startswith("TiO2-round2: ")
    assert list(campaign_runs(tmp_path / "no campaign")) == []


@pytest.fixture
def summary(make_run: MakeRun, records: list[Record]) -> CampaignSummary:
    run = make_run(records, {"num": 12, "source": ["random", "seeds"]}, "campaign/runs/TiO2")
    full = summarise_search("TiO2", [run], reference=-8.897, novelty=SimpleNamespace(seen=False, words="new, very"))
    full = replace(full, formation=-3.21, above_hull=0.0, unseen=0.25)
    long = replace(full, name="Mg12Al24Si8O", seen=True, above_hull=0.1234, below_reference=0, lowest=-8.8, sources=())
    rows = (
        full,
        long,
        idle_row("NaCl-10GPa", "NaCl", 10.0, 50),
        idle_row("Xx", state="refused", reason='no "x"\nhere'),
    )
    return CampaignSummary(Path("campaign"), rows, "All by emt.", ("a note",))


def test_csv_and_json_hold_every_figure(summary: CampaignSummary) -> None:
    read = list(csv.DictReader(io.StringIO(summary.to_csv())))
    assert [row["name"] for row in read] == [row.name for row in summary.rows]
    first = summary.rows[0]
    assert float(read[0]["lowest"]) == first.lowest and float(read[0]["random_lowest"]) == first.lowest
    assert (read[0]["random_candidates"], read[0]["seeds_candidates"], read[0]["found_by"]) == ("10", "2", "random")
    assert read[2]["lowest"] == "" and read[2]["state"] == "not begun" and float(read[2]["pressure_gpa"]) == 10
    assert read[3]["reason"] == 'no "x"\nhere'
    values = json.loads(json.dumps(summary.to_json(), allow_nan=False))
    assert values["states"] == {"finished": 2, "not begun": 1, "refused": 1}
    assert values["compositions"][0]["sources"][0]["lowest_enthalpy_per_atom"] == first.lowest
    assert values["compositions"][0]["above_reference"] == first.above_reference
    fields = set(CampaignRow.__dataclass_fields__) - {"sources"}
    assert fields <= set(read[0]) and fields <= set(values["compositions"][0])


def test_counts_and_lines(summary: CampaignSummary) -> None:
    assert [row.name for row in summary.novel] == [row.name for row in summary.stable] == ["TiO2"]
    assert [row.name for row in summary.below] == ["TiO2"] and len(summary.found) == 2
    random, seeds = summary.by_source()
    assert (random.source, random.compositions, random.lowest, random.alone) == ("random", 1, 1, 1)
    assert (seeds.source, seeds.candidates, seeds.lowest) == ("seeds", 2, 0)
    lines = summary.lines()
    assert max(map(len, lines)) <= 80
    assert "2 with a minimum, 1 of them not in the training data" in " ".join(lines)
    table = {line.split()[0]: line.split() for line in lines if line}
    assert table["TiO2"][1:6] == ["12/12", f"{summary.rows[0].lowest:.4f}", "P4_2/mnm", "5", "-3.210"]
    assert table["Mg12Al24Si8O"][6:] == ["123", "97", "0", "no"]
    assert 'Xx: refused, no "x" here' in lines and "a note" in lines
    assert sum(line.startswith(("TiO2", "Mg12")) for line in summary.lines(top=1)) == 1
    assert any("3 more in summary.csv" in line for line in summary.lines(top=1))


def test_equally_low_minimum_belongs_to_all_that_found_it(
    make_run: MakeRun, make_record: MakeRecord, rutile: Atoms
) -> None:
    rng = np.random.default_rng(1)
    both = [make_record(0, relaxed_again(rutile, rng), -8.9, source=source) for source in ("random", "seeds")]
    row = summarise_search("TiO2", [make_run(both, {"num": 2, "source": ["random", "seeds"]})])
    assert row.found_by == ("random", "seeds")
    assert [(s.lowest, s.alone) for s in CampaignSummary(Path(), (row,)).by_source()] == [(1, 0), (1, 0)]
