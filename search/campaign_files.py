"""What a campaign is asked for in a file: a list of formulas, a table, or TOML. Nothing is checked but its shape."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError, unknown
from .config import read_toml

CAMPAIGN_FILE = "campaign.toml"
MAX_CAMPAIGN_BYTES = 40_000_000
"""Of a campaign's file: a million compositions of a few words each."""
_SUFFIXES = (".txt", ".csv", ".toml")


@dataclass(frozen=True)
class Entry:
    """One composition of a file: where it stands, for messages, and its own words."""

    place: str
    words: Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """What stands in a file: words that all compositions share, and the compositions."""

    words: Mapping[str, Any] = field(default_factory=dict)
    entries: Sequence[Entry] = ()


def read_campaign_file(path: Path, allowed: Iterable[str]) -> Asked:
    """The compositions in a file, by its suffix.

    `.txt` or none: a formula per line, # starts a comment. `.csv`: a column `formula`, or `seed_file`, and further
    words as columns; an empty cell is a word not given. `.toml`: words that all share, and
    `compositions = ["MgO", {formula = "TiO2", num = 80}]`, or a `[[composition]]` table each, or both.

    Parameters
    ----------
    allowed : words that a composition can have.

    Raises
    ------
    InputError : a file that cannot be read, another suffix, or another shape; lines and columns are named.
    """
    suffix = path.suffix.lower()
    if suffix == ".toml":
        return _from_toml(read_toml(path, MAX_CAMPAIGN_BYTES), str(path), allowed)
    if suffix == ".csv":
        return Asked(entries=_from_csv(_read(path), str(path), allowed))
    if suffix in ("", ".txt"):
        return Asked(entries=_from_lines(_read(path)))
    raise unknown(f"suffix of {str(path)!r}", suffix, _SUFFIXES)


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_CAMPAIGN_BYTES:
            raise InputError(f"{str(path)!r} is too large: at most {MAX_CAMPAIGN_BYTES} bytes")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{str(path)!r} is not text in UTF-8 ({error.reason} at byte {error.start})") from error
    except OSError as error:
        is_system = isinstance(error, FileNotFoundError) and not path.suffix
        hint = "; a chemical system is given as --chemical-system Li-Fe-P-O" if is_system else ""
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}{hint}") from error


def _from_lines(text: str) -> list[Entry]:
    lines = [line.partition("#")[0].strip() for line in text.split("\n")]
    return [Entry(f"line {number}", {"formula": line}) for number, line in enumerate(lines, 1) if line]


def _from_csv(text: str, name: str, allowed: Iterable[str]) -> list[Entry]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    entries: list[Entry] = []
    header: list[str] = []
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if not header:
                header = cells
                _check_header(header, name, allowed)
                continue
            if len(cells) != len(header):
                raise InputError(f"{name!r} line {rows.line_num}: {len(cells)} cells under {len(header)} columns")
            words = {column: cell for column, cell in zip(header, cells, strict=True) if cell}
            entries.append(Entry(f"line {rows.line_num}", words))
    except csv.Error as error:
        raise InputError(f"{name!r} line {rows.line_num} is not CSV: {error}") from error
    return entries


def _check_header(header: Sequence[str], name: str, allowed: Iterable[str]) -> None:
    for column in header:
        if column not in allowed:
            raise unknown(f"column in {name!r}", column, allowed)
        if header.count(column) > 1:
            raise InputError(f"{name!r} has two columns {column!r}: leave one out")
    if "formula" not in header and "seed_file" not in header:
        raise InputError(f"{name!r} has no column 'formula': its first line names the columns, such as formula,num")


def _from_toml(words: dict[str, Any], name: str, allowed: Iterable[str]) -> Asked:
    listed, tables = words.pop("compositions", []), words.pop("composition", [])
    for key, value in (("compositions", listed), ("composition", tables)):
        if not isinstance(value, list):
            raise InputError(
                f'{name!r}: {key} is not a list: write compositions = ["MgO", {{ formula = "TiO2", num = 80 }}], or '
                "a [[composition]] table each"
            )
    entries = []
    for number, item in enumerate([*listed, *tables], 1):
        place = f"composition {number}"
        own = {"formula": item} if isinstance(item, str) else item
        if not isinstance(own, Mapping):
            raise InputError(f'{name!r}: {place}, {item!r}, is neither a formula, "MgO", nor a table with one')
        for key in own:
            if key not in allowed:
                raise unknown(f"key in {place} of {name!r}", key, allowed)
        entries.append(Entry(place, own))
    return Asked(words, entries)
