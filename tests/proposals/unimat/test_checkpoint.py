"""Checkpoints: what was written comes back, and what is no checkpoint is told in one line and never run."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from xtalseek.errors import InputError, StorageError
from xtalseek.proposals.unimat.checkpoint import DEFAULT, VERSION, load_checkpoint, new_model, save_checkpoint
from xtalseek.proposals.unimat.model import UniMatModel

TINY = {"width": 32, "layers": 1, "heads": 2, "bins": 16}
CARD = {"data": [{"path": "train.csv", "rows": 3}], "hours": 0.5}
COMPOSITIONS = [{"Ti": 2, "O": 4}, {"Na": 1, "Cl": 1}]


@pytest.fixture
def model() -> UniMatModel:
    torch.manual_seed(0)
    return new_model("unimat-sparse", TINY).eval()


@pytest.fixture
def folder(model: UniMatModel, tmp_path: Path) -> Path:
    save_checkpoint(model, tmp_path / "ckpt", CARD)
    return tmp_path / "ckpt"


def positions(model: UniMatModel) -> list[list[float]]:
    drawn = model.sample(COMPOSITIONS, [0, 1], torch.Generator().manual_seed(1), {})
    return [atoms.positions.ravel().tolist() for atoms in drawn]


def assert_told(folder: Path, *words: str) -> None:
    with pytest.raises(InputError) as told:
        load_checkpoint(folder)
    assert "\n" not in str(told.value)
    for word in (str(folder), *words):
        assert word in str(told.value)


def test_a_checkpoint_is_the_model_and_its_card(model: UniMatModel, folder: Path) -> None:
    loaded, card = load_checkpoint(folder)
    assert card == CARD
    assert loaded.config == model.config
    assert not loaded.training
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert positions(loaded) == positions(model)
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]


def test_half_precision_halves_the_file_and_keeps_the_weights_close(model: UniMatModel, folder: Path) -> None:
    save_checkpoint(model, folder.parent / "half", CARD, half=True)
    loaded, _ = load_checkpoint(folder.parent / "half")
    for name, value in loaded.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, model.state_dict()[name], rtol=2**-8, atol=0)
    full, half = [(path / "model.safetensors").stat().st_size for path in (folder, folder.parent / "half")]
    assert half < 0.55 * full


def test_writing_again_replaces_the_whole(model: UniMatModel, folder: Path) -> None:
    other = new_model("unimat-sparse", TINY | {"width": 16})
    save_checkpoint(other, folder, {"hours": 1})
    loaded, card = load_checkpoint(folder)
    assert (loaded.config.width, card) == (16, {"hours": 1})


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_weights_that_are_cut_short(folder: Path, length: int) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:length])
    assert_told(folder, "model.safetensors is cut short", "copy it again")


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, (f"__import__('pathlib').Path({str(self.path)!r}).touch()",)


def test_a_pickle_is_refused_and_not_run(folder: Path, tmp_path: Path) -> None:
    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    pickle.loads(trap)
    assert (tmp_path / "sprung").exists()  # the trap works
    (tmp_path / "sprung").unlink()
    (folder / "model.safetensors").write_bytes(trap)
    assert_told(folder, "is not safetensors")
    torch.save({"weights": Trap(tmp_path / "sprung")}, folder / "model.safetensors")
    assert_told(folder, "is not safetensors")
    (folder / "model.json").write_bytes(trap)
    assert_told(folder, "model.json is not JSON")
    assert not (tmp_path / "sprung").exists()


def test_no_checkpoint_at_all(folder: Path) -> None:
    (folder / "model.json").unlink()
    assert_told(folder, "model.json cannot be read", "xtalseek train --out")
    assert_told(folder / "nowhere", "is not a checkpoint")
    assert_told(folder / "model.safetensors", "is not a checkpoint")


def test_a_checkpoint_without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert_told(folder, "model.safetensors cannot be read")


@pytest.mark.parametrize("page", ["[1, 2]", '"text"', '{"architectures": ["BertModel"]}', '{"version": 1}'])
def test_another_programs_json(folder: Path, page: str) -> None:
    (folder / "model.json").write_text(page)
    assert_told(folder, "was not written by `xtalseek train`")


@pytest.mark.parametrize("version", [VERSION + 1, 0, "2.0"])
def test_another_version_says_what_to_do(folder: Path, version: object) -> None:
    page = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(page | {"version": version}))
    assert_told(folder, f"has version {version}, this xtalseek reads version {VERSION}", "train it again, or install")


def test_weights_of_another_width(model: UniMatModel, folder: Path) -> None:
    page = json.loads((folder / "model.json").read_text())
    page["config"]["width"] = 64
    (folder / "model.json").write_text(json.dumps(page))
    assert_told(folder, "the weights are not those of unimat-sparse with these settings", "must come from one training")


@pytest.mark.parametrize("change", ["fewer", "more", "foreign"])
def test_weights_of_another_model(folder: Path, change: str) -> None:
    weights = load_file(folder / "model.safetensors")
    if change == "fewer":
        del weights["cell_head.bias"]
    elif change == "more":
        weights["extra"] = torch.zeros(1)
    else:
        weights = {"bert.embeddings": torch.zeros(3, 3)}
    save_file(weights, folder / "model.safetensors")
    assert_told(folder, "the weights are not those of")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": "unimat-spars"}, "unknown model 'unimat-spars'.*did you mean 'unimat-sparse'"),
        ({"config": {"widht": 8}}, "unknown setting of unimat-sparse 'widht'.*did you mean 'width'"),
        ({"config": {"width": 30, "heads": 8}}, "width: 30 is not a multiple of heads"),
        ({"config": {"width": "wide"}}, "unimat-sparse"),
        ({"config": [1]}, "was not written by `xtalseek train`"),
        ({"model": ["unimat-sparse"]}, "was not written by `xtalseek train`"),
    ],
)
def test_settings_that_no_model_has(folder: Path, change: dict[str, object], told: str) -> None:
    page = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(page | change))
    with pytest.raises(InputError, match=told):
        load_checkpoint(folder)


def test_a_folder_that_cannot_be_written(model: UniMatModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        save_checkpoint(model, tmp_path / "file", CARD)


def test_the_package_carries_a_checkpoint_of_at_most_16_mb() -> None:
    model, card = load_checkpoint(DEFAULT)
    assert sum(path.stat().st_size for path in DEFAULT.iterdir()) <= 16e6
    assert model.name == "unimat-sparse"
    assert card
    assert all(value.isfinite().all() for value in model.state_dict().values())
