"""Benchmark files with one CIF per row (CDVAE, DiffCSP: MP-20, MPTS-52, Perov-5, Carbon-24), as flat arrays.

Parsing tens of thousands of CIFs takes minutes, so the arrays are kept in the user's cache under the file's SHA-256.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import logging
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.io.cif import CifParser

from .errors import InputError
from .files import write_atomic
from .formats import one_line
from .parallel import parallel_map

_log = logging.getLogger(__name__)

CACHE_VERSION = 1
"""Goes up when what is read from the same file changes."""
SMALLEST_VOLUME = 1e-3
"""Å^3; a cell below it is flat."""
_SLOW_ROWS = 2000
NAMES = ("target", "material_id", "name", "id")
"""Columns, and keys of extended XYZ, that name a structure; the first that is there counts."""
_PER_ATOM = ("formation_energy_per_atom", "e_form_per_atom")
_PER_CELL = ("heat_all",)
"""Perov-5 gives the heat of formation of its five-atom cell (Castelli et al. 2012, doi:10.1039/C2EE22341D)."""

Parsed = tuple[np.ndarray, np.ndarray, np.ndarray] | str
"""Numbers (n,), Cartesian positions (n, 3) in Å and cell (3, 3) in Å of a row; or why it cannot be used."""


def read_table(path: Path, cache: bool) -> tuple[str, dict[str, np.ndarray]]:
    """The SHA-256 of a CSV file, and its usable rows.

    Parameters
    ----------
    path : .csv, or the same compressed by gzip.
    cache : look into the cache first, and keep there what was parsed.

    Returns
    -------
    sha256 : of the file's bytes.
    table : names (n,), counts (n,) of atoms, numbers (atoms,), positions (atoms, 3) in Å, cells (n, 3, 3) in Å,
        energies (n,) of formation in eV/atom with NaN where unknown, bad (a line per row left out), rows (how many).

    Raises
    ------
    InputError : the file is missing, damaged, no CSV, or has no column `cif`.
    """
    content = bytes_of(path)
    sha256 = hashlib.sha256(content).hexdigest()
    kept = _cache_file(sha256) if cache else None
    table = _load(kept) if kept is not None and kept.is_file() else None
    if table is None:
        table = _parsed_table(path, content)
        if kept is not None:
            _keep(kept, table)
    return sha256, table


def _parsed_table(path: Path, content: bytes) -> dict[str, np.ndarray]:
    """The rows of a CSV file as flat arrays, which an npz holds without pickle."""
    rows = _csv_rows(path, content)
    if len(rows) >= _SLOW_ROWS:
        _log.info("%s: reading %d structures (a minute or two, the first time only)", path, len(rows))
    parsed = parallel_map(parse_cif, [row.get("cif") or "" for row in rows], fewest=200)
    names = [_name(row) or f"row-{n:06d}" for n, row in enumerate(rows, start=1)]
    good = [n for n, result in enumerate(parsed) if not isinstance(result, str)]
    arrays = [result for result in parsed if not isinstance(result, str)]
    bad = [f"row {n + 1} ({names[n]}): {why}" for n, why in enumerate(parsed) if isinstance(why, str)]
    counts = np.array([len(numbers) for numbers, _, _ in arrays], dtype=np.int64)
    return {
        "names": np.array([names[n] for n in good], dtype=np.str_),
        "counts": counts,
        "numbers": np.concatenate([a[0] for a in arrays] or [np.zeros(0)]).astype(np.int16),
        "positions": np.concatenate([a[1] for a in arrays] or [np.zeros((0, 3))]),
        "cells": np.array([a[2] for a in arrays], dtype=float).reshape(-1, 3, 3),
        "energies": np.array([_energy(rows[n], int(c)) for n, c in zip(good, counts, strict=True)], dtype=float),
        "bad": np.array(bad, dtype=np.str_),
        "rows": np.array(len(rows)),
    }


def parse_cif(text: str) -> Parsed:
    """The one structure in a CIF, as arrays; or the reason why there is none that can be used."""
    if not text.strip():
        return "no CIF"
    try:
        found = CifParser.from_str(text).parse_structures(primitive=False)
        if len(found) != 1:
            return f"{len(found)} structures in one CIF"
        if not found[0].is_ordered:
            return "partly occupied sites"
        numbers = np.array([site.specie.Z for site in found[0]])
        positions, cell = np.asarray(found[0].cart_coords, float), np.asarray(found[0].lattice.matrix, float)
    except Exception as error:  # the parser fails in its own ways, and one row must not stop the others
        return (one_line(error) or type(error).__name__)[:200]
    return fault(positions, cell) or (numbers, positions, cell)


def fault(positions: np.ndarray, cell: np.ndarray) -> str:
    """Why such a structure cannot be used; empty where it can."""
    if not len(positions):
        return "no atoms"
    if not (np.isfinite(positions).all() and np.isfinite(cell).all()):
        return "coordinates that are no numbers"
    if abs(np.linalg.det(cell)) < SMALLEST_VOLUME:
        return "a cell without volume"
    return ""


def _csv_rows(path: Path, content: bytes) -> list[dict[str, str]]:
    try:
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"data file {str(path)!r} cannot be read ({one_line(error)}): download it again") from error
    limit = csv.field_size_limit(2**27)  # a CIF with many sites is longer than csv's default of 128 KiB
    try:
        rows: list[dict[Any, Any]] = list(csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise InputError(f"data file {str(path)!r} is not CSV ({error})") from error
    finally:
        csv.field_size_limit(limit)
    # Fields beyond the header's stand under None.
    if rows and "cif" not in rows[0]:
        columns = ", ".join(str(name) for name in rows[0] if name)
        raise InputError(f"data file {str(path)!r} has no column 'cif', only {columns[:300]}")
    return rows


def _name(row: dict[str, str]) -> str:
    return next((name for key in NAMES if (name := (row.get(key) or "").strip())), "")


def _energy(row: dict[str, str], atoms: int) -> float:
    """Formation energy in eV/atom; NaN where the row gives none."""
    for keys, divisor in ((_PER_ATOM, 1), (_PER_CELL, atoms)):
        for key in keys:
            try:
                value = float(row.get(key) or "nan")
            except ValueError:
                continue
            if math.isfinite(value):
                return value / divisor
    return math.nan


def bytes_of(path: Path) -> bytes:
    """A file's content.

    Raises
    ------
    InputError : it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"data file {str(path)!r} cannot be read ({error.strerror})") from error


def _cache_file(sha256: str) -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(home) / "xtalseek" / "datasets" / f"{sha256}-v{CACHE_VERSION}.npz"


def _load(file: Path) -> dict[str, np.ndarray] | None:
    """What lies in the cache; None where it is damaged, so that it is made again."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            table = {key: stored[key] for key in stored.files}
        structures, atoms = len(table["counts"]), int(table["counts"].sum())
        whole = (
            table["cells"].shape == (structures, 3, 3)
            and table["positions"].shape == (atoms, 3)
            and table["numbers"].shape == (atoms,)
            and len(table["names"]) == len(table["energies"]) == structures
            and "bad" in table
            and "rows" in table
        )
    except Exception:  # numpy and zipfile fail in many ways on a torn or foreign file
        return None
    return table if whole else None


def _keep(file: Path, table: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **table)  # type: ignore[arg-type]
    try:
        write_atomic(file, buffer.getvalue())
    except OSError as error:  # a full or read-only home costs time, not the result
        _log.info("the parsed data set cannot be kept in %s (%s)", file.parent, error)
