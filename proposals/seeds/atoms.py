"""The listed atoms of a seed: SPECIES, FORMULA or a POSITIONS block, made into units."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.units import Bohr

from ...errors import InputError
from ...formula import ELEMENTS, parse_formula
from ..radii import covalent_radius
from ..recipe import Unit
from .composition import MAX_ATOMS
from .tags import Tags, parse_tags
from .text import Directive, Line
from .values import Place, is_number

COINCIDING = 0.1
"""Å; atoms of one label nearer than this cannot be one rigid unit."""
BONDED = 1.2
"""Times the sum of covalent radii; nearer atoms belong together under MOLECULES."""
LENGTHS = {"ang": 1.0, "bohr": Bohr, "a0": Bohr, "nm": 10.0, "m": 1e10, "cm": 1e8}
"""Å per unit of length."""


@dataclass(frozen=True, eq=False)
class Listed:
    """One line of atoms: fractional is whether `coordinates` (3,) are, else Å."""

    symbol: str
    coordinates: np.ndarray
    fractional: bool
    label: str
    tags: Tags
    place: Place


@dataclass(frozen=True, eq=False)
class Entry:
    """A unit as listed: its copies (None: NATOM shares atoms out), tags, and shape.

    Attributes
    ----------
    symbols : of its atoms.
    offsets : (n, 3) Å from the centre.
    position : (3,) fractional, of the centre; None: unknown, for there is no cell.
    """

    symbols: tuple[str, ...]
    offsets: np.ndarray
    position: np.ndarray | None
    tags: Tags
    label: str
    place: Place
    given_num: bool

    def unit(self, occupation: float | None) -> Unit:
        """The unit that the generator places."""
        tags = self.tags
        amplitude, box = self._landing()
        return Unit(
            symbols=self.symbols,
            offsets=self.offsets,
            position=self.position if self.is_placed else None,
            amplitude=amplitude,
            least_amplitude=tags.minamp or 0.0,
            box=box,
            turn=tags.angamp if tags.angamp is not None and tags.angamp >= 0 else (0.0 if tags.fix else None),
            pushed=not (tags.nomove or tags.fix),
            frozen=tags.fix,
            occupation=occupation,
            radius=tags.rad,
            coordination=tags.coord,
            spin=tags.spin or 0.0,
            label=self.label,
        )

    @property
    def is_placed(self) -> bool:
        """Whether its given position matters."""
        return self._landing() != (None, None)

    def _landing(self) -> tuple[float | None, tuple[float, float, float] | None]:
        """Amplitude and box of the random displacement; both None: anywhere."""
        tags = self.tags
        if tags.fix:
            return 0.0, None
        x, y, z = ((-1.0 if a is None or a < 0 else a) for a in (tags.xamp, tags.yamp, tags.zamp))
        if (x, y, z) != (-1.0, -1.0, -1.0):
            return None, (x, y, z)
        if tags.posamp is not None and tags.posamp >= 0:
            return tags.posamp, None
        return (0.0, None) if tags.nomove else (None, None)


def from_species(directive: Directive) -> tuple[list[Listed], list[str]]:
    """The atoms of SPECIES=Si%NUM=1 POSAMP=2,O%NUM=2, all at the origin.

    Raises
    ------
    InputError : no element, or a bad tag.
    """
    listed, warnings = [], []
    for word in directive.value.split(","):
        symbol, _, text = word.partition("%")
        tags, said = parse_tags(text, directive.place)
        warnings += said
        symbol = element(symbol, directive.place)
        listed.append(Listed(symbol, np.zeros(3), True, "", tags, directive.place))
    return listed, warnings


def from_formula(directive: Directive) -> list[Listed]:
    """The atoms of FORMULA=SrTiO3, one each, all at the origin.

    Raises
    ------
    InputError : not a formula, or too many atoms.
    """
    try:
        counts = parse_formula(directive.value)
    except InputError as error:
        raise directive.place.error(str(error)) from error
    if sum(counts.values()) > MAX_ATOMS:
        raise directive.place.error(f"FORMULA={directive.value[:40]}: more than {MAX_ATOMS} atoms")
    one = Tags(num=(1, 1))
    return [Listed(s, np.zeros(3), True, "", one, directive.place) for s, n in counts.items() for _ in range(n)]


def from_block(lines: Sequence[Line], fractional: bool) -> tuple[list[Listed], list[str]]:
    """The atoms of a POSITIONS block: `Si 0 0 0 # label % NUM=2`.

    Raises
    ------
    InputError : a line that is no atom, an unknown element, or a bad tag.
    """
    listed: list[Listed] = []
    warnings: list[str] = []
    scale = 1.0
    for line in lines:
        head, _, text = line.text.partition("%")
        head, _, label = head.partition("#")
        words = head.split()
        if not listed and len(words) == 1 and not fractional and words[0].lower() in LENGTHS:
            scale = LENGTHS[words[0].lower()]
            continue
        if len(words) < 4 or not all(is_number(word) and abs(_real(word)) < 1e4 for word in words[1:4]):
            raise line.place.error(f"{line.text[:60]!r} is no atom: write El x y z # label % NUM=1")
        rest = " ".join(words[4:])
        native = re.fullmatch(r"SPIN\s*[=:]?\s*(\S+)", rest, re.IGNORECASE)
        if native:
            text = f"SPIN={native[1]} {text}"
        elif rest and not rest.startswith("!"):
            raise line.place.error(f"{rest[:40]!r} after the coordinates: write labels after # and tags after %")
        tags, said = parse_tags(text, line.place)
        warnings += said
        symbol = element(words[0].partition(":")[0], line.place)
        coordinates = scale * np.array([_real(word) for word in words[1:4]])
        listed.append(
            Listed(symbol, coordinates, fractional, label.split()[0] if label.split() else "", tags, line.place)
        )
        if len(listed) > MAX_ATOMS:
            raise line.place.error(f"more than {MAX_ATOMS} atoms")
    return listed, warnings


def element(symbol: str, place: Place) -> str:
    """The element's symbol.

    Raises
    ------
    InputError : no element.
    """
    found = symbol.strip().capitalize()
    if found not in ELEMENTS:
        hint = "; model species such as A need real symbols here" if len(found) == 1 else ""
        raise place.error(f"{symbol.strip()[:20]!r} is no element: write a symbol from H to Lr{hint}")
    return found


def group(
    listed: Sequence[Listed], general: Tags, cell: np.ndarray | None, molecules: bool
) -> tuple[list[Entry], list[str]]:
    """Atoms that share a label as rigid units; with `molecules` also those that are bonded as listed.

    Parameters
    ----------
    general : tags of all atoms that say nothing themselves.
    cell : (3, 3) Å, rows; None: not given.

    Raises
    ------
    InputError : the shape of a unit, or a place that matters, is given in a cell that is not there.
    """
    entries: list[Entry] = []
    warnings: list[str] = []
    for members in _groups(listed, cell, molecules):
        atoms = [listed[i] for i in members]
        first = atoms[0]
        if len(atoms) > 1 and _spread(_cartesian(atoms, cell)) < COINCIDING:
            lines = ", ".join(str(a.place.line) for a in atoms[:6])
            warnings.append(
                f"lines {lines}: atoms labelled {first.label[:20]!r} lie on one another, so they are no rigid unit and "
                "stand for single atoms; give each a label of its own"
            )
            entries += [_entry([atom], general, cell) for atom in atoms]
            continue
        said = [atom for atom in atoms if atom.tags.num is not None]
        if len({atom.tags.num for atom in said}) > 1:
            warnings.append(
                said[1].place.note(f"NUM of the unit {first.label[:20]!r} is taken from line {said[0].place.line}")
            )
        entries.append(_entry(atoms, general, cell))
    return entries, warnings


def _entry(atoms: Sequence[Listed], general: Tags, cell: np.ndarray | None) -> Entry:
    first = atoms[0]
    own = first.tags
    for atom in atoms[1:]:
        own = own.over(atom.tags)
    label = first.label or f"{first.symbol} of line {first.place.line}"
    symbols = tuple(atom.symbol for atom in atoms)
    given = own.num is not None
    if len(atoms) == 1:
        position = _fractional(first.coordinates, first, cell)
        entry = Entry(symbols, np.zeros((1, 3)), position, own.over(general), label, first.place, given)
    else:
        positions = _cartesian(atoms, cell)
        if positions is None:
            raise first.place.error(f"the rigid unit {label[:20]!r} has fractional coordinates: add a LATTICE block")
        centre = positions.mean(axis=0)
        inverse = None if cell is None else np.linalg.inv(cell)
        position = None if inverse is None and centre.any() else np.zeros(3) if inverse is None else centre @ inverse
        entry = Entry(symbols, positions - centre, position, own.over(general), label, first.place, given)
    if entry.position is None and entry.is_placed:
        raise first.place.error(f"the place of {label[:20]!r} is in Å, and there is no cell: add a LATTICE block")
    return entry


def _groups(listed: Sequence[Listed], cell: np.ndarray | None, molecules: bool) -> list[list[int]]:
    """Indices that belong together by label or, with `molecules`, by bonds, in the order of their first lines."""
    root = list(range(len(listed)))
    first_of: dict[str, int] = {}
    links = [(first_of.setdefault(atom.label, i), i) for i, atom in enumerate(listed) if atom.label]
    for i, j in links + (_bonds(listed, cell) if molecules else []):
        low, high = sorted((root[i], root[j]))
        if low != high:
            root = [low if r == high else r for r in root]
    groups: dict[int, list[int]] = {}
    for i, r in enumerate(root):
        groups.setdefault(r, []).append(i)
    return list(groups.values())


def _bonds(listed: Sequence[Listed], cell: np.ndarray | None) -> list[tuple[int, int]]:
    """Pairs of atoms that are bonded as they stand, without periodic images."""
    positions = _cartesian(listed, cell)
    if positions is None:
        return []
    radii = np.array([covalent_radius(atom.symbol) for atom in listed])
    lengths = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    near = (lengths < BONDED * (radii[:, None] + radii[None])) & (lengths > COINCIDING)
    return [(int(i), int(j)) for i, j in np.argwhere(np.triu(near))]


def _spread(positions: np.ndarray | None) -> float:
    """Å; the shortest distance between two of the atoms."""
    if positions is None:
        return np.inf
    lengths = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    return float(lengths[np.triu_indices(len(positions), 1)].min())


def _cartesian(atoms: Sequence[Listed], cell: np.ndarray | None) -> np.ndarray | None:
    coordinates = np.array([atom.coordinates for atom in atoms])
    if not atoms[0].fractional:
        return coordinates
    if cell is None:
        return None if coordinates.any() else coordinates
    return coordinates @ cell


def _fractional(coordinates: np.ndarray, atom: Listed, cell: np.ndarray | None) -> np.ndarray | None:
    if atom.fractional or not coordinates.any():
        return coordinates
    return None if cell is None else coordinates @ np.linalg.inv(cell)


def _real(word: str) -> float:
    return float(word.lower().replace("d", "e"))
