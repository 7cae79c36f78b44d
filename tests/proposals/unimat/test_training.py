"""Training: what is done once is done the same again, whole, in pieces, or on two processes."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from crystals import known_crystals
from running import environment

from xtalseek.errors import InputError
from xtalseek.proposals.unimat import training
from xtalseek.proposals.unimat.checkpoint import load_checkpoint
from xtalseek.proposals.unimat.fit import Material, fit
from xtalseek.proposals.unimat.model import Arrays
from xtalseek.proposals.unimat.sparse import SparseConfig, SparseModel
from xtalseek.proposals.unimat.training import Progress, TrainSettings, batches_of_pass, rate, train

TINY: dict[str, Any] = {"width": 16, "layers": 1, "heads": 2, "bins": 16, "dropout": 0.1}
SETTINGS = TrainSettings(passes=3, batch=6, learning_rate=1e-3, warmup=3, seed=4)
STRUCTURES = list(known_crystals().values())


@pytest.fixture(autouse=True)
def every_step_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "LOG_SECONDS", -1.0)


def tiny(**settings: Any) -> SparseModel:
    torch.manual_seed(0)
    return SparseModel(SparseConfig(**{**TINY, **settings}))


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    return tiny().prepare(STRUCTURES, [0.0] * len(STRUCTURES))[0]


def rows(folder: Path, without: tuple[str, ...] = ("seconds",)) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as stream:
        return [{name: value for name, value in row.items() if name not in without} for row in csv.DictReader(stream)]


def assert_equal(first: torch.nn.Module, second: torch.nn.Module) -> None:
    for (name, one), other in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


@pytest.fixture
def whole(arrays: Arrays, tmp_path: Path) -> tuple[SparseModel, Path]:
    """A training that nothing stopped, with its log."""
    model = tiny()
    progress = train(model, arrays, SETTINGS, tmp_path / "whole", held_out=arrays)
    assert (progress.step, progress.passes) == (progress.steps, 3)
    return model, tmp_path / "whole"


def test_stopped_after_every_step_it_is_the_same_training(
    whole: tuple[SparseModel, Path], arrays: Arrays, tmp_path: Path
) -> None:
    for stops in range(1, 100):
        model = tiny()
        torch.manual_seed(stops)  # global numbers must not matter
        progress = train(model, arrays, SETTINGS, tmp_path / "pieces", held_out=arrays, max_seconds=0.0)
        assert progress.step == stops
        if progress.step == progress.steps:
            break
    assert_equal(model, whole[0])
    assert rows(tmp_path / "pieces") == rows(whole[1])


class KilledError(Exception):
    """Stands for the signal."""


@pytest.mark.parametrize("step", [5, 8])
def test_killed_and_resumed_it_is_the_same_training(
    whole: tuple[SparseModel, Path], arrays: Arrays, tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was logged after the last state is forgotten and done again."""
    monkeypatch.setattr(training, "SAVE_SECONDS", -1.0)

    def save(progress: Progress) -> None:
        if progress.step >= step - 2:
            monkeypatch.setattr(training, "SAVE_SECONDS", math.inf)  # the last two steps are lost

    def after_pass(progress: Progress, figures: Any) -> dict[str, float]:
        if progress.step >= step:
            raise KilledError
        return {}

    with pytest.raises(KilledError):
        train(tiny(), arrays, SETTINGS, tmp_path / "killed", held_out=arrays, save=save, after_pass=after_pass)
    assert 0 < int(rows(tmp_path / "killed")[-1]["step"]) < 12
    model = tiny()
    train(model, arrays, SETTINGS, tmp_path / "killed", held_out=arrays)
    assert_equal(model, whole[0])
    assert rows(tmp_path / "killed") == rows(whole[1])


