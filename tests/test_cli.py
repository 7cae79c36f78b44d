"""The command as a user meets it: bad input in one line and nothing written; each verb on a small run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import read, write
from running import Run, toy_search

from xtalseek import __version__
from xtalseek.analysis import find_minima
from xtalseek.cli import main
from xtalseek.search.store import load_run

VERBS = (
    "search", "propose", "seed", "relax", "status", "rank", "report", "compare", "hull", "export", "verify", "evaluate",
    "train", "version", "campaign", "submit", "init", "doctor", "completion",
)  # fmt: skip


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run_folder(capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*toy_search("run", num=4)]) == 0
    capsys.readouterr()
    return "run"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_an_example_within_80_columns(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert f"xtalseek {verb}" in shown.partition("example:")[2]
    assert max(map(len, shown.splitlines())) <= 80


def test_what_relax_tells_of_a_structure_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    write("far.extxyz", bulk("NaCl", "rocksalt", a=7.5))
    words = ["relax", "far.extxyz", "--relaxer", "toy_potentials:Pairs", "--max-steps", "1", "--out", "out.extxyz"]
    assert main(words) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "max_steps" in shown[0]
    assert "raise --max-steps" in " ".join(" ".join(shown[1:-1]).split())
    assert max(map(len, shown)) <= 80


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["serch", "Si"], "unknown verb 'serch': allowed are campaign, compare, completion,*did you mean 'search'"),
        ([], "VERB"),
        (["search"], "formula: none given"),
        (["search", "Xx2O"], "unknown element*did you mean 'Xe'"),
        (["search", "srtio3"], "is not a formula"),
        (["search", "Si", "more"], "'more' is one word too many"),
        (["search", "Si", "--sed", "4"], "unknown option '--sed'*did you mean '--seed'"),
        (["search", "Si", "--source", "randm"], "unknown source 'randm'*did you mean 'random'"),
        (["search", "Si", "--relaxer", "chgnt"], "unknown relaxer 'chgnt'*did you mean 'chgnet'"),
        (["search", "Si", "--relaxer", "emt"], "no parameters for Si: allowed are H, C, N"),
        (["search", "Si", "--relaxer", "nothing_here:Calculator"], "pip install nothing_here"),
        (["search", "Si", "--relaxer", "lj", "--relaxer-options", "sgma=2"], "does not work with sgma=2"),
        (["search", "Si", "-n", "0"], "num: cannot use '0'"),
        (["search", "Si", "--seed", "1.5"], "seed: cannot use '1.5'"),
        (["search", "Si", "--formula-units", "4-1"], "formula_units: 4-1 is not a range"),
        (["search", "Si", "--pressure-gpa", "high"], "pressure_gpa: cannot use 'high'"),
        (["search", "Si", "--max-hours", "-1"], "max_hours: cannot use '-1'"),
        (["search", "Si", "--min-distances", "Si-O=2"], "min_distances: O in *is not in Si"),
        (["search", "Si", "--space-groups", "231"], "space_groups: 231"),
        (["search", "Si", "--source-options", "max_atempts=3"], "source 'random'*max_atempts"),
        (
            ["search", "Si", "--source", "random,substitution", "--source-options", "stretch=false"],
            "'stretch'*such as random.stretch=false",
        ),
        (["search", "--config", "absent.toml"], "config 'absent.toml' cannot be read"),
        (["propose", "Si"], "--out"),
        (["propose", "Si", "--out", "x.foo"], "unknown suffix of --out '.foo'*.cif"),
        (["relax", "absent.cif", "--out", "x.cif", "--relaxer", "lj"], "'absent.cif' does not exist"),
        (["relax", "absent.cif", "--out", "x.cif", "--max-steps", "few"], "max_steps: cannot use 'few'"),
        (["status", "nowhere"], "'nowhere' is not a run folder"),
        (["rank", "nowhere"], "'nowhere' is not a run folder"),
        (["rank", "nowhere", "--top", "few"], "--top"),
        (["report", "nowhere"], "'nowhere' is not a run folder"),
        (["export", "nowhere", "--out", "x.cif"], "'nowhere' is not a run folder"),
        (["export", "nowhere", "--format", "cfi", "--out", "x"], "unknown choice 'cfi'*did you mean 'cif'"),
    ],
)
def test_bad_input_is_told_in_one_line_and_nothing_is_written(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("xtalseek: ")
    at = 0
    for part in told.split("*"):
        at = shown.err.find(part, at)
        assert at >= 0, shown.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('formla = "Si"', "unknown key 'formla'"),
        ('formula = "Si"\nnum = "x"', "num: cannot use 'x'"),
        ('formula = "Si"\nformula_units = [1, 2, 3]', "formula_units: cannot use [1, 2, 3]"),
        ("formula = ", "is not TOML"),
    ],
)
def test_a_bad_config_file_is_told_in_one_line(line: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.toml").write_text(line)
    assert main(["search", "--config", "bad.toml"]) == 2
    shown = capsys.readouterr().err
    assert told in shown
    assert shown.count("\n") == 1


def test_an_infeasible_target_has_a_status_of_its_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["search", "Si", "--min-distances", "Si-Si=9", "--relaxer", "lj"]) == 3
    assert "min_distances Si-Si 9" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_options_win_over_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.toml").write_text('formula = "Ar"\nnum = 2\nrelaxer = "emt"\nmax_steps = 5\nseed = 7\n')
    words = ["--relaxer", "toy_potentials:Pairs", "--seed", "8", "--formula-units", "1", "--out", "r"]
    assert main(["search", "--config", "c.toml", *words]) == 0
    config = load_run("r").config
    assert (config.formula, config.num, config.seed, config.formula_units) == ("Ar", 2, 8, (1, 1))


def test_a_search_leaves_what_the_design_promises(run_folder: str) -> None:
    names = {p.name for p in Path(run_folder).iterdir()}
    assert {"config.toml", "journal", "results.h5", "best", "report.html", "log"} <= names
    config = Path("run/config.toml").read_text()
    assert 'numpy = "' in config
    assert "[provenance]" in config


def test_verbs_that_scripts_read_speak_json(run_folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", run_folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["done"] == 4
    assert main(["rank", run_folder, "--json", "--top", "2"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["enthalpy_per_atom"] <= rows[-1]["enthalpy_per_atom"]
    assert main(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["xtalseek"] == __version__


def test_status_rank_and_report_for_people(run_folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", run_folder]) == 0
    assert "4 of 4 candidates" in capsys.readouterr().out
    assert main(["rank", run_folder]) == 0
    lowest = find_minima(load_run(run_folder))[0]
    assert lowest.record.name in capsys.readouterr().out
    assert main(["report", run_folder, "--png"]) == 0
    assert "run/report.html" in capsys.readouterr().out
    assert list(Path(run_folder, "plots").glob("*.png"))


@pytest.mark.parametrize("out", ["all.extxyz", "all.res", "all.db", "folder"])
def test_export_writes_what_ase_reads(run_folder: str, out: str) -> None:
    assert main(["export", run_folder, "--all", "--out", out]) == 0
    files = sorted(Path(out).iterdir()) if Path(out).is_dir() else [Path(out)]
    assert len(read(files[0], index=0)) >= 2
    records = load_run(run_folder).records
    if out == "all.extxyz":
        energies = [atoms.get_potential_energy() for atoms in read(out, index=":")]
        assert energies == pytest.approx([r.relaxation.energy for r in records])


def test_propose_draws_what_a_search_relaxes(run_folder: str) -> None:
    words = [w for w in toy_search("drawn.extxyz", num=4)[1:] if w not in ("--relaxer", "toy_potentials:Pairs")]
    words = [w for w in words if w not in ("--max-steps", "80")]
    assert main(["propose", *words]) == 0
    drawn = read("drawn.extxyz", index=":")
    for atoms, record in zip(drawn, load_run(run_folder).records, strict=True):
        assert atoms.info["name"] == record.name
        assert record.candidate.atoms is not None
        assert atoms.positions == pytest.approx(record.candidate.atoms.positions, abs=1e-7)


def test_relax_takes_any_structures_and_a_bad_one_does_not_stop_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["propose", "Ar", "-n", "5", "--formula-units", "1-4", "--out", "drawn.res"]) == 0
    words = ["relax", "drawn.res", "--relaxer", "toy_potentials:Poisoned", "--max-steps", "50", "--out", "out.extxyz"]
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 5
    assert all(row["message"] for row in rows if row["status"] != "converged")
    assert main(words) == 0
    assert "5 structures" in capsys.readouterr().out


def test_help_answers_without_loading_torch(xtalseek: Run) -> None:
    finished = xtalseek("--version")
    assert finished.stdout == f"xtalseek {__version__}\n"
    code = (
        "import sys; from xtalseek.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "False"


def test_output_into_a_closed_pipe_is_no_error(run_folder: str, xtalseek: Run) -> None:
    shown = subprocess.run(
        f"{sys.executable} -m xtalseek rank {run_folder} --json | head -c 1",
        shell=True, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in shown.stderr


def test_propose_tells_a_script_what_each_candidate_took(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["propose", "NaCl", "-n", "2", "--formula-units", "1", "--out", "drawn.extxyz", "--explain", "--json"]
    assert main(words) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["NaCl-random-000000", "NaCl-random-000001"]
    assert all(row["drawn"] and row["provenance"]["attempts"] >= 1 for row in rows)
    assert len(read("drawn.extxyz", index=":")) == 2


def test_a_campaign_s_folder_in_place_of_a_run_s_is_told_with_a_run_in_it(
    run_folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("campaign/runs").mkdir(parents=True)
    Path(run_folder).rename("campaign/runs/NaCl")
    assert main(["rank", "campaign"]) == 2
    assert "give one of its runs, such as campaign/runs/NaCl" in capsys.readouterr().err
