"""`xtalseek evaluate` as a user meets it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read, write

from xtalseek.cli import main
from xtalseek.formats import Frame, cif_text

SALTS = {"mp-1": bulk("NaCl", "rocksalt", a=5.64, cubic=True), "mp-2": bulk("CsCl", "cesiumchloride", a=4.12)}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path.parent))  # its font list is none of our business


@pytest.fixture
def data() -> str:
    """Two salts, and a row that cannot be used."""
    rows = [f'{name},"{cif_text(Frame(name, atoms))}"\n' for name, atoms in SALTS.items()]
    Path("data.csv").write_text("".join(["material_id,cif\n", *rows, "mp-bad,nonsense\n"]))
    return "data.csv"


class FakeGenerator:
    """Draws rocksalt for whatever it is asked, gives every other sample up, and writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def generate(
        self,
        compositions: list[dict[str, int]],
        samples: int,
        seed: int,
        options: dict[str, Any],
        progress: Callable[[int], None],
    ) -> list[list[Atoms | None]]:
        progress(len(compositions))
        self.asked.append((compositions, samples, seed, options))
        drawn = [bulk("".join(wanted), "rocksalt", a=5.64) for wanted in compositions]
        return [[None if rank % 2 else atoms for rank in range(samples)] for atoms in drawn]


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> FakeGenerator:
    fake, module = FakeGenerator(), ModuleType("xtalseek.proposals.unimat.generate")

    def load(path: str | None) -> FakeGenerator:
        fake.asked.append(path)
        return fake

    module.load_generator = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return fake


def measured(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["evaluate", *words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "--help"])
    assert ended.value.code == 0
    assert "xtalseek evaluate --data" in capsys.readouterr().out.partition("example:")[2]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "--data"),
        (["--data", "absent.csv"], "'absent.csv' cannot be read"),
        (["--data", "absent.cif"], "'absent.cif' does not exist"),
        (["--data", "x.csv", "--samples", "1,few"], "--samples: cannot use 'few'*1,5,20"),
        (["--data", "x.csv", "--samples", "0"], "--samples: cannot use '0'"),
        (["--data", "x.csv", "--limit", "0"], "--limit: cannot use '0'"),
        (["--data", "x.csv", "--seed", "1.5"], "--seed: cannot use '1.5'"),
        (["--data", "x.csv", "--coverage", "-1"], "--coverage"),
        (["--data", "x.csv", "--save", "x.foo"], "unknown suffix"),
        (["--data", "x.csv", "--source-options", "steps"], "source_options: cannot use 'steps'"),
        (["--data", "x.csv", "--structures", "y.csv", "--model", "m"], "--structures"),
        (["--data", "x.csv", "--dat", "y"], "unknown option '--dat'*did you mean '--data'"),
    ],
)
def test_bad_input_is_told_in_one_line_and_nothing_is_written(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["evaluate", *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert all(part in shown.err for part in told.split("*")), shown.err
    assert list(tmp_path.iterdir()) == []


def test_structures_of_any_generator_are_measured(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    shaken = SALTS["mp-1"].copy()
    shaken.rattle(0.05, seed=1)
    write("drawn.extxyz", [shaken, SALTS["mp-2"], bulk("Cu")])
    found = measured(capsys, "--data", data, "--structures", "drawn.extxyz", "--samples", "1,2")
    assert found["match_rate@1"] == found["match_rate@2"] == found["metre@1"] == 1
    assert 0 < found["rmse@1"] < 0.05
    assert (found["targets"], found["samples"], found["bad_rows"]) == (2, 2, 1)
    assert found["samples_per_second"] is None
    assert any("1 fit no target" in note for note in found["notes"])
    assert any("2 of 2 targets have fewer than 2 samples" in note for note in found["notes"])


def test_bad_rows_are_named(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    write("drawn.extxyz", SALTS["mp-2"])
    assert main(["evaluate", "--data", data, "--structures", "drawn.extxyz"]) == 0
    shown = capsys.readouterr()
    assert "data.csv: row 3 (mp-bad): " in shown.err
    assert "1 bad rows" in shown.out
    assert "50.0 %" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80


def test_structures_that_fit_no_target_are_told(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    write("drawn.extxyz", bulk("Cu"))
    assert main(["evaluate", "--data", data, "--structures", "drawn.extxyz"]) == 2
    assert "has the name or composition of a target" in capsys.readouterr().err


def test_a_generator_is_asked_once_for_the_primitive_cells(
    data: str, generator: FakeGenerator, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", data, "--samples", "3,1", "--seed", "7", "--model", "m.pt", "--source-options", "steps=20"]
    found = measured(capsys, *words)
    model, (compositions, samples, seed, options) = generator.asked
    assert (model, samples, seed, options) == ("m.pt", 3, 7, {"steps": 20})
    assert compositions == [{"Na": 1, "Cl": 1}, {"Cs": 1, "Cl": 1}]
    # Caesium chloride is not rocksalt; every second sample was given up.
    assert (found["match_rate@1"], found["match_rate@3"]) == (0.5, 0.5)
    assert found["structural_validity"] == pytest.approx(2 / 3)
    assert found["samples"] == 6
    assert found["samples_per_second"] > 0


def test_saved_samples_give_the_same_figures_again(
    data: str, generator: FakeGenerator, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = measured(capsys, "--data", data, "--samples", "1,3", "--save", "kept.extxyz")
    assert len(read("kept.extxyz", index=":")) == 4
    again = measured(capsys, "--data", data, "--samples", "1,3", "--structures", "kept.extxyz")
    for key in ("match_rate@1", "match_rate@3", "rmse@1", "metre@3", "crmse@3", "samples", "structural_validity"):
        assert again[key] == pytest.approx(drawn[key], abs=1e-6), key


def test_a_limit_draws_the_same_targets_for_the_same_seed(
    data: str, generator: FakeGenerator, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert measured(capsys, "--data", data, "--limit", "1", "--seed", "3")["targets"] == 1
    asked = [call[0] for call in generator.asked if isinstance(call, tuple)]
    assert asked[0] == asked[1]
    for seed in range(6):
        measured(capsys, "--data", data, "--limit", "1", "--seed", str(seed))
    assert len(Counter(str(call[0]) for call in generator.asked if isinstance(call, tuple))) == 2


def test_coverage_is_measured_where_it_is_asked_for(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    write("drawn.extxyz", [SALTS["mp-1"], bulk("CsCl", "rocksalt", a=7)])
    found = measured(capsys, "--data", data, "--structures", "drawn.extxyz")
    assert found["cov_recall"] is None
    found = measured(capsys, "--data", data, "--structures", "drawn.extxyz", "--coverage", "0.2")
    assert (found["cov_recall"], found["cov_precision"]) == (0.5, 1)
    assert np.isfinite(found["density_distance"])
