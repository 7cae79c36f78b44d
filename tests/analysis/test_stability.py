"""Hull numbers against numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from xtalseek.analysis.stability import TIE, Phase, missing_elements, stabilities, tie_lines


def phases() -> list[Phase]:
    """Mg -1, Si -5; Mg2Si forms with -0.2 eV/atom, MgSi with -0.05."""
    return [
        Phase("Mg", {"Mg": 2}, -1.0),
        Phase("Mg high", {"Mg": 1}, -0.9),
        Phase("Si", {"Si": 2}, -5.0),
        Phase("Mg2Si", {"Mg": 4, "Si": 2}, (2 * -1.0 + -5.0) / 3 - 0.2),
        Phase("Mg2Si high", {"Mg": 2, "Si": 1}, (2 * -1.0 + -5.0) / 3 - 0.1),
        Phase("MgSi", {"Mg": 1, "Si": 1}, -3.0 - 0.05),
    ]


def test_formation_and_hull_are_those_by_hand() -> None:
    found = stabilities(phases())
    assert found["Mg2Si"].formation == pytest.approx(-0.2)
    assert found["Mg2Si"].above_hull == 0.0
    assert found["Mg2Si high"].above_hull == pytest.approx(0.1)
    assert found["Mg high"].formation == pytest.approx(0.1)
    # MgSi would be 3/4 Mg2Si + 1/4 Si, counted in atoms: -0.15 eV/atom from the elements.
    assert found["MgSi"].formation == pytest.approx(-0.05)
    assert found["MgSi"].above_hull == pytest.approx(0.10)


def test_decomposition_leaves_phases_of_the_same_composition_out() -> None:
    found = stabilities(phases())
    # Without Mg2Si: 2/3 MgSi + 1/3 Mg, counted in atoms: -0.0333 eV/atom.
    assert found["Mg2Si"].decomposition == pytest.approx(-0.2 + 0.05 * 2 / 3)
    assert found["Mg2Si"].products == ("MgSi", "Mg")
    assert found["Mg2Si high"].decomposition == pytest.approx(-0.1 + 0.05 * 2 / 3)
    assert found["MgSi"].decomposition == pytest.approx(0.10)
    assert found["Mg"].decomposition is None


def test_an_element_without_a_phase_is_named_and_its_compounds_left_out() -> None:
    without = [phase for phase in phases() if "Si" not in phase.name or phase.name != "Si"]
    assert missing_elements(without) == ["Si"]
    assert set(stabilities(without)) == {"Mg", "Mg high"}


def test_phases_of_other_elements_do_not_matter() -> None:
    more = [*phases(), Phase("Cu", {"Cu": 1}, -3.0), Phase("CuO", {"Cu": 1, "O": 1}, -9.0)]
    assert missing_elements(more) == ["O"]
    assert stabilities(more)["MgSi"] == stabilities(phases())["MgSi"]


def random_phases(seed: int) -> list[Phase]:
    """Three elements and a few dozen phases of them, several of one formula."""
    rng = np.random.default_rng(seed)
    made = [Phase(symbol, {symbol: 1}, float(-rng.random())) for symbol in ("Sr", "Ti", "O")]
    for number in range(30):
        counts = {s: int(n) for s, n in zip(("Sr", "Ti", "O"), rng.integers(0, 3, size=3), strict=True) if n}
        if counts:
            made.append(Phase(f"p{number}", counts, float(-1 - rng.random())))
    return made


@pytest.mark.parametrize("seed", range(3))
def test_all_is_as_pymatgen_has_it(seed: int) -> None:
    made = random_phases(seed)
    found = stabilities(made)
    entries = {p.name: PDEntry(c := Composition(dict(p.composition)), p.enthalpy_per_atom * c.num_atoms) for p in made}
    diagram = PhaseDiagram(list(entries.values()))
    for phase in made:
        entry, own = entries[phase.name], found[phase.name]
        assert own.formation == pytest.approx(diagram.get_form_energy_per_atom(entry))
        assert own.above_hull == pytest.approx(diagram.get_e_above_hull(entry), abs=TIE)
        if len(phase.elements) > 1:
            assert own.decomposition == pytest.approx(diagram.get_phase_separation_energy(entry), abs=TIE)
    stable = {name for name, entry in entries.items() if entry in diagram.stable_entries}
    assert {name for tie in tie_lines(made) for name in tie} == stable


def test_tie_lines_join_what_can_coexist() -> None:
    assert tie_lines(phases()) == [("Mg", "Mg2Si"), ("Mg2Si", "Si")]
    assert tie_lines([Phase("Mg", {"Mg": 1}, -1.0), Phase("MgO", {"Mg": 1, "O": 1}, -6.0)]) == []
