"""The files in which workers note what they have in hand: where they lie, what they say, and whether a worker crashed.

A file holds a line of JSON for the worker itself, for each candidate that it began and for each that was done, and
behind them what `faulthandler` wrote when a fatal signal came. It is data: a line that cannot be read is passed over.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from ase import Atoms

from ..records_json import atoms_from_json, count, to_json

IN_HAND_FOLDER = "in_hand"

FATAL = "Fatal Python error: "
"""What faulthandler's first line begins with."""

_MOST_READ = 1 << 26
_SHOWN = 30
"""Lines of a traceback that are kept: faulthandler writes the innermost frames first."""


@dataclass(frozen=True)
class Noted:
    """What a worker's file says.

    Attributes
    ----------
    host : where it ran.
    in_hand : the candidates that were not done when it crashed: `search`, `source`, `number`, `index` and `atoms`.
    traceback : of the crash that ended it; empty: it did not crash.
    """

    host: str
    in_hand: list[dict[str, Any]]
    traceback: str


def note_files(folder: Path) -> list[Path]:
    """The files of all workers, the one changed last coming last."""

    def changed(file: Path) -> float:
        try:
            return file.stat().st_mtime
        except OSError:
            return 0.0

    files = [file for file in (folder / IN_HAND_FOLDER).glob("*.jsonl") if file.is_file() and not file.is_symlink()]
    return sorted(files, key=lambda file: (changed(file), file.name))


def read_notes(file: Path) -> Noted | None:
    """What is in a worker's file; None while that worker lives, or where the file cannot be read."""
    try:
        with file.open("rb") as content:
            text = content.read(_MOST_READ)
    except OSError:
        return None
    host, lines = "", text.splitlines(keepends=True)
    in_hand: dict[tuple[str, int], dict[str, Any]] = {}
    fault: list[str] = []
    # Most workers did not crash: of those only the first line is of interest.
    for line in lines if FATAL.encode() in text else lines[:1]:
        data = _line(line)
        if data is None:
            if fault or line.startswith(FATAL.encode()):
                fault.append(line.decode(errors="replace").rstrip())
            continue
        fault.clear()  # it was a child of the process that crashed: the process itself wrote on
        if "pid" in data:
            host = data["host"]
            if host == socket.gethostname() and _lives(data["pid"], data["start"]):
                return None
        elif "done" in data:
            in_hand.pop((data["search"], data["done"]), None)
        else:
            in_hand[data["search"], data["number"]] = data
    if not fault:
        return Noted(host, [], "")
    return Noted(host, [entry | {"atoms": _atoms(entry["atoms"])} for entry in in_hand.values()], _worth_showing(fault))


def _line(line: bytes) -> dict[str, Any] | None:
    """A line of a worker's file; None for one that is torn, damaged, or of a traceback."""
    try:
        data = orjson.loads(line) if line.startswith(b"{") else None
        if not isinstance(data, dict):
            return None
        if "pid" in data:
            kept = {"host": str(data["host"]), "pid": count(data["pid"]), "start": str(data["start"])}
        elif "done" in data:
            kept = {"done": count(data["done"]), "search": str(data["search"])}
        else:
            kept = {name: str(data[name]) for name in ("search", "source")}
            kept |= {name: count(data[name]) for name in ("number", "index")}
            kept["atoms"] = data["atoms"]
    except (KeyError, TypeError, ValueError):
        return None
    return kept


def _atoms(data: Any) -> Atoms | None:
    try:
        return atoms_from_json(data)
    except (KeyError, TypeError, ValueError):
        return None


def _worth_showing(fault: Iterable[str]) -> str:
    """What crashed, and the innermost frames, those of the thread that crashed first."""
    what, *threads = "\n".join(fault).split("\n\n")
    threads = [thread for thread in threads if not thread.startswith("Extension modules:")]
    threads.sort(key=lambda thread: not thread.startswith("Current thread"))
    return "\n".join("\n".join([what, *threads]).splitlines()[:_SHOWN])


def header() -> bytes:
    """The line of a worker for itself."""
    return to_json({"host": socket.gethostname(), "pid": os.getpid(), "start": _start_of(os.getpid())}) + b"\n"


def _lives(pid: int, start: str) -> bool:
    """Whether the process on this host that has this number is still the one that began then."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass
    except (OSError, OverflowError):
        return False
    return _start_of(pid) == start


def _start_of(pid: int) -> str:
    """Of a process, in ticks since the machine was started; empty where the system does not tell, or it is dead."""
    try:
        state, *facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if state in "ZX" else facts[18]
