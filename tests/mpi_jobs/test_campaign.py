"""Campaigns from the command line: the same on any number of ranks, resumed, prolonged, in rounds."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from running import Run
from safetensors.torch import load_file as load_model

from xtalseek.proposals.unimat.checkpoint import new_model, save_checkpoint, training_compositions
from xtalseek.records import Record
from xtalseek.search.campaign_config import read_campaign_folder
from xtalseek.search.rounds import read_rounds
from xtalseek.search.store import load_run

FORMULAS = ("NaCl", "Na2Cl", "Na3Cl2")


def words(file: str, *more: str, num: int = 5, out: str = "out") -> tuple[str, ...]:
    return (
        *("campaign", file, "-n", str(num), "--formula-units", "1-2", "--relaxer", "toy_potentials:Pairs"),
        *("--volume-per-atom", "10-14", "--max-steps", "80", "--seed", "3", "--no-hull", "--out", out, *more),
    )


def write_list(folder: Path, *formulas: str) -> str:
    (folder / "list.txt").write_text("\n".join(formulas) + "\n")
    return "list.txt"


def facts(record: Record) -> tuple[Any, ...]:
    relaxation = record.relaxation
    assert record.candidate.atoms is not None
    cell = record.candidate.atoms.cell.array.tolist()
    return record.name, record.number, cell, relaxation.status, relaxation.energy, relaxation.steps


def all_facts(campaign: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {run.name: [facts(r) for r in load_run(run).records] for run in sorted((campaign / "runs").iterdir())}


def test_a_campaign_ends_with_all_candidates_reports_and_a_table(xtalseek: Run, tmp_path: Path) -> None:
    finished = xtalseek(*words(write_list(tmp_path, *FORMULAS)))
    assert finished.returncode == 0, finished.stderr
    out = tmp_path / "out"
    assert "report: out/report.html" in finished.stdout
    for formula in FORMULAS:
        assert (out / "runs" / formula / "report.html").is_file()
        assert (out / "runs" / formula / "results.h5").is_file()
        assert len(load_run(out / "runs" / formula).records) == 5
    rows = list(csv.DictReader((out / "summary.csv").open()))
    assert {row["name"] for row in rows} == set(FORMULAS)
    assert json.loads((out / "summary.json").read_text())
    # The largest cells were relaxed first.
    first = {f: min(r.finished for r in load_run(out / "runs" / f).records) for f in FORMULAS}
    assert sorted(first, key=lambda formula: first[formula]) == ["Na3Cl2", "Na2Cl", "NaCl"]
    assert not list((out / "in_hand").iterdir())
    status = xtalseek("status", "out", "--json")
    assert status.returncode == 0, status.stderr
    again = xtalseek(*words("list.txt"))
    assert again.returncode == 0, again.stderr
    assert {f: min(r.finished for r in load_run(out / "runs" / f).records) for f in FORMULAS} == first


@pytest.mark.slow
def test_a_campaign_grows_by_compositions_by_candidates_and_by_rounds(xtalseek: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert xtalseek(*words(write_list(tmp_path, "NaCl"))).returncode == 0
    before = all_facts(out)
    grown = xtalseek(*words(write_list(tmp_path, "NaCl", "Na2Cl"), "--rounds", "3", "--follow-up", "7", num=6))
    assert grown.returncode == 0, grown.stderr
    assert list(read_campaign_folder(out).searches) == ["NaCl", "Na2Cl"]
    rounds = read_rounds(out, ("NaCl", "Na2Cl"))
    assert len(rounds) in (1, 2)
    asked = {name: 6 + sum(shares.get(name, 0) for shares in rounds) for name in ("NaCl", "Na2Cl")}
    found = all_facts(out)
    assert {name: len(records) for name, records in found.items()} == asked
    assert all([fact[1] for fact in records] == list(range(asked[name])) for name, records in found.items())
    assert found["NaCl"][:5] == before["NaCl"]


@pytest.mark.slow
def test_other_words_on_a_campaign_folder_are_refused_and_nothing_is_touched(xtalseek: Run, tmp_path: Path) -> None:
    assert xtalseek(*words(write_list(tmp_path, "NaCl"), num=1)).returncode == 0
    before = (tmp_path / "out" / "campaign.toml").read_bytes()
    refused = xtalseek(*words("list.txt", "--pressure-gpa", "0", "--max-steps", "70", num=1))
    assert refused.returncode == 2
    assert "belongs to another campaign" in refused.stderr and "max_steps" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert (tmp_path / "out" / "campaign.toml").read_bytes() == before
    misspelt = xtalseek(*words("list.txt", "--source", "randm", out="none"))
    assert misspelt.returncode == 2
    assert "did you mean 'random'?" in misspelt.stderr
    assert not (tmp_path / "none").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes").write_text("mine")
    assert "is not a campaign folder" in xtalseek(*words("list.txt", out="other")).stderr


def test_a_composition_that_cannot_be_searched_is_left_out_and_told(xtalseek: Run, tmp_path: Path) -> None:
    rows = ("formula,space_groups,min_distances,source_options", "NaCl,,,", "Na2Cl,225,Na-Na=9,", "Na3Cl,,,no_such=1")
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    finished = xtalseek(*words("list.csv", num=2))
    assert finished.returncode == 0, finished.stderr
    assert "Na2Cl is left out" in finished.stderr
    assert "Na3Cl is left out" in finished.stderr and "no_such" in finished.stderr
    assert len(load_run(tmp_path / "out" / "runs" / "NaCl").records) == 2
    told = {row["name"]: row["state"] for row in csv.DictReader((tmp_path / "out" / "summary.csv").open())}
    assert told == {"NaCl": "finished", "Na2Cl": "refused", "Na3Cl": "refused"}
    again = xtalseek("report", "out")
    assert again.returncode == 0, again.stderr
    rows_again = csv.DictReader((tmp_path / "out" / "summary.csv").open())
    assert {row["name"]: (row["state"], bool(row["reason"])) for row in rows_again} == {
        "NaCl": ("finished", False), "Na2Cl": ("refused", True), "Na3Cl": ("refused", True),
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("needs_mpirun")
def test_one_rank_and_three_and_one_that_only_proposes_find_the_same(xtalseek: Run, tmp_path: Path) -> None:
    file = write_list(tmp_path, *FORMULAS)
    assert xtalseek(*words(file, out="alone")).returncode == 0
    for out, more in (("three", ()), ("apart", ("--proposers", "1"))):
        finished = xtalseek(*words(file, *more, out=out), ranks=3)
        assert finished.returncode == 0, finished.stderr
        assert all_facts(tmp_path / out) == all_facts(tmp_path / "alone")
        assert len(list((tmp_path / out / "runs").glob("*/report.html"))) == 3
    ranks = {r.rank for run in (tmp_path / "apart" / "runs").iterdir() for r in load_run(run).records}
    assert ranks <= {0, 1}


@pytest.mark.slow
def test_a_campaign_that_learns_goes_on_with_weights_of_its_own(xtalseek: Run, tmp_path: Path) -> None:
    """From the checkpoint it was given, not from xtalseek's; and once: resumed, it is the same checkpoint."""
    torch.manual_seed(1)
    tiny = {"width": 48, "layers": 2, "heads": 4, "bins": 32, "dropout": 0.0}
    save_checkpoint(new_model("unimat-sparse", tiny), tmp_path / "own", {"hours": 1}, compositions={"KBr"})
    asked = words(
        write_list(tmp_path, "NaCl"), "--rounds", "2", "--follow-up", "4", "--learn",
        *("--source", "random,unimat", "--source-options", "unimat.checkpoint=own"), num=6,
    )  # fmt: skip
    finished = xtalseek(*asked)
    assert finished.returncode == 0, finished.stderr
    assert "learned from" in finished.stderr
    learned = tmp_path / "out" / "models" / "round-02"
    card = json.loads((learned / "model.json").read_text())["card"]
    assert card["parent"]["checkpoint"] == "own"
    assert training_compositions(learned) == {"KBr", "NaCl"}
    before, weights = (load_model(folder / "model.safetensors") for folder in (tmp_path / "own", learned))
    assert any(not torch.equal(before[name], weights[name]) for name in weights)
    second = load_run(tmp_path / "out" / "runs" / "NaCl-round2")
    assert second.config.source_options == {"unimat": {"checkpoint": "out/models/round-02"}}
    assert len(second.records) == 4 and {r.candidate.source for r in second.records} == {"random", "unimat"}
    finished_at = {r.name: r.finished for r in second.records}
    assert xtalseek(*asked).returncode == 0
    assert {r.name: r.finished for r in load_run(second.path).records} == finished_at


