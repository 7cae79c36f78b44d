"""A campaign measured: the hull of `xtalseek hull`, pressures apart; what cannot be measured is told, not raised."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ase import Atoms
from ase.build import bulk

from xtalseek.analysis.campaign_summary import CampaignSummary
from xtalseek.campaign_hull import Standards, summarise_campaign
from xtalseek.errors import InputError
from xtalseek.files import write_atomic
from xtalseek.formats import Frame
from xtalseek.hull import run_hull
from xtalseek.records import Candidate, Record, Relaxation, Status
from xtalseek.search.config import resolve, to_toml
from xtalseek.search.store import Journal
from xtalseek.structure_files import write_structures

MakeFolder = Callable[..., str]


def l12(minority: str, majority: str, a: float) -> Atoms:
    atoms = bulk(majority, "fcc", a=a, cubic=True)
    atoms.symbols[0] = minority
    return atoms


def cesium_chloride(one: str, other: str, a: float) -> Atoms:
    return Atoms([one, other], [(0, 0, 0), (a / 2, a / 2, a / 2)], cell=[a] * 3, pbc=True)


@pytest.fixture
def searched(tmp_path: Path) -> MakeFolder:
    """A run folder of the campaign with given structures and enthalpies (eV/atom, the pressure's part among them)."""

    def make(name: str, formula: str, found: list[tuple[Atoms, float]], **words: Any) -> str:
        path = tmp_path / "campaign" / "runs" / name
        config = resolve({"formula": formula, "relaxer": "emt", "num": len(found), **words, "out": str(path)})
        write_atomic(path / "config.toml", to_toml(config, {}))
        journal = Journal(path)
        for index, (atoms, height) in enumerate(found):
            bare = Relaxation(atoms, Status.CONVERGED, energy=0.0, pressure_gpa=config.pressure_gpa)
            energy = height * len(atoms) - (bare.enthalpy or 0.0)
            relaxation = Relaxation(atoms, Status.CONVERGED, energy=energy, pressure_gpa=config.pressure_gpa)
            journal.append(Record(Candidate(formula, "random", index, atoms), relaxation))
        journal.close()
        return str(path)

    return make


@pytest.fixture
def alloys(searched: MakeFolder) -> list[str]:
    """Copper and gold: one that is stable, one that is not, one that costs energy to form."""
    return [
        searched("AuCu3", "AuCu3", [(l12("Au", "Cu", 3.75), -0.05), (l12("Au", "Cu", 3.9), 0.3)]),
        searched("AuCu", "AuCu", [(cesium_chloride("Au", "Cu", 3.05), -0.01)]),
        searched("Au3Cu", "Au3Cu", [(l12("Cu", "Au", 4.0), 0.4)]),
    ]


@pytest.fixture
def summarise(tmp_path: Path) -> Callable[..., CampaignSummary]:
    def run(searches: Any = None, standards: dict[str, Any] | None = None, **more: Any) -> CampaignSummary:
        given = Standards(cache=tmp_path / "cache", **(standards or {}))
        return summarise_campaign(tmp_path / "campaign", searches, given, **more)

    return run


def test_the_hull_is_that_of_the_command(alloys: list[str], summarise: Callable[..., Any], tmp_path: Path) -> None:
    words = {"references": None, "out": None, "known": None, "cache": str(tmp_path / "cache")}
    hull = run_hull(argparse.Namespace(system="Au-Cu", runs=alloys, **words))
    lowest = {row.origin: row for row in hull.rows if row.lowest and row.source != "reference"}
    summary = summarise()
    assert [row.name for row in summary.rows] == ["Au3Cu", "AuCu", "AuCu3"]
    assert summary.notes == () and "emt" in summary.method
    for row in summary.rows:
        expected = lowest[str(tmp_path / "campaign" / row.folder)]
        assert row.formation == pytest.approx(expected.formation, abs=1e-9)
        assert row.above_hull == pytest.approx(expected.above_hull, abs=1e-9)
    assert [row.name for row in summary.stable] == ["AuCu3"]
    assert [row.formation for row in summarise(standards={"hull": False}).rows] == [None] * 3


def test_pressures_are_kept_apart(alloys: list[str], summarise: Callable[..., Any], searched: MakeFolder) -> None:
    before = {row.name: row.above_hull for row in summarise().rows}
    low = cesium_chloride("Au", "Cu", 3.05)
    searched("AuCu-10GPa", "AuCu", [(low, -2.0)], pressure_gpa=10.0)
    after = {row.name: row for row in summarise().rows}
    assert {name: after[name].above_hull for name in before} == before
    pressed = after["AuCu-10GPa"]
    assert pressed.pressure_gpa == 10 and pressed.lowest == pytest.approx(-2.0)
    # Both elements cost p dV under pressure: what was -2 eV/atom then is more bound than against elements at 0 GPa.
    assert pressed.formation is not None and pressed.formation < -2.0 - 0.3


def test_references_and_competing_phases(alloys: list[str], summarise: Callable[..., Any], tmp_path: Path) -> None:
    frame = Frame("known", l12("Au", "Cu", 3.75), energy=4 * -0.02, status="converged")
    write_structures(tmp_path / "known.extxyz", [frame])
    summary = summarise(standards={"reference": [str(tmp_path / "known.extxyz")], "phases": []})
    rows = {row.name: row for row in summary.rows}
    assert rows["AuCu3"].reference == pytest.approx(-0.02) and rows["AuCu3"].below_reference == 1
    assert rows["AuCu"].reference is None and rows["AuCu"].below_reference is None
    # The same structure as a phase that competes is relaxed by EMT, and does not take the lower one off the hull.
    competing = {row.name: row for row in summarise(standards={"phases": [str(tmp_path / "known.extxyz")]}).rows}
    assert competing["AuCu3"].above_hull == 0
    bad = [{"reference": [str(tmp_path / "none.extxyz")]}]
    with pytest.raises(InputError, match=r"none\.extxyz"):
        summarise(standards=bad[0])


def test_each_composition_has_a_row_and_a_reason(
    alloys: list[str], summarise: Callable[..., Any], searched: MakeFolder, tmp_path: Path
) -> None:
    names = ("NaCl", "AuCu3", "Au3Cu", "KCl")
    searches = {name: resolve({"formula": name, "relaxer": "emt", "num": 7}) for name in names}
    (tmp_path / "campaign/runs/Au3Cu/config.toml").write_text("num = ")
    searched("KCl", "KCl", [], num=7)  # refused with its folder made
    known = {"NaCl": SimpleNamespace(seen=True, words="seen"), "AuCu": SimpleNamespace(seen=False, words="unseen")}
    summary = summarise(
        searches, refused={"KCl": "no volume fits", "Xx2": "no element"}, asked={"AuCu3": 9}, novelty=known
    )
    rows = {row.name: row for row in summary.rows}
    assert list(rows) == ["NaCl", "AuCu3", "Au3Cu", "KCl", "Xx2", "AuCu"]  # in the order asked for, then all others
    assert (rows["NaCl"].state, rows["NaCl"].num, rows["NaCl"].atoms_per_formula_unit) == ("not begun", 7, 2)
    assert (rows["KCl"].state, rows["KCl"].reason) == ("refused", "no volume fits")
    assert rows["Xx2"].state == "refused"
    assert rows["Au3Cu"].state == "unreadable" and "config.toml" in rows["Au3Cu"].reason
    assert (rows["AuCu3"].done, rows["AuCu3"].num) == (2, 9)
    assert {name: row.seen for name, row in rows.items() if row.novelty} == {"NaCl": True, "AuCu": False}
    assert rows["AuCu"].formation is not None  # what can be measured is


def test_what_cannot_be_on_the_hull_is_told(
    alloys: list[str], summarise: Callable[..., Any], searched: MakeFolder
) -> None:
    plain = {row.name: row.above_hull for row in summarise().rows}
    searched("Rn2Cu", "Rn2Cu", [(l12("Cu", "Rn", 4.0), -3.0)])
    searched("Ag3Au", "Ag3Au", [(l12("Au", "Ag", 4.1), -9.0)], relaxer="lj")
    summary = summarise()
    rows = {row.name: row for row in summary.rows}
    assert rows["Rn2Cu"].formation is None and rows["Ag3Au"].formation is None
    assert rows["Ag3Au"].lowest == pytest.approx(-9.0)
    assert {name: rows[name].above_hull for name in plain} == plain
    notes = "\n".join(summary.notes)
    assert "no formation energies with Rn" in notes and "left out of the hull, for relaxer lj, not emt: Ag3Au" in notes


def test_no_code_of_a_run_folder_is_run(
    searched: MakeFolder, summarise: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strangers_module.py").write_text("class Relaxer: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    searched("AuCu", "AuCu", [(cesium_chloride("Au", "Cu", 3.05), -0.1)], relaxer="strangers_module:Relaxer")
    summary = summarise()
    assert "strangers_module" not in sys.modules
    assert summary.rows[0].lowest == pytest.approx(-0.1) and summary.rows[0].formation is None
    assert summary.notes[0].startswith("no hull: ") and "strangers_module:Relaxer" in summary.notes[0]
