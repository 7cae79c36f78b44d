"""What a run's journal says of finished candidates, read without building structures: enough to resume a search.

A million candidates take about a hundred bytes each in memory, as columns of numbers.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, overload

import numpy as np
from ase import Atoms
from ase.units import GPa

from ..errors import InputError
from ..records import Record, Status
from ..records_json import atoms_from_json, count, finite, record_to_json
from .store import Run, journal_lines, parse_line, read_config, read_line
from .tasks import Finished

_STATUSES = [status.value for status in Status]
_STATUS_CODE = {value: code for code, value in enumerate(_STATUSES)}
_BLOCK = 4096
_OPEN_FILES = 32
_COLUMNS = np.dtype(
    [
        ("number", np.int64),
        ("target", np.int32),
        ("source", np.int32),
        ("index", np.int64),
        ("status", np.int8),
        ("enthalpy_per_atom", float),
        ("volume_per_atom", float),
        ("force_calls", np.int64),
        ("seconds", float),
        ("finished", float),
        ("file", np.int32),
        ("offset", np.int64),
    ]
)


class Lines:
    """Reads single lines of a journal, with few of its files open at a time.

    Parameters
    ----------
    files : of the journal.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._open: OrderedDict[int, IO[bytes]] = OrderedDict()

    def read(self, file: int, offset: int) -> bytes:
        """The line of file number `file` that begins at `offset`.

        Raises
        ------
        InputError : the file may not be read.
        """
        try:
            lines = self._open.pop(file, None) or self._files[file].open("rb")
            self._open[file] = lines
            if len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            if lines.tell() != offset:  # seeking empties the buffer, and most lines follow one another
                lines.seek(offset)
            return lines.readline()
        except OSError as error:
            raise InputError(f"{str(self._files[file])!r} cannot be read ({error.strerror})") from error


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """The finished candidates of a run folder, each once, in the order in which they finished.

    Attributes
    ----------
    path : the run folder.
    torn_lines : lines of the journal that could not be read: torn by a kill, or damaged.
    columns : (n,), what `Finished` has, as fields of a structured array: `number`, `index`, `enthalpy_per_atom`
        (eV/atom, NaN: none), `volume_per_atom` (Å^3, NaN: none), `force_calls`, `seconds`, `finished` (since 1970), ...
    sources, targets : names that the columns `source` and `target` count through.
    lines : reads the line that the columns `file` and `offset` name.
    """

    path: Path
    torn_lines: int
    columns: np.ndarray
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    lines: Lines

    def __len__(self) -> int:
        """Finished candidates."""
        return len(self.columns)

    @property
    def next_number(self) -> int:
        """One more than the largest number in the journal; 0 for an empty one."""
        return int(self.columns["number"].max()) + 1 if len(self) else 0

    def within(self, numbers: range) -> FinishedRun:
        """Those whose number is one of `numbers`, which count up by one."""
        own = self.columns["number"]
        return replace(self, columns=self.columns[(own >= numbers.start) & (own < numbers.stop)])

    def indices(self, source: str) -> np.ndarray:
        """Indices of the finished candidates of a source, rising, int64."""
        if source not in self.sources:
            return np.zeros(0, np.int64)
        return np.sort(self.columns["index"][self.columns["source"] == self.sources.index(source)])

    def __iter__(self) -> Iterator[Finished]:
        """Each as `Finished.of` gives it, without structures."""
        return self.in_order()

    def in_order(self, with_atoms: bool = False) -> Iterator[Finished]:
        """Each as `Finished.of` gives it; its structure is read anew from the journal where it is wanted.

        Raises
        ------
        InputError : a structure is wanted, and its file may not be read.
        """
        for start in range(0, len(self), _BLOCK):
            for row in self.columns[start : start + _BLOCK].tolist():
                number, target, source, index, status, enthalpy, volume, calls, seconds, _, file, offset = row
                converged = not math.isnan(volume)
                yield Finished(
                    number=number,
                    name=f"{self.targets[target]}-{self.sources[source]}-{index:06d}",
                    source=self.sources[source],
                    index=index,
                    status=_STATUSES[status],
                    enthalpy_per_atom=None if math.isnan(enthalpy) else enthalpy,
                    volume_per_atom=volume if converged else None,
                    force_calls=calls,
                    seconds=seconds,
                    atoms=_relaxed(self.lines.read(file, offset)) if with_atoms and converged else None,
                )


