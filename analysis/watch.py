"""Following a running search in the terminal: a bar, the rate, the lowest minima, and what each source finds.

It only reads. The journal of a long search is large, so each look reads only the lines that came since the last one;
minima are united anew only as often as that costs little.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from ..records import Record
from ..search.progress import LINE_EVERY_SECONDS, duration
from ..search.store import CONFIG_FILE, JOURNAL_FOLDER, Run, load_run, read_line
from .columns import aligned
from .findings import SourceRow, source_rows
from .minima import Minimum, find_minima
from .summary import RunSummary, rate_text, summarise

REDRAW_SECONDS = 2.0
_SHARE_OF_TIME = 0.1
_LOWEST = 3
_BAR = 40


class Follower:
    """Reads a run folder again and again, each time only what was added.

    Parameters
    ----------
    path : the run folder.

    Raises
    ------
    InputError : the folder is not a run folder.
    """

    def __init__(self, path: str | Path) -> None:
        first = load_run(path)
        self._path, self._config = first.path, first.config
        self._config_time = self._time_of_config()
        self._records: dict[tuple[str, int], Record] = {}
        self._read: dict[Path, int] = {}
        self._unreadable = 0

    def read(self) -> Run:
        """The run as it stands now, as `load_run` would give it."""
        if self._time_of_config() != self._config_time:  # a search was made longer
            self._config_time = self._time_of_config()
            self._config = load_run(self._path).config
        unfinished = sum(self._read_on(file) for file in sorted((self._path / JOURNAL_FOLDER).glob("*.jsonl")))
        ordered = sorted(self._records.values(), key=lambda record: (record.number, record.name))
        return Run(self._path, self._config, tuple(ordered), self._unreadable + unfinished)

    def _read_on(self, file: Path) -> bool:
        """Take in the lines that have been finished since the last time; whether an unfinished one follows."""
        with file.open("rb") as lines:
            lines.seek(self._read.get(file, 0))
            text = lines.read()
        whole, newline, rest = text.rpartition(b"\n")
        self._read[file] = self._read.get(file, 0) + len(whole) + len(newline)
        for line in whole.splitlines():
            record = read_line(line + b"\n")
            if record is None:
                self._unreadable += 1
            else:
                self._records.setdefault((record.candidate.source, record.candidate.index), record)
        return bool(rest)

    def _time_of_config(self) -> int:
        return (self._path / CONFIG_FILE).stat().st_mtime_ns


class View:
    """One run as lines of text.

    Parameters
    ----------
    path : the run folder.
    clock : seconds that only ever rise.
    """

    def __init__(self, path: str | Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._follower, self._clock = Follower(path), clock
        self._minima: list[Minimum] = []
        self._sources: list[SourceRow] = []
        self._counted, self._next_count = -1, clock()

    def look(self) -> tuple[str, list[str]]:
        """The run's state, and the lines that show it."""
        run = self._follower.read()
        summary = summarise(run)
        ended = summary.state != "running"
        if len(run.records) != self._counted and (ended or self._clock() >= self._next_count):
            start = self._clock()
            self._minima = [m for m in find_minima(run) if not m.suspicious]
            self._counted = len(run.records)
            self._next_count = self._clock() + (self._clock() - start) / _SHARE_OF_TIME
        self._sources = source_rows(run, self._minima)
        return summary.state, self._lines(summary)

    def _lines(self, summary: RunSummary) -> list[str]:
        filled = _BAR * summary.done // summary.num
        rate = "" if summary.candidates_per_hour is None else f", {rate_text(summary.candidates_per_hour)}"
        left = "" if summary.seconds_left is None else f", about {duration(summary.seconds_left)} left"
        lines = [
            f"{summary.target}  [{'#' * filled}{'.' * (_BAR - filled)}] {summary.done} of {summary.num}",
            f"  {summary.state}{rate}{left}, {summary.force_calls} force calls",
            "  " + (", ".join(f"{n} {status}" for status, n in summary.counts.items()) or "nothing relaxed yet"),
        ]
        if self._minima:
            behind = "" if self._counted == summary.done else f" (of the first {self._counted})"
            lines += ["", f"  lowest of {len(self._minima)} distinct minima{behind}"]
            lines += _indented([_minimum_cells(m, self._minima[0]) for m in self._minima[:_LOWEST]], (2, 4))
            lines.append("")
            # The minima may lag behind, so that a source may have found something lower since.
            heights = [row.lowest_enthalpy_per_atom for row in self._sources]
            ground = min(height for height in heights if height is not None)
            lines += _indented([_SOURCE_HEADER, *(_source_cells(row, ground) for row in self._sources)], (0,))
        return lines


_SOURCE_HEADER = ("source", "done", "converged", "minima", "found first", "hits of the lowest", "its lowest")


def watch(
    paths: Sequence[str | Path],
    stream: TextIO | None = None,
    wait: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Show runs until all are finished, or until the user interrupts.

    On a terminal the picture is redrawn every 2 s, also while nothing works on a run: it may go on. Elsewhere it is
    written every 10 s, until nothing works on any of them.

    Parameters
    ----------
    paths : run folders; nothing is written to them.
    stream : where to write; default: standard output.
    wait, clock : how to let time pass, and how to read it.

    Raises
    ------
    InputError : a folder is not a run folder.
    """
    stream = sys.stdout if stream is None else stream
    views = [View(path, clock) for path in paths]
    terminal, drawn = stream.isatty(), 0
    try:
        while True:
            states: list[str] = []
            lines: list[str] = []
            for view in views:
                state, own = view.look()
                states.append(state)
                lines += [*([""] if lines else []), *own]
            if terminal:
                columns, rows = shutil.get_terminal_size()
                lines = [line[: columns - 1] for line in lines[: rows - 1]]
            # Back to the first line of the last picture, and clear what is below.
            again = f"\x1b[{drawn}F\x1b[J" if drawn else ""
            stream.write(again + "\n".join(lines) + "\n")
            stream.flush()
            drawn = len(lines) if terminal else 0
            if all(state == "finished" or (state == "stopped" and not terminal) for state in states):
                return
            wait(REDRAW_SECONDS if terminal else LINE_EVERY_SECONDS)
    except KeyboardInterrupt:  # the way to leave
        return


def _indented(rows: Sequence[tuple[str, ...]], text_columns: Sequence[int]) -> list[str]:
    return ["    " + line for line in aligned(rows, text_columns)]


def _minimum_cells(minimum: Minimum, lowest: Minimum) -> tuple[str, ...]:
    above = 1000 * (minimum.enthalpy_per_atom - lowest.enthalpy_per_atom)
    times = f"{minimum.times_found}x"
    return f"{minimum.enthalpy_per_atom:.4f} eV/atom", f"+{above:.1f} meV", minimum.space_group, times, minimum.name


def _source_cells(row: SourceRow, ground: float) -> tuple[str, ...]:
    own = row.lowest_enthalpy_per_atom
    height = "-" if own is None else f"+{1000 * (own - ground):.1f} meV/atom"
    counts = (row.candidates, row.converged, row.minima, row.first, row.lowest_hits)
    return (row.source, *(str(count) for count in counts), height)
