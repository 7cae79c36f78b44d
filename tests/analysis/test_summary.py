"""What `xtalseek status` says of a run that is new, running, stopped, resumed or finished."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from ase.build import bulk

from xtalseek.analysis import summarise
from xtalseek.analysis.summary import duration
from xtalseek.records import Record, Status
from xtalseek.search.store import Run

MakeRun = Callable[..., Run]
MakeRecord = Callable[..., Record]


CU = bulk("Cu")
NOW = 1_900_000_000.0


def test_new_run_is_running_then_stopped(make_run: MakeRun) -> None:
    run = make_run([], {"formula": "Cu"})
    made = (run.path / "config.toml").stat().st_mtime
    summary = summarise(run, made + 60)
    assert (summary.state, summary.done, summary.num, summary.counts) == ("running", 0, 10, {})
    assert (summary.best_name, summary.candidates_per_hour, summary.seconds_left) == ("", None, None)
    assert any("nothing has converged" in line for line in summary.lines())
    assert summarise(run, made + 200).state == "stopped"


def test_running_run(make_run: MakeRun, make_record: MakeRecord) -> None:
    records = [
        make_record(0, CU, -3.0, finished=NOW - 40),
        make_record(1, CU.repeat(2), -3.5, finished=NOW - 30),
        make_record(2, CU, -9.0, Status.SUSPICIOUS, finished=NOW - 20),
        make_record(3, CU, None, Status.NAN, finished=NOW - 10),
    ]
    summary = summarise(make_run(records, {"formula": "Cu"}), NOW)
    assert summary.state == "running"
    assert summary.counts == {Status.CONVERGED: 2, Status.SUSPICIOUS: 1, Status.NAN: 1}
    assert (summary.best_name, summary.best_enthalpy_per_atom) == ("TiO2-random-000001", pytest.approx(-3.5))
    assert summary.candidates_per_hour == pytest.approx(360)  # one in 10 s
    assert summary.seconds_left == pytest.approx(60)
    assert (summary.force_calls, summary.seconds) == (40, 10.0)


def test_slow_candidates_keep_a_run_running(make_run: MakeRun, make_record: MakeRecord) -> None:
    records = [make_record(0, CU, seconds=99.5, finished=NOW)]
    run = make_run(records, {"formula": "Cu"})
    assert summarise(run, NOW + 900).state == "running"
    assert summarise(run, NOW + 1100).state == "stopped"


def test_stopped_run_says_how_to_go_on(make_run: MakeRun, make_record: MakeRecord) -> None:
    summary = summarise(make_run([make_record(0, CU, finished=NOW - 1000)], {"formula": "Cu"}), NOW)
    assert (summary.state, summary.seconds_left) == ("stopped", None)
    assert any("same search command" in line for line in summary.lines())


def test_rate_does_not_count_the_time_a_run_stood_still(make_run: MakeRun, make_record: MakeRecord) -> None:
    times = [0, 10, 20, 50_000, 50_010, 50_020]
    records = [make_record(n, CU, finished=NOW + t) for n, t in enumerate(times)]
    summary = summarise(make_run(records, {"formula": "Cu"}), NOW + 50_025)
    assert summary.candidates_per_hour == pytest.approx(360)


def test_finished_run_and_json(make_run: MakeRun, make_record: MakeRecord) -> None:
    records = [make_record(n, CU, finished=NOW + n) for n in range(3)]
    summary = summarise(make_run(records, {"formula": "Cu", "num": 3}), NOW + 10_000_000)
    assert (summary.state, summary.seconds_left) == ("finished", None)
    data = json.loads(json.dumps(summary.to_json()))
    assert data["counts"] == {"converged": 3}
    assert (data["done"], data["state"], data["sources"]) == (3, "finished", ["random"])
    assert any("3 of 3 candidates (100 %)" in line for line in summary.lines())


def test_a_search_that_found_enough_is_finished(make_run: MakeRun, make_record: MakeRecord) -> None:
    records = [make_record(n, CU, finished=NOW + n) for n in range(5)]
    enough = make_run(records, {"formula": "Cu", "until": "found-5-times"})
    assert (summarise(enough, NOW).state, summarise(enough, NOW).done, enough.config.num) == ("finished", 5, 10)
    less = make_run(records[:4], {"formula": "Cu", "until": "found-5-times"}, folder="less")
    assert summarise(less, NOW + 10).state == "running"


def test_torn_lines_are_told(make_run: MakeRun, make_record: MakeRecord) -> None:
    run = make_run([make_record(0, CU, finished=NOW)], {"formula": "Cu"})
    torn = type(run)(run.path, run.config, run.records, torn_lines=2)
    assert any("2 lines unreadable" in line for line in summarise(torn, NOW).lines())


@pytest.mark.parametrize(
    ("seconds", "words"), [(45, "45 s"), (720, "12 min"), (12_240, "3.4 h"), (200_000, "2.3 days")]
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words
