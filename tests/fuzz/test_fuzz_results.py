"""Damaged results.h5 and kept references are told, or passed over; never another error."""

from __future__ import annotations

import json
import random
from pathlib import Path

from mutations import mutated
from small_runs import CONFIG, good, record

from xtalseek import references
from xtalseek.errors import InputError
from xtalseek.records_json import record_to_json
from xtalseek.search.results import read_results, write_results
from xtalseek.search.store import load_run


def examples(folder: Path) -> list[bytes]:
    """A results file, and the same without what its checksum is in, as earlier versions wrote it."""
    (folder / "journal").mkdir(exist_ok=True)
    (folder / "config.toml").write_text(CONFIG)
    data = good(folder, [record(n) for n in range(3)])
    (folder / "journal" / "0000-rank0000.jsonl").write_bytes(data)
    whole = write_results(load_run(folder)).read_bytes()
    return [whole, whole[whole.index(b"\x89HDF") :]]


def read(data: bytes, folder: Path) -> int | None:
    """How many records a results file of these bytes has; None: one line told what is wrong."""
    (folder / "damaged.h5").write_bytes(data)
    try:
        return len(read_results(folder / "damaged.h5"))
    except InputError as error:
        assert "\n" not in str(error)
        return None


def test_any_damage_is_told_where_there_is_a_checksum(tmp_path: Path) -> None:
    whole = examples(tmp_path)[0]
    assert read(whole, tmp_path) == 3
    rng = random.Random(1)
    for _ in range(100):
        at = rng.randrange(len(whole))
        damaged = whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :]
        assert read(damaged, tmp_path) is None


def test_files_without_a_checksum_are_read_or_told(tmp_path: Path) -> None:
    bare = examples(tmp_path)[1]
    for seed in range(150):
        read(mutated(bare, seed), tmp_path)


def test_a_kept_reference_that_is_damaged_counts_for_nothing(tmp_path: Path) -> None:
    data = json.dumps(record_to_json(record(0))).encode()
    for seed in range(300):
        (tmp_path / "kept.json").write_bytes(mutated(data, seed, (b"NaN", b"[[[")))
        found = references._load(tmp_path / "kept.json")
        assert found is None or found.name
    (tmp_path / "kept.json").write_bytes(b"[" * 200_000)
    assert references._load(tmp_path / "kept.json") is None
