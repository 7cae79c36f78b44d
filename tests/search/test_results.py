from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.build import bulk
from running import environment

from xtalseek.errors import InputError
from xtalseek.records import Candidate, Record, Relaxation, Status
from xtalseek.records_json import record_to_json
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


def test_blocks_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xtalseek.search.results._BLOCK", 2)
    path = write_results(Run(tmp_path, resolve({"formula": "Cu"}), RECORDS * 3))
    assert [record_to_json(r) for r in read_results(path)] == [record_to_json(r) for r in RECORDS * 3]


@pytest.mark.parametrize("room", [1, 600, 3000, 20_000, 60_000])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, room: int) -> None:
    """In a process of its own: HDF5 may not mend what a full disk did to it, and must not take the process along."""
    code = f"""
import resource
from pathlib import Path
from test_results import RECORDS, Run, resolve, write_results
from xtalseek.errors import StorageError
run = Run(Path({str(tmp_path)!r}), resolve({{"formula": "Cu"}}), RECORDS * 100)
path = write_results(run)
before = path.read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, -1))
try:
    write_results(run)
except StorageError as error:
    assert "the journal is safe" in str(error) and "File too large" in str(error), error
else:
    raise AssertionError
assert [p.name for p in path.parent.iterdir()] == ["results.h5"]
resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
assert path.read_bytes() == before
write_results(run)
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def unsealed(path: Path) -> Path:
    """The same as versions wrote it that knew no checksum."""
    old = path.with_name("old.h5")
    with h5py.File(path) as source, h5py.File(old, "w") as copy:
        copy.attrs.update(source.attrs)
        for name in source:
            source.copy(name, copy)
    return old


def test_a_file_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    whole = unsealed(write_results(Run(tmp_path, resolve({"formula": "Cu"}), RECORDS))).read_bytes()
    path = tmp_path / "tricky.h5"
    for trick in ("link", "raw", "vast", "soft"):
        path.write_bytes(whole)
        with h5py.File(path, "r+") as file:
            del file["energy"]
            if trick == "link":
                file["energy"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/energy")
            elif trick == "raw":
                file.create_dataset("energy", (3,), float, external=[(str(tmp_path / "secret"), 0, 24)])
            elif trick == "vast":
                file.create_dataset("energy", (10**15,), float)
            else:
                file["energy"] = h5py.SoftLink("/finished")
        with pytest.raises(InputError, match="cannot be read as a results file: energy is"):
            read_results(path)


def test_damage_is_told_before_hdf5_sees_it(tmp_path: Path) -> None:
    """A damaged file can crash the HDF5 library: it did in the first version of this test."""
    path = write_results(Run(tmp_path, resolve({"formula": "Cu"}), RECORDS))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    places = [*range(60), 511, 512, len(whole) - 1, *rng.integers(len(whole), size=100)]
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with pytest.raises(InputError, match="cannot be read as a results file: damaged"):
            read_results(path)


def test_a_file_of_an_earlier_version_without_checksum_is_read(tmp_path: Path) -> None:
    path = write_results(Run(tmp_path, resolve({"formula": "Cu"}), RECORDS))
    old = unsealed(path)
    assert old.read_bytes().startswith(b"\x89HDF")
    assert [record_to_json(r) for r in read_results(old)] == [record_to_json(r) for r in RECORDS]
