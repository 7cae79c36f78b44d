"""A structure on its way to a file, what is known of it, and its text as AIRSS .res and as CIF."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.units import GPa

from .errors import InputError
from .records import Record

if TYPE_CHECKING:
    from pymatgen.core import Structure

MARK = "written by xtalseek"
"""Stands near the top of every file of ours, so that another program's is never replaced."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A structure on its way to a file.

    Attributes
    ----------
    name : as users know it; also the file's name, made safe, where each frame gets a file of its own.
    atoms : the structure, periodic in all directions.
    energy : eV for the whole cell, without the pressure term; None where there is none.
    pressure_gpa : external pressure.
    space_group : international symbol, empty where unknown.
    times_found : how often a search found it.
    source : the way of proposing it came from, empty where there is none.
    status : how its relaxation ended, empty where it was not relaxed.
    spin, abs_spin : of the whole cell, Bohr magnetons: the sum of the moments and of their sizes, as in TITL of AIRSS;
        None where unknown.
    """

    name: str
    atoms: Atoms
    energy: float | None = None
    pressure_gpa: float = 0.0
    space_group: str = ""
    times_found: int = 1
    source: str = ""
    status: str = ""
    spin: float | None = None
    abs_spin: float | None = None

    @property
    def enthalpy(self) -> float | None:
        """E + pV in eV for the whole cell; None without an energy."""
        if self.energy is None:
            return None
        return self.energy + self.pressure_gpa * GPa * float(self.atoms.get_volume())

    @property
    def facts(self) -> dict[str, str | int | float]:
        """What is known of it besides the structure, without what is unknown."""
        known: dict[str, str | int | float | None] = {
            "name": self.name,
            "energy": self.energy,
            "enthalpy": self.enthalpy,
            "pressure_gpa": self.pressure_gpa,
            "space_group": self.space_group,
            "times_found": self.times_found,
            "source": self.source,
            "status": self.status,
            "spin": self.spin,
            "abs_spin": self.abs_spin,
        }
        return {key: value for key, value in known.items() if value is not None and value != ""}


WORDS = ("name", "space_group", "source", "status")
NUMBERS = ("energy", "enthalpy", "pressure_gpa", "spin", "abs_spin", "times_found")
"""Facts that are text, and those that are numbers."""


def known_facts(info: Mapping[str, Any]) -> dict[str, str | int | float]:
    """What `info` says under the names of `Frame.facts`; what is no text, no finite number or no count is left out."""
    facts: dict[str, str | int | float] = {}
    for key in WORDS:
        if isinstance(info.get(key), str | int) and (text := one_line(info[key])):
            facts[key] = text
    for key in NUMBERS:
        value = info.get(key)
        if isinstance(value, int | float | np.integer | np.floating) and math.isfinite(value):
            facts[key] = float(value)
    if "times_found" in facts:
        facts["times_found"] = int(facts["times_found"])
    return facts


def as_frame(structure: Atoms | Structure, name: str = "") -> Frame:
    """An ASE or pymatgen structure as a frame, with what its `info` (pymatgen: `properties`) says of it.

    So `as_frame(atoms, name)` of what `read_structures` gave writes a .res with the TITL that was read. The energy is
    `energy` of `info`, else a finished calculation's, else `enthalpy` less pressure times volume.

    Parameters
    ----------
    name : "": the one in `info`, or else the formula.

    Raises
    ------
    InputError : a pymatgen structure with partly occupied sites.
    """
    if not isinstance(structure, Atoms):
        if not structure.is_ordered:
            raise InputError(f"structure {structure.formula!r} has partly occupied sites: give an ordered structure")
        structure = structure.to_ase_atoms(msonable=False)
    facts: dict[str, Any] = known_facts(structure.info)
    energy = facts.pop("energy", None)
    if energy is None:
        energy = energy_of(structure)
    enthalpy = facts.pop("enthalpy", None)
    if energy is None and enthalpy is not None:
        energy = enthalpy - facts.get("pressure_gpa", 0.0) * GPa * float(structure.get_volume())
    own = facts.pop("name", "")
    return Frame(name=name or own or structure.get_chemical_formula(), atoms=structure, energy=energy, **facts)


def energy_of(atoms: Atoms) -> float | None:
    """The energy (eV) of a finished calculation of these very atoms; None without one. Computes nothing."""
    # Not `get_potential_energy`: a calculator that a file brought along, such as CASTEP's, would start its program.
    energy = getattr(atoms.calc, "results", {}).get("energy")
    if not isinstance(energy, int | float | np.integer | np.floating) or not math.isfinite(energy):
        return None
    return None if atoms.calc.calculation_required(atoms, ["energy"]) else float(energy)


def frame_of(record: Record, space_group: str = "", times_found: int = 1) -> Frame | None:
    """The relaxed structure of a record as a frame; None where the relaxation left no structure."""
    relaxation = record.relaxation
    if relaxation.atoms is None:
        return None
    return Frame(
        name=record.name,
        atoms=relaxation.atoms,
        energy=relaxation.energy,
        pressure_gpa=relaxation.pressure_gpa,
        space_group=space_group,
        times_found=times_found,
        source=record.candidate.source,
        status=relaxation.status.value,
    )


def safe_name(name: str) -> str:
    """A name that is one plain part of a path: never empty, hidden, or leading out of its folder."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", name).lstrip(".")[:150] or "structure"


