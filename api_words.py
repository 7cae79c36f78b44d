"""The words of a search as typed keyword arguments; the meaning of each stands with `SearchConfig`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict


class _SourceWords(TypedDict, total=False):
    num: int
    source: str | Sequence[str]
    schedule: str
    formula_units: int | str | Sequence[int]
    min_distances: Mapping[str, float]
    volume_per_atom: float | str | Sequence[float]
    symmetry_operations: int | str | Sequence[int]
    space_groups: int | str | Sequence[int]
    seed_file: str
    seed: int
    source_options: Mapping[str, Any]


class _SettingWords(TypedDict, total=False):
    force_tolerance: float
    stress_tolerance_gpa: float
    max_steps: int
    max_seconds: float
    optimiser: str
    saddle_push: float
    push_apart: float


class ProposeWords(_SourceWords, total=False):
    """Keyword arguments of `propose`: how many (`num`), of what (`source`, `formula_units`, ...), `pressure_gpa`."""

    pressure_gpa: float


class RelaxWords(_SettingWords, total=False):
    """Keyword arguments of `relax`: tolerances, limits, optimiser, `pressure_gpa`."""

    pressure_gpa: float


class SearchWords(_SourceWords, _SettingWords, total=False):
    """Keyword arguments of `search`: those of `propose` and `relax`, the run folder (`out`), and when to stop."""

    pressure_gpa: float
    relaxer: str
    relaxer_options: Mapping[str, Any]
    early_stop_window: float
    until: str
    max_hours: float
    out: str
