"""`xtalseek hull`: runs and references of one potential on one hull; references relaxed once; what cannot be mixed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from xtalseek import references
from xtalseek.errors import InputError
from xtalseek.files import write_atomic
from xtalseek.formats import Frame
from xtalseek.hull import _fallen_apart, parse_system, run_hull
from xtalseek.records import Candidate, Record, Relaxation, Status
from xtalseek.references import Method, element_structures, relaxed
from xtalseek.relax import RelaxSettings, make_relaxer
from xtalseek.search.config import resolve, to_toml
from xtalseek.search.store import Journal
from xtalseek.structure_files import write_structures

EMT = Method("emt")
MakeFolder = Callable[..., str]
Hull = Callable[..., Any]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """A run folder with given structures and enthalpies."""

    def make(formula: str, found: list[tuple[Atoms, float]], **words: Any) -> str:
        path = tmp_path / words.pop("folder", formula)
        config = resolve({"formula": formula, "relaxer": "emt", "out": str(path), **words})
        write_atomic(path / "config.toml", to_toml(config, {}))
        journal = Journal(path)
        for index, (atoms, height) in enumerate(found):
            relaxation = Relaxation(atoms, Status.CONVERGED, energy=height * len(atoms))
            journal.append(Record(Candidate(formula, "random", index, atoms), relaxation))
        journal.close()
        return str(path)

    return make


@pytest.fixture
def hull(tmp_path: Path) -> Hull:
    """The verb's body with the words' defaults."""

    def run(system: str, *runs: str, **words: Any) -> Any:
        given = {"references": None, "out": None, "known": None, "cache": str(tmp_path / "cache")} | words
        return run_hull(argparse.Namespace(system=system, runs=list(runs), **given))

    return run


def ordered() -> Atoms:
    """CuAu I."""
    return Atoms("CuAu", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=[2.8, 2.8, 3.9], pbc=True)


def test_formation_energies_are_from_elements_relaxed_with_the_runs_potential(
    make_folder: MakeFolder, hull: Hull
) -> None:
    made = hull("Cu-Au", make_folder("CuAu", [(ordered(), -0.2), (ordered().repeat((2, 1, 1)), -0.1)]))
    rows = {row.name: row for row in made.rows}
    lowest, higher = rows["CuAu-random-000000"], rows["CuAu-random-000001"]
    # The same fcc metals, relaxed here.
    ends = make_relaxer("emt", RelaxSettings()).relax([bulk("Cu"), bulk("Au")])
    mean = sum(end.enthalpy_per_atom or 0.0 for end in ends) / 2
    assert lowest.formation == pytest.approx(-0.2 - mean, abs=2e-4)
    assert higher.above_hull == pytest.approx(0.1)
    assert {row.source for row in made.rows if len(row.composition) == 1} == {"reference"}
    assert "emt" in "\n".join(made.lines())


def test_references_are_relaxed_once(
    make_folder: MakeFolder, hull: Hull, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_folder("CuAu", [(ordered(), -0.2)])
    first = hull("Cu-Au", run, out=str(tmp_path / "hull.json"))
    kept = list((tmp_path / "cache").glob("*/*.json"))
    assert len({file.parent for file in kept}) == 1 and any(file.name == "method.json" for file in kept)

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("relaxed again")

    monkeypatch.setattr(references, "make_relaxer", fail)
    assert hull("Cu-Au", run).to_json() == first.to_json()
    assert json.loads((tmp_path / "hull.json").read_text()) == first.to_json()
    with pytest.raises(AssertionError, match="relaxed again"):
        hull("Cu-Au", make_folder("CuAu", [(ordered(), -0.2)], folder="other", force_tolerance=0.01))


def test_a_damaged_file_of_the_cache_is_made_again(tmp_path: Path) -> None:
    (before,) = relaxed([("Cu", bulk("Cu"))], EMT, tmp_path)
    (file,) = tmp_path.glob("*/Cu-*.json")
    file.write_text(file.read_text()[:-40])
    (after,) = relaxed([("renamed", bulk("Cu"))], EMT, tmp_path)
    assert after.relaxation.energy == before.relaxation.energy
    assert after.candidate.target == "renamed"
    assert json.loads(file.read_text())["relaxation"]["energy"] == before.relaxation.energy


def test_one_hull_has_one_potential(make_folder: MakeFolder, hull: Hull) -> None:
    one = make_folder("CuAu", [(ordered(), -0.2)])
    for words, told in (
        ({"relaxer": "lj"}, "relaxer lj, not emt"),
        ({"pressure_gpa": 5.0}, "pressure_gpa 5.0, not 0.0"),
        ({"relaxer_options": {"repulsion": True}}, "relaxer_options"),
        ({"stress_tolerance_gpa": 0.5}, "stress_tolerance_gpa 0.5, not 0.1"),
    ):
        other = make_folder("Cu3Au", [(ordered(), -0.2)], folder="-".join(words), **words)
        with pytest.raises(InputError, match=told):
            hull("Cu-Au", one, other)
    with pytest.raises(InputError, match="relaxer: chgnet asked for, emt in"):
        hull("Cu-Au", one, relaxer="chgnet")
    assert not Method("emt", settings=RelaxSettings(max_steps=9)).differences(EMT)


def test_structures_and_runs_as_references(make_folder: MakeFolder, hull: Hull, tmp_path: Path) -> None:
    run = make_folder("CuAu", [(ordered(), -0.2)])
    same = make_folder("Cu", [(bulk("Cu"), -0.3), (bulk("Cu", "hcp", a=2.6), 0.4)])
    files = tmp_path / "known.extxyz"
    write_structures(files, [Frame("gold", bulk("Au", "fcc", 4.2)), Frame("silver", bulk("Ag"))])
    made = hull("Cu-Au", run, references=[same, str(files)])
    rows = {row.name: row for row in made.rows}
    assert rows["Cu-random-000000"].enthalpy_per_atom == pytest.approx(-0.3)  # as stored
    assert rows["Cu-random-000000"].source == "reference"
    gold = make_relaxer("emt", RelaxSettings()).relax([bulk("Au")])[0].enthalpy_per_atom
    assert rows["gold"].enthalpy_per_atom == pytest.approx(gold, abs=1e-3)  # relaxed again
    assert "silver" not in rows and not any("AFLOW" in row.origin for row in made.rows)
    # Another method's run gives structures only.
    other = make_folder("Cu", [(bulk("Cu"), -77.0)], folder="Cu-lj", relaxer="lj")
    again = hull("Cu-Au", run, references=[other, str(files)])
    assert [r.enthalpy_per_atom for r in again.rows if r.formula == "Cu"] == pytest.approx([-0.007], abs=0.01)


def test_known_crystals_that_fall_apart_are_references_with_a_note() -> None:
    """Layers, of fcc copper pulled apart here: suspicious in a search."""
    layers = bulk("Cu", "fcc", 3.6, cubic=True)
    layers.set_cell(layers.cell.array * [[1], [1], [4]])
    start = Record(Candidate("Cu-layers", "reference", 0, layers), Relaxation(layers, Status.SUSPICIOUS, "", 1.0))
    notes: list[str] = []
    (found,) = _fallen_apart("Cu", [start], notes)
    assert (found.name, found.enthalpy_per_atom) == ("Cu-layers", 0.25)
    assert "Cu-layers is the reference all the same" in notes[0]
    crowded = bulk("Cu", "fcc", 1.0)
    bad = Record(Candidate("Cu-crowded", "reference", 0, crowded), Relaxation(crowded, Status.SUSPICIOUS, "", -9.0))
    assert _fallen_apart("Cu", [bad], notes) == [] == _fallen_apart("Au", [start], notes)


def test_references_alone_make_a_hull(hull: Hull, tmp_path: Path) -> None:
    write_structures(tmp_path / "known.extxyz", [Frame("one", ordered())])
    made = hull("Cu-Au", references=[str(tmp_path / "known.extxyz")], relaxer="emt")
    assert {row.formula for row in made.rows} == {"Cu", "Au", "CuAu"}


def test_what_cannot_be_used_is_told_in_one_line(make_folder: MakeFolder, hull: Hull, tmp_path: Path) -> None:
    run = make_folder("CuAu", [(ordered(), -0.2)])
    write_structures(tmp_path / "silver.extxyz", [Frame("silver", bulk("Ag"))])
    for words, told in (
        ({"system": "Cu-Ag"}, "Au is not in Cu-Ag"),
        ({"system": "Cu"}, "two or more"),
        ({"system": "Cu-Cu"}, "two or more"),
        ({"system": "Cu-Xx"}, "unknown element"),
        ({"system": "Cu-Au", "out": "hull.pdf"}, "unknown suffix of --out '.pdf'"),
        ({"system": "Cu-Au-At"}, "no structure of At is known to start from: give one with --references"),
        ({"system": "Cu-Au-Ti"}, "no parameters for Ti"),
        ({"system": "Cu-Au", "references": [str(tmp_path / "silver.extxyz")]}, "holds nothing within Cu-Au"),
    ):
        with pytest.raises(InputError, match=told) as caught:
            hull(words.pop("system"), run, **words)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="give run folders"):
        hull("Cu-Au")


def test_runs_of_one_formula_keep_their_names_apart(make_folder: MakeFolder, hull: Hull) -> None:
    folders = [make_folder("CuAu", [(ordered(), height)], folder=f"run{height}") for height in (-0.2, -0.1)]
    names = [row.name for row in hull("Cu-Au", *folders).rows if row.source == "random"]
    assert names == [f"CuAu-random-000000 of {folder}" for folder in folders]


def test_known_elements_are_sound() -> None:
    """Whole crystals of that element alone, no two atoms closer than in H2."""
    for symbol in ("H", "B", "C", "N", "O", "F", "Mg", "Al", "Si", "P", "S", "Cl", "Ti", "Mn", "Ga", "Se", "Br", "Sr"):
        known = element_structures(symbol)
        assert known, symbol
        for name, atoms in known:
            assert set(atoms.get_chemical_symbols()) == {symbol}, name
            assert atoms.pbc.all() and 4 < atoms.get_volume() / len(atoms) < 60, name
            if len(atoms) > 1:
                distances = atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)]
                assert distances.min() > 0.7, name
    assert element_structures("At") == []


def test_system_is_read() -> None:
    assert parse_system("Sr-Ti-O") == ("Sr", "Ti", "O")
