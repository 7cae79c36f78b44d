"""`xtalseek verify` as a user meets it, with an engine that stands in for DFT."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from fake_dft import FakeEngine
from running import BIN, Run, environment, toy_search

from xtalseek.analysis import find_minima
from xtalseek.analysis.stability import TIE
from xtalseek.cli import main
from xtalseek.mpi_jobs.world import World
from xtalseek.relax.dft import ENGINES, LEVELS, EngineOptions
from xtalseek.search.store import load_run


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished search of NaCl."""
    run = tmp_path_factory.mktemp("verify") / "run"
    assert main(list(toy_search(run, num=6))) == 0
    return run


@pytest.fixture
def run(searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(searched, "run")
    return "run"


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[FakeEngine]:
    """Every fake engine that a command made."""
    made: list[FakeEngine] = []

    def make(options: EngineOptions) -> FakeEngine:
        made.append(FakeEngine(options))
        return made[-1]

    monkeypatch.setitem(ENGINES, "fake", make)
    return made


def verified(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["verify", *words, "--engine", "fake", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_help_shows_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["verify", "--help"])
    assert ended.value.code == 0
    assert "xtalseek verify RUN --engine gpaw --top 5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["absent", "--engine", "fake"], "'absent' is not a run folder"),
        (["run"], "--engine"),
        (["run", "--engine", "fak"], "unknown --engine 'fak'*did you mean 'fake'"),
        (["run", "--engine", "fake", "--level", "best"], "unknown --level 'best': allowed are mp-like, normal, quick"),
        (["run", "--engine", "fake", "--top", "few"], "--top: cannot use 'few'"),
        (["run", "--engine", "fake", "--top", "0"], "no minimum to verify"),
        (["run", "--engine", "fake", "--cutoff", "-3"], "--cutoff: cannot use '-3'"),
        (["run", "--engine", "fake", "--references", "Na.cif"], "'Na.cif' does not exist"),
        (["run", "--engine", "gpaw", "--launcher", "mpirun -n 2"], "--launcher: gpaw runs in xtalseek's own"),
        (["run", "--engine", "gpaw", "--pseudopotentials", "x"], "--pseudopotentials: gpaw brings its own"),
    ],
)
@pytest.mark.usefixtures("engines")
def test_bad_input_is_told_in_one_line_and_nothing_is_written(
    words: list[str], told: str, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert all(part in shown.err for part in told.split("*")), shown.err
    assert not (Path(run) / "dft").exists()


def test_a_missing_gpaw_is_named_with_its_install(
    run: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    present = importlib.util.find_spec
    monkeypatch.setattr("xtalseek.relax.dft.gpaw.find_spec", lambda name: None if name == "gpaw" else present(name))
    assert main(["verify", run, "--engine", "gpaw"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "apt-get install" in told
    assert "pip install 'xtalseek[dft]'" in told
    assert "docs/dft.md" in told


def test_a_missing_pw_x_is_named_with_its_install(
    run: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["verify", run, "--engine", "espresso"]) == 2
    assert "pw.x, which is not installed: apt-get install quantum-espresso" in capsys.readouterr().err


def test_rows_and_order_are_those_of_the_search_and_of_dft(
    run: str, engines: list[FakeEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    minima = [m for m in find_minima(load_run(run)) if not m.suspicious]
    found = verified(capsys, run, "--top", "3", "--level", "quick")
    rows = found["rows"]
    assert [row["name"] for row in rows] == [m.name for m in minima[:3]]
    assert [row["search_enthalpy"] for row in rows] == [m.enthalpy_per_atom for m in minima[:3]]
    assert [row["search_rank"] for row in rows] == [1, 2, 3]
    assert rows[0]["search_relative"] == 0
    assert min(row["relative"] for row in rows) == 0
    assert sorted(row["rank"] for row in rows) == [1, 2, 3]
    lowest = min(rows, key=lambda row: row["enthalpy"])
    assert lowest["rank"] == 1
    for row in rows:
        stored = json.loads((Path(found["folder"]) / f"{row['name']}.json").read_text())
        assert stored["relaxation"]["status"] == row["status"] == "converged"
        assert stored["settings"]["engine"] == "fake"
        assert stored["settings"]["cutoff"] == 450
    assert json.loads((Path(found["folder"]) / "settings.json").read_text())["made_with"]["xtalseek"]
    assert any(note.endswith("of 3 pairs of minima stand the same way round in both.") for note in found["notes"])


def test_the_table_is_for_people(run: str, engines: list[FakeEngine], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", run, "--engine", "fake", "--top", "2", "--static"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "name",
        "space",
        "group",
        "toy_potentials:Pairs",
        "rel",
        "rank",
        "fake",
        "rel",
        "rank",
        "V",
        "status",
        "s",
    ]
    assert lines[1].startswith("NaCl-random-")
    assert len([line for line in lines if "converged" in line and line.startswith("NaCl-")]) == 2
    assert "no formation energy: no converged reference for Cl, Na; give" in "\n".join(lines)
    assert lines[-1] == "results: run/dft/fake-normal-static"


def test_what_is_finished_is_not_done_again(
    run: str, engines: list[FakeEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    first = verified(capsys, run, "--top", "2", "--static")
    assert len(engines[-1].jobs) == 2
    second = verified(capsys, run, "--top", "3", "--static")
    assert len(engines[-1].jobs) == 1
    assert second["rows"][:2] != []
    assert [row["enthalpy"] for row in second["rows"][:2]] == [row["enthalpy"] for row in first["rows"]]
    assert [row["seconds"] for row in second["rows"][:2]] == [row["seconds"] for row in first["rows"]]
    verified(capsys, run, "--top", "3", "--static", "--level", "quick")
    assert len(engines[-1].jobs) == 3
    verified(capsys, run, "--top", "3", "--static")
    assert len(engines[-1].jobs) == 0


def test_an_interrupted_verify_goes_on_where_it_was(
    run: str, engines: list[FakeEngine], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a kill would: in the middle of the second structure."""
    calculate = FakeEngine.calculator

    def interrupted(self: FakeEngine, atoms: Atoms, job: Any) -> Any:
        if len(self.jobs) == 1:
            raise KeyboardInterrupt
        return calculate(self, atoms, job)

    monkeypatch.setattr(FakeEngine, "calculator", interrupted)
    assert main(["verify", run, "--engine", "fake", "--top", "3", "--static"]) == 130
    monkeypatch.setattr(FakeEngine, "calculator", calculate)
    capsys.readouterr()
    found = verified(capsys, run, "--top", "3", "--static")
    assert len(engines[-1].jobs) == 2
    assert [row["status"] for row in found["rows"]] == ["converged"] * 3


def test_retry_goes_on_from_where_it_ended(
    run: str, engines: list[FakeEngine], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    strict = replace(LEVELS["quick"], force_tolerance=1e-5, stress_tolerance_gpa=1e-4)
    monkeypatch.setitem(LEVELS, "quick", strict)
    words = (run, "--top", "1", "--level", "quick")
    short = verified(capsys, *words, "--max-steps", "1")["rows"][0]
    assert short["status"] == "max_steps"
    assert short["rank"] is None
    assert verified(capsys, *words)["rows"][0]["status"] == "max_steps"
    assert engines[-1].jobs == []
    longer = verified(capsys, *words, "--retry")["rows"][0]
    assert longer["status"] == "converged"
    assert longer["steps"] > 1
    verified(capsys, *words, "--retry")
    assert engines[-1].jobs == []


def test_references_give_formation_energies_and_the_hull(
    run: str, engines: list[FakeEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    write("Na.cif", bulk("Na", "bcc", a=3.0))
    write("Cl.cif", bulk("Cl", "fcc", a=3.8))
    found = verified(capsys, run, "--top", "2", "--static", "--references", "Na.cif")
    assert [row["stability"] for row in found["rows"][:2]] == [None, None]
    assert any("no converged reference for Cl; give" in note for note in found["notes"])
    found = verified(capsys, run, "--top", "6", "--static", "--references", "Na.cif", "Cl.cif")
    rows = {row["name"]: row for row in found["rows"]}
    assert (rows["Na"]["role"], rows["Na"]["rank"], rows["Na"]["search_rank"]) == ("reference", None, None)
    low, *_, high = (row for row in found["rows"] if row["role"] != "reference")
    mean = (rows["Na"]["enthalpy"] + rows["Cl"]["enthalpy"]) / 2
    assert low["stability"]["formation"] == pytest.approx(low["enthalpy"] - mean)
    lowest = min(low["enthalpy"], high["enthalpy"], mean)
    assert high["stability"]["above_hull"] == pytest.approx(high["enthalpy"] - lowest, abs=TIE)
    assert high["enthalpy"] - lowest > 100 * TIE


def test_failures_are_counted_and_do_not_rank(
    run: str, engines: list[FakeEngine], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write("five.cif", Atoms(["Na"] * 5, positions=[(0, 0, 2.3 * i * i / 4) for i in range(5)], cell=[3, 3.1, 12]))
    write("seven.cif", Atoms(["Na"] * 7, positions=[(0, 0, 0.4 * i * i) for i in range(7)], cell=[3, 3.1, 17]))
    assert main(["verify", run, "--engine", "fake", "--top", "1", "--references", "five.cif", "seven.cif"]) == 0
    shown = capsys.readouterr().out
    assert "(five)" in shown and "(seven)" in shown
    assert "1 scf: the electrons were not self-consistent" in shown
    assert "1 error: RuntimeError: the lattice melted" in shown


def test_two_references_of_one_name_are_refused(
    run: str, engines: list[FakeEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        write(f"{folder}/Na.cif", bulk("Na"))
    assert main(["verify", run, "--engine", "fake", "--references", "a", "b"]) == 2
    assert "two structures are called 'Na'" in capsys.readouterr().err


class FakeRank:
    """One of two ranks, the other of which does its own share of the same plan."""

    def allgather(self, error: Any) -> list[Any]:
        return [error]

    def bcast(self, plan: Any) -> Any:
        return plan

    def Ibarrier(self) -> FakeRank:  # noqa: N802
        return self

    def Test(self) -> bool:  # noqa: N802
        return True


def test_ranks_share_the_structures_largest_first(
    run: str, engines: list[FakeEngine], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PMI_SIZE", "2")
    seen: list[Any] = []
    calculate = FakeEngine.calculator

    def watched(self: FakeEngine, atoms: Atoms, job: Any) -> Any:
        seen.append((len(atoms), "PMI_SIZE" in os.environ))
        return calculate(self, atoms, job)

    monkeypatch.setattr(FakeEngine, "calculator", watched)
    monkeypatch.setattr("xtalseek.cli.find_world", lambda: World(0, 2, FakeRank()))
    monkeypatch.setattr("xtalseek.cli_analysis.share_of_cores", lambda world: 1)
    assert main(["verify", run, "--engine", "fake", "--top", "3", "--static"]) == 0
    assert len(seen) == 2
    assert seen == sorted(seen, reverse=True)
    assert not any(hidden for _, hidden in seen)
    assert os.environ["PMI_SIZE"] == "2"
    monkeypatch.setattr("xtalseek.cli.find_world", World)
    capsys.readouterr()
    assert len(verified(capsys, run, "--top", "3", "--static")["rows"]) == 3
    assert len(seen) == 3


@pytest.mark.usefixtures("needs_mpirun")
def test_two_ranks_end_with_the_error_of_one(xtalseek: Run) -> None:
    done = xtalseek("verify", "absent", "--engine", "espresso", ranks=2)
    assert done.returncode == 2
    assert done.stderr.count("xtalseek:") == 1


TWO_RANKS = """
from fake_dft import FakeEngine
from xtalseek.cli import main
from xtalseek.relax.dft import ENGINES
ENGINES["fake"] = FakeEngine
raise SystemExit(main("verify run --engine fake --top 3 --static --json --references Na.cif Cl.cif".split()))
"""


@pytest.mark.usefixtures("needs_mpirun", "engines")
def test_two_ranks_find_what_one_finds(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    write("Na.cif", bulk("Na", "bcc", a=3.0))
    write("Cl.cif", bulk("Cl", "fcc", a=3.8))
    shutil.copytree(run, "alone")
    one = verified(capsys, "alone", "--top", "3", "--static", "--references", "Na.cif", "Cl.cif")
    launch = [str(BIN / "mpirun"), "-n", "2", sys.executable, "-c", TWO_RANKS]
    done = subprocess.run(launch, env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    two = json.loads(done.stdout)
    assert [row["enthalpy"] for row in two["rows"]] == [row["enthalpy"] for row in one["rows"]]
    begun = [line.split()[0] for line in done.stderr.splitlines() if "fake normal" in line]
    assert sorted(begun) == [f"{number}/5" for number in range(1, 6)]