class StoredRecords(Sequence[Record]):
    """The records of a run in the order of their numbers, each read from the journal when it is asked for.

    Raises, when a record is asked for,
    -----------------------------------
    InputError : its line cannot be read any more.
    """

    def __init__(self, finished: FinishedRun) -> None:
        columns = finished.columns
        names = np.argsort(np.argsort(np.array(finished.sources, dtype=str)))
        order = np.lexsort((columns["index"], names[columns["source"]], columns["number"]))
        self._places = columns[["file", "offset"]][order]
        self._lines, self._folder = finished.lines, finished.path

    def __len__(self) -> int:
        """Records in the journal, each candidate once."""
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> list[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | list[Record]:
        """One record, or a list of some."""
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        record = read_line(self._lines.read(*self._places[place].tolist()))
        if record is None:
            raise InputError(f"a record of {str(self._folder)!r} cannot be read: a damaged or foreign journal")
        return record


def scan_run(path: str | Path) -> Run:
    """As `load_run`, with records that are read only as they are asked for: memory stays bounded.

    Raises
    ------
    InputError : the folder is not a run folder.
    """
    folder = Path(path)
    config, finished = read_config(folder), read_finished(folder)
    return Run(folder, config, StoredRecords(finished), finished.torn_lines)


def read_finished(folder: Path) -> FinishedRun:
    """Read the journal of a run folder; a search may be writing to it at the same time.

    A line that its checksum vouches for is taken at its word in what is not read here (positions, provenance).

    Raises
    ------
    InputError : a file of the journal may not be read.
    """
    targets: dict[str, int] = {}
    sources: dict[str, int] = {}
    files: list[Path] = []
    blocks: list[np.ndarray] = []
    rows: list[tuple[Any, ...]] = []
    torn = 0
    for file, offset, line in journal_lines(folder):
        if not files or files[-1] is not file:
            files.append(file)
        data = _trusted(line)
        try:
            if data is None:
                raise ValueError("torn or damaged")
            facts = _facts(data)
        except (KeyError, TypeError, ValueError):
            torn += 1
            continue
        target, source, *others = facts
        where = len(files) - 1, offset
        rows.append(
            (targets.setdefault(target, len(targets)), sources.setdefault(source, len(sources)), *others, *where)
        )
        if len(rows) == _BLOCK:
            blocks.append(_columns(rows))
            rows.clear()
    columns = np.concatenate([*blocks, _columns(rows)])
    # The first of each (source, index) in the order read counts: two jobs may both have relaxed a candidate.
    order = np.lexsort((columns["index"], columns["source"]))  # stable
    ordered = columns[["source", "index"]][order]
    first = np.ones(len(order), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    kept = columns[np.sort(order[first])]
    kept = kept[np.lexsort((kept["number"], kept["finished"]))]
    return FinishedRun(folder, torn, kept, tuple(sources), tuple(targets), Lines(files))


def _relaxed(line: bytes) -> Atoms | None:
    parsed = parse_line(line)
    try:
        return None if parsed is None else atoms_from_json(parsed[0]["relaxation"]["atoms"])
    except (KeyError, TypeError, ValueError):
        return None


def _trusted(line: bytes) -> Mapping[str, Any] | None:
    """The line's JSON; where no checksum vouches for it, after a look at all of it."""
    parsed = parse_line(line)
    if parsed is None or parsed[1]:
        return None if parsed is None else parsed[0]
    record = read_line(line)
    return None if record is None else record_to_json(record)


def _facts(data: Mapping[str, Any]) -> tuple[Any, ...]:
    """What `_columns` needs of a record, target and source by name.

    Raises
    ------
    KeyError, TypeError, ValueError : it is none.
    """
    candidate, relaxation = data["candidate"], data["relaxation"]
    atoms, status = relaxation["atoms"], _STATUS_CODE[relaxation["status"]]
    cell: tuple[float, ...] = _NO_CELL
    size, energy = 0, relaxation["energy"]
    if atoms is not None and relaxation["status"] == "converged":
        size, (a, b, c) = len(atoms["numbers"]), atoms["cell"]
        cell = (*map(finite, a), *map(finite, b), *map(finite, c))
        if not size or len(cell) != 9 or not (any(a) and any(b) and any(c)):
            raise ValueError("no structure")
    if not isinstance(candidate["target"], str) or not isinstance(candidate["source"], str):
        raise TypeError("no name")
    return (
        candidate["target"],
        candidate["source"],
        count(data["number"]),
        count(candidate["index"]),
        status,
        size,
        cell,
        math.nan if energy is None else finite(energy),
        finite(relaxation["pressure_gpa"]),
        count(relaxation["force_calls"]),
        finite(candidate["seconds"] or 0.0) + finite(relaxation["seconds"] or 0.0),
        finite(data["finished"]),
    )


_NO_CELL = (math.nan,) * 9


def _columns(rows: list[tuple[Any, ...]]) -> np.ndarray:
    """Rows as columns; volumes by the arithmetic of `Atoms.get_volume`, many at once, to the last bit."""
    columns = np.zeros(len(rows), _COLUMNS)
    if not rows:
        return columns
    target, source, number, index, status, sizes, cells, energies, pressures, calls, seconds, finished, file, offset = (
        zip(*rows, strict=True)
    )
    named = {
        "target": target, "source": source, "number": number, "index": index, "status": status, "force_calls": calls,
        "seconds": seconds, "finished": finished, "file": file, "offset": offset,
    }  # fmt: skip
    for name, values in named.items():
        columns[name] = values
    size = np.array(sizes, dtype=float)
    with np.errstate(all="ignore"):
        volume = np.abs(np.linalg.det(np.array(cells).reshape(-1, 3, 3)))
        known = size > 0
        columns["volume_per_atom"] = np.where(known, volume / size, np.nan)
        enthalpy = np.array(energies) + np.array(pressures) * GPa * volume
        columns["enthalpy_per_atom"] = np.where(known, enthalpy / size, np.nan)
    return columns
