"""Files written whole or not at all, and what a kill leaves of them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from xtalseek.files import remove_leftovers, write_atomic


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomic(tmp_path / "table.csv", "old")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomic(tmp_path / "table.csv", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    assert (tmp_path / "table.csv").read_text() == "old"


def test_what_killed_writes_left_long_ago_is_removed_and_nothing_else(tmp_path: Path) -> None:
    names = (".report.html.a1b2c3d4", ".report.html.a1b2c3d5", ".hidden", "report.html", ".notes.longer_than_that")
    for name in names:
        (tmp_path / name).write_text("x")
    yesterday = time.time() - 86400
    for name in names[:1] + names[2:]:
        os.utime(tmp_path / name, (yesterday, yesterday))
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])
