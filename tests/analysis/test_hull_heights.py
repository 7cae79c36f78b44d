"""Heights of many phases at once: the same as those of pymatgen's hulls, whatever else is in the crowd."""

from __future__ import annotations

import numpy as np
import pytest

from xtalseek.analysis.hull_heights import heights
from xtalseek.analysis.stability import Phase, stabilities


def crowd(elements: str, number: int, seed: int, most: int) -> list[Phase]:
    """Elements at random heights, and phases of up to `most` of them, most of which gain energy by forming."""
    rng = np.random.default_rng(seed)
    symbols = elements.split()
    phases = [Phase(f"{s}-{seed}-{n}", {s: n + 1}, float(-rng.random())) for s in symbols for n in range(2)]
    for n in range(number):
        some = rng.choice(symbols, rng.integers(1, most + 1), replace=False)
        counts = {str(s): int(rng.integers(1, 5)) for s in some}
        phases.append(Phase(f"phase {seed}-{n}", counts, float(0.2 - 2 * rng.random())))
    return phases


@pytest.mark.parametrize(
    "phases", [crowd("Li Fe P O", 40, 0, 4), crowd("Li Na K", 30, 1, 2), crowd("Sr Ti O H C", 30, 2, 5)]
)
def test_heights_are_those_of_pymatgen(phases: list[Phase]) -> None:
    expected, found = stabilities(phases), heights(phases)
    assert found.keys() == expected.keys()
    for name, height in found.items():
        assert height.formation == pytest.approx(expected[name].formation, abs=1e-9)
        assert height.above_hull == pytest.approx(expected[name].above_hull, abs=1e-9)
    on_it = {name for name, height in found.items() if height.above_hull == 0}
    assert on_it == {name for name, own in expected.items() if own.above_hull == 0}
    assert 4 < len(on_it) < len(phases)


def test_nothing_gains_by_forming() -> None:
    phases = [Phase("Na", {"Na": 2}, -1.0), Phase("K", {"K": 1}, -2.0), Phase("NaK", {"Na": 1, "K": 1}, -1.4)]
    found = heights(phases)
    assert found["NaK"].formation == found["NaK"].above_hull == pytest.approx(0.1)
    assert found["Na"].above_hull == found["K"].above_hull == 0


def test_phases_with_an_element_without_its_own_phase_are_as_if_not_there() -> None:
    phases = crowd("Li Fe P", 20, 3, 3)
    strange = [Phase("LiXe", {"Li": 1, "Xe": 1}, -50.0), Phase("XeO", {"Xe": 1, "O": 1}, -50.0)]
    assert heights([*strange, *phases]) == heights(phases)


def test_a_system_does_not_feel_its_supersystems() -> None:
    binary = crowd("Li Fe", 15, 4, 2)
    more = [phase for phase in crowd("Li Fe P O", 60, 5, 4) if not phase.elements <= {"Li", "Fe"}]
    together = heights([*binary, *more])
    assert {phase.name: together[phase.name] for phase in binary} == heights(binary)
