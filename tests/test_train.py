"""`xtalseek train` as a user meets it."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
from ase.io import write
from crystals import known_crystals
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter

from xtalseek.cli import main
from xtalseek.proposals.unimat.checkpoint import load_checkpoint

NAMES = ("rocksalt", "rutile", "wurtzite", "tenorite", "with an inversion")
SMALL = ("--settings", "width=16,layers=1,heads=2,bins=16,dropout=0", "--batch", "2", "--learning-rate", "1e-3")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def data() -> str:
    """Five crystals, and a row that cannot be read."""
    with Path("data.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["material_id", "formation_energy_per_atom", "cif"])
        for number, name in enumerate(NAMES):
            structure = AseAtomsAdaptor.get_structure(known_crystals()[name])
            writer.writerow([f"mp-{number}", -1.0, str(CifWriter(structure))])
        writer.writerow(["mp-bad", -1.0, "data_nonsense"])
    return "data.csv"


def train(*words: str) -> int:
    return main(["train", "--out", "ckpt", *SMALL, *words])


def log() -> list[dict[str, str]]:
    with Path("ckpt/training/log.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_training_leaves_a_checkpoint_a_log_and_names_the_bad_row(
    data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--data", data, "--held-out", data, "--passes", "3", "--seed", "2", "--half") == 0
    shown = capsys.readouterr()
    assert "mp-bad" in shown.err
    assert "1 rows could not be read" in shown.err
    assert shown.out == "trained: 3.0 passes, 0.00 h, checkpoint ckpt\n"
    model, card = load_checkpoint(Path("ckpt"))
    assert (model.config.width, model.config.bins) == (16, 16)
    assert (card["structures"], card["steps"], card["settings"]["seed"]) == (5, 9, 2)
    assert (card["data"][0]["path"], card["data"][0]["rows"]) == ("data.csv", 6)
    assert len(card["data"][0]["sha256"]) == 64
    rows = log()
    assert [float(row["pass"]) for row in rows] == [1, 2, 3]
    assert all(math.isfinite(float(row["loss"])) and math.isfinite(float(row["val_loss"])) for row in rows)
    assert 0 <= float(rows[-1]["val_match_rate"]) <= 1
    assert load_checkpoint(Path("ckpt/best"))[1]["steps"] in (3, 6, 9)


def test_the_same_command_goes_on_and_another_is_refused(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--data", data, "--passes", "2")
    assert train(*words, "--max-hours", "1e-9") == 0
    assert "stopped; the same command goes on: 0.3 passes" in capsys.readouterr().out
    assert json.loads(Path("ckpt/model.json").read_text())["card"]["steps"] == 1
    assert train(*words, "--max-hours", "1e-9") == 0
    assert json.loads(Path("ckpt/model.json").read_text())["card"]["steps"] == 2
    assert train("--data", data, "--passes", "3") == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "ckpt/training" in told
    assert "give the same again to go on, or another --out" in told
    assert train(*words) == 0
    assert "trained: 2.0 passes" in capsys.readouterr().out
    assert [int(row["step"]) for row in log()] == [1, 2, 3, 6]


def test_structures_that_the_model_does_not_take_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    heavy = known_crystals()["copper"]
    heavy.numbers[:] = 95
    write("mixed.extxyz", [known_crystals()[name] for name in NAMES] + [heavy])
    assert train("--data", "mixed.extxyz", "--passes", "1") == 0
    assert "mixed-000006: left out, an element beyond 94" in capsys.readouterr().err
    assert load_checkpoint(Path("ckpt"))[1]["structures"] == 5


def test_evaluate_and_propose_take_the_checkpoint(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--data", data, "--passes", "1") == 0
    capsys.readouterr()
    assert main(["evaluate", "--model", "ckpt", "--data", data, "--samples", "1,2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0 <= found["match_rate@1"] <= found["match_rate@2"] <= 1
    words = ("--source", "unimat", "--source-options", "checkpoint=ckpt,redraws=20", "--formula-units", "1-2")
    assert main(["propose", "NaCl", *words, "-n", "5", "--out", "drawn.extxyz"]) == 0
    assert "of 5 candidates written to drawn.extxyz" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--passes", "few"], "--passes: cannot use 'few': allowed is a number"),
        (["--passes", "0"], "passes: 0*is not above zero"),
        (["--batch", "1.5"], "--batch: cannot use '1.5': allowed is a whole number"),
        (["--learning-rate", "-1"], "learning_rate: -1.0 is not above zero"),
        (["--seed", "-1"], "seed: -1"),
        (["--max-hours", "-1"], "max_hours: cannot use '-1'"),
        (["--settings", "width"], "source_options"),
        (["--settings", "widht=16"], "unknown setting of unimat-sparse 'widht'*did you mean 'width'"),
        (["--settings", "width=30,heads=8"], "width: 30 is not a multiple of heads"),
        (["--settings", "heads=0"], "heads"),
        (["--model", "unimat-spars"], "unknown model 'unimat-spars'*did you mean 'unimat-sparse'"),
        (["--data", "absent.csv"], "absent.csv"),
        (["--held-out", "absent.csv"], "absent.csv"),
        (["--out", "data.csv"], "--out: 'data.csv' is a file"),
        (["--pases", "3"], "unknown option '--pases'*did you mean '--passes'"),
    ],
)
def test_wrong_words_are_told_in_one_line_and_nothing_is_written(
    words: list[str], told: str, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Without the bad row, of which there would be a line too.
    Path(data).write_text(Path(data).read_text().replace("mp-bad,-1.0,data_nonsense\n", ""))
    before = {path.name for path in Path().iterdir()}
    assert main(["train", "--data", data, "--out", "ckpt", *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1, shown.err
    assert shown.err.startswith("xtalseek: ")
    at = 0
    for part in told.split("*"):
        at = shown.err.find(part, at)
        assert at >= 0, shown.err
    assert {path.name for path in Path().iterdir()} - {"cache"} == before


def test_the_other_model_trains_too(data: str) -> None:
    settings = ("--settings", "channels=8,blocks=1", "--batch", "3")
    words = ["train", "--data", data, "--out", "ckpt", "--model", "unimat-unet", "--passes", "1", *settings]
    assert main(words) == 0
    model, card = load_checkpoint(Path("ckpt"))
    assert model.name == "unimat-unet"
    assert card["structures"] == 5
