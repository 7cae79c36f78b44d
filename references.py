"""Structures that a hull stands on, relaxed once with the potential of the runs and kept: elements first of all."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, reference_states

from . import __version__
from .files import write_atomic
from .records import Candidate, Record, Relaxation, Status
from .records_json import atoms_to_json, record_from_json, record_to_json
from .relax import RelaxSettings, as_they_end, in_flight, make_relaxer
from .search.config import SearchConfig

_log = logging.getLogger("xtalseek")

_BUILT_BY_ASE = ("fcc", "bcc", "hcp", "diamond", "sc", "bct", "rhombohedral")
_MOST_ATOMS = 36
_LIKE = {
    "H": ("N", "cP8", 18.7),
    "F": ("O", "mC4", 16.0),
    "Cl": ("I", "oC8", 28.0),
    "Br": ("I", "oC8", 32.8),
    "Te": ("Se", "hP3", 34.0),
}
"""Elements without an entry of their own that crystallise like another (H: its ordered form; F: nearly): the other,
the Pearson symbol, and a volume (Å^3/atom) to start relaxing from."""

_PACKAGE = {
    "mace": "mace-torch",
    "orb": "orb-models",
    "sevennet": "sevenn",
    "torch-sim": "torch-sim-atomistic",
    **dict.fromkeys(("emt", "lj", "morse"), "ase"),
}
_NOT_KEPT = (Status.TIMEOUT, Status.ERROR)
"""Another try may end otherwise."""


@dataclass(frozen=True)
class Method:
    """What all enthalpies of one hull must have been made with.

    Attributes
    ----------
    relaxer, options : the potential and its keyword arguments.
    settings : how far was relaxed.
    """

    relaxer: str
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: RelaxSettings = field(default_factory=RelaxSettings)

    @classmethod
    def of(cls, config: SearchConfig) -> Method:
        """That of a run."""
        return cls(config.relaxer, dict(config.relaxer_options), config.relax_settings)

    def differences(self, other: Method) -> list[str]:
        """What makes enthalpies of the two incomparable, as "relaxer chgnet, not emt".

        Limits and the way of the optimiser are none of it: they decide whether a relaxation converges, not its energy.
        """
        names = ("pressure_gpa", "force_tolerance", "stress_tolerance_gpa")
        mine, others = self._plain, other._plain
        own = {"relaxer": self.relaxer, "relaxer_options": mine["options"]} | {n: mine["settings"][n] for n in names}
        its = {"relaxer": other.relaxer, "relaxer_options": others["options"]} | {
            n: others["settings"][n] for n in names
        }
        return [f"{name} {own[name]}, not {its[name]}" for name in own if own[name] != its[name]]

    @property
    def settings_for_references(self) -> RelaxSettings:
        """Those of the runs, but nothing is given up."""
        return replace(self.settings, early_stop_window=None)

    @property
    def _plain(self) -> dict[str, Any]:
        return {"relaxer": self.relaxer, "options": dict(self.options), "settings": asdict(self.settings)}

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that a relaxed reference depends on, as plain values: versions too."""
        settings = asdict(self.settings_for_references)
        del settings["max_seconds"], settings["early_stop_window"]
        return self._plain | {"settings": settings, "versions": {"xtalseek": __version__} | _versions(self.relaxer)}


