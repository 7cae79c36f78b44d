"""The run folder: a journal that survives any kill, and its reader.

Each writer appends JSON lines to a file of its own that nobody else ever opens for writing, and a line counts only
once it ends in a newline: a process killed in the middle of a write leaves a torn last line, which the reader passes
over, and never touches what was written before. A writer started later takes a new file, so that a torn line stays
the last of its file. The last key of a line is the CRC-32 of the bytes before it, so that a line that was damaged and
is still JSON is told from a good one; journals of earlier versions, without it, are still read.
Each line is fsynced before `append` returns: a relaxation takes seconds, an fsync milliseconds.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from ..errors import InputError, StorageError
from ..files import DISK_ERRORS, sync_folder, write_atomic
from ..records import Record
from ..records_json import record_from_json, record_to_json, to_json
from .config import SearchConfig, read_run_config

CONFIG_FILE = "config.toml"
JOURNAL_FOLDER = "journal"
LOG_FOLDER = "log"
"""A batch system may write to it before the search begins."""

_SUM_KEY = b',"crc32":"'
_END = b'"}\n'
_TAIL = len(_SUM_KEY) + 8 + len(_END)
_KEYS = frozenset(("candidate", "relaxation", "finished", "rank", "number"))
_LONGEST = 1 << 26
"""Bytes of a line at most; a longer one is no record of ours, and is never held in memory whole."""


class Journal:
    """The append-only file of one writer.

    Parameters
    ----------
    run : the run folder.
    rank : number of the writer, for the file's name.
    """

    def __init__(self, run: Path, rank: int = 0) -> None:
        self._folder = run / JOURNAL_FOLDER
        self._rank = rank
        self._path: Path | None = None
        self._file: IO[bytes] | None = None
        self._length = 0

    def append(self, record: Record) -> None:
        """Write one record; it is on the disk when this returns.

        Raises
        ------
        StorageError : the disk is full or the folder cannot be written. The file ends as it did before, or is left to
            lie with a torn last line: what is appended later is whole either way.
        """
        line = journal_line(record)
        try:
            if self._file is None:
                self._file = self._open()
            written = 0
            while written < len(line):
                written += self._file.write(line[written:])
            os.fsync(self._file.fileno())
        except OSError as error:
            self._take_back()
            raise StorageError(
                f"cannot write to {str(self._folder)!r} ({error.strerror}): {record.name} is lost, everything before "
                "it is safe; make room and give the same command again"
            ) from error
        except BaseException:  # a signal's, in the middle of the line
            self._take_back()
            raise
        self._length += len(line)

    def rest(self) -> None:
        """Close the file until the next `append`, so that a writer to many run folders holds few files open."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # NFS tells of a full disk once more; what was appended is on the disk
                file.close()

    def close(self) -> None:
        """Close the file, if one was opened."""
        self.rest()

    def _open(self) -> IO[bytes]:
        """This writer's own file, as it left it; a new one where there is none or it did not stay so."""
        if self._path is not None:
            try:
                # Not with mode "a", which would make a file anew that somebody removed.
                file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_APPEND), "wb", buffering=0)
            except FileNotFoundError:
                return self._open_new()
            if os.fstat(file.fileno()).st_size == self._length:
                return file
            file.close()
        return self._open_new()

    def _open_new(self) -> IO[bytes]:
        """Create the first file of this rank's that no earlier writer has; "x" makes the claim atomic."""
        self._folder.mkdir(parents=True, exist_ok=True)
        session = 0
        while True:
            path = self._folder / f"{session:04d}-rank{self._rank:04d}.jsonl"
            try:
                file = path.open("xb", buffering=0)
            except FileExistsError:
                session += 1
                continue
            sync_folder(self._folder)
            self._path, self._length = path, 0
            return file

    def _take_back(self) -> None:
        """After a failed write: cut a torn line off, and open the file anew for the next record.

        Where it cannot be cut off, the file's length tells `_open` to leave it and take another.
        """
        if self._file is not None:
            with suppress(OSError):
                os.ftruncate(self._file.fileno(), self._length)
            self.rest()


def is_taken(folder: Path) -> bool:
    """Whether something lies where a new run or campaign folder is to be, but for the logs of a batch system."""
    return folder.exists() and (not folder.is_dir() or any(item.name != LOG_FOLDER for item in folder.iterdir()))