def test_the_log_says_how_it_went(whole: tuple[SparseModel, Path], arrays: Arrays) -> None:
    logged = rows(whole[1], without=())
    assert [int(row["step"]) for row in logged] == list(range(1, 13))
    seconds = [float(row["seconds"]) for row in logged]
    assert seconds == sorted(seconds)
    for row in logged:
        assert float(row["learning_rate"]) == pytest.approx(rate(int(row["step"]), 12, SETTINGS), rel=1e-4)
        assert float(row["loss"]) > 0
    assert [bool(row["val_loss"]) for row in logged] == [False, False, False, True] * 3
    assert float(logged[-1]["val_loss"]) < float(logged[3]["val_loss"])


def test_a_finished_training_has_nothing_left_to_do(whole: tuple[SparseModel, Path], arrays: Arrays) -> None:
    model = tiny()
    progress = train(model, arrays, SETTINGS, whole[1], held_out=arrays)
    assert progress.step == progress.steps
    assert not model.training
    assert_equal(model, whole[0])


@pytest.mark.parametrize(
    ("settings", "config", "told"),
    [
        ({"passes": 4}, {}, "passes"),
        ({"seed": 5}, {}, "seed"),
        ({}, {"jitter": 0.1}, "jitter"),
    ],
)
def test_another_training_in_the_same_folder_is_refused(
    arrays: Arrays, tmp_path: Path, settings: dict[str, Any], config: dict[str, Any], told: str
) -> None:
    train(tiny(), arrays, SETTINGS, tmp_path, max_seconds=0.0)
    before = (tmp_path / "state.pt").read_bytes()
    other = TrainSettings(**{**vars(SETTINGS), **settings})
    with pytest.raises(InputError, match=told) as error:
        train(tiny(**config), arrays, other, tmp_path)
    assert "or another --out" in str(error.value)
    assert "\n" not in str(error.value)
    assert (tmp_path / "state.pt").read_bytes() == before


def test_fewer_structures_are_another_training(arrays: Arrays, tmp_path: Path) -> None:
    train(tiny(), arrays, SETTINGS, tmp_path, max_seconds=0.0)
    with pytest.raises(InputError, match=r"data 21 structures, .* asked for is 20 structures"):
        train(tiny(), {name: value[1:] for name, value in arrays.items()}, SETTINGS, tmp_path)


def test_a_state_that_is_none_is_told(arrays: Arrays, tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"no state")
    with pytest.raises(InputError, match="is not a training state") as error:
        train(tiny(), arrays, SETTINGS, tmp_path)
    assert "\n" not in str(error.value)


def test_part_of_a_pass_is_a_training_too(arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "LOG_SECONDS", math.inf)
    settings = TrainSettings(**{**vars(SETTINGS), "passes": 1.5})
    saved: list[Progress] = []
    progress = train(tiny(), arrays, settings, tmp_path, save=saved.append)
    assert (progress.step, progress.steps) == (6, 6)
    assert saved[-1].step == 6
    assert rows(tmp_path)[-1]["step"] == "6"


def test_learning_rate_rises_then_falls_to_nothing() -> None:
    settings = TrainSettings(learning_rate=2.0, warmup=10)
    rates = [rate(step, 110, settings) for step in range(111)]
    np.testing.assert_allclose(rates[:10], np.linspace(0.2, 2.0, 10))
    assert rates[10] == 2.0
    assert rates[60] == pytest.approx(1.0)
    assert rates[110] == 0
    assert (np.diff(rates[10:]) < 0).all()


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_a_pass_is_every_structure_once(size: int) -> None:
    sizes = np.random.default_rng(size).integers(1, 20, size)
    plan = batches_of_pass(sizes, 8, 3, 0)
    assert sorted(np.concatenate(plan).tolist()) == list(range(size))
    assert all(len(batch) <= 8 for batch in plan)
    assert len(plan) == len(batches_of_pass(sizes, 8, 3, 1))


def test_batches_hold_structures_of_like_size_in_another_order_each_pass() -> None:
    sizes = np.random.default_rng(0).integers(1, 50, 320)
    first, again, second = (batches_of_pass(sizes, 8, 3, number) for number in (0, 0, 1))
    assert np.mean([np.ptp(sizes[batch]) for batch in first]) < 4
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert {tuple(batch) for batch in first} != {tuple(batch) for batch in second}