def res_text(frame: Frame) -> str:
    """The frame as an AIRSS .res file (a subset of SHELX), ending in a newline.

    TITL holds name, pressure (GPa), volume (Å^3), enthalpy (eV), spin, |spin|, number of atoms, (space group) and times
    found. A frame without an energy gets enthalpy 0, as AIRSS writes it, and a remark that says so.
    """
    energy = frame.enthalpy
    title = (
        f"TITL {safe_name(frame.name)} {frame.pressure_gpa:.4f} {frame.atoms.get_volume():.6f} {energy or 0.0:.8f} "
        f"{frame.spin or 0.0:.6g} {frame.abs_spin or 0.0:.6g} {len(frame.atoms)} "
        f"({frame.space_group.replace(' ', '') or 'n/a'}) n - {frame.times_found}"
    )
    species = list(dict.fromkeys(frame.atoms.get_chemical_symbols()))
    lines = [title, f"REM {MARK}", *([] if energy is not None else ["REM no energy: the 0 in TITL stands for none"])]
    lines += [f"REM {key} {one_line(frame.facts[key])}" for key in ("source", "status") if key in frame.facts]
    lines += ["CELL 1.54180 " + " ".join(f"{v:.10f}" for v in frame.atoms.cell.cellpar()), "LATT -1"]
    lines += ["SFAC " + " ".join(species)]
    for symbol, (x, y, z) in zip(frame.atoms.get_chemical_symbols(), _fractional(frame.atoms), strict=True):
        lines.append(f"{symbol:<3s} {species.index(symbol) + 1:<2d} {x:.12f} {y:.12f} {z:.12f} 1.0")
    return "\n".join([*lines, "END", ""])


def cif_text(frame: Frame) -> str:
    """The frame as one CIF data block in P 1, with every atom and what is known of it in comments."""
    a, b, c, alpha, beta, gamma = frame.atoms.cell.cellpar()
    lines = [f"# {MARK}", f"data_{safe_name(frame.name)}"]
    lines += [f"# {key} {one_line(value)}" for key, value in frame.facts.items()]
    lines += [
        *(f"_cell_length_{name} {value:.10f}" for name, value in zip("abc", (a, b, c), strict=True)),
        *(f"_cell_angle_{n} {v:.10f}" for n, v in zip(("alpha", "beta", "gamma"), (alpha, beta, gamma), strict=True)),
        f"_cell_volume {frame.atoms.get_volume():.8f}",
        "_symmetry_space_group_name_H-M 'P 1'",
        "_symmetry_Int_Tables_number 1",
        "loop_\n_symmetry_equiv_pos_as_xyz\n'x, y, z'",
        "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z",
        "_atom_site_occupancy",
    ]
    seen: Counter[str] = Counter()
    for symbol, (x, y, z) in zip(frame.atoms.get_chemical_symbols(), _fractional(frame.atoms), strict=True):
        seen[symbol] += 1
        lines.append(f"{symbol}{seen[symbol]} {symbol} {x:.12f} {y:.12f} {z:.12f} 1.0")
    return "\n".join([*lines, ""])


def _fractional(atoms: Atoms) -> np.ndarray:
    """Fractional coordinates, (n_atoms, 3), for formats that keep only lengths and angles of the cell.

    Those formats give a right-handed cell back. Turning all three axes of a left-handed one around makes it
    right-handed and leaves the crystal, unlike its mirror image, what it was.
    """
    hand = 1.0 if np.linalg.det(atoms.cell.array) > 0 else -1.0
    # The second % turns the 1.0 that rounding makes of -1e-17 into 0.
    return (hand * atoms.get_scaled_positions(wrap=False)) % 1.0 % 1.0


def one_line(value: object) -> str:
    """A value as text without line breaks."""
    return " ".join(str(value).split())
