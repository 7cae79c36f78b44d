"""AIRSS .res files as input: a subset of SHELX, many structures to a file.

A structure begins at TITL, or at CELL after END, and ends at END or the next TITL, so packed files (concatenated .res)
come apart whole. What AIRSS writes into TITL is kept; REM and the instructions of a SHELX refinement are passed over;
LATT and SYMM are expanded to the full cell. Whatever is incomplete or contradicts itself is refused with its line.

LATT and occupancies follow the SHELXL manual (Sheldrick 2015, doi:10.1107/S2053229614024218), with two exceptions: a
file with neither LATT nor SYMM is P 1, as AIRSS means it (SHELX would add an inversion centre), and full occupancy on a
special position may be written as 1 as well as 1/(number of operations that leave it in place).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NoReturn

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.geometry import cellpar_to_cell
from ase.units import GPa

from .res_symmetry import CENTRINGS, Operation, images_of, operations_of, parse_operation

_INSTRUCTIONS = frozenset(
    """ABIN ACTA AFIX ANIS ANSC ANSR BASF BIND BLOC BOND BUMP CGLS CHIV CONF CONN DAMP DANG DEFS DELU DFIX DISP EADP
    EQIV EXTI EXYZ FEND FLAT FMAP FRAG FREE FVAR GRID HFIX HKLF HOPE HTAB ISOR L.S. LAUE LIST MERG MOLE MORE MOVE MPLA
    NCSY NEUT OMIT PART PLAN PRIG RESI RIGU RTAB SADI SAME SHEL SIMU SIZE SPEC STIR SUBS SUMP SWAT TEMP TIME TWIN TWST
    UNIT WGHT WIGL WPDB XNPD ZERR REM""".split()  # noqa: SIM905
)
"""Lines that say nothing about the structure itself."""

_FOUND = re.compile(r"\((.*?)\)\s*(?:n\s*-\s*(\d{1,9}))?")
"""(space group) n - times found."""


class ResError(ValueError):
    """What is wrong, with its line."""


_Atom = tuple[int, str, tuple[float, float, float], float]
"""Line, element, fractional position, occupancy."""


@dataclass
class _Block:
    """One structure while its lines are read."""

    title: str
    start: int
    cell: tuple[float, ...] = ()
    lattice: int | None = None
    operations: list[Operation] = field(default_factory=list)
    species: list[str] = field(default_factory=list)
    atoms: list[_Atom] = field(default_factory=list)
    no_energy: bool = False
    remarks: dict[str, str] = field(default_factory=dict)


def read_res(text: str) -> list[Atoms]:
    """Every structure of a .res text, with what TITL says of it in `atoms.info`.

    The names in `info`, each where TITL has it: `name`, `pressure_gpa`, `enthalpy` (eV for the cell) and `energy` (the
    same without pressure times volume), `spin`, `abs_spin`, `space_group`, `times_found`; `source` and `status` from
    our own remarks. An enthalpy of exactly 0 stands for none, as AIRSS writes it.

    Raises
    ------
    ResError : the line, and what is wrong with it.
    """
    block: _Block | None = None
    blocks: list[_Block] = []
    ended = False
    for number, line in _lines(text):
        words = line.split()
        if not words:
            continue
        word = words[0].upper().split("_")[0]
        if word == "TITL" or (word == "CELL" and (block is None or ended)):
            block, ended = _Block(line.strip()[4:].strip() if word == "TITL" else "", number), False
            blocks.append(block)
        if ended or word == "TITL":
            continue
        if word == "END":
            ended = block is not None
        elif block is not None:
            _take(block, number, word, words)
        elif word not in _INSTRUCTIONS:
            _refuse(number, f"{line.strip()[:40]!r} before the first TITL")
    return [_structure(block) for block in blocks]


def _lines(text: str) -> list[tuple[int, str]]:
    """Lines with their numbers, without comments, those that end in = joined to the next."""
    lines: list[tuple[int, str]] = []
    continued = False
    for number, line in enumerate(text.split("\n"), start=1):
        is_text = line[:4].upper() in ("TITL", "REM ")
        bare = line if is_text else line.partition("!")[0]
        if continued:
            bare = lines[-1][1] + " " + bare
            number = lines.pop()[0]
        continued = not is_text and bare.rstrip().endswith("=")
        lines.append((number, bare.rstrip()[:-1] if continued else bare))
    return lines


def _refuse(line: int, what: str) -> NoReturn:
    raise ResError(f"line {line}: {what}")


def _take(block: _Block, number: int, word: str, words: list[str]) -> None:
    """Put one line into the block."""
    if word == "CELL":
        if block.cell:
            _refuse(number, "a second CELL in one structure: is END or TITL missing before it?")
        values = [_float(w) for w in words[2:8]]
        if len(values) < 6 or None in values:
            _refuse(number, "CELL needs a wavelength, three lengths and three angles")
        block.cell = _checked_cell(number, tuple(v for v in values if v is not None))
    elif word == "LATT":
        value = _float(words[1]) if len(words) > 1 else None
        if value is None or abs(value) not in CENTRINGS:
            _refuse(number, f"LATT must be a number from 1 to 7 or -1 to -7, not {' '.join(words[1:])[:20]!r}")
        block.lattice = int(value)
    elif word == "SYMM":
        block.operations.append(_operation(number, "".join(words[1:])))
        if len(block.operations) > 191:
            _refuse(number, "more SYMM lines than any space group has")
    elif word == "SFAC":
        block.species += _species(number, words[1:])
    elif word == "REM":
        block.no_energy |= words[1:3] == ["no", "energy:"]
        if len(words) > 2 and words[1] in ("source", "status"):
            block.remarks[words[1]] = " ".join(words[2:])
    elif word not in _INSTRUCTIONS:
        block.atoms.append(_atom(number, words, block.species))


def _float(word: str) -> float | None:
    """A finite number, an uncertainty in brackets left out; None: it is none."""
    try:
        value = float(word.partition("(")[0])
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _checked_cell(line: int, cell: tuple[float, ...]) -> tuple[float, ...]:
    a, b, c, *angles = cell
    cosines = np.cos(np.radians(angles))
    squared = 1 - float(cosines @ cosines) + 2 * float(np.prod(cosines))
    lengths = all(1e-3 < length < 1e5 for length in (a, b, c))
    if not lengths or not all(0 < angle < 180 for angle in angles) or squared < 1e-10:
        _refuse(line, "CELL must have positive lengths and angles that close a cell")
    return cell


def _species(line: int, words: list[str]) -> list[str]:
    """Elements of an SFAC line: a list, or one with its scattering factors."""
    if len(words) > 1 and _float(words[1]) is not None:
        words = words[:1]
    names = [word.capitalize() for word in words]
    for name in names:
        if atomic_numbers.get(name, 0) < 1:
            _refuse(line, f"{name[:20]!r} in SFAC is no element")
    return names


def _atom(line: int, words: list[str], species: list[str]) -> _Atom:
    """One line of an atom."""
    values = [_float(word) for word in words[1:6]]
    if len(values) < 4 or any(value is None for value in values):
        _refuse(line, f"{' '.join(words)[:40]!r} is neither an atom nor an instruction")
    kind, x, y, z, share = [value for value in values if value is not None] + [11.0] * (5 - len(values))
    if kind != int(kind) or not 1 <= kind <= len(species):
        _refuse(line, f"atom {words[0][:10]} is of species {words[1][:10]}, but SFAC names {len(species)} before it")
    element = species[int(kind) - 1]
    if words[0] != element and words[0] in atomic_numbers:
        _refuse(line, f"atom {words[0]} is of species {int(kind)}, which SFAC calls {element}")
    if max(abs(x), abs(y), abs(z)) > 1e3:
        _refuse(line, f"atom {words[0][:10]} must have fractional coordinates")
    # 10 added to a value means, to SHELX, that it is not refined; whole numbers do not matter in coordinates.
    return line, element, (x, y, z), share - 10 if 5 < share < 15 else share


def _operation(line: int, text: str) -> Operation:
    try:
        return parse_operation(text)
    except ValueError as error:
        _refuse(line, f"SYMM {text[:40]!r} {error}")


def _structure(block: _Block) -> Atoms:
    title = f"the structure that begins at line {block.start}"
    for part, name in ((block.cell, "CELL"), (block.species, "SFAC"), (block.atoms, "atoms")):
        if not part:
            raise ResError(f"{title} has no {name}")
    info = _title_info(block)
    cell = cellpar_to_cell(block.cell)
    if block.lattice in (None, -1) and not block.operations:
        for line, _, _, share in block.atoms:
            _check_share(line, share, 1)
        symbols, places = [atom[1] for atom in block.atoms], np.array([atom[2] for atom in block.atoms])
        stated = info.pop("atoms", None)
        if stated is not None and stated != len(symbols):
            raise ResError(f"{title} has {len(symbols)} atoms, but its TITL says {stated}: is the file cut off?")
    else:
        info.pop("atoms", None)
        symbols, places = _expanded(block, cell, title)
    atoms = Atoms(symbols, scaled_positions=places, cell=cell, pbc=True)
    enthalpy = info.get("enthalpy")
    if isinstance(enthalpy, float):
        info["energy"] = enthalpy - float(info["pressure_gpa"]) * GPa * float(atoms.get_volume())
    atoms.info = info
    return atoms


def _title_info(block: _Block) -> dict[str, str | int | float]:
    """What TITL and our remarks say; `atoms`, where three numbers come after the enthalpy, is the number of atoms."""
    words = block.title.split()
    info: dict[str, str | int | float] = {"name": words[0]} if words else {}
    numbers = [value for value in takewhile(lambda v: v is not None, map(_float, words[1:])) if value is not None]
    if len(numbers) >= 3:
        info["pressure_gpa"] = numbers[0]
        if numbers[2] != 0 and not block.no_energy:
            info["enthalpy"] = numbers[2]
        if len(numbers) > 4:
            # AIRSS: spin |spin| atoms; older: spin |spin|; cabal: spin atoms.
            info["spin"] = numbers[3]
            if len(numbers) > 5 or numbers[4] != len(block.atoms):
                info["abs_spin"] = numbers[4]
            if len(numbers) > 5 and numbers[5] == int(numbers[5]):
                info["atoms"] = int(numbers[5])
        found = _FOUND.match(" ".join(words[1 + len(numbers) :]))
        if found and found[1] != "n/a":
            info["space_group"] = found[1]
        if found and found[2]:
            info["times_found"] = int(found[2])
    return {**info, **block.remarks}


def _check_share(line: int, share: float, stabiliser: int) -> None:
    if abs(share - 1) > 1e-3 and abs(share - 1 / stabiliser) > 5e-3:
        _refuse(line, f"occupancy {share:g}: only full sites can be used, give an ordered structure")


def _expanded(block: _Block, cell: np.ndarray, title: str) -> tuple[list[str], np.ndarray]:
    """Symbols and fractional positions (n, 3) of the whole cell."""
    try:
        operations = operations_of(block.lattice or 1, block.operations, cell)
    except ValueError as error:
        raise ResError(f"{title} has {error}") from error
    symbols: list[str] = []
    places: list[np.ndarray] = []
    for line, element, place, share in block.atoms:
        try:
            images = images_of(np.array(place), operations, cell)
        except ValueError as error:
            raise ResError(f"line {line}: {error}") from error
        _check_share(line, share, len(operations) // len(images))
        symbols += [element] * len(images)
        places.append(images)
    return symbols, np.concatenate(places)
