"""Data sets: what is read is what was written, what is bad is named and left out, and the cache only saves time."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from ase.spacegroup import crystal
from running import toy_search

from xtalseek import dataset_csv
from xtalseek.cli import main
from xtalseek.datasets import read_dataset
from xtalseek.errors import InputError
from xtalseek.formats import Frame, cif_text
from xtalseek.records import Status
from xtalseek.search.store import load_run


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "xtalseek" / "datasets"


def salt(a: float = 5.64) -> Atoms:
    return bulk("NaCl", "rocksalt", a=a)


def cif(atoms: Atoms) -> str:
    return cif_text(Frame("x", atoms))


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


GOOD = {"material_id": "mp-1", "cif": cif(salt()), "formation_energy_per_atom": "-2.1"}
PARTLY = {**GOOD, "material_id": "mp-partly", "cif": cif(salt()).replace(" 1.0\nCl", " 0.5\nCl")}
FLAT = {**GOOD, "material_id": "mp-flat", "cif": cif(salt()).replace("angle_alpha 60.", "angle_alpha 120.")}
FLAT["cif"] = FLAT["cif"].replace("angle_beta 60.", "angle_beta 120.").replace("angle_gamma 60.", "angle_gamma 120.")
NAN = {**GOOD, "material_id": "mp-nan", "cif": cif(salt()).replace("Na1 Na 0.000000000000", "Na1 Na nan")}
TORN = {**GOOD, "material_id": "mp-torn", "cif": cif(salt())[:200]}
EMPTY = {**GOOD, "material_id": "mp-empty", "cif": ""}


def test_a_row_is_read_as_it_was_written(tmp_path: Path) -> None:
    quartz = crystal(
        ["Si", "O"], [(0.47, 0, 2 / 3), (0.41, 0.27, 0.79)], spacegroup=154, cellpar=[4.91, 4.91, 5.4, 90, 90, 120]
    )
    file = write_csv(
        tmp_path / "a.csv.gz", [GOOD, {"material_id": "mp-2", "cif": cif(quartz), "formation_energy_per_atom": ""}]
    )
    found = read_dataset([file])
    assert found.names == ["mp-1", "mp-2"]
    assert found.formation_energies[0] == -2.1
    assert np.isnan(found.formation_energies[1])
    for atoms, wanted in zip(found.structures, (salt(), quartz), strict=True):
        assert atoms.pbc.all()
        assert sorted(atoms.get_chemical_symbols()) == sorted(wanted.get_chemical_symbols())
        assert atoms.cell.cellpar() == pytest.approx(wanted.cell.cellpar(), abs=1e-5)
        own, other = (np.sort(a.get_all_distances(mic=True).ravel()) for a in (atoms, wanted))
        assert own == pytest.approx(other, abs=1e-3)
    assert found.bad == []
    assert (found.files[0].path, found.files[0].rows, len(found.files[0].sha256)) == (str(file), 2, 64)


@pytest.mark.parametrize(
    ("row", "why"),
    [(PARTLY, "partly occupied"), (FLAT, ""), (NAN, ""), (TORN, ""), (EMPTY, "no CIF")],
    ids=["partly", "flat", "nan", "torn", "empty"],
)
def test_a_bad_row_is_left_out_counted_and_named(tmp_path: Path, row: dict[str, str], why: str) -> None:
    assert row["cif"] != GOOD["cif"]
    file = write_csv(tmp_path / "a.csv", [GOOD, row, {**GOOD, "material_id": "mp-3"}])
    for _ in range(2):  # the second time from the cache
        found = read_dataset([file])
        assert found.names == ["mp-1", "mp-3"]
        assert len(found.bad) == 1
        assert f"{file}: row 2 ({row['material_id']}): " in found.bad[0]
        assert why in found.bad[0]
        assert "\n" not in found.bad[0]
        assert not found.bad[0].endswith(": ")
        assert found.files[0].rows == 3


def test_energies_are_per_atom_and_total_energies_are_not_taken_for_them(tmp_path: Path) -> None:
    perovskite = {"material_id": "7", "cif": cif(salt()), "heat_all": "3.0"}
    carbon = {"material_id": "C-1", "cif": cif(salt()), "energy_per_atom": "-154.4"}
    found = read_dataset([write_csv(tmp_path / "p.csv", [perovskite]), write_csv(tmp_path / "c.csv", [carbon])])
    assert found.formation_energies[0] == pytest.approx(3.0 / 2)
    assert np.isnan(found.formation_energies[1])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"material_id,formula\n1,Si\n", "no column 'cif', only material_id, formula"),
        (b"material_id,cif\n", "no structure that can be used (0 rows"),
        (b"material_id,cif\nmp-9,nonsense\n", "mp-9"),
        (b"\x1f\x8bbroken", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (None, "No such file"),
    ],
)
def test_a_file_without_usable_rows_is_one_clear_line(tmp_path: Path, content: bytes | None, told: str) -> None:
    file = tmp_path / "a.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_dataset([file])
    assert told in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_no_file_is_an_input_error() -> None:
    with pytest.raises(InputError, match="at least one file"):
        read_dataset([])


def test_the_cache_saves_the_parsing_and_a_damaged_one_is_made_again(
    tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_csv(tmp_path / "a.csv", [GOOD, EMPTY])
    first = read_dataset([file], cache=False)
    assert not cache_folder.exists()
    read_dataset([file])
    (kept,) = cache_folder.iterdir()
    assert kept.name == f"{first.files[0].sha256}-v{dataset_csv.CACHE_VERSION}.npz"
    whole = kept.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"not an archive"):
        kept.write_bytes(damaged)
        again = read_dataset([file])
        assert (again.names, again.bad) == (first.names, first.bad)
        assert np.load(kept)["names"].tolist() == first.names
    monkeypatch.setattr(dataset_csv, "parallel_map", None)  # parsing would fail
    cached = read_dataset([file])
    assert (cached.names, cached.bad, cached.files) == (first.names, first.bad, first.files)
    assert cached.structures == first.structures
    assert cached.formation_energies == pytest.approx(first.formation_energies)


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", [GOOD])
    read_dataset([file])
    write_csv(file, [{**GOOD, "material_id": "mp-new"}])
    assert read_dataset([file]).names == ["mp-new"]


def test_a_cache_that_cannot_be_written_costs_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert read_dataset([write_csv(tmp_path / "a.csv", [GOOD])]).names == ["mp-1"]


def test_many_rows_on_all_cores_are_those_read_one_by_one(tmp_path: Path) -> None:
    rows = [{"material_id": f"m{n}", "cif": cif(salt(5 + n / 1000)) if n % 7 else "bad"} for n in range(210)]
    together = read_dataset([write_csv(tmp_path / "all.csv", rows)])
    apart = [read_dataset([write_csv(tmp_path / "one.csv", [row])], cache=False) for row in rows[1:7]]
    assert len(together.bad) == 30
    assert together.names[:6] == [part.names[0] for part in apart]
    assert together.structures[:6] == [part.structures[0] for part in apart]


def test_any_structure_file_and_a_folder_with_a_bad_one(tmp_path: Path) -> None:
    folder = tmp_path / "cifs"
    folder.mkdir()
    (folder / "good.cif").write_text(cif(salt()))
    write(tmp_path / "one.vasp", salt())
    assert read_dataset([folder, tmp_path / "one.vasp"]).names == ["good", "one"]
    (folder / "worse.cif").write_text("data_nothing\n")
    found = read_dataset([folder])
    assert found.names == ["good"]
    assert "worse.cif" in found.bad[0]
    assert found.files[0].rows == 2


def test_a_bad_frame_among_many_is_named_and_left_out(tmp_path: Path) -> None:
    frames = [salt(), salt(), Atoms("Ar", cell=[5, 5, 0], pbc=True), Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 2]])]
    frames[0].info["material_id"] = "mp-7"
    frames[1].info["name"] = "own"
    write(tmp_path / "a.extxyz", frames)
    found = read_dataset([tmp_path / "a.extxyz"])
    assert found.names == ["mp-7", "own"]
    assert [line.partition("frame ")[2][:1] for line in found.bad] == ["3", "4"]
    assert np.isnan(found.formation_energies).all()


def test_a_run_folder_gives_its_converged_relaxations(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main([*toy_search(run, num=4)]) == 0
    wanted = [r for r in load_run(run).records if r.relaxation.status is Status.CONVERGED]
    assert wanted
    found = read_dataset([run])
    assert found.names == [r.name for r in wanted]
    assert [len(a) for a in found.structures] == [len(r.relaxation.atoms or []) for r in wanted]
    assert np.isnan(found.formation_energies).all()
    assert found.files[0].rows == 4


def test_a_selection_keeps_structures_names_and_energies_together(tmp_path: Path) -> None:
    rows = [{**GOOD, "material_id": f"m{n}", "cif": cif(salt(5 + n)), "formation_energy_per_atom": n} for n in range(6)]
    found = read_dataset([write_csv(tmp_path / "a.csv", rows)])
    chosen = found.select([4, 1])
    assert chosen.names == ["m4", "m1"]
    assert chosen.formation_energies.tolist() == [4, 1]
    assert chosen.structures[0].get_volume() == pytest.approx(9**3 / 4, rel=1e-4)
    drawn = found.sample(3, seed=5)
    assert drawn.names == found.sample(3, seed=5).names
    assert drawn.names == sorted(drawn.names)
    assert len({tuple(found.sample(3, seed=s).names) for s in range(20)}) > 3
    assert found.sample(None).names == found.sample(99).names == found.names
