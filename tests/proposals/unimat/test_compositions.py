"""The list of what a checkpoint was trained on: written by a training, shipped with the package, safe to read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase.build import bulk
from crystals import known_crystals

from xtalseek.datasets import read_dataset
from xtalseek.errors import InputError
from xtalseek.formula import parse_formula, reduced_formula
from xtalseek.proposals.unimat import compositions
from xtalseek.proposals.unimat.checkpoint import DEFAULT, new_model, save_checkpoint, training_compositions
from xtalseek.proposals.unimat.compositions import FILE, compositions_of, pack_compositions
from xtalseek.proposals.unimat.fit import Material, fit
from xtalseek.proposals.unimat.training import TrainSettings

TINY: dict[str, Any] = {"width": 16, "layers": 1, "heads": 2, "bins": 16}
TRAINING_DATA = Path(__file__).parents[4] / "shared" / "data" / "mp" / "train.csv.gz"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_checkpoint(new_model("unimat-sparse", TINY), tmp_path / "ckpt", {}, compositions={"TiO2", "NaCl"})
    return tmp_path / "ckpt"


def test_names_are_reduced_and_written_as_chemists_write_them() -> None:
    perovskite, rutile = known_crystals()["perovskite"], known_crystals()["rutile"]
    turned = perovskite[::-1].repeat((1, 2, 1))
    assert compositions_of([rutile, perovskite, turned, bulk("Cu").repeat(3)]) == {"TiO2", "SrTiO3", "Cu"}
    assert compositions_of([]) == frozenset()


def test_a_checkpoint_brings_its_list_back_and_the_same_list_is_the_same_file(folder: Path) -> None:
    assert training_compositions(folder) == training_compositions(str(folder)) == {"TiO2", "NaCl"}
    assert gzip.decompress((folder / FILE).read_bytes()) == b"NaCl\nTiO2\n"
    assert pack_compositions(["TiO2", "NaCl"]) == pack_compositions({"NaCl", "TiO2"}) == (folder / FILE).read_bytes()


def test_an_older_checkpoint_has_no_list_and_none_is_left_over_from_another(folder: Path) -> None:
    save_checkpoint(new_model("unimat-sparse", TINY), folder, {})
    assert training_compositions(folder) is None
    assert not (folder / FILE).exists()
    with pytest.raises(InputError, match="is not a checkpoint"):
        training_compositions(folder / "nowhere")


def test_a_training_lists_what_it_took_and_nothing_else(tmp_path: Path) -> None:
    heavy = known_crystals()["copper"]
    heavy.numbers[:] = 95
    structures = [heavy, *known_crystals().values()]
    data = Material(structures, np.full(len(structures), np.nan), "known")
    held_out = Material(structures[-3:], np.full(3, np.nan), "known")
    for part in (0.0, float("inf")):  # begun, and gone on with from the arrays that it kept
        settings = TrainSettings(passes=1, batch=6)
        fitted = fit("unimat-sparse", TINY, data, settings, tmp_path, held_out=held_out, max_seconds=part)
        assert fitted.refused == [(0, "an element beyond 94")]
        expected = compositions_of(structures[1:])
        assert len(expected) == 21
        assert training_compositions(tmp_path) == expected
    assert training_compositions(tmp_path / "best") == expected


def test_the_shipped_list() -> None:
    """Reduced, each composition once, only what the model can take; the sizes are those of the model card."""
    names = training_compositions()
    assert names is not None
    assert len(names) == 16_105
    counts = [parse_formula(name) for name in names]
    assert len({frozenset(c.items()) for c in counts}) == len(names)
    assert all(reduced_formula(c)[1] == 1 and sum(c.values()) <= 52 for c in counts)
    assert {"NaCl", "TiO2"} & names
    assert training_compositions("") == names
    assert (DEFAULT / FILE).stat().st_size < 60_000


@pytest.mark.skipif(not TRAINING_DATA.exists(), reason="the training data are not here")
def test_the_shipped_list_is_what_the_data_hold() -> None:
    """All within the data, and none that could not be trained on missing: small cells, which the model always takes.

    Which of the larger cells were left out takes minutes of symmetry analysis to tell.
    """
    data = read_dataset([TRAINING_DATA])
    card = json.loads((DEFAULT / "model.json").read_text())["card"]
    assert card["data"][0]["sha256"] == data.files[0].sha256
    names = training_compositions()
    assert names is not None
    assert names <= compositions_of(data.structures)
    small = [atoms for atoms in data.structures if len(atoms) <= 20]
    missing = compositions_of(small) - names
    assert len(missing) < 0.001 * len(small), sorted(missing)[:20]
    held_out = read_dataset([TRAINING_DATA.with_name("val.csv.gz")])
    assert not names & compositions_of(held_out.structures)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"TiO2\n", "damaged or not gzip"),
        (b"", "damaged or not gzip"),
        (gzip.compress(b"TiO2\n" * 1000)[:-9], "damaged or not gzip"),
        (gzip.compress(b"TiO2\nTi\xff\n"), "damaged or not gzip"),
        (gzip.compress(b"TiO2\n../../etc\n"), "line 2: formula '../../etc' is not a formula"),
        (gzip.compress(b"TiO2\nXx2\n"), "line 2: .*Xx"),
        (gzip.compress(b"O" + b"2" * 5000), "line 1: .* too long for a formula"),
        (gzip.compress(b"TiO2\n\nNaCl\n"), "line 2"),
    ],
)
def test_a_damaged_list_is_told_in_one_line(folder: Path, content: bytes, told: str) -> None:
    (folder / FILE).write_bytes(content)
    with pytest.raises(InputError, match=told) as error:
        training_compositions(folder)
    assert "\n" not in str(error.value)
    assert str(folder / FILE) in str(error.value)


def test_a_small_file_does_not_unpack_to_fill_the_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compositions, "MOST_BYTES", 1000)
    (folder / FILE).write_bytes(gzip.compress(b"TiO2\n" * 1_000_000))
    with pytest.raises(InputError, match="unpacks to more than 1000 bytes"):
        training_compositions(folder)


def test_a_list_that_is_a_folder(folder: Path) -> None:
    (folder / FILE).unlink()
    (folder / FILE).mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        training_compositions(folder)
