"""What `xtalseek hull` does between its words and its table: read runs, relax references, build the hull, draw it."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.data import covalent_radii

from .analysis.generated import GeneratedSet
from .analysis.generated_sets import generated_sets
from .analysis.hull_plot import FORMATS, hull_image
from .analysis.hull_table import Entry, Hull, hull_of
from .analysis.minima import Minimum, find_minima
from .analysis.stability import Phase
from .command_words import RELAX_WORDS, SETTING_WORDS, default_words, given_words
from .datasets import read_dataset
from .errors import InputError, unknown
from .files import write_atomic
from .records import Record, Status
from .references import Method, element_structures, relaxed
from .relax import RelaxSettings
from .relax.guards import SUSPICIOUS_RATIO, closest_contact
from .relax.trust import require_typed
from .relax.vacuum import dimensions
from .search.config import parse_word
from .search.enumeration import parse_system
from .search.store import CONFIG_FILE, Run, load_run

REFERENCE = "reference"
_KNOWN = "ASE and AFLOW"
_GIVE = "give one with --references (any structure file, a CSV with a column cif, or a run folder)"


def run_hull(options: argparse.Namespace) -> Hull:
    """Do what the words of the command line ask for; the plot or the JSON file is written where `--out` names one.

    Raises
    ------
    InputError : a word or file that cannot be used, told before anything is relaxed where that is possible; runs made
        with different potentials or settings, or with one that `require_typed` wants typed; an element without a
        reference.
    """
    elements = parse_system(options.system)
    out = None if options.out is None else _checked_out(Path(options.out), elements)
    runs = [load_run(path) for path in options.runs]
    method = _method(options, runs)
    if runs:
        require_typed(method.relaxer, method.options, given_words(options, RELAX_WORDS), str(runs[0].path))
    for run in runs:
        _require_within(elements, run)
    entries, notes = _searched(runs), _silent_runs(runs)
    cache = None if options.cache is None else Path(options.cache)
    standing, said = reference_entries(elements, options.references or [], method, cache, entries)
    entries, notes = entries + standing, notes + said
    entries = _named_apart(entries)
    if lost := _lost(elements, entries):
        told = "".join(f"; {note}" for note in notes)
        raise InputError(f"no structure of {lost[0]} that is relaxed by {method.relaxer}: {_GIVE}{told}")
    pressure = method.settings.pressure_gpa
    words = f"All enthalpies by {method.relaxer}" + (f" at {pressure:g} GPa" if pressure else "")
    hull = replace(hull_of(entries, elements, words, notes), generated=_generated(runs, entries, options.known))
    if out is not None:
        suffix = out.suffix.lower().lstrip(".")
        write_atomic(out, json.dumps(hull.to_json(), indent=1) + "\n" if suffix == "json" else hull_image(hull, suffix))
    return hull


def reference_entries(
    elements: Sequence[str],
    paths: Sequence[str],
    method: Method,
    cache: Path | None,
    searched: Sequence[Entry] = (),
    *,
    optional: bool = False,
) -> tuple[list[Entry], list[str]]:
    """Relaxed structures that a hull of these elements stands on, and notes on those that did not converge.

    Parameters
    ----------
    paths : structures and run folders of the user's; of elements that are not among them, known crystals are taken.
    cache : where relaxed references are kept; None: `references.default_cache()`.
    searched : what competes with them; an element of which there is none to be had here may be among it.
    optional : an element of which no crystal is known is passed over.

    Raises
    ------
    InputError : a file that cannot be used, an element of which no crystal is known, a cache that cannot be written.
    """
    entries, starts = _given_references(paths, method, elements)
    starts += _elements(elements, [entry.atoms for entry in entries] + [atoms for _, atoms, _ in starts], optional)
    try:
        records = relaxed([(name, atoms) for name, atoms, _ in starts], method, cache)
    except OSError as error:
        raise InputError(
            f"references cannot be kept in {error.filename!r} ({error.strerror}): give another --cache"
        ) from error
    notes: list[str] = []
    for record, (_, _, origin) in zip(records, starts, strict=True):
        if record.relaxation.status is Status.CONVERGED:
            entries += _reference(record, origin)
        else:
            notes.append(
                f"reference {record.candidate.target}: {record.relaxation.status}, {record.relaxation.message}"
            )
    for symbol in _lost(elements, [*searched, *entries]):
        entries += _fallen_apart(symbol, records, notes)
    return entries, notes


def _generated(runs: Sequence[Run], entries: Sequence[Entry], known: Sequence[str] | None) -> dict[str, GeneratedSet]:
    phases = [
        Phase(entry.name, Counter(entry.atoms.get_chemical_symbols()), entry.enthalpy_per_atom)
        for entry in entries
        if entry.source == REFERENCE
    ]
    return generated_sets(runs, phases, None if known is None else read_dataset(list(known)).structures)


def hull_of_run(run: str, references: Sequence[str] | None = None, typed: Mapping[str, Any] | None = None) -> Hull:
    """The hull that a search's minima stand on: of its own elements, references relaxed as the run was.

    Parameters
    ----------
    run : folder.
    references : as of `xtalseek hull`.
    typed : `relaxer` and `relaxer_options` where the user gave them, too: see `require_typed`.

    Raises
    ------
    InputError : as `run_hull`.
    """
    system = "-".join(load_run(run).config.target.composition)
    words = {"system": system, "runs": [run], "references": references, **(typed or {})}
    return run_hull(argparse.Namespace(**words, cache=None, known=None, out=None))


def _checked_out(path: Path, elements: Sequence[str]) -> Path:
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in (*FORMATS, "json"):
        raise unknown("suffix of --out", path.suffix, [f".{name}" for name in (*FORMATS, "json")])
    if suffix != "json" and len(elements) > 4:
        raise InputError(f"a hull of {len(elements)} elements cannot be drawn: 2 to 4 can; give --out FILE.json")
    return path


def _method(options: argparse.Namespace, runs: Sequence[Run]) -> Method:
    """The one that all runs were made with, or where there is none that of the command line."""
    given = {name: parse_word(name, value) for name, value in given_words(options, RELAX_WORDS).items()}
    if not runs:
        if not options.references:
            raise InputError("a hull needs phases: give run folders, or structures with --references")
        words = default_words(RELAX_WORDS) | given
        settings = RelaxSettings(**{name: words[name] for name in SETTING_WORDS})
        return Method(words["relaxer"], dict(words["relaxer_options"]), settings)
    method = Method.of(runs[0].config)
    for run in runs[1:]:
        differing = Method.of(run.config).differences(method)
        if differing:
            raise InputError(
                f"one hull needs one potential: {run.path} has {'; '.join(differing)} as {runs[0].path}: leave one out"
            )
    for name, value in given.items():
        own = getattr(runs[0].config, name)
        if own != value:
            raise InputError(f"{name}: {value} asked for, {own} in {runs[0].path}: references are relaxed as runs were")
    return method


def _require_within(elements: Sequence[str], run: Run) -> None:
    strange = [symbol for symbol in run.config.target.composition if symbol not in elements]
    if strange:
        raise InputError(
            f"{run.path} searches {run.config.target.name}, and {strange[0]} is not in {'-'.join(elements)}: "
            "leave it out, or name more elements"
        )


def _searched(runs: Iterable[Run]) -> list[Entry]:
    return [
        Entry(m.name, m.record.candidate.source, str(run.path), m.atoms, m.enthalpy_per_atom, m.times_found)
        for run in runs
        for m in _believed(run)
    ]


def _believed(run: Run) -> list[Minimum]:
    return [minimum for minimum in find_minima(run) if not minimum.suspicious]


def _silent_runs(runs: Iterable[Run]) -> list[str]:
    return [f"{run.path}: nothing has converged" for run in runs if not _believed(run)]


def _given_references(
    paths: Sequence[str], method: Method, elements: Sequence[str]
) -> tuple[list[Entry], list[tuple[str, Atoms, str]]]:
    """What need not be relaxed again, and what does, with its name and where it came from."""
    stored: list[Entry] = []
    starts: list[tuple[str, Atoms, str]] = []
    for path in paths:
        if (Path(path) / CONFIG_FILE).is_file():
            run = load_run(path)
            found = [m for m in _believed(run) if set(m.atoms.get_chemical_symbols()) <= set(elements)]
            if Method.of(run.config).differences(method):
                starts += [(m.name, m.atoms, path) for m in _lowest(found)]
            else:
                stored += [Entry(m.name, REFERENCE, path, m.atoms, m.enthalpy_per_atom) for m in found]
            fitting = len(found)
        else:
            data = read_dataset([path])
            own = [
                (name, atoms, path)
                for name, atoms in zip(data.names, data.structures, strict=True)
                if set(atoms.get_chemical_symbols()) <= set(elements)
            ]
            starts += own
            fitting = len(own)
        if not fitting:
            raise InputError(f"--references: {path!r} holds nothing within {'-'.join(elements)}: leave it out")
    return stored, starts


def _lowest(minima: Iterable[Minimum]) -> list[Minimum]:
    """Of each formula; they come lowest first."""
    found: dict[str, Minimum] = {}
    for minimum in minima:
        found.setdefault(minimum.formula, minimum)
    return list(found.values())


def _elements(elements: Sequence[str], given: Sequence[Atoms], optional: bool) -> list[tuple[str, Atoms, str]]:
    """Known structures of the elements of which none is given."""
    have = {symbols.pop() for atoms in given if len(symbols := set(atoms.get_chemical_symbols())) == 1}
    starts = []
    for symbol in elements:
        known = [] if symbol in have else element_structures(symbol)
        if symbol not in have and not known and not optional:
            raise InputError(f"no structure of {symbol} is known to start from: {_GIVE}")
        starts += [(name, atoms, _KNOWN) for name, atoms in known]
    return starts


def _reference(record: Record, origin: str) -> list[Entry]:
    """A relaxed reference as an entry; none without an energy."""
    atoms, enthalpy = record.relaxation.atoms, record.relaxation.enthalpy_per_atom
    if atoms is None or enthalpy is None:
        return []
    return [Entry(record.candidate.target, REFERENCE, origin, atoms, enthalpy)]


def _lost(elements: Sequence[str], entries: Sequence[Entry]) -> list[str]:
    """Elements without an entry of their own."""
    have = [set(entry.atoms.get_chemical_symbols()) for entry in entries]
    return [symbol for symbol in elements if {symbol} not in have]


def _fallen_apart(symbol: str, records: Sequence[Record], notes: list[str]) -> list[Entry]:
    """The lowest known crystal of an element that became molecules, chains or layers far from each other, with a note.

    Potentials without dispersion hold solid fluorine or black phosphorus together by next to nothing, which the guard
    of searches takes for an artefact; what is lost is that next to nothing.
    """
    apart = [
        record
        for record in records
        if (atoms := record.relaxation.atoms) is not None
        and record.relaxation.status is Status.SUSPICIOUS
        and set(atoms.get_chemical_symbols()) == {symbol}
        and dimensions(atoms, covalent_radii) < 3
        and closest_contact(atoms, covalent_radii, SUSPICIOUS_RATIO) is None
    ]
    lowest = min((entry for record in apart for entry in _reference(record, _KNOWN)), key=_height, default=None)
    if lowest is None:
        return []
    notes.append(f"{symbol}: {lowest.name} is the reference all the same, for it started as a known crystal")
    return [lowest]


def _height(entry: Entry) -> tuple[float, str]:
    return entry.enthalpy_per_atom, entry.name


def _named_apart(entries: Sequence[Entry]) -> list[Entry]:
    """Entries whose names say where they are from, where two would have the same one."""
    names = [entry.name for entry in entries]
    found: dict[str, Entry] = {}
    for entry in entries:
        name = entry.name if names.count(entry.name) == 1 else f"{entry.name} of {entry.origin}"
        number = 1
        while name in found:
            number += 1
            name = f"{entry.name} of {entry.origin}, {number}"
        found[name] = Entry(name, entry.source, entry.origin, entry.atoms, entry.enthalpy_per_atom, entry.times_found)
    return list(found.values())
