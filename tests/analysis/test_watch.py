"""Following a run: reads only what was added, writes nothing, ends when there is nothing more to come."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from ase import Atoms

from xtalseek.analysis import summarise
from xtalseek.analysis import watch as watching
from xtalseek.analysis.watch import Follower, View, watch
from xtalseek.errors import InputError
from xtalseek.files import write_atomic
from xtalseek.records import Record, Status
from xtalseek.search.config import to_toml
from xtalseek.search.store import Journal, Run, load_run

MakeRun = Callable[..., Run]
MakeRecord = Callable[..., Record]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def never(seconds: float) -> None:
    pytest.fail(f"waited {seconds} s for nothing")


def numbered(records: list[Record]) -> list[Record]:
    return [replace(record, number=number) for number, record in enumerate(records)]


def test_follower_reads_what_load_run_reads(
    make_run: MakeRun, disguises: list[Record], make_record: MakeRecord, rutile: Atoms
) -> None:
    """At any moment: after each record, with a torn line of a killed writer, and with a second writer."""
    records = numbered(disguises)
    run = make_run(records[:3])
    follower, journal = Follower(run.path), Journal(run.path, rank=1)
    for record in records[3:]:
        journal.append(record)
        found, whole = follower.read(), load_run(run.path)
        assert [r.name for r in found.records] == [r.name for r in whole.records]
        assert found.torn_lines == whole.torn_lines == 0
    (file,) = (run.path / "journal").glob("*rank0001.jsonl")
    line = file.read_bytes().splitlines()[0]
    with file.open("ab") as torn:
        torn.write(line[:50])
    assert follower.read().torn_lines == load_run(run.path).torn_lines == 1
    with file.open("ab") as torn:
        torn.write(line[50:] + b"\nnonsense\n")
    assert follower.read().torn_lines == load_run(run.path).torn_lines == 1
    assert len(follower.read().records) == len(records)


def test_follower_never_reads_a_line_twice(
    make_run: MakeRun, disguises: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(numbered(disguises))
    follower = Follower(run.path)
    assert len(follower.read().records) == 10
    monkeypatch.setattr(watching, "read_line", lambda line: pytest.fail("read again"))
    assert len(follower.read().records) == 10


def test_a_run_made_longer_is_noticed(make_run: MakeRun, disguises: list[Record]) -> None:
    run = make_run(disguises)
    follower = Follower(run.path)
    write_atomic(run.path / "config.toml", to_toml(replace(run.config, num=500), {}))
    assert follower.read().config.num == 500


def test_finished_run_is_one_plain_block_and_nothing_is_written_to_it(
    make_run: MakeRun, disguises: list[Record]
) -> None:
    run = make_run(numbered(disguises))
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    stream = io.StringIO()
    watch([run.path], stream, never)
    text = stream.getvalue()
    assert "\x1b" not in text
    assert f"[{'#' * 40}] 10 of 10" in text
    assert "lowest of 2 distinct minima\n" in text and "P4_2/mnm" in text
    assert re.search(r"random +10 +8 +2 +2 +5 +\+0\.0 meV/atom", text)
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_on_a_terminal_the_picture_is_drawn_over(make_run: MakeRun, disguises: list[Record]) -> None:
    records = numbered(disguises)
    run = make_run(records[:9])
    journal, waits = Journal(run.path), []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            journal.append(records[9])

    stream = Terminal()
    watch([run.path], stream, wait)
    pictures = stream.getvalue().split("\x1b[")
    assert waits == [watching.REDRAW_SECONDS] * 2
    first = pictures[0].count("\n")
    assert pictures[1].startswith(f"{first}F") and pictures[2].startswith("J")  # up to its first line, and clear
    assert "9 of 10" in pictures[0] and "10 of 10" in pictures[-1]


def test_elsewhere_it_ends_when_nothing_works_on_the_run(
    make_run: MakeRun, make_record: MakeRecord, rutile: Atoms
) -> None:
    run = make_run([make_record(0, rutile, finished=1.0)])  # long ago
    stream = io.StringIO()
    watch([run.path], stream, never)
    assert "stopped" in stream.getvalue() and "1 of 10" in stream.getvalue()


def test_ctrl_c_leaves_quietly(make_run: MakeRun) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    stream = Terminal()
    watch([make_run([]).path], stream, interrupt)
    assert "nothing relaxed yet" in stream.getvalue()


def test_uniting_minima_takes_a_small_share_of_the_time(
    make_run: MakeRun, disguises: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each uniting takes 3 s, and someone looks 10 s after each look: the next may come after another 30 s."""
    now, counted = [0.0], []
    records = numbered(disguises)
    run = make_run(records[:1])

    def slow(run: Run) -> list[object]:
        counted.append(len(run.records))
        now[0] += 3
        return []

    monkeypatch.setattr(watching, "find_minima", slow)
    running = replace(summarise(run), state="running")
    monkeypatch.setattr(watching, "summarise", lambda run: replace(running, done=len(run.records)))
    view, journal = View(run.path, lambda: now[0]), Journal(run.path)
    for record in records[1:9]:
        view.look()
        now[0] += 10
        journal.append(record)
    assert counted == [1, 4, 7]


def test_not_a_run_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        watch([tmp_path], io.StringIO(), never)


def test_several_runs_and_nothing_found(make_run: MakeRun, make_record: MakeRecord, rutile: Atoms) -> None:
    failed = [make_record(n, rutile, None, Status.NAN) for n in range(10)]
    paths = [make_run(failed, folder=name).path for name in ("one", "two")]
    stream = io.StringIO()
    watch(paths, stream, never)
    assert stream.getvalue().count("10 of 10") == 2 and "10 nan" in stream.getvalue()
