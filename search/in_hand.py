"""Which candidates a process had in hand when it crashed, so that one that crashes it every time is found out.

A library that a candidate drives into a segmentation fault takes the process with it, and no journal line says which
candidate it was. So each worker notes in a file of its own what it begins to draw and to relax, and Python's
`faulthandler` writes the traceback of a fatal signal (SIGSEGV, SIGFPE, SIGABRT, SIGBUS, SIGILL) behind it. Only such a
traceback counts against the candidates in hand: a job that is killed, or loses its power, leaves none.

Lines are handed to the operating system and not fsynced: what a process wrote outlives its crash, and a crash of the
whole machine is nobody's fault here.
"""

from __future__ import annotations

import faulthandler
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

from ase import Atoms

from ..errors import StorageError
from ..files import write_atomic
from ..formats import one_line, safe_name
from ..records import Candidate, Record, Relaxation, Status
from ..records_json import atoms_to_json, to_json
from .crash_notes import FATAL, IN_HAND_FOLDER, header, note_files, read_notes
from .schedule import Assignment

QUARANTINE_FOLDER = "quarantine"

TRIES = 2
"""Crashes after which a candidate is given up, at least one of them with no other candidate in hand."""

_LARGEST = 1 << 16
"""Bytes of a worker's file before it is written anew with what is still in hand."""
_WORDS = 100
"""Characters of a traceback's line that go into a message."""
_FORGOTTEN_DAYS = 30
"""A file without a traceback from a host that cannot be asked is removed after so many days."""


class InHand:
    """Notes what this process has in hand, while used as a context; at most one in a process at a time.

    Parameters
    ----------
    folder : the run folder, or the campaign folder.

    Raises
    ------
    StorageError : on entering, where the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / IN_HAND_FOLDER
        self._lock = threading.Lock()  # candidates may be drawn ahead in a thread
        self._lines: dict[tuple[str, int], bytes] = {}
        self._file: IO[bytes] | None = None
        self._size = self._in_hand = 0  # bytes
        self._torn = False

    def __enter__(self) -> InHand:
        """Make the file, and have fatal signals tell it where they struck."""
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._path = self._folder / name
            # Appending, so that a traceback lands behind the lines also after the file was cut short.
            self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND), "wb", 0)
        except OSError as error:
            raise StorageError(f"cannot write to {str(self._folder)!r} ({error.strerror}): make room") from error
        self._had_handler = faulthandler.is_enabled()
        faulthandler.enable(self._file)
        self._write(header())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove the file: however the work ended, the process did not crash."""
        faulthandler.disable()
        if self._had_handler:
            with suppress(OSError, RuntimeError, ValueError):  # no standard error to write to
                faulthandler.enable(sys.__stderr__ or 2)
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            self._file = None

    def begins_to_draw(self, search: str, assignment: Assignment) -> None:
        """A candidate is about to be drawn; `search` names the run within a campaign, "" where there is but one."""
        self._note(search, assignment.number, assignment.source, assignment.index, None)

    def begins_to_relax(self, search: str, number: int, candidate: Candidate) -> None:
        """A candidate is about to be relaxed."""
        self._note(search, number, candidate.source, candidate.index, candidate.atoms)

    def done(self, search: str, number: int) -> None:
        """A candidate is in the journal, or given back."""
        with self._lock:
            line = self._lines.pop((search, number), None)
            if line is not None:
                self._in_hand -= len(line)
                self._write(to_json({"done": number, "search": search}) + b"\n")

    def _note(self, search: str, number: int, source: str, index: int, atoms: Atoms | None) -> None:
        line = {"number": number, "search": search, "source": source, "index": index, "atoms": atoms_to_json(atoms)}
        with self._lock:
            text = to_json(line) + b"\n"
            self._in_hand += len(text) - len(self._lines.get((search, number), b""))
            self._lines[search, number] = text
            self._write(text)

    def _write(self, text: bytes) -> None:
        """Write on, or all anew where the file has grown; a disk that is full is told of by the journal."""
        if self._file is None:
            return
        try:
            if self._size > _LARGEST + 2 * self._in_hand:
                os.ftruncate(self._file.fileno(), 0)
                self._size = 0
                text = b"".join([header(), *self._lines.values()])
            if self._torn:  # a torn line costs only itself
                text = b"\n" + text
            self._torn = self._file.write(text) != len(text)
            self._size += len(text)
        except OSError:
            self._torn = True


