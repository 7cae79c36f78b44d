from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.build import bulk

from xtalseek.errors import InputError
from xtalseek.records import Candidate, Record, Relaxation, Status, record_to_json
from xtalseek.search.config import resolve
from xtalseek.search.results import read_results, write_results
from xtalseek.search.store import Run

RECORDS = (
    Record(
        Candidate("Cu", "random", 0, bulk("Cu"), 0.25, "", {"formula_units": 1}),
        Relaxation(bulk("Cu", cubic=True), Status.CONVERGED, "", -3.25, 5.0, 0.01, 0.02, 7, 8, 1.5),
        finished=12.0,
        rank=2,
    ),
    Record(Candidate("Cu", "random", 1, None, note="none found"), Relaxation(None, Status.ERROR, "none found")),
    Record(Candidate("Cu", "random", 2, bulk("Cu")), Relaxation(bulk("Cu"), Status.NAN, "Å", None, steps=1)),
)


@pytest.mark.parametrize("records", [RECORDS, RECORDS[1:2], ()])
def test_what_is_written_reads_back(tmp_path: Path, records: tuple[Record, ...]) -> None:
    path = write_results(Run(tmp_path, resolve({"formula": "Cu"}), records))
    assert [record_to_json(r) for r in read_results(path)] == [record_to_json(r) for r in records]


def test_any_hdf5_reader_finds_energies_and_structures(tmp_path: Path) -> None:
    path = write_results(Run(tmp_path, resolve({"formula": "Cu"}), RECORDS))
    with h5py.File(path) as file:
        assert file["name"].asstr()[0] == "Cu-random-000000"
        np.testing.assert_array_equal(file["energy"][:], [-3.25, np.nan, np.nan])
        assert list(file["relaxation/offset"][:]) == [0, 4, 4, 5]
        assert file["relaxation/positions"].shape == (5, 3)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_results(tmp_path / "absent.h5")
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(InputError, match="cannot be read"):
        read_results(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="not a results file"):
        read_results(tmp_path / "other.h5")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = write_results(Run(tmp_path, resolve({"formula": "Cu"}), RECORDS))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match="cannot be read"):
        read_results(path)
