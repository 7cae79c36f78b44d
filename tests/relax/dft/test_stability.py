"""Hull numbers against numbers by hand."""

from __future__ import annotations

import pytest

from xtalseek.relax.dft.stability import Phase, missing_elements, stabilities


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