@pytest.mark.parametrize("name", ["passes", "batch", "learning_rate", "clip"])
def test_settings_that_cannot_be_used(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: 0 is not above zero"):
        TrainSettings(**{name: 0})


def material(count: int = len(STRUCTURES)) -> Material:
    return Material(STRUCTURES[:count], np.full(count, np.nan), [{"path": "known", "rows": count}])


def test_fit_keeps_the_best_checkpoint_and_says_where_it_comes_from(tmp_path: Path) -> None:
    fitted = fit("unimat-sparse", TINY, material(), SETTINGS, tmp_path, held_out=material(5), match_rate=lambda _: 0.25)
    latest, card = load_checkpoint(tmp_path)
    _, best = load_checkpoint(tmp_path / "best")
    assert_equal(latest, fitted.model)
    assert card["data"] == [{"path": "known", "rows": 21}]
    assert (card["structures"], card["steps"], card["settings"]["seed"]) == (21, 12, 4)
    logged = [row for row in rows(tmp_path / "training") if row["val_loss"]]
    assert best["steps"] == int(min(logged, key=lambda row: float(row["val_loss"]))["step"])
    assert logged[-1]["val_match_rate"] == "0.25"


def test_fit_names_what_it_leaves_out_also_from_its_cache(tmp_path: Path) -> None:
    heavy = STRUCTURES[0].copy()
    heavy.numbers[:] = 95
    data = Material([heavy, *STRUCTURES], np.full(22, np.nan), "known")
    first = fit("unimat-sparse", TINY, data, SETTINGS, tmp_path, max_seconds=0.0)
    second = fit("unimat-sparse", TINY, data, SETTINGS, tmp_path, max_seconds=0.0)
    assert first.refused == second.refused == [(0, "an element beyond 94")]
    assert len(list((tmp_path / "training").glob("arrays-*.npz"))) == 1
    with pytest.raises(InputError, match="none of 1 structures can be trained on"):
        fit("unimat-sparse", TINY, Material([heavy], np.zeros(1), ""), SETTINGS, tmp_path / "other")


class Line(torch.nn.Module):
    """The least that training knows of a model: a plane through points, without anything random."""

    config = SparseConfig()

    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.zeros(4))

    def sizes(self, arrays: Arrays) -> np.ndarray:
        return np.ones(len(arrays["y"]), dtype=int)

    def collate(self, arrays: Arrays, rows: np.ndarray, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(value[rows]) for name, value in arrays.items()}

    def loss(self, batch: dict[str, torch.Tensor], generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {"loss": (((batch["x"] * self.slope).sum(1) - batch["y"]) ** 2).mean()}


def fit_line(folder: Path) -> list[float]:
    """The slopes after a training on 32 points, in batches of 8."""
    model: Any = Line()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 4)).astype(np.float32)
    y = (x @ [1, -2, 3, 0.5] + rng.normal(size=32)).astype(np.float32)
    train(model, {"x": x, "y": y}, TrainSettings(passes=5, batch=8, learning_rate=0.1, warmup=2), folder)
    return list(model.slope.tolist())


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    """Each takes half of every batch, and both end with the weights that one process ends with."""
    script = tmp_path / "script.py"
    here = Path(__file__).parent
    script.write_text(
        f"import json, os, sys\nfrom pathlib import Path\nsys.path.insert(0, {str(here)!r})\n"
        "from test_training import fit_line\n"
        f"slopes = fit_line(Path({str(tmp_path)!r}) / 'two')\n"
        f"Path({str(tmp_path)!r}, 'rank' + os.environ['RANK']).write_text(json.dumps(slopes))\n"
    )
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script)]
    done = subprocess.run(launcher, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    ranks = [json.loads((tmp_path / f"rank{rank}").read_text()) for rank in range(2)]
    assert ranks[0] == ranks[1]
    np.testing.assert_allclose(ranks[0], fit_line(tmp_path / "one"), rtol=1e-4)
    assert len(rows(tmp_path / "two")) > 0
