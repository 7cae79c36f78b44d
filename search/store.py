"""The run folder: a journal that survives any kill, and its reader.

Each writer appends JSON lines to a file of its own that nobody else ever opens for writing, and a line counts only
once it ends in a newline: a process killed in the middle of a write leaves a torn last line, which the reader passes
over, and never touches what was written before. A writer started later takes a new file, so that a torn line stays
the last of its file.
Each line is fsynced before `append` returns: a relaxation takes seconds, an fsync milliseconds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import InputError, StorageError
from ..files import sync_folder
from ..records import Record, record_from_json, record_to_json
from .config import SearchConfig, read_toml, resolve

CONFIG_FILE = "config.toml"
JOURNAL_FOLDER = "journal"


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
        self._file: IO[bytes] | None = None

    def append(self, record: Record) -> None:
        """Write one record; it is on the disk when this returns.

        Raises
        ------
        StorageError : the disk is full or the folder cannot be written.
        """
        line = json.dumps(record_to_json(record), separators=(",", ":")).encode() + b"\n"
        try:
            if self._file is None:
                self._file = self._open_new()
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise StorageError(
                f"cannot write to {str(self._folder)!r} ({error.strerror}): {record.name} is lost, everything before "
                "it is safe; make room and give the same command again"
            ) from error

    def close(self) -> None:
        """Close the file, if one was opened."""
        if self._file is not None:
            self._file.close()

    def _open_new(self) -> IO[bytes]:
        """Create the first file of this rank's that no earlier writer has; "x" makes the claim atomic."""
        self._folder.mkdir(parents=True, exist_ok=True)
        session = 0
        while True:
            try:
                file = (self._folder / f"{session:04d}-rank{self._rank:04d}.jsonl").open("xb")
            except FileExistsError:
                session += 1
                continue
            sync_folder(self._folder)
            return file


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
    records: tuple[Record, ...]
    torn_lines: int = 0


def load_run(path: str | Path) -> Run:
    """Read a run folder; a search may be writing to it at the same time.

    Raises
    ------
    InputError : the folder is not a run folder.
    """
    folder = Path(path)
    if not (folder / CONFIG_FILE).is_file():
        raise InputError(f"{str(path)!r} is not a run folder (it has no {CONFIG_FILE}): give the --out of a search")
    config = resolve(read_toml(folder / CONFIG_FILE))
    records: dict[tuple[str, int], Record] = {}
    torn = 0
    for record in _journal_lines(folder):
        if record is None:
            torn += 1
        else:
            # Two jobs that shared the folder may both have relaxed a candidate: the first one counts.
            records.setdefault((record.candidate.source, record.candidate.index), record)
    ordered = sorted(records.values(), key=lambda record: (record.number, record.name))
    return Run(folder, config, tuple(ordered), torn)


def _journal_lines(folder: Path) -> Iterator[Record | None]:
    """Every record of every writer, oldest writer first; None for a line that cannot be read."""
    for file in sorted((folder / JOURNAL_FOLDER).glob("*.jsonl")):
        with file.open("rb") as lines:
            for line in lines:
                try:
                    yield record_from_json(json.loads(line)) if line.endswith(b"\n") else None
                except (KeyError, TypeError, ValueError):
                    yield None
