"""From the text of a seed to its `Plan`: every directive is read here, and each that has no effect is named."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from ase import Atoms

from ...errors import InfeasibleTarget, InputError
from ...formula import reduced_formula
from ..wyckoff import OPERATION_COUNTS
from .atoms import Entry, Listed, from_block, from_formula, from_species, group
from .changes import edits
from .composition import MAX_ATOMS, Content
from .distances import parse_distances
from .geometry import (
    bond_angles,
    box,
    cell_freedom,
    compact,
    confinement,
    constraints,
    ellipsoid_size,
    system,
)
from .groups import Groups, counts_allowed, number_of, select
from .keys import Keys
from .learning import learn
from .plan import Plan
from .shape import parse_supercell, read_lattice, read_pressure
from .tags import Tags, general_tag
from .text import Parts, take_apart
from .values import Place, whole_list, whole_range
from .volume import find_volume

BARE_RANGES = ("drawn", "lower_end")
"""What a MINSEP range for all pairs means without OVERLAP and symmetry: itself, or its lower end as in buildcell."""
_GENERAL_TAGS = ("POSAMP", "MINAMP", "XAMP", "YAMP", "ZAMP", "ANGAMP", "RAD", "COORD")


def read_plan(
    text: str, name: str, volume_law: str = "buildcell", bare_ranges: str = "drawn", structures: Sequence[Atoms] = ()
) -> Plan:
    """The plan of a seed whose `{a,b}` choices are made.

    Parameters
    ----------
    volume_law : of `volume.VOLUME_LAWS`.
    bare_ranges : of `BARE_RANGES`.
    structures : that MINSEP=AUTO learns from.

    Raises
    ------
    InputError : with the seed's name and the line of what cannot be read.
    """
    parts = take_apart(text, name)
    keys = Keys(parts.directives, parts.keywords)
    cell = _lattice(parts, name)
    kept, fixed_axes, amplitude = cell_freedom(keys, cell)
    cluster, slab = keys.has("CLUSTER"), keys.has("SLAB") or keys.has("SURFACE")
    general = _general_tags(keys)
    listed = _listed(parts, keys, name)
    entries, said = group(listed, general, cell, keys.has("MOLECULES"))
    keys.warnings += said
    adatoms = tuple(entry for entry in entries if entry.tags.adatom)
    entries = [entry for entry in entries if not entry.tags.adatom]
    if not entries:
        raise InputError(f"{name}: every listed atom is an ADATOM; list at least one that is none")
    groups, general_only = _groups(keys, cluster)
    content = _content(keys, entries)
    distances = parse_distances(keys.distances)
    wants_learning = distances.learned or distances.volume_only
    learned = learn(structures) if wants_learning and structures else None
    if wants_learning and learned is None:
        keys.warnings.append(
            keys.distances[-1].place.note("MINSEP=AUTO has no structures to learn from: distances follow from radii")
        )
    elif not keys.distances:
        keys.warnings.append("no MINSEP: the smallest distances follow from radii")
    if bare_ranges not in BARE_RANGES:
        raise InputError(f"bare_ranges: {bare_ranges!r} is not one of {', '.join(BARE_RANGES)}")
    if bare_ranges == "lower_end" and distances.default and groups.keys() == {1} and not keys.has("OVERLAP"):
        distances = replace(distances, default=(distances.default[0], distances.default[0]))
    _distance_warnings(keys, distances.default, {s for atom in listed for s in [atom.symbol]}, distances.pairs)
    lines = sum(len(entry.symbols) for entry in entries)
    by_atoms = all(entry.tags.vol is not None for entry in entries)
    if cell is None and cluster:
        cell, kept = box(keys, general), True
    volume = find_volume(keys, cell, kept, by_atoms, volume_law, lines, learned is not None)
    units = _units(keys, groups)
    _volume_trap(keys, volume.source, volume_law, entries, lines)
    supercell = keys.get("SUPERCELL")
    repeats = parse_supercell(supercell.value, supercell.place) if supercell else 0
    settings = {
        "general_only": general_only,
        "more_sites": _whole(keys, "ADJGEN", (0, 0), 0, MAX_ATOMS),
        "cell": cell if kept or fixed_axes or amplitude is not None else None,
        "cell_amplitude": 0.0 if kept else amplitude,
        "fixed_axes": fixed_axes,
        "lengths_ratio": keys.real("CONS", 0.4, 0.0, 1.0),
        "flatness": keys.real("ACONS", 0.5, 0.0, 1.0),
        "cell_constraints": constraints(keys),
        "crystal_system": system(keys),
        "compact": compact(keys, kept or bool(fixed_axes), cluster),
        "slack": keys.real("SLACK", 0.0, 0.0, 1.0),
        "overlap": overlap if (overlap := keys.real("OVERLAP", -1.0)) >= 0 else None,
        "push": not keys.has("NOPUSH"),
        "adapt_cell": keys.has("CELLADAPT"),
        "cluster": cluster,
        "flip": keys.has("FLIP"),
        "bond_angles": bond_angles(keys),
        "confinement": confinement(keys, slab),
        "edits": edits(keys, adatoms, entries),
    }
    if not isinstance(repeats, int):
        settings["supercell"] = repeats
    if kept and (keys.has("CELLADAPT") or keys.has("CELLCON") or keys.has("SYSTEM")):
        for key in ("CELLADAPT", "CELLCON", "SYSTEM"):
            keys.without_effect(key, "the cell stays as given")
        settings |= {"adapt_cell": False, "cell_constraints": None, "crystal_system": ""}
    if keys.has("CELLADAPT") and not keys.has("OVERLAP"):
        keys.without_effect("CELLADAPT", "it acts in the stage that OVERLAP asks for")
    if keys.has("PERMFRAC") and not keys.has("PERMUTE"):
        keys.without_effect("PERMFRAC", "there is no PERMUTE")
    if keys.has("FLIP") and all(len(entry.symbols) == 1 for entry in entries):
        keys.without_effect("FLIP", "no unit has more than one atom")
    ellipsoid = keys.get("ELLIPSOID")
    seed = keys.get("SEED")
    pressure, said = read_pressure(parts.pressure)
    return Plan(
        name=name,
        entries=tuple(entries),
        adatoms=adatoms,
        content=content,
        units=units,
        groups=groups,
        volume=volume,
        distances=distances,
        learned=learned,
        supercell=repeats if isinstance(repeats, int) and repeats > 1 else 0,
        slab=slab,
        ellipsoid=ellipsoid_size(ellipsoid) if ellipsoid else None,
        settings=settings,
        warnings=tuple(dict.fromkeys([*keys.warnings, *said])),
        passed_through=parts.passed_through,
        pressure_gpa=pressure,
        random_seed=None if seed is None else zlib.crc32(seed.value.encode()),
        formula=_formula(content),
    )


def _lattice(parts: Parts, name: str) -> np.ndarray | None:
    for label in ("LATTICE_CART", "LATTICE_ABC"):
        if label in parts.blocks:
            lines = parts.blocks[label]
            place = lines[0].place if lines else Place(name, 1)
            return read_lattice(lines, label == "LATTICE_CART", place)
    return None


def _listed(parts: Parts, keys: Keys, name: str) -> list[Listed]:
    """The listed atoms, from the one place that lists them."""
    blocks = [label for label in ("POSITIONS_FRAC", "POSITIONS_ABS") if label in parts.blocks]
    given = [key for key in ("SPECIES", "FORMULA") if keys.has(key)]
    if len(given) + len(blocks) > 1:
        raise InputError(f"{name}: atoms are listed twice, by {' and '.join([*given, *blocks])}: keep one")
    species, formula = keys.get("SPECIES"), keys.get("FORMULA")
    if species is not None:
        listed, said = from_species(species)
    elif formula is not None:
        listed, said = from_formula(formula), []
    elif blocks:
        listed, said = from_block(parts.blocks[blocks[0]], blocks[0] == "POSITIONS_FRAC")
    else:
        listed, said = [], []
    keys.warnings += said
    if not listed:
        raise InputError(f"{name}: no atoms: write #SPECIES=Si%NUM=2, #FORMULA=SiO2 or a POSITIONS_FRAC block")
    return listed


def _general_tags(keys: Keys) -> Tags:
    tags = Tags()
    for key in _GENERAL_TAGS:
        directive = keys.get(key)
        if directive is not None:
            tags = general_tag(tags, directive)
    return tags


def _content(keys: Keys, entries: Sequence[Entry]) -> Content:
    atoms = keys.get("NATOM")
    span = None if atoms is None else whole_range(atoms.value, "NATOM", atoms.place, 1, MAX_ATOMS)
    copies = tuple(
        entry.tags.num or (None if span and entry.tags.num is None and len(entry.symbols) == 1 else (1, 1))
        if entry.tags.num is None
        else entry.tags.num
        for entry in entries
    )
    if span and len(entries) == 1 and len(entries[0].symbols) == 1 and copies[0] is None:
        copies = (span,)
    focus = _whole(keys, "FOCUS", (0, 0), 0, 118)[0]
    return Content(tuple(entry.symbols for entry in entries), copies, span, focus, keys.has("OCTET"))


def _formula(content: Content) -> str:
    counts: dict[str, int] = {}
    for species, n in zip(content.species, content.fixed or (1,) * len(content.species), strict=True):
        for symbol in species:
            counts[symbol] = counts.get(symbol, 0) + n
    present = {symbol: n for symbol, n in counts.items() if n}
    return reduced_formula(present if content.fixed and present else dict.fromkeys(counts, 1))[0]


def _whole(keys: Keys, key: str, default: tuple[int, int], low: int, high: int) -> tuple[int, int]:
    directive = keys.get(key)
    return default if directive is None else whole_range(directive.value, key, directive.place, low, high)


def _units(keys: Keys, groups: Groups) -> tuple[int, int] | None:
    directive = keys.get("NFORM")
    if directive is not None and directive.value.strip() != "-1":
        return whole_range(directive.value, "NFORM", directive.place, 1, MAX_ATOMS)
    if tuple(groups) == (1,):
        return (1, 1)
    keys.warnings.append(
        "no NFORM: the symmetry repeats what is listed, once per operation; NFORM=1 is the listed atoms themselves"
    )
    return None


def _groups(keys: Keys, cluster: bool) -> tuple[Groups, bool]:
    """Groups by number of operations, and whether only general positions are wanted (~)."""
    only: set[int] = set()
    general_only = False
    named = [directive for key in ("SYMM", "SYMMNO") if (directive := keys.get(key)) is not None]
    for directive in named:
        value = directive.value.strip()
        general_only |= value.startswith("~")
        value = value.removeprefix("~").strip()
        found = (
            {number_of(value, directive.place)}
            if directive.key == "SYMM"
            else set(whole_list(value, directive.key, directive.place, 1, 230))
        )
        only = only & found if only else found
    operations = keys.get("SYMMOPS")
    span = (1, 48) if named else (1, 1)
    if operations is not None:
        value = operations.value.strip()
        general_only |= value.startswith("~")
        span = whole_range(value.removeprefix("~"), "SYMMOPS", operations.place, 1, 48)
        if not any(span[0] <= count <= span[1] for count in OPERATION_COUNTS):
            raise operations.place.error(f"SYMMOPS={value[:20]!r}: groups have {counts_allowed()} operations")
        if cluster and any(span[0] <= n <= span[1] for n in (5, 7, 9, 10, 11)):
            keys.warnings.append(
                operations.place.note(
                    "SYMMOPS of 5, 7, 9, 10 and 11 are left out: clusters have crystallographic groups"
                )
            )
    restrictions = [key for key in ("SYMMORPHIC", "CHIRAL", "SGRANK") if keys.has(key)]
    if operations is None and not named:
        for key in restrictions:
            keys.without_effect(key, "there is no SYMMOPS, so no symmetry is asked for")
        return {1: (1,)}, False
    rank = _whole(keys, "SGRANK", (230, 230), 1, 230)[1]
    kinds = [key for key in ("SYMMORPHIC", "CHIRAL") if keys.has(key)] + (["CLUSTER"] if cluster else [])
    if span == (1, 1) and not named:
        return {1: (1,)}, general_only
    groups = select(span, only, rank, system(keys), kinds)
    if not groups:
        asked = [d.key for d in named] + ["SYMMOPS"] * (operations is not None) + restrictions
        asked += ["SYSTEM"] * keys.has("SYSTEM") + ["CLUSTER"] * cluster
        place = (operations or named[0]).place
        raise InfeasibleTarget(str(place.error(f"no space group obeys {' and '.join(asked)} together: loosen one")))
    if keys.has("CELLADAPT"):
        directive = keys.get("CELLADAPT")
        assert directive is not None
        keys.warnings.append(
            directive.place.note("CELLADAPT loses the symmetry of a third of buildcell's structures; here it is kept")
        )
    return groups, general_only


def _volume_trap(keys: Keys, source: str, law: str, entries: Sequence[Entry], lines: int) -> None:
    """Warn where NUM multiplies the volume of several lines."""
    directive = keys.get(source)
    if directive is None or source == "VOL" or law != "buildcell" or lines == 1 or keys.has("NATOM"):
        return
    low, high = (sum((e.tags.num or (1, 1))[i] * len(e.symbols) for e in entries) for i in (0, 1))
    if low == high == lines:
        return
    atoms = f"{low}" if low == high else f"{low}-{high}"
    keys.warnings.append(
        directive.place.note(
            f"{source} is multiplied by {atoms}/{lines} (atoms after NUM over listed lines) for a formula unit; list "
            "every atom on a line of its own, or read with volume_law='per_formula_unit', to have it as written"
        )
    )


def _distance_warnings(keys: Keys, default: Any, species: set[str], pairs: Any) -> None:
    place = keys.distances[-1].place if keys.distances else None
    if place is None:
        return
    for pair in pairs:
        if not set(pair) <= species:
            keys.warnings.append(place.note(f"MINSEP {'-'.join(pair)} has no effect: not both are listed"))
    if default is not None and default[0] < default[1] and not keys.has("OVERLAP"):
        keys.warnings.append(
            place.note(
                f"a bare MINSEP={default[0]:g}-{default[1]:g} acts as about {default[0]:g} in buildcell without OVERLAP"
                "; here every pair is drawn from the range"
            )
        )
