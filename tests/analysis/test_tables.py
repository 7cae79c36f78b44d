"""The rank table: absolute, then relative; suspicious ones below; advice where nothing converged."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from ase import Atoms

from xtalseek.analysis import find_minima, rank_rows, rank_table
from xtalseek.records import Record, Status
from xtalseek.search.store import Run

MakeRun = Callable[..., Run]
MakeRecord = Callable[..., Record]


def test_table(make_run: MakeRun, make_record: MakeRecord, rutile: Atoms, anatase: Atoms) -> None:
    records = [
        make_record(0, anatase, -8.80, message=""),
        make_record(1, rutile, -8.90),
        make_record(2, rutile, -8.8999),
        make_record(3, rutile, -12.0, Status.SUSPICIOUS, message="Ti-O 0.9 Å apart"),
    ]
    run = make_run(records)
    lines = rank_table(run, find_minima(run)).splitlines()
    assert lines[1].split() == ["TiO2-random-000001", "0.00", "31.225", "-26.70000", "TiO2", "2", "P4_2/mnm", "2"]
    assert lines[2].split() == ["TiO2-random-000000", "0.00", "34.075", "0.30000", "TiO2", "2", "I4_1/amd", "1"]
    assert lines[0].split()[0] == "name"
    assert all(len(line) <= 100 for line in lines)
    assert [lines[1].index("P4_2"), lines[1].index("TiO2", 5)] == [lines[2].index("I4_1"), lines[2].index("TiO2", 5)]
    place = lines.index("Suspicious, not ranked:")
    assert place > 2 and "TiO2-random-000003" in lines[place + 1] and "Ti-O 0.9 Å apart" in lines[place + 1]
    assert "ltol=0.1" in "\n".join(lines)


def test_top_counts_believed_minima_only(make_run: MakeRun, disguises: list[Record]) -> None:
    run = make_run(disguises)
    minima = find_minima(run)
    assert [row["rank"] for row in rank_rows(minima)] == [1, 2, None]
    assert [row["rank"] for row in rank_rows(minima, top=1)] == [1, None]
    text = rank_table(run, minima, top=1)
    assert "... and 1 more" in text and "I4_1" not in text


def test_rows_are_json(make_run: MakeRun, disguises: list[Record]) -> None:
    rows = json.loads(json.dumps(rank_rows(find_minima(make_run(disguises)))))
    assert rows[0]["relative_enthalpy_per_formula_unit"] == 0
    assert rows[1]["relative_enthalpy_per_formula_unit"] == pytest.approx(0.006, abs=0.0015)
    assert (rows[0]["times_found"], len(rows[0]["members"]), rows[0]["source"]) == (5, 5, "random")
    assert rows[2]["suspicious"] == "atoms too close" and rows[2]["relative_enthalpy_per_formula_unit"] is None


def test_nothing_converged_gives_advice(make_run: MakeRun, make_record: MakeRecord, rutile: Atoms) -> None:
    statuses = [Status.MAX_STEPS, Status.EXPLODED, Status.EXPLODED]
    run = make_run([make_record(n, rutile, -8.0, status) for n, status in enumerate(statuses)])
    text = rank_table(run, find_minima(run))
    assert "2 exploded, 1 max_steps" in text and Status.EXPLODED.advice in text
    empty = make_run([], folder="empty")
    assert rank_table(empty, []) == "No candidate has been relaxed yet."
