"""A damaged checkpoint is told in one line before memory is taken for what it claims to hold."""

from __future__ import annotations

import json
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from mutations import mutated

from xtalseek.errors import InputError
from xtalseek.proposals.unimat.checkpoint import load_checkpoint, new_model, save_checkpoint

TINY = {"width": 16, "layers": 1, "heads": 2, "bins": 8}
_HEADER = 8
"""Bytes of a safetensors file that say how long its header is."""


def examples(folder: Path) -> list[bytes]:
    """The page of a checkpoint, and its weights, marked by their first byte."""
    save_checkpoint(new_model("unimat-sparse", TINY), folder, {"note": "x"})
    weights = (folder / "model.safetensors").read_bytes()
    return [(folder / "model.json").read_bytes(), b"W" + weights[: 20_000 + _HEADER]]


def read(data: bytes, folder: Path) -> None:
    """The checkpoint of `examples` with one of its files replaced."""
    name = "model.safetensors" if data.startswith(b"W") else "model.json"
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(data.removeprefix(b"W"))
    try:
        load_checkpoint(folder)
    except InputError as error:
        assert "\n" not in str(error)
    finally:
        (folder / name).write_bytes(whole)


def test_damaged_files_are_told_in_one_line(tmp_path: Path) -> None:
    files = examples(tmp_path)
    load_checkpoint(tmp_path)
    for seed in range(24):
        read(mutated(files[seed % 2], seed, (b'"dtype"', b'"F64"', b"4294967296")), tmp_path)


LIES: list[tuple[str, Any]] = [
    *((name, value) for name in ("width", "layers", "bins") for value in (10**9, 2.5, "9", None, True, [1], -1)),
    *(("layers", n) for n in (0, 16)),
    *(("width", n) for n in (4096, 15)),
    *(("heads", n) for n in (0, 10**30)),
    ("dropout", 2.0),
    ("dropout", float("nan")),
    ("dropout", "x"),
    ("dropout", []),
]


@pytest.mark.parametrize(("name", "value"), LIES)
def test_settings_that_lie_cost_no_memory(tmp_path: Path, name: str, value: Any) -> None:
    """Python's own memory; a network of the settings would be made of torch's, so its size is asked for below."""
    examples(tmp_path)
    page = json.loads((tmp_path / "model.json").read_text())
    page["config"][name] = value
    (tmp_path / "model.json").write_text(json.dumps(page))
    tracemalloc.start()
    with pytest.raises(InputError) as told:
        load_checkpoint(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 300e6
    tracemalloc.stop()
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**63, 2**64 - 1])
def test_a_header_that_lies_is_told(tmp_path: Path, length: int) -> None:
    examples(tmp_path)
    weights = (tmp_path / "model.safetensors").read_bytes()
    read(b"W" + struct.pack("<Q", length) + weights[_HEADER:], tmp_path)


def test_only_the_data_types_of_safetensors_are_read(tmp_path: Path) -> None:
    """A shape of another size than its bytes, and offsets beyond the file."""
    examples(tmp_path)
    for shape, offsets in (([10**9, 10**9], [0, 4]), ([1], [0, 10**15]), ([-1], [0, 4]), ([1], [4, 0])):
        header = json.dumps({"start": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode()
        read(b"W" + struct.pack("<Q", len(header)) + header + b"\0" * 4, tmp_path)