def default_cache() -> Path:
    """$XDG_CACHE_HOME/xtalseek/references, or the same in ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(home) / "xtalseek" / "references"


def element_structures(symbol: str) -> list[tuple[str, Atoms]]:
    """Known crystals of an element to relax, the lowest of which is its reference; none where none is known.

    ASE's reference states where they are simple lattices, and the AFLOW prototypes that pymatgen ships (Mehl et al.
    2017, doi:10.1016/j.commatsci.2017.01.017) of up to 36 atoms.
    """
    found = []
    state = reference_states[atomic_numbers[symbol]]
    if state is not None and state["symmetry"] in _BUILT_BY_ASE:
        try:
            found.append((f"{symbol}-{state['symmetry']}", bulk(symbol)))
        except (ValueError, NotImplementedError, KeyError) as error:  # a lattice without all of its numbers
            _log.debug("%s: %s", symbol, error)
    own, pearson, volume = _LIKE.get(symbol, (symbol, "", 0.0))
    # Reading the library takes many seconds, which nobody is to wait for who asks for no hull.
    from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY

    for entry in AFLOW_PROTOTYPE_LIBRARY:
        structure, tags = entry["snl"].structure, entry["tags"]
        if {str(e) for e in structure.composition.elements} != {own} or len(structure) > _MOST_ATOMS:
            continue
        if pearson and tags["pearson"] != pearson:
            continue
        atoms = Atoms([symbol] * len(structure), structure.cart_coords, cell=structure.lattice.matrix, pbc=True)
        if volume:
            stretch = (volume * len(atoms) / atoms.get_volume()) ** (1 / 3)
            atoms.set_cell(atoms.cell.array * stretch, scale_atoms=True)
        found.append((f"{symbol}-{tags['aflow']}", atoms))
    return found


def relaxed(structures: Sequence[tuple[str, Atoms]], method: Method, cache: Path | None = None) -> list[Record]:
    """Each structure relaxed with one potential and its settings: from the cache where it was before.

    A result is one small JSON file, `CACHE/HASH/FORMULA-HASH.json`, by what it depends on: relaxer, options, settings,
    versions (`method.json` beside it says them) and the structure it started from.

    Parameters
    ----------
    structures : with their names, as (name, structure).
    cache : folder; default: `default_cache()`.

    Raises
    ------
    InputError : an unknown relaxer, or elements that it does not know.
    OSError : the cache cannot be written.
    """
    if not structures:
        return []
    identity = json.dumps(method.identity, indent=1, sort_keys=True, default=str)
    folder = (default_cache() if cache is None else cache) / _hash(identity)
    files = [folder / f"{atoms.get_chemical_formula()}-{_hash(_text(atoms))}.json" for _, atoms in structures]
    found = {place: record for place, file in enumerate(files) if (record := _load(file)) is not None}
    missing = [place for place in range(len(structures)) if place not in found]
    if missing:
        symbols = {symbol: None for place in missing for symbol in structures[place][1].get_chemical_symbols()}
        relaxer = make_relaxer(method.relaxer, method.settings_for_references, method.options, symbols)
        _log.info(f"{len(missing)} references are relaxed with {method.relaxer}, once, and kept in {folder}")
        write_atomic(folder / "method.json", identity + "\n")
        for turn, relaxation in as_they_end(in_flight(relaxer), [structures[place][1] for place in missing]):
            place = missing[turn]
            found[place] = _record(*structures[place], relaxation)
            if relaxation.status not in _NOT_KEPT:
                write_atomic(files[place], json.dumps(record_to_json(found[place])) + "\n")
    # The file is found by the structure, whatever it was called then.
    return [_record(name, atoms, found[place].relaxation) for place, (name, atoms) in enumerate(structures)]


def _record(name: str, atoms: Atoms, relaxation: Relaxation) -> Record:
    return Record(Candidate(name, "reference", 0, atoms), relaxation)


def _load(file: Path) -> Record | None:
    try:
        return record_from_json(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, KeyError, TypeError, ValueError, RecursionError):  # not there, or not ours: relaxed again
        return None


def _text(atoms: Atoms) -> str:
    """A structure as text that rounding in the last digits does not change."""
    plain = atoms_to_json(atoms) or {}
    return json.dumps({key: np.round(np.array(value, dtype=float), 6).tolist() for key, value in plain.items()})


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _versions(relaxer: str) -> dict[str, str]:
    """Of the package that a relaxer comes from; of a module that belongs to none, the hash of its file."""
    module, colon, _ = relaxer.partition(":")
    if not colon:
        packages = [_PACKAGE.get(relaxer, relaxer)]
    else:
        packages = packages_distributions().get(module.partition(".")[0], [])
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except ModuleNotFoundError:  # a relaxer that somebody registered
            continue
    if colon and not found:
        spec = find_spec(module)
        if spec is not None and spec.origin is not None:
            found[module] = hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()[:16]
    return found
