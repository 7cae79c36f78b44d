"""AIRSS seeds as a user meets them: drawn from, searched with, resumed, refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ase.neighborlist import neighbor_list
from running import Run

from xtalseek.cli import main
from xtalseek.search.config import read_toml, resolve, to_toml
from xtalseek.structure_files import read_structures

SEED = """## Eight argon atoms
#VARVOL=30
#SPECIES=Ar%NUM=1
#NFORM=8
#MINSEP=2.6
#SYMMOPS=2-4
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("argon.cell").write_text(SEED)
    return tmp_path


def search(*more: str, out: str = "run") -> list[str]:
    toy = ("--relaxer", "toy_potentials:Pairs", "--max-steps", "60")
    return ["search", "--seed-file", "argon.cell", *toy, "--out", out, *more]


def facts(run: str) -> list[tuple[str, float | None]]:
    from xtalseek.search.store import load_run

    return sorted((r.name, r.relaxation.energy) for r in load_run(run).records)


def test_candidates_are_called_after_the_seed_and_obey_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["propose", "--seed-file", "argon.cell", "-n", "12", "--out", "drawn.res", "--explain"]) == 0
    shown = capsys.readouterr()
    assert "12 of 12 candidates in" in shown.out
    assert "space group at last" in shown.out
    drawn = read_structures(["drawn.res"])
    assert [name for name, _ in drawn] == [f"argon-random-{n:06d}" for n in range(12)]
    for _, atoms in drawn:
        assert atoms.get_chemical_formula() == "Ar8"
        assert 8 * 28.5 - 1e-6 < atoms.get_volume() < 8 * 31.5 + 1e-6
        assert min(neighbor_list("d", atoms, 4.0)) > 2.6 - 1e-6


def test_a_search_keeps_the_seed_and_goes_on_without_its_file() -> None:
    assert main(search("-n", "4")) == 0
    assert "#MINSEP=2.6" in Path("run/config.toml").read_text()
    assert main(search("-n", "8", out="whole")) == 0
    Path("argon.cell").unlink()
    config = Path("run/config.toml").read_text().replace("num = 4", "num = 8")
    Path("longer.toml").write_text(config)
    assert main(["search", "--config", "longer.toml", "--relaxer", "toy_potentials:Pairs"]) == 0
    assert facts("run") == facts("whole")


def test_pressure_and_random_numbers_come_from_the_seed_unless_given() -> None:
    block = "%BLOCK EXTERNAL_PRESSURE\n10 0 0\n10 0\n10\n%ENDBLOCK EXTERNAL_PRESSURE\n"
    Path("argon.cell").write_text(SEED + "#SEED=abc\n" + block)
    config = resolve({"seed_file": "argon.cell"})
    assert (config.formula, config.pressure_gpa) == ("Ar", 10.0)
    assert config.seed > 0
    Path("kept.toml").write_text(to_toml(config, {}))
    assert resolve(read_toml(Path("kept.toml"))) == config
    given = resolve({"seed_file": "argon.cell", "seed": 5, "pressure_gpa": 1})
    assert (given.seed, given.pressure_gpa) == (5, 1.0)


def test_another_seed_in_the_same_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(search("-n", "2")) == 0
    Path("argon.cell").write_text(SEED.replace("2.6", "2.5"))
    capsys.readouterr()
    assert main(search("-n", "2")) == 2
    assert "seed_text" in capsys.readouterr().err


@pytest.mark.usefixtures("needs_mpirun")
def test_two_ranks_draw_what_one_draws(xtalseek: Run) -> None:
    assert main(search("-n", "6", "--source-options", "ensemble=buildcell-0.9.1")) == 0
    done = xtalseek(*search("-n", "6", "--source-options", "ensemble=buildcell-0.9.1", out="two"), ranks=2)
    assert done.returncode == 0, done.stderr
    assert facts("run") == facts("two")


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["Si"], 2, "formula: the seed file says so itself"),
        (["--min-distances", "Ar-Ar=2"], 2, "min_distances: the seed file says so itself"),
        (["--source", "unimat"], 2, "source 'unimat' does not read AIRSS seeds"),
        (["--source-options", "slack=0.1"], 2, "slack: the seed says so itself"),
        (["--source-options", "ensemble=airss"], 2, "ensemble: 'airss' is none of xtalseek, buildcell-0.9.1"),
    ],
)
def test_what_does_not_go_with_a_seed(
    words: list[str], status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["propose", "--seed-file", "argon.cell", "-n", "2", "--out", "x.res", *words]) == status
    shown = capsys.readouterr().err
    assert told in shown
    assert shown.count("\n") == 1
    assert not Path("x.res").exists()


@pytest.mark.parametrize("verb", ["propose", "search"])
@pytest.mark.parametrize("ensemble", ["xtalseek", "buildcell-0.9.1"])
def test_a_seed_that_no_structure_can_obey_ends_with_the_reason(
    verb: str, ensemble: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("argon.cell").write_text(SEED.replace("2.6", "3.9"))
    assert main([verb, "--seed-file", "argon.cell", "--source-options", f"ensemble={ensemble}", "--out", "x.res"]) == 3
    shown = capsys.readouterr().err
    assert "no structure in 500 attempts" in shown
    assert "Ar-Ar" in shown


def test_traps_and_unknown_directives_are_told_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("argon.cell").write_text(SEED + "#MINSEPP=3\n")
    assert main(["propose", "--seed-file", "argon.cell", "-n", "1", "--out", "x.res"]) == 0
    assert "argon.cell: line 7: 'MINSEPP'" in capsys.readouterr().err
    assert main(["propose", "--seed-file", "nowhere.cell", "-n", "1", "--out", "x.res"]) == 2
    assert "nowhere.cell" in capsys.readouterr().err


def test_a_written_seed_draws(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["seed", "MgO", "--formula-units", "2", "--out", "MgO.cell"]) == 0
    assert main(["propose", "--seed-file", "MgO.cell", "-n", "3", "--out", "drawn.res"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["seed", "MgO", "--learn-from", "drawn.res"]) == 0
    assert "#VARVOL" in capsys.readouterr().out
    assert main(["seed", "Mg0"]) == 2


def test_provenance_says_what_was_asked_for_and_found() -> None:
    assert main(search("-n", "3")) == 0
    lines = [json.loads(line) for path in Path("run/journal").iterdir() for line in path.read_text().splitlines()]
    for line in lines:
        provenance = line["candidate"]["provenance"]
        assert provenance["operations"] in (2, 3, 4)
        assert provenance["space_group_found"] >= 1
        assert provenance["attempts"] == 1 + sum(provenance["rejects"].values())
