"""Structure files: what is written is read back by ASE and pymatgen, and bad files are told in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.db import connect
from ase.io import read, write
from ase.units import GPa
from pymatgen.core import Structure
from pymatgen.io.res import AirssProvider, ResIO

from xtalseek.errors import InputError
from xtalseek.formats import Frame, cif_text, res_text, safe_name
from xtalseek.structure_files import format_of, read_structures, require_periodic, write_structures

TRICLINIC = Atoms(
    "OTiO",
    scaled_positions=[(0.1, 0.2, 0.3), (0.61, 0.52, 0.43), (-0.05, 1.2, 0.999999)],
    cell=[[4.1, 0, 0], [0.7, 3.6, 0], [-0.4, 0.9, 5.2]],
    pbc=True,
)


def frame(name: str = "TiO2-random-000003", **changes: object) -> Frame:
    known: dict = {
        "atoms": TRICLINIC,
        "energy": -24.75,
        "pressure_gpa": 5.0,
        "space_group": "P4_2/mnm",
        "times_found": 7,
        "source": "random",
        "status": "converged",
    }
    return Frame(name=name, **known | changes)


def read_one(file: Path, index: int = -1) -> Atoms:
    images = read(file, index=":", format="res" if file.suffix == ".res" else None)
    return images[index] if isinstance(images, list) else images


def same_crystal(first: Atoms, second: Atoms, tolerance: float = 1e-6) -> None:
    """Equal cells up to rotation, species in order, and positions up to lattice vectors."""
    assert first.get_chemical_symbols() == second.get_chemical_symbols()
    np.testing.assert_allclose(first.cell.cellpar(), second.cell.cellpar(), atol=tolerance)
    gap = first.get_scaled_positions(wrap=False) - second.get_scaled_positions(wrap=False)
    np.testing.assert_allclose((gap - np.round(gap)) @ first.cell.array, 0, atol=tolerance)


def test_enthalpy_is_energy_and_pressure_times_volume() -> None:
    assert frame().enthalpy == pytest.approx(-24.75 + 5 * GPa * TRICLINIC.get_volume())
    assert frame(energy=None).enthalpy is None


def test_res_is_read_back_by_ase(tmp_path: Path) -> None:
    file = write_structures(tmp_path / "one.res", [frame()])
    atoms = read_one(file)
    same_crystal(atoms, TRICLINIC)
    assert atoms.get_potential_energy() == pytest.approx(frame().enthalpy, abs=1e-7)
    assert atoms.info["name"] == "TiO2-random-000003"
    assert atoms.info["pressure"] == 5.0
    assert atoms.info["spacegroup"] == "P4_2/mnm"
    assert atoms.info["times_found"] == 7


def test_res_is_read_back_by_pymatgen(tmp_path: Path) -> None:
    file = write_structures(tmp_path / "one.res", [frame()])
    airss = AirssProvider.from_file(str(file))
    assert (airss.seed, airss.pressure, airss.appearances) == ("TiO2-random-000003", 5.0, 7)
    assert airss.spacegroup_label == "P4_2/mnm"
    assert airss.energy == pytest.approx(frame().enthalpy, abs=1e-7)
    assert airss.volume == pytest.approx(TRICLINIC.get_volume(), abs=1e-5)
    structure = ResIO.structure_from_file(str(file))
    same_crystal(structure.to_ase_atoms(msonable=False), TRICLINIC)
    assert ResIO.entry_from_file(str(file)).energy == pytest.approx(frame().enthalpy, abs=1e-7)


def test_res_layout_is_that_of_airss() -> None:
    lines = res_text(frame(name="two words (here)", energy=None, space_group="")).splitlines()
    assert lines[0].split()[:3] == ["TITL", "two_words_here_", "5.0000"]
    assert lines[0].endswith(" 0.00000000 0 0 3 (n/a) n - 7")
    assert any("no energy" in line for line in lines if line.startswith("REM"))
    assert [line.split()[0] for line in lines if line.split()[0] in ("CELL", "LATT", "SFAC", "END")] == [
        "CELL",
        "LATT",
        "SFAC",
        "END",
    ]
    assert lines[lines.index("LATT -1") + 1] == "SFAC O Ti"


def test_res_without_energy_has_none_in_ase(tmp_path: Path) -> None:
    assert read_one(write_structures(tmp_path / "one.res", [frame(energy=None)])).calc is None


@pytest.mark.parametrize("render", [res_text, cif_text])
def test_left_handed_cell_keeps_its_hand(tmp_path: Path, render: object) -> None:
    """Lengths and angles lose the hand of the cell; the crystal must not turn into its mirror image."""
    left = TRICLINIC.copy()
    left.set_cell(TRICLINIC.cell.array * [1, 1, -1], scale_atoms=True)
    assert np.linalg.det(left.cell.array) < 0
    suffix = ".res" if render is res_text else ".cif"
    back = read_one(write_structures(tmp_path / f"left{suffix}", [frame(atoms=left)]))
    # A proper rotation carries the crystal over; for its mirror image there is none.
    rotation = np.linalg.inv(-left.cell.array) @ back.cell.array
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-8)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    gap = np.linalg.solve(back.cell.array.T, (left.positions @ rotation - back.positions).T)
    np.testing.assert_allclose(gap, np.round(gap), atol=1e-6)


def test_packed_res_gives_every_structure(tmp_path: Path) -> None:
    frames = [frame(name=f"s{n}", atoms=bulk("NaCl", "rocksalt", a=5.6 + n / 10)) for n in range(3)]
    file = write_structures(tmp_path / "all.res", frames)
    structures = read_structures([file])
    assert [name for name, _ in structures] == ["s0", "s1", "s2"]
    for (_, atoms), original in zip(structures, frames, strict=True):
        same_crystal(atoms, original.atoms)


def test_cif_is_read_back_by_ase_and_pymatgen(tmp_path: Path) -> None:
    folder = write_structures(tmp_path / "out", [frame(), frame(name="b", energy=None)])
    assert sorted(p.name for p in folder.iterdir()) == ["TiO2-random-000003.cif", "b.cif"]
    same_crystal(read_one(folder / "b.cif"), TRICLINIC)
    structure = Structure.from_file(folder / "b.cif")
    assert structure.composition.reduced_formula == "TiO2"
    assert structure.volume == pytest.approx(TRICLINIC.get_volume(), abs=1e-6)


def test_single_cif_holds_all(tmp_path: Path) -> None:
    file = write_structures(tmp_path / "all.cif", [frame(), frame(name="b")])
    assert len(read(file, index=":")) == 2
    same_crystal(read_one(file, 1), TRICLINIC)


def test_extxyz_carries_the_energy(tmp_path: Path) -> None:
    file = write_structures(tmp_path / "all.extxyz", [frame(), frame(name="b", energy=None)])
    first, second = read_one(file, 0), read_one(file, 1)
    assert first.get_potential_energy() == pytest.approx(-24.75)
    assert first.info["enthalpy"] == pytest.approx(frame().enthalpy)
    assert (first.info["name"], first.info["space_group"], first.info["times_found"]) == (
        "TiO2-random-000003",
        "P4_2/mnm",
        7,
    )
    np.testing.assert_allclose(first.positions, TRICLINIC.positions, atol=1e-7)
    assert second.calc is None


def test_database_carries_energy_and_names(tmp_path: Path) -> None:
    file = write_structures(tmp_path / "all.db", [frame(), frame(name="17")])
    rows = list(connect(file).select())
    assert rows[0].energy == pytest.approx(-24.75)
    assert rows[0].name == "TiO2-random-000003"
    assert [name for name, _ in read_structures([file])] == ["TiO2-random-000003", "17"]
    write_structures(file, [frame()])
    assert len(connect(file)) == 1


def test_rewriting_replaces_what_is_ours_only(tmp_path: Path) -> None:
    folder = write_structures(tmp_path / "out", [frame(name="a"), frame(name="b")], "res")
    write_structures(folder, [frame(name="c")], "res")
    assert [p.name for p in folder.iterdir()] == ["c.res"]
    (folder / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match=r"mine\.txt.*choose another --out"):
        write_structures(folder, [frame()], "res")
    assert sorted(p.name for p in folder.iterdir()) == ["c.res", "mine.txt"]


def test_foreign_database_stays(tmp_path: Path) -> None:
    with connect(tmp_path / "mine.db") as database:
        database.write(TRICLINIC)
    before = (tmp_path / "mine.db").read_bytes()
    with pytest.raises(InputError, match="not written by xtalseek"):
        write_structures(tmp_path / "mine.db", [frame()])
    assert (tmp_path / "mine.db").read_bytes() == before


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = write_structures(tmp_path / "all.extxyz", [frame()])
    before = file.read_bytes()
    with pytest.raises(InputError):
        write_structures(file, [frame(), frame(name="gas", atoms=Atoms("O2", positions=[(0, 0, 0), (0, 0, 1.2)]))])
    assert file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["all.extxyz"]


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "..", "", ".hidden", "a\nb", "x" * 400])
def test_names_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    folder = write_structures(tmp_path / "deep" / "out", [frame(name=name), frame(name=name)], "cif")
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) == 2
    assert {p.parent for p in files} == {folder}
    assert not any(p.name.startswith(".") for p in files)
    assert "/" not in safe_name(name)


def test_names_that_differ_in_case_only_do_not_collide(tmp_path: Path) -> None:
    folder = write_structures(tmp_path / "out", [frame(name="a"), frame(name="A"), frame(name="a")])
    assert len({p.name.lower() for p in folder.iterdir()}) == 3


def test_format_follows_the_suffix() -> None:
    assert [format_of(p) for p in ("a.extxyz", "a.xyz", "a.cif", "A.RES", "a.db", "folder")] == [
        "extxyz",
        "extxyz",
        "cif",
        "res",
        "ase-db",
        "cif",
    ]
    assert format_of("a.cif", "res") == "res"
    with pytest.raises(InputError, match=r"unknown format 'cfi'.*did you mean 'cif'"):
        format_of("out", "cfi")
    with pytest.raises(InputError, match=r"unknown suffix of --out '.resx'.*did you mean '.res'"):
        format_of("out.resx")


def test_folder_is_read_by_name(tmp_path: Path) -> None:
    write_structures(tmp_path / "in", [frame(name="b"), frame(name="a")], "res")
    write(tmp_path / "in" / "POSCAR", bulk("Cu"), format="vasp")
    (tmp_path / "in" / "notes.txt").write_text("not a structure")
    assert [name for name, _ in read_structures([tmp_path / "in"])] == ["POSCAR", "a", "b"]


def test_many_nameless_frames_are_numbered(tmp_path: Path) -> None:
    write(tmp_path / "cu.extxyz", [bulk("Cu"), bulk("Cu", cubic=True)])
    structures = read_structures([tmp_path / "cu.extxyz"])
    assert [(name, len(atoms)) for name, atoms in structures] == [("cu-000001", 1), ("cu-000002", 4)]


def test_bad_files_are_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.cif").write_text("this is no CIF")
    (tmp_path / "bad.res").write_text("TITL x\nCELL 1.0 1 2\nEND\n")
    (tmp_path / "empty").mkdir()
    write(tmp_path / "gas.xyz", Atoms("O2", positions=[(0, 0, 0), (0, 0, 1.2)]))
    slab = bulk("Cu")
    slab.pbc = (True, True, False)
    write(tmp_path / "slab.extxyz", [bulk("Cu"), slab])
    for name, words in {
        "missing.cif": "does not exist",
        "bad.cif": r"bad\.cif' cannot be read",
        "bad.res": r"bad\.res' cannot be read",
        "empty": "holds no structure files",
        "gas.xyz": "'gas in .*' is not periodic in all directions",
        "slab.extxyz": "'slab-000002 in .*' is not periodic in all directions",
    }.items():
        with pytest.raises(InputError, match=words) as caught:
            read_structures([tmp_path / name])
        assert "\n" not in str(caught.value)


def test_disordered_cif_is_refused(tmp_path: Path) -> None:
    text = cif_text(frame(name="alloy", atoms=bulk("Cu", cubic=True))).replace("Cu2 Cu", "Au2 Au")
    (tmp_path / "alloy.cif").write_text(text.replace(" 1.0\n", " 0.5\n", 1))
    with pytest.raises(InputError, match="partly occupied"):
        read_structures([tmp_path / "alloy.cif"])


def test_structure_without_atoms_is_refused() -> None:
    with pytest.raises(InputError, match="'void' has no atoms"):
        require_periodic(Atoms(cell=[1, 1, 1], pbc=True), "void")
