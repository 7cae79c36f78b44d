"""From run folders to what each source made of each target, and what that is measured against."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..formats import as_frame
from ..formula import reduced_formula
from ..records import Record, Status
from ..relax.contract import RelaxSettings
from ..search.config import SearchConfig
from ..search.schedule import ADAPTIVE, EQUAL
from ..search.store import CONFIG_FILE, Run, load_run
from ..structure_readers import read_structures
from .minima import believable

IN_ORDER = ("seeds", "shake", "substitution")
"""Sources whose candidates come in an order that matters: as listed, ranked, or by what was found before."""
SAME_SETTINGS = (
    "relaxer",
    "relaxer_options",
    *(f.name for f in fields(RelaxSettings) if f.name != "pressure_gpa"),
)
"""Words that must be the same in all runs, or their energies and costs do not compare; pressure is the target's."""


@dataclass(frozen=True, order=True)
class TargetKey:
    """What is searched for: a reduced formula at a pressure.

    Attributes
    ----------
    formula : elements in alphabetical order, so that SrTiO3 and TiSrO3 are one target.
    name : the reduced formula as a user wrote it.
    """

    formula: str
    pressure_gpa: float = 0.0
    name: str = field(default="", compare=False)

    def __str__(self) -> str:
        name = self.name or self.formula
        return f"{name} at {self.pressure_gpa:g} GPa" if self.pressure_gpa else name


@dataclass(frozen=True, eq=False)
class Series:
    """Relaxations of one source in one run, in the order of the candidates. Arrays have the shape (n_relaxations,).

    Attributes
    ----------
    run : the run folder. seed : of the run.
    enthalpies : eV/atom; NaN where none is believed.
    force_calls, seconds : of each relaxation; seconds with the drawing of the candidate.
    """

    run: str
    seed: int
    enthalpies: np.ndarray
    force_calls: np.ndarray
    seconds: np.ndarray


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one source made of one target.

    Attributes
    ----------
    source : its label.
    exchangeable : whether its relaxations could have come in any order.
    series : one per run that differs in more than its folder; replicas by rising seed.
    """

    target: TargetKey
    source: str
    exchangeable: bool
    series: tuple[Series, ...]

    @property
    def enthalpies(self) -> np.ndarray:
        """Of all runs, one after the other."""
        return np.concatenate([s.enthalpies for s in self.series])

    def costs(self, axis: str) -> list[np.ndarray]:
        """Of each run's relaxations: "relaxations" (1 each), "force_calls" or "seconds"."""
        return [np.ones(len(s.enthalpies)) if axis == "relaxations" else getattr(s, axis) for s in self.series]

    @property
    def depth(self) -> int:
        """Relaxations up to which its success is known."""
        counts = [len(s.enthalpies) for s in self.series]
        return sum(counts) if self.exchangeable else min(counts)


def check_settings(runs: Sequence[Run]) -> None:
    """Whether all were relaxed alike.

    Raises
    ------
    InputError : naming the words that differ.
    """
    first = runs[0]
    for run in runs[1:]:
        differing = [
            f"{name} is {_shown(getattr(first.config, name))} in {str(first.path)!r} and "
            f"{_shown(getattr(run.config, name))} in {str(run.path)!r}"
            for name in SAME_SETTINGS
            if getattr(first.config, name) != getattr(run.config, name)
        ]
        if differing:
            raise InputError(f"runs that were relaxed differently cannot be compared: {'; '.join(differing)}")


