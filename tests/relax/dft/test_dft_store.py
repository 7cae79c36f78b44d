"""Stored DFT results: what counts as finished."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from xtalseek.errors import StorageError
from xtalseek.records import Relaxation, Status
from xtalseek.relax.dft.store import MINIMUM, REFERENCE, Finished, Task, load, save

TASK = Task("Si-random-000003", MINIMUM, bulk("Si", a=5.4), {"level": "quick", "cutoff": 450.0}, -5.3, "Fd-3m")
RESULT = Relaxation(bulk("Si", a=5.47), Status.CONVERGED, energy=-10.8, max_force=0.0, steps=2, seconds=1.5)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    save(tmp_path, Finished(TASK, RESULT))
    found, why = load(tmp_path, TASK)
    assert found is not None and found.relaxation.atoms is not None and RESULT.atoms is not None
    assert why == ""
    assert (found.relaxation.atoms.positions == RESULT.atoms.positions).all()
    assert vars(found.relaxation) | {"atoms": None} == vars(RESULT) | {"atoms": None}
    assert json.loads((tmp_path / "Si-random-000003.json").read_text())["enthalpy_per_atom"] == -5.4


def test_a_failure_without_a_structure_is_stored_too(tmp_path: Path) -> None:
    save(tmp_path, Finished(TASK, Relaxation(None, Status.SCF, "did not settle")))
    found, _ = load(tmp_path, TASK)
    assert found is not None
    assert found.relaxation.status is Status.SCF


def test_other_settings_or_another_start_do_not_count(tmp_path: Path) -> None:
    assert load(tmp_path, TASK) == (None, "")
    save(tmp_path, Finished(TASK, RESULT))
    finer = replace(TASK, settings={**TASK.settings, "cutoff": 500.0})
    assert load(tmp_path, finer) == (None, "it was made with other settings")
    moved = TASK.start.copy()
    moved.positions += np.array([0.001, 0, 0])
    assert load(tmp_path, replace(TASK, start=moved)) == (None, "it was made from another structure")


def test_a_damaged_file_is_done_again(tmp_path: Path) -> None:
    save(tmp_path, Finished(TASK, RESULT))
    file = tmp_path / TASK.file
    file.write_text(file.read_text()[:100])
    assert load(tmp_path, TASK) == (None, "its file cannot be read")


def test_a_minimum_and_a_reference_of_one_name_have_files_of_their_own() -> None:
    assert TASK.file != replace(TASK, role=REFERENCE).file


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="give the same command again"):
        save(tmp_path / "file", Finished(TASK, RESULT))