def test_zero_shot_asks_the_checkpoint_that_the_search_names(xtalseek: Run, tmp_path: Path) -> None:
    tiny = {"width": 48, "layers": 2, "heads": 4, "bins": 32, "dropout": 0.0}
    save_checkpoint(new_model("unimat-sparse", tiny), tmp_path / "own", {"hours": 1}, compositions={"Na3Cl2"})
    own = ("--zero-shot", "--source", "random,unimat", "--source-options", "unimat.checkpoint=own")
    finished = xtalseek(*words(write_list(tmp_path, "NaCl", "Na3Cl2"), *own, num=1))
    assert finished.returncode == 0, finished.stderr
    assert [run.name for run in (tmp_path / "out" / "runs").iterdir()] == ["NaCl"]


def test_zero_shot_leaves_out_what_the_model_was_trained_on(xtalseek: Run, tmp_path: Path) -> None:
    finished = xtalseek(*words(write_list(tmp_path, "MgO", "Na3Cl2"), "--zero-shot", num=1))
    assert finished.returncode == 0, finished.stderr
    assert [run.name for run in (tmp_path / "out" / "runs").iterdir()] == ["Na3Cl2"]
    refused = xtalseek(*words(write_list(tmp_path, "MgO"), "--zero-shot", num=1, out="none"))
    assert refused.returncode == 2
    assert "every composition" in refused.stderr