def write_settings(path: Path, text: str, folder: str) -> None:
    """Write the file that makes a folder that of a run or of a campaign; `folder` is how the user knows it.

    Raises
    ------
    InputError : it may not be written.
    StorageError : the disk is full or fails.
    """
    try:
        write_atomic(path, text)
    except OSError as error:
        kind = StorageError if error.errno in DISK_ERRORS else InputError
        raise kind(f"{folder} cannot be written: {error.strerror}") from error


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder as it was read.

    Attributes
    ----------
    path : the folder.
    config : what was asked for.
    records : one per candidate, in the order of the candidates' numbers (not of their finishing).
    torn_lines : lines of the journal that could not be read: torn by a kill, or damaged.
    """

    path: Path
    config: SearchConfig
    records: Sequence[Record]
    torn_lines: int = 0


def load_run(path: str | Path) -> Run:
    """Read a run folder; a search may be writing to it at the same time.

    Raises
    ------
    InputError : the folder is not a run folder.
    """
    folder = Path(path)
    config = read_config(folder)
    records: dict[tuple[str, int], Record] = {}
    torn = 0
    for _, _, line in journal_lines(folder):
        record = read_line(line)
        if record is None:
            torn += 1
        else:
            # Two jobs that shared the folder may both have relaxed a candidate: the first one counts.
            records.setdefault((record.candidate.source, record.candidate.index), record)
    ordered = sorted(records.values(), key=lambda record: (record.number, record.name))
    return Run(folder, config, tuple(ordered), torn)


def read_config(folder: Path) -> SearchConfig:
    """The configuration of a run folder.

    Raises
    ------
    InputError : the folder is not a run folder.
    """
    if not (folder / CONFIG_FILE).is_file():
        inside = sorted(found.parent for found in folder.glob(f"runs/*/{CONFIG_FILE}"))
        give = f"give one of its runs, such as {inside[0]}" if inside else "give the --out of a search"
        raise InputError(f"{str(folder)!r} is not a run folder (it has no {CONFIG_FILE}): {give}")
    return read_run_config(folder / CONFIG_FILE)


def journal_files(folder: Path) -> list[Path]:
    """The journal's files, oldest writer first."""
    return sorted(file for file in (folder / JOURNAL_FOLDER).glob("*.jsonl") if file.is_file())


def journal_lines(folder: Path) -> Iterator[tuple[Path, int, bytes]]:
    """Every line of every writer, oldest writer first, with its file and where in it the line begins.

    Raises
    ------
    InputError : a file may not be read.
    """
    for file in journal_files(folder):
        try:
            with file.open("rb") as lines:
                offset = 0
                while line := lines.readline(_LONGEST):
                    yield file, offset, line
                    offset += len(line)
        except OSError as error:
            raise InputError(f"{str(file)!r} cannot be read ({error.strerror}): a search would repeat it") from error


def journal_line(record: Record) -> bytes:
    """A record as a line of the journal, checksum and newline included."""
    body = to_json(record_to_json(record))[:-1]
    return b"%b%b%08x%b" % (body, _SUM_KEY, zlib.crc32(body), _END)


def parse_line(line: bytes) -> tuple[dict[str, Any], bool] | None:
    """The JSON object of a line, and whether a checksum vouches for it; None for a line that cannot be read."""
    if not line.endswith(b"}\n"):
        return None
    has_sum = line[-_TAIL : -_TAIL + len(_SUM_KEY)] == _SUM_KEY and line.endswith(_END)
    if has_sum and line[-_TAIL + len(_SUM_KEY) : -len(_END)] != b"%08x" % zlib.crc32(line[:-_TAIL]):
        return None
    try:
        data = orjson.loads(line)
    except ValueError:
        try:
            data = json.loads(line)  # reads the NaN that earlier versions wrote, and half a surrogate pair
        except (ValueError, RecursionError):
            return None
    if not isinstance(data, dict) or (data.pop("crc32", None) is not None) != has_sum or not _KEYS.issuperset(data):
        return None
    return data, has_sum


def read_line(line: bytes) -> Record | None:
    """The record in a line of the journal; None where it is torn, damaged or none. Never raises."""
    parsed = parse_line(line)
    try:
        return None if parsed is None else record_from_json(parsed[0])
    except (KeyError, TypeError, ValueError):
        return None