@dataclass(frozen=True, eq=False)
class Suspect:
    """A candidate that was in hand when a process crashed.

    Attributes
    ----------
    search : name of the run within the campaign, as it was given to `InHand`. number : of the candidate.
    source, index : the candidate.
    strikes : crashes at which it was in hand. alone : those of them at which nothing else was.
    atoms : the structure of the last try that came as far as relaxing; None: it was always being drawn.
    tracebacks : of each crash, the oldest first; the innermost frames, one text each.
    """

    search: str
    number: int
    source: str
    index: int
    strikes: int
    alone: int
    atoms: Atoms | None
    tracebacks: tuple[str, ...]

    @property
    def guilty(self) -> bool:
        """Whether it is to be put in quarantine; else it is to be tried once more, alone."""
        return self.strikes >= TRIES and self.alone > 0

    @property
    def crash(self) -> str:
        """What the last crash was and where, in a few words: Segmentation fault in evaluate, chgnet.py line 12."""
        lines = self.tracebacks[-1].splitlines()
        what = one_line(lines[0].removeprefix(FATAL))[:_WORDS]
        frame = next((line.strip() for line in lines if line.startswith("  File ")), "")
        place = frame.removeprefix("File ").rpartition(", line ")
        number, _, function = place[2].partition(" in ")
        where = one_line(f"{function}, {Path(place[0].strip(chr(34))).name} line {number}")[:_WORDS]
        return f"{what} in {where}" if function else what


@dataclass
class _Case:
    """A suspect while its crashes are gathered."""

    number: int
    alone: int = 0
    atoms: Atoms | None = None
    tracebacks: list[str] = field(default_factory=list)


def suspects(folder: Path) -> list[Suspect]:
    """The candidates that were in hand when processes crashed, those with most strikes first.

    One that was finished since (its record is in the journal) is innocent: that is for the caller to know.

    Parameters
    ----------
    folder : as given to `InHand`.
    """
    cases: dict[tuple[str, str, int], _Case] = {}
    crashes = [noted for file in note_files(folder) if (noted := read_notes(file)) is not None and noted.traceback]
    for crash in crashes:
        for entry in crash.in_hand:
            case = cases.setdefault((entry["search"], entry["source"], entry["index"]), _Case(entry["number"]))
            case.number = entry["number"]
            case.alone += len(crash.in_hand) == 1
            case.atoms = entry["atoms"] or case.atoms
            case.tracebacks.append(crash.traceback)
    found = [
        Suspect(search, case.number, source, index, len(case.tracebacks), case.alone, case.atoms, (*case.tracebacks,))
        for (search, source, index), case in cases.items()
    ]
    return sorted(found, key=lambda suspect: (-suspect.strikes, suspect.search, suspect.number))


def quarantine(run: Path, suspect: Suspect, target: str, pressure_gpa: float = 0.0) -> Record:
    """Keep a candidate that crashes the process for a report, and say so in a record for the journal.

    RUN/quarantine/ then holds NAME.extxyz, the structure to the last digit, where there is one, and NAME.txt, the
    tracebacks.

    Parameters
    ----------
    run : the run folder. target, pressure_gpa : of the search, for the record.

    Raises
    ------
    StorageError : the folder cannot be written.
    """
    candidate = Candidate(target, suspect.source, suspect.index, suspect.atoms)
    name = safe_name(candidate.name)
    files = {f"{name}.txt": "\n".join(suspect.tracebacks)}
    if suspect.atoms is not None:
        files[f"{name}.extxyz"] = _extxyz(suspect.atoms)
    try:
        for file, text in files.items():
            write_atomic(run / QUARANTINE_FOLDER / file, text)
    except OSError as error:
        raise StorageError(
            f"cannot write to {str(run / QUARANTINE_FOLDER)!r} ({error.strerror}): make room and give the same command "
            "again"
        ) from error
    times = "twice" if suspect.strikes == 2 else f"{suspect.strikes} times"
    doing, makers = ("relaxed", "potential") if suspect.atoms is not None else ("drawn", "source")
    message = (
        f"crashed the process {times} while it was {doing} ({suspect.crash}); kept in "
        f"{QUARANTINE_FOLDER}/{sorted(files)[0]}: report it to the makers of the {makers}"
    )
    relaxation = Relaxation(None, Status.ERROR, message=message, pressure_gpa=pressure_gpa)
    return Record(candidate, relaxation, time.time(), number=suspect.number)


def tidy(folder: Path, is_finished: Callable[[str, str, int], bool]) -> None:
    """Remove what is of no use any more: files of crashes whose candidates are all finished, and of killed processes.

    Parameters
    ----------
    folder : as given to `InHand`.
    is_finished : whether the candidate (search, source, index) is in its journal.
    """
    for file in note_files(folder):
        noted = read_notes(file)
        if noted is None:
            continue
        useless = False
        if noted.traceback:
            useless = all(is_finished(e["search"], e["source"], e["index"]) for e in noted.in_hand)
        elif noted.host == socket.gethostname():
            useless = True
        else:
            with suppress(OSError):
                useless = file.stat().st_mtime < time.time() - _FORGOTTEN_DAYS * 86400
        if useless:
            with suppress(OSError):
                file.unlink(missing_ok=True)


def _extxyz(atoms: Atoms) -> str:
    """As extended XYZ with all digits, which ASE's own writer does not keep: a crash may hang on the last one."""
    lattice = " ".join(map(repr, atoms.cell.array.ravel().tolist()))
    lines = [str(len(atoms)), f'Lattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T"']
    rows = zip(atoms.get_chemical_symbols(), atoms.positions.tolist(), strict=True)
    return "\n".join([*lines, *(" ".join((symbol, *map(repr, place))) for symbol, place in rows), ""])
