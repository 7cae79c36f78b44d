"""What each source of some runs generated, against the hull of the phases known before: counts, and a table of them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from textwrap import wrap

from ase import Atoms

from ..search.store import Run
from .columns import aligned
from .generated import METASTABLE, GeneratedSet, Share, against_hull
from .minima import believable
from .stability import Phase, hull_energy


def generated_sets(
    runs: Sequence[Run], known: Sequence[Phase], training: Sequence[Atoms] | None = None
) -> dict[str, GeneratedSet]:
    """Every relaxation of `runs`, by source; those that failed or are not believed count as without energy.

    Parameters
    ----------
    known : phases of the hull, each element of the runs among them.
    training : structures that are not novel; None: novelty is not asked for.
    """
    structures: dict[str, list[Atoms | None]] = defaultdict(list)
    names: dict[str, list[str]] = defaultdict(list)
    heights: dict[str, list[float]] = defaultdict(list)
    hulls: dict[str, float] = {}
    for run in runs:
        believed = {record.name for record in believable(run)[0]}
        for record in run.records:
            atoms, enthalpy = record.relaxation.atoms, record.relaxation.enthalpy_per_atom
            source, sound = record.candidate.source, record.name in believed
            height = math.nan
            if sound and atoms is not None and enthalpy is not None:
                if (formula := atoms.get_chemical_formula(empirical=True)) not in hulls:
                    hulls[formula] = hull_energy(known, Counter(atoms.get_chemical_symbols()))
                height = enthalpy - hulls[formula]
            structures[source].append(atoms if sound else None)
            names[source].append(f"{run.path}/{record.name}")
            heights[source].append(height)
    return {source: against_hull(structures[source], names[source], heights[source], training) for source in structures}


def generated_lines(sets: Mapping[str, GeneratedSet]) -> list[str]:
    """A row for each source, and what it assumes."""
    limits = [f"<{1000 * limit:g} meV %" for limit in METASTABLE]
    head = ("source", "relaxed", "stable %", *limits, "unique %", "novel %")
    rows = [
        (source, str(s.stable.total), *(_percent(share) for share in (s.stable, *s.metastable, s.unique, s.novel)))
        for source, s in sets.items()
    ]
    words = next(iter(sets.values())).assumptions if sets else ""
    told = f"Every relaxation against the hull of the references alone, exact 95 % intervals: {words}."
    return [*aligned([head, *rows], (0,)), "", *wrap(told, 80)]


def _percent(share: Share | None) -> str:
    if share is None or not share.total:
        return "-"
    value = f"{100 * share.value:.0f}"
    if share.low is None or share.high is None:
        return value
    return f"{value} ({100 * share.low:.0f}-{100 * share.high:.0f})"
