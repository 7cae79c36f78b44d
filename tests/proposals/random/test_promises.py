"""Any seed that is accepted gives structures that obey all of it, in both ensembles."""

from __future__ import annotations

from collections import Counter
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pytest
import spglib
from ase.neighborlist import neighbor_list
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xtalseek.proposals.random import ENSEMBLES, RandomSource
from xtalseek.proposals.seeds import parse_seed
from xtalseek.records import Target

SPECIES = ("Mg", "Si", "O")


@st.composite
def seeds(draw: st.DrawFn) -> str:
    """Seeds of up to twelve atoms, roomy enough that most give a structure."""
    kinds = draw(st.lists(st.sampled_from(SPECIES), min_size=1, max_size=3, unique=True))
    counts = [draw(st.integers(1, 3)) for _ in kinds]
    lines = ["%BLOCK POSITIONS_FRAC"]
    for kind, count in zip(kinds, counts, strict=True):
        lines += [f"{kind} 0 0 0 # {kind}{n} % NUM=1" for n in range(count)]
    lines += ["%ENDBLOCK POSITIONS_FRAC", f"#TARGVOL={draw(st.integers(14, 30)) * sum(counts)}"]
    low = draw(st.floats(0.8, 1.8).map(lambda d: round(d, 2)))
    pairs = [
        f"{a}-{b}={d:.2f}-{d + 0.2:.2f}"
        for a, b in combinations_with_replacement(kinds, 2)
        if (d := draw(st.none() | st.floats(0.8, 1.9))) is not None
    ]
    lines.append(" ".join([f"#MINSEP={low}", *pairs]))
    lines.append(f"#NFORM={draw(st.integers(1, 2))}")
    first = draw(st.sampled_from((1, 2, 3, 4)))
    lines.append(f"#SYMMOPS={first}-{draw(st.sampled_from((4, 6, 8)))}")
    optional = ("#SLACK=0.1", "#OVERLAP=0.2", "#NOCOMPACT", "#CONS=0.6", "#ADJGEN=0-1", "#CELLADAPT", "#ACONS=0.3")
    lines += draw(st.lists(st.sampled_from(optional), max_size=3, unique=True))
    return "\n".join(lines) + "\n"


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(text=seeds(), number=st.integers(0, 1000))
@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_an_accepted_seed_is_obeyed(ensemble: str, text: str, number: int) -> None:
    source = RandomSource(ensemble=ensemble, max_attempts=200)
    target = Target("MgSiO3", seed_text=text, label="seed")
    candidate = source.propose(target, number, np.random.default_rng(number))
    recipe = parse_seed(text, "seed").recipe(np.random.default_rng(number))
    assert candidate.provenance["attempts"] <= 200
    if candidate.atoms is None:
        assert "no structure in 200 attempts" in candidate.note
        return
    atoms = candidate.atoms
    assert Counter(atoms.get_chemical_symbols()) == Counter(s for unit in recipe.units for s in unit.symbols)
    low, high = recipe.volume
    assert low - 1e-6 <= atoms.get_volume() <= high + 1e-6
    symbols = atoms.get_chemical_symbols()
    for i, j, length in zip(*neighbor_list("ijd", atoms, 2.5), strict=True):
        a, b = sorted((symbols[i], symbols[j]))
        assert length >= (1 - recipe.slack) * recipe.min_distances[a, b][0] - 1e-6
    asked = candidate.provenance["space_group_requested"]
    operations = candidate.provenance["operations"]
    assert asked in recipe.groups[operations]
    found: Any = spglib.get_symmetry((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), 1e-3)
    translations = (found["rotations"] == np.eye(3, dtype=int)).all(axis=(1, 2)).sum()
    assert len(found["rotations"]) // translations % operations == 0
