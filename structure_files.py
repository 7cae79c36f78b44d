"""Structure files, in and out: extended XYZ, CIF, AIRSS .res and ASE databases. All hold crystals, periodic in 3-D."""

from __future__ import annotations

import io
import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import read, write
from ase.io.res import Res

from .errors import InputError, unknown
from .formats import MARK, Frame, cif_text, one_line, res_text, safe_name

FORMATS = ("extxyz", "cif", "res", "ase-db")
"""Names of the formats that can be written."""

_FORMAT_OF_SUFFIX = {".extxyz": "extxyz", ".xyz": "extxyz", ".cif": "cif", ".res": "res", ".db": "ase-db"}
_SUFFIX_OF_FORMAT = {"cif": ".cif", "res": ".res"}
_READABLE_SUFFIXES = (".cif", ".res", ".extxyz", ".xyz", ".vasp", ".poscar", ".cell", ".xsf", ".traj", ".db", ".json")
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


def write_structures(path: str | Path, frames: Iterable[Frame], format: str | None = None) -> Path:
    """Write frames to one file, or to a folder with a file per frame; return where they lie.

    `extxyz` and `ase-db` are single files. `cif` and `res` are single files where `path` ends in .cif or .res, else
    folders. A file is written whole or not at all, and replaces an earlier one. In a folder that an earlier call wrote,
    files that no longer belong go.

    Parameters
    ----------
    path : a file, or a folder.
    frames : structures; the energy of extxyz and database frames is what `atoms.get_potential_energy()` gives.
    format : one of `FORMATS`; None: by the suffix of `path`.

    Raises
    ------
    InputError : unknown format, a structure without a cell, or a path that holds something that is not ours to replace.
    """
    path, frames, format = Path(path), list(frames), format_of(path, format)
    for frame in frames:
        require_periodic(frame.atoms, frame.name)
    suffix = _SUFFIX_OF_FORMAT.get(format)
    if suffix is not None and path.suffix.lower() != suffix:
        _refuse_foreign_folder(path)
        write_folder(path, _texts(frames, format), suffix)
        return path
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder, and {format} writes one file: choose another --out")
    if format == "ase-db":
        _refuse_foreign_database(path)
        _replace(path, lambda temporary: _write_database(temporary, frames))
    elif format == "extxyz":
        _replace_text(path, _extxyz_text(frames))
    else:
        _replace_text(path, "\n".join(_texts(frames, format).values()))
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
    images = []
    for frame in frames:
        atoms = _with_energy(frame)
        atoms.info = {key: value for key, value in frame.facts.items() if key != "energy"}
        images.append(atoms)
    text = io.StringIO()
    if images:
        write(text, images, format="extxyz")
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


def require_periodic(atoms: Atoms, name: str) -> None:
    """Check that a structure is a crystal.

    Raises
    ------
    InputError : it has no atoms, no cell, or is not periodic in all three directions.
    """
    if len(atoms) == 0:
        raise InputError(f"structure {name!r} has no atoms")
    if not atoms.pbc.all() or not math.isfinite(atoms.cell.volume) or abs(atoms.cell.volume) < 1e-6:
        raise InputError(f"structure {name!r} is not periodic in all directions: give it a cell with three vectors")


def read_structures(paths: Iterable[str | Path]) -> list[tuple[str, Atoms]]:
    """Every structure in files that ASE reads, in packed .res files, and in folders of such files.

    Returns
    -------
    (name, atoms) in the order given, the files of a folder by name. The name is the one that the file carries, or the
    file's own, numbered where it holds several structures.

    Raises
    ------
    InputError : naming the file that is missing, cannot be read, or holds a structure that is not an ordered crystal.
    """
    structures: list[tuple[str, Atoms]] = []
    for path in map(Path, paths):
        for file in _files_in(path):
            images = _images(file)
            for number, image in enumerate(images, start=1):
                own = str(image.info.get("name", "")).strip()
                name = own or (f"{file.stem}-{number:06d}" if len(images) > 1 else file.stem)
                require_periodic(image, f"{name} in {file}")
                _require_ordered(image, f"{name} in {file}")
                structures.append((name, Atoms(image.numbers, positions=image.positions, cell=image.cell, pbc=True)))
    return structures


def _files_in(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    poscars = ("POSCAR", "CONTCAR")
    files = [p for p in sorted(path.iterdir()) if p.suffix.lower() in _READABLE_SUFFIXES or p.name.startswith(poscars)]
    if not files:
        raise InputError(f"folder {str(path)!r} holds no structure files ({', '.join(_READABLE_SUFFIXES)} or POSCAR)")
    return files


def _images(file: Path) -> list[Atoms]:
    if not file.is_file():
        raise InputError(f"structure file {str(file)!r} does not exist")
    try:
        images = _READERS.get(file.suffix.lower(), _ase_images)(file)
    except Exception as error:  # each of ASE's readers fails in its own way
        reason = one_line(error) or type(error).__name__
        raise InputError(
            f"structure file {str(file)!r} cannot be read ({reason}): write it as CIF or extxyz"
        ) from error
    if not images:
        raise InputError(f"structure file {str(file)!r} holds no structure")
    return images


def _ase_images(file: Path) -> list[Atoms]:
    # Plain .xyz files are read as extended ones. do_not_split_by_at_sign: a file may be called a@b.cif.
    format = "extxyz" if file.suffix.lower() in (".xyz", ".extxyz") else None
    images: Any = read(file, index=slice(None), format=format, do_not_split_by_at_sign=True)
    return list(images)


def _database_images(file: Path) -> list[Atoms]:
    images = []
    for row in connect(file, type="db").select():
        atoms = row.toatoms()
        atoms.info["name"] = row.data.get("name", row.get("name", ""))
        images.append(atoms)
    return images


def _res_images(file: Path) -> list[Atoms]:
    """ASE's reader makes one structure of a whole file, so a packed file goes to it block by block."""
    blocks: list[list[str]] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.split()[:1] == ["TITL"] or not blocks:
            blocks.append([])
        blocks[-1].append(line)
    return [Res.from_string("\n".join(block)).atoms for block in blocks if any(line.strip() for line in block)]


_READERS = {".res": _res_images, ".db": _database_images}


def _require_ordered(atoms: Atoms, name: str) -> None:
    occupancies = atoms.info.get("occupancy") or {}
    if any(share < 0.999 for site in occupancies.values() for share in site.values()):
        raise InputError(f"structure {name!r} has partly occupied sites: give an ordered structure")
