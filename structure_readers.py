"""Structures from files of many formats, from folders of them, and from ASE's and pymatgen's objects."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.db import connect
from ase.io import read

from .errors import InputError
from .formats import MARK, NUMBERS, as_frame, energy_of, known_facts, one_line
from .res_files import ResError, read_res

if TYPE_CHECKING:
    from pymatgen.core import Structure

_LONGEST_NAME = 200
_MANY_COLUMNS = re.compile(r"Properties.*?:\s*\+?\d[\d_]{3}", re.IGNORECASE)
_POSCARS = ("POSCAR", "CONTCAR")
_READABLE_SUFFIXES = (".cif", ".res", ".extxyz", ".xyz", ".vasp", ".poscar", ".cell", ".xsf", ".traj", ".db", ".json")


def require_periodic(atoms: Atoms, name: str) -> None:
    """Check that a structure is a crystal.

    Raises
    ------
    InputError : it has no atoms, atoms of no element or without a place, no cell, or is not periodic in all three
        directions.
    """
    if len(atoms) == 0:
        raise InputError(f"structure {name!r} has no atoms")
    if not ((atoms.numbers > 0) & (atoms.numbers < len(chemical_symbols))).all():
        raise InputError(f"structure {name!r} has atoms of no element: give each an element's symbol")
    if not np.isfinite(atoms.positions).all():
        raise InputError(f"structure {name!r} has atoms without a place: give finite coordinates")
    if not atoms.pbc.all() or not math.isfinite(atoms.cell.volume) or abs(atoms.cell.volume) < 1e-6:
        raise InputError(f"structure {name!r} is not periodic in all directions: give it a cell with three vectors")


def read_structures(paths: Iterable[str | Path | Atoms | Structure]) -> list[tuple[str, Atoms]]:
    """Every structure in files that ASE reads, in packed .res files, and in folders of such files.

    What is known of a structure is in `atoms.info`, under the names that `formats.Frame.facts` has: `energy` and
    `enthalpy` (eV for the cell), `pressure_gpa`, `space_group`, `times_found`, `spin`, ... Of .res that is what TITL
    says (`res_files.read_res`); of extended XYZ, databases and our own CIF what was written there. Initial magnetic
    moments and frozen atoms are kept where the format has them. `formats.as_frame` makes a frame of it again.

    Parameters
    ----------
    paths : files and folders; also structures of ASE or pymatgen, which go through the same checks.

    Returns
    -------
    (name, atoms) in the order given, the files of a folder by name. The name is the one that the file carries, or the
    file's own, numbered where it holds several structures.

    Raises
    ------
    InputError : naming the file that is missing, cannot be read, or holds a structure that is not an ordered crystal.
    """
    structures: list[tuple[str, Atoms]] = []
    for given in paths:
        if not isinstance(given, str | Path):
            frame = as_frame(given)
            structures.append((frame.name, _checked(frame.atoms, frame.name)))
            continue
        for file in _files_in(Path(given)):
            images = _images(file)
            for number, image in enumerate(images, start=1):
                own = one_line(image.info.get("name", ""))[:_LONGEST_NAME]
                name = own or (f"{file.stem}-{number:06d}" if len(images) > 1 else file.stem)
                image.info["name"] = name
                structures.append((name, _checked(image, f"{name} in {file}")))
    return structures


def _checked(image: Atoms, name: str) -> Atoms:
    """A copy with what is known of it, and nothing else."""
    require_periodic(image, name)
    _require_ordered(image, name)
    atoms = Atoms(image.numbers, positions=image.positions, cell=image.cell, pbc=True, info=known_facts(image.info))
    energy = energy_of(image)
    if energy is not None:
        atoms.info["energy"] = energy
    if image.has("initial_magmoms"):
        atoms.set_initial_magnetic_moments(image.get_initial_magnetic_moments())
    if image.constraints:
        atoms.set_constraint(image.constraints)
    return atoms


def _files_in(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = [p for p in sorted(path.iterdir()) if p.suffix.lower() in _READABLE_SUFFIXES or p.name.startswith(_POSCARS)]
    if not files:
        raise InputError(f"folder {str(path)!r} holds no structure files ({', '.join(_READABLE_SUFFIXES)} or POSCAR)")
    return files


def _images(file: Path) -> list[Atoms]:
    if not file.is_file():
        raise InputError(f"structure file {str(file)!r} does not exist")
    try:
        images = _READERS.get(file.suffix.lower(), _ase_images)(file)
    except ResError as error:
        raise InputError(f"structure file {str(file)!r} cannot be read: {error}") from error
    except Exception as error:  # each of ASE's readers fails in its own way
        reason = one_line(error) or type(error).__name__
        raise InputError(
            f"structure file {str(file)!r} cannot be read ({reason}): write it as CIF or extxyz"
        ) from error
    if not images:
        raise InputError(f"structure file {str(file)!r} holds no structure")
    return images


def _ase_images(file: Path) -> list[Atoms]:
    suffix = file.suffix.lower()
    if suffix in (".xyz", ".extxyz", ".vasp", ".poscar") or file.name.startswith(_POSCARS):
        _require_counted(file.read_text(encoding="utf-8", errors="replace").split("\n"), "xyz" in suffix)
    # Plain .xyz files are read as extended ones. do_not_split_by_at_sign: a file may be called a@b.cif.
    format = "extxyz" if suffix in (".xyz", ".extxyz") else None
    images: Any = read(file, index=slice(None), format=format, do_not_split_by_at_sign=True)
    return list(images)


def _require_counted(lines: Sequence[str], is_xyz: bool) -> None:
    """Refuse more atoms than lines, or columns beyond use: ASE would make room for them, or count through them."""
    if is_xyz and any(_MANY_COLUMNS.search(line) for line in lines):
        raise ValueError("Properties has a thousand columns or more")
    for text in lines if is_xyz else " ".join(lines[5:7]).split():
        try:
            atoms = int(text)  # as ASE reads it
        except ValueError:
            continue
        if atoms > len(lines):
            raise ValueError(f"it says that it has {atoms:.3g} atoms, and has {len(lines)} lines")


def _database_images(file: Path) -> list[Atoms]:
    images = []
    for row in connect(file, type="db").select():
        atoms = row.toatoms()
        atoms.info = {**known_facts(row.key_value_pairs), **known_facts(row.data)}
        images.append(atoms)
    return images


def _res_images(file: Path) -> list[Atoms]:
    return read_res(file.read_text(encoding="utf-8-sig", errors="replace"))


def _cif_images(file: Path) -> list[Atoms]:
    """As ASE reads them; names and facts, which CIF has no place for, come from the comments of our own files."""
    images = _ase_images(file)
    blocks = file.read_text(encoding="utf-8", errors="replace").split(f"# {MARK}\n")[1:]
    if len(blocks) == len(images):
        for image, block in zip(images, blocks, strict=True):
            lines = [line.split(maxsplit=2) for line in block.splitlines() if line.startswith("# ")]
            told = {words[1]: words[2] for words in lines if len(words) == 3}
            numbers = {key: float(told[key]) for key in NUMBERS if key in told}
            image.info.update(known_facts(told | numbers))
    if len(images) == 1:
        images[0].info.pop("name", None)  # a file with one structure may have been renamed by hand
    return images


_READERS = {".res": _res_images, ".cif": _cif_images, ".db": _database_images}


def _require_ordered(atoms: Atoms, name: str) -> None:
    occupancies = atoms.info.get("occupancy") or {}
    shares = [share for site in occupancies.values() for share in site.values()]
    # CIF's "?" stays text.
    if not all(isinstance(share, int | float) and share >= 0.999 for share in shares):
        raise InputError(f"structure {name!r} has partly occupied sites: give an ordered structure")