def outcomes(runs: Sequence[Run]) -> tuple[list[Outcome], list[str]]:
    """Per target and source, sources in the order in which the runs name them; and notes on what was left out.

    A run with several sources counts as a whole, under their names joined by +, and part by part for sources that have
    no run of their own on the target.
    """
    variants: dict[str, set[str]] = {}
    for run in runs:
        for name in run.config.source:
            variants.setdefault(name, set()).add(_options_text(run.config, name))
    own: dict[tuple[str, TargetKey], list[tuple[Series, str]]] = {}
    parts: dict[tuple[str, TargetKey], list[tuple[Series, str]]] = {}
    in_order: set[str] = set()
    for run in runs:
        config, target = run.config, target_of(run.config)
        labels = {name: _label(config, name, variants) for name in config.source}
        believed = {record.name for record in believable(run)[0]}
        identity = repr(config.target)
        schedule = config.schedule if len(config.source) > 1 else EQUAL
        whole = "+".join(labels.values()) + (f" ({schedule})" if schedule != EQUAL else "")
        own.setdefault((whole, target), []).append((_series(run, run.records, believed), identity))
        if schedule == ADAPTIVE or any(name in IN_ORDER for name in config.source):
            in_order.add(whole)
        if len(labels) > 1:
            for name, label in labels.items():
                mine = [r for r in run.records if r.candidate.source == name]
                parts.setdefault((label, target), []).append((_series(run, mine, believed), identity))
                if name in IN_ORDER:
                    in_order.add(label)
    notes: list[str] = []
    found = own | {key: series for key, series in parts.items() if key not in own}
    unused = sorted({label for label, target in parts if (label, target) in own})
    if unused:
        notes.append(
            f"{', '.join(unused)}: on targets with runs of its own, its part of mixed runs is not counted for it"
        )
    if any(label.split("[")[0] == "shake" for label, _ in found):
        notes.append("shake starts from what other sources found; what these spent is not counted for it")
    order = list(dict.fromkeys(label for label, _ in found))
    made = []
    for (label, target), series in sorted(found.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
        kept = _without_repeats(series, label, target, notes)
        if kept:
            made.append(Outcome(target, label, label not in in_order, kept))
    return made, notes


def target_of(config: SearchConfig) -> TargetKey:
    """What a run searches for."""
    return _key(config.target.composition, config.pressure_gpa)


def read_references(paths: Iterable[str | Path], like: SearchConfig) -> tuple[dict[TargetKey, float], list[str]]:
    """The lowest enthalpy (eV/atom) of each target in run folders and structure files, and names of what did not count.

    Parameters
    ----------
    like : the configuration of the runs; a run folder must have used its potential. Of files nobody can tell.

    Raises
    ------
    InputError : a run with another potential, a structure without energy, or what cannot be read.
    """
    lowest: dict[TargetKey, float] = {}
    passed_over: list[str] = []

    def add(target: TargetKey, enthalpy: float) -> None:
        lowest[target] = min(enthalpy, lowest.get(target, math.inf))

    for path in paths:
        if (Path(path) / CONFIG_FILE).is_file():
            run = load_run(path)
            potential = (run.config.relaxer, run.config.relaxer_options)
            if potential != (like.relaxer, like.relaxer_options):
                raise InputError(
                    f"reference {str(path)!r} was relaxed with {run.config.relaxer} and the runs with {like.relaxer}, "
                    "or with other relaxer_options: take references from the same potential"
                )
            for record in believable(run)[0]:
                enthalpy = record.relaxation.enthalpy_per_atom
                if enthalpy is not None:
                    add(target_of(run.config), enthalpy)
            continue
        for name, atoms in read_structures([path]):
            frame = as_frame(atoms, name)
            if frame.status not in ("", Status.CONVERGED):
                passed_over.append(f"{name} ({frame.status})")
            elif frame.enthalpy is None:
                raise InputError(
                    f"reference {name!r} in {str(path)!r} has no energy: relax it with the potential of the runs "
                    f"(xtalseek relax {path} --relaxer {like.relaxer} --out references.extxyz) and give the result"
                )
            else:
                add(_key(Counter(atoms.get_chemical_symbols()), frame.pressure_gpa), frame.enthalpy / len(atoms))
    return lowest, passed_over


def _key(counts: Mapping[str, int], pressure_gpa: float) -> TargetKey:
    formula = reduced_formula(dict(sorted(counts.items())))[0]
    return TargetKey(formula, round(pressure_gpa, 6), reduced_formula(counts)[0])


def _options(config: SearchConfig, name: str) -> Mapping[str, Any]:
    options = config.source_options if len(config.source) == 1 else config.source_options.get(name, {})
    return options if isinstance(options, Mapping) else {}


def _options_text(config: SearchConfig, name: str) -> str:
    return ",".join(f"{key}={_shown(value)}" for key, value in sorted(_options(config, name).items()))


def _label(config: SearchConfig, name: str, variants: Mapping[str, set[str]]) -> str:
    """The source's name, with its options where other runs have others."""
    options = _options_text(config, name)
    return f"{name}[{options}]" if options and len(variants[name]) > 1 else name


def _series(run: Run, records: Sequence[Record], believed: set[str]) -> Series:
    heights = [r.relaxation.enthalpy_per_atom if r.name in believed else None for r in records]
    return Series(
        run=str(run.path),
        seed=run.config.seed,
        enthalpies=np.array([math.nan if h is None else h for h in heights], dtype=float),
        force_calls=np.array([r.relaxation.force_calls for r in records], dtype=float),
        seconds=np.array([r.seconds for r in records], dtype=float),
    )


def _without_repeats(
    series: Sequence[tuple[Series, str]], label: str, target: TargetKey, notes: list[str]
) -> tuple[Series, ...]:
    """Of runs with the same seed and constraints the longest: they drew the same candidates. Empty ones go."""
    longest: dict[tuple[int, str], Series] = {}
    for one, identity in series:
        known = longest.get((one.seed, identity))
        if known is not None and len(known.enthalpies) and len(one.enthalpies):
            notes.append(
                f"{target}, {label}: {known.run} and {one.run} drew the same candidates; the longer one counts"
            )
        if len(one.enthalpies) and (known is None or len(one.enthalpies) > len(known.enthalpies)):
            longest[one.seed, identity] = one
    if len({identity for _, identity in longest}) > 1:
        notes.append(f"{target}, {label}: its runs had different constraints (formula units, volumes, ...)")
    return tuple(sorted(longest.values(), key=lambda s: (s.seed, s.run)))


def _shown(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value, default=dict)
