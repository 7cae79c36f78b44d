"""Structures, in and out: extended XYZ, CIF, AIRSS .res, ASE databases. All hold crystals, periodic in 3-D.

Reading is in `structure_readers`; its `read_structures` and `require_periodic` are here too.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import write

from .errors import InputError, unknown
from .formats import MARK, Frame, as_frame, cif_text, res_text, safe_name
from .structure_readers import read_structures, require_periodic

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ["FORMATS", "format_of", "read_structures", "require_periodic", "write_folder", "write_structures"]

FORMATS = ("extxyz", "cif", "res", "ase-db")
"""Names of the formats that can be written."""

_FORMAT_OF_SUFFIX = {".extxyz": "extxyz", ".xyz": "extxyz", ".cif": "cif", ".res": "res", ".db": "ase-db"}
_SUFFIX_OF_FORMAT = {"cif": ".cif", "res": ".res"}
_SCRATCH = ".xtalseek-"


def format_of(path: str | Path, format: str | None = None) -> str:
    """The format that `path` asks for by its suffix, or `format` where it is given; without a suffix a folder of CIF.

    Raises
    ------
    InputError : an unknown format or suffix.
    """
    if format is not None:
        if format not in FORMATS:
            raise unknown("format", format, FORMATS)
        return format
    suffix = Path(path).suffix.lower()
    if not suffix or Path(path).is_dir():
        return "cif"
    if suffix not in _FORMAT_OF_SUFFIX:
        raise unknown("suffix of --out", suffix, _FORMAT_OF_SUFFIX)
    return _FORMAT_OF_SUFFIX[suffix]


def write_structures(path: str | Path, frames: Iterable[Frame | Atoms | Structure], format: str | None = None) -> Path:
    """Write frames to one file, or to a folder with a file per frame; return where they lie.

    `extxyz` and `ase-db` are single files. `cif` and `res` are single files where `path` ends in .cif or .res, else
    folders. A file is written whole or not at all, and replaces an earlier one. In a folder that an earlier call wrote,
    files that no longer belong go.

    Parameters
    ----------
    path : a file, or a folder.
    frames : structures, also of ASE and pymatgen (`formats.as_frame` says what is kept of them). The energy of extxyz
        and database frames is what `atoms.get_potential_energy()` gives; extxyz keeps initial magnetic moments and
        frozen atoms, too.
    format : one of `FORMATS`; None: by the suffix of `path`.

    Raises
    ------
    InputError : unknown format, a structure without a cell, or a path that holds something that is not ours to replace.
    """
    path, format = Path(path), format_of(path, format)
    given = [frame if isinstance(frame, Frame) else as_frame(frame) for frame in frames]
    for frame in given:
        require_periodic(frame.atoms, frame.name)
    suffix = _SUFFIX_OF_FORMAT.get(format)
    if suffix is not None and path.suffix.lower() != suffix:
        _refuse_foreign_folder(path)
        write_folder(path, _texts(given, format), suffix)
        return path
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder, and {format} writes one file: choose another --out")
    if format == "ase-db":
        _refuse_foreign_database(path)
        _replace(path, lambda temporary: _write_database(temporary, given))
    elif format == "extxyz":
        _replace_text(path, _extxyz_text(given))
    else:
        _replace_text(path, "\n".join(_texts(given, format).values()))
    return path


def write_folder(folder: Path, texts: Mapping[str, str], suffix: str) -> None:
    """Write `texts`, by file name without suffix, each whole or not at all; then remove our older files of that suffix.

    Raises
    ------
    InputError : the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{str(folder)!r} cannot be written ({error.strerror}): choose another --out") from error
    for name, text in texts.items():
        _replace_text(folder / f"{name}{suffix}", text)
    for old in folder.glob(f"*{suffix}"):
        if old.stem not in texts and _is_ours(old):
            old.unlink()


def _texts(frames: Sequence[Frame], format: str) -> dict[str, str]:
    """The text of each frame by a name that no other has, even on a disk that does not tell a from A."""
    render = cif_text if format == "cif" else res_text
    texts: dict[str, str] = {}
    taken: set[str] = set()
    for frame in frames:
        stem = name = safe_name(frame.name)
        copies = 1
        while name.lower() in taken:
            copies += 1
            name = f"{stem}-{copies}"
        taken.add(name.lower())
        texts[name] = render(frame)
    return texts


def _with_energy(frame: Frame) -> Atoms:
    atoms = Atoms(frame.atoms.numbers, positions=frame.atoms.positions, cell=frame.atoms.cell, pbc=True)
    if frame.energy is not None:
        atoms.calc = SinglePointCalculator(atoms, energy=frame.energy)
    return atoms


def _extxyz_text(frames: Sequence[Frame]) -> str:
    text = io.StringIO()
    for frame in frames:
        atoms = _with_energy(frame)
        atoms.info = {key: value for key, value in frame.facts.items() if key != "energy"}
        columns = ["symbols", "positions"]
        if frame.atoms.has("initial_magmoms"):
            atoms.set_initial_magnetic_moments(frame.atoms.get_initial_magnetic_moments())
            columns.append("initial_magmoms")
        if frame.atoms.constraints:
            atoms.set_constraint(frame.atoms.constraints)
            columns.append("move_mask")
        write(text, atoms, format="extxyz", columns=columns)
    return text.getvalue()


def _write_database(path: Path, frames: Sequence[Frame]) -> None:
    with connect(path, type="db") as database:
        for frame in frames:
            facts = {key: value for key, value in frame.facts.items() if key != "energy"}
            # ASE refuses text that reads as a number or as true/false as a key's value; `data` takes all.
            columns = {k: v for k, v in facts.items() if not (isinstance(v, str) and _reads_as_other(v))}
            database.write(_with_energy(frame), data=facts, **columns)
    database.metadata = {"title": MARK}


def _reads_as_other(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in ("True", "False")
    return True


def _replace(path: Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` write a file beside `path`, then rename it: a reader, or a kill, sees the old file or the new one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=_SCRATCH))
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be written ({error.strerror}): choose another --out") from error
    try:
        fill(scratch / path.name)
        (scratch / path.name).replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _replace_text(path: Path, text: str) -> None:
    _replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _is_ours(file: Path) -> bool:
    try:
        with file.open("rb") as start:
            return MARK.encode() in start.read(1000)
    except OSError:
        return False


def _refuse_foreign_folder(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise InputError(f"{str(path)!r} is a file, and a folder is to be written: choose another --out")
    # A kill can leave a scratch folder of `_replace` behind.
    present = [p for p in path.iterdir() if not p.name.startswith(_SCRATCH)] if path.exists() else []
    foreign = sorted(p.name for p in present if not _is_ours(p))
    if foreign:
        raise InputError(
            f"folder {str(path)!r} holds files that xtalseek did not write ({foreign[0]}): choose another --out"
        )


def _refuse_foreign_database(path: Path) -> None:
    if not path.exists():
        return
    try:
        ours = connect(path, type="db").metadata.get("title") == MARK
    except Exception:  # whatever SQLite makes of a file that is no database
        ours = False
    if not ours:
        raise InputError(f"{str(path)!r} exists and was not written by xtalseek: choose another --out")
