"""AIRSS .res files: packed files come apart whole, TITL is kept, symmetry is expanded, nonsense is refused by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from ase.spacegroup import crystal
from ase.units import GPa
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter
from pymatgen.io.res import ResIO

from xtalseek.errors import InputError
from xtalseek.formats import Frame, as_frame, res_text
from xtalseek.res_files import ResError, read_res
from xtalseek.structure_files import read_structures, write_structures

CABAL = """TITL cabal-cell2res 0.0 64.004559 0.0 0 8 (n/a) n - 1
CELL 1.54180  3.35495  4.61258  4.86690 67.29051 70.27393 72.02060
LATT -1
SFAC Al
Al     1  0.7588650000000  0.6630602000000  0.4570794000000 1.0
Al     1  0.1109306000000  0.2909464000000  0.6328852000000 1.0
Al     1  0.8626585000000  0.6047508000000  0.9951972000000 1.0
Al     1  0.4688670000000  0.2785197000000  0.3177728000000 1.0
Al     1  0.3208300000000  0.8247542000000  0.7611079000000 1.0
Al     1  0.1007394000000  0.2634639000000  0.0993661000000 1.0
Al     1  0.0686251000000  0.7423036000000  0.1393760000000 1.0
Al     1  0.5536280000000  0.3415304000000  0.9743010000000 1.0
END
"""
"""What the public AIRSS manual shows of cabal's output."""

AIRSS = """TITL Al-91855-9500-1 10.0000 60.1 -25.5 1.5 2.5 4 (Fm-3m) n - 37
REM
REM Run started: Mon, 1 Jan 2024
REM Functional PBE ! $ = END
CELL 1.54180 4 4 4 90 90 90
LATT -1
SFAC Al O
Al 1 0 0 0 1.0
Al 1 0 .5 .5 1.0
O  2 0.5 0.5 0 1.0
O  2 0.5 -1e-3 5E-1 1.0
END
"""


def random_frames(count: int) -> list[Frame]:
    rng = np.random.default_rng(0)
    frames = []
    for number in range(count):
        cell = rng.uniform(-2, 2, (3, 3)) + np.diag(rng.uniform(4, 7, 3))
        symbols = rng.choice(["Sr", "Ti", "O"], int(rng.integers(1, 12)))
        atoms = Atoms(list(symbols), scaled_positions=rng.uniform(-1, 2, (len(symbols), 3)), cell=cell, pbc=True)
        pressure, energy = float(rng.integers(0, 50)), float(rng.normal(-50, 20))
        frames.append(
            Frame(f"STO-{number}", atoms, energy, pressure, "P2_1/c", number + 1, "random", "converged", 0.5, 1.0)
        )
    return frames


@pytest.mark.parametrize("suffix", [".res", ".extxyz", ".cif", ".db"])
def test_200_structures_go_to_a_file_and_back_and_again(tmp_path: Path, suffix: str) -> None:
    frames = random_frames(200)
    file = write_structures(tmp_path / f"all{suffix}", frames)
    found = read_structures([file])
    assert [name for name, _ in found] == [frame.name for frame in frames]
    for (_, atoms), frame in zip(found, frames, strict=True):
        assert atoms.get_chemical_symbols() == frame.atoms.get_chemical_symbols()
        np.testing.assert_allclose(atoms.cell.cellpar(), frame.atoms.cell.cellpar(), atol=1e-7)
        gap = atoms.get_scaled_positions() - frame.atoms.get_scaled_positions()
        assert np.abs(gap - np.rint(gap)).max() < 1e-6
        again = as_frame(atoms)
        assert again.energy == pytest.approx(frame.energy, abs=1e-5)
        assert again.enthalpy == pytest.approx(frame.enthalpy, abs=1e-5)
        for key in ("name", "pressure_gpa", "space_group", "times_found", "spin", "abs_spin", "source", "status"):
            assert getattr(again, key) == getattr(frame, key)
    twice = write_structures(tmp_path / f"again{suffix}", [as_frame(atoms) for _, atoms in found])
    third = write_structures(tmp_path / f"third{suffix}", [atoms for _, atoms in read_structures([twice])])
    if suffix == ".res":
        titles = [[line for line in f.read_text().splitlines() if line[:4] == "TITL"] for f in (file, twice, third)]
        assert titles[0] == titles[1] == titles[2]


def test_what_airss_writes_is_kept_and_written_again() -> None:
    (atoms,) = read_res(AIRSS)
    assert atoms.info["energy"] == pytest.approx(-25.5 - 10 * GPa * 64)
    rest = {key: value for key, value in atoms.info.items() if key != "energy"}
    assert rest == {
        "name": "Al-91855-9500-1",
        "pressure_gpa": 10.0,
        "enthalpy": -25.5,
        "spin": 1.5,
        "abs_spin": 2.5,
        "space_group": "Fm-3m",
        "times_found": 37,
    }
    np.testing.assert_allclose(atoms.get_scaled_positions()[3], [0.5, 0.999, 0.5])
    line = res_text(as_frame(atoms)).splitlines()[0]
    assert line == "TITL Al-91855-9500-1 10.0000 64.000000 -25.50000000 1.5 2.5 4 (Fm-3m) n - 37"


def test_what_cabal_writes_has_no_energy() -> None:
    (atoms,) = read_res(CABAL)
    assert len(atoms) == 8
    assert atoms.get_volume() == pytest.approx(64.0, abs=0.01)
    assert atoms.info == {"name": "cabal-cell2res", "pressure_gpa": 0.0, "spin": 0.0, "times_found": 1}


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("x 1 2 -3 0 0 (P-1) n - 2", {"spin": 0, "abs_spin": 0, "space_group": "P-1", "times_found": 2}),
        ("x 1 2 -3 0 0 4 (P 1 21 1) n - 2", {"space_group": "P 1 21 1", "times_found": 2}),
        ("x 1 2 -3", {"enthalpy": -3}),
        ("x 1 2 ******* 0 0 4 (P1) n - 2", {}),
        ("sucrose in P2(1)", {}),
        ("x 1 2 nan 0 0 4 (P1) n - 1", {}),
    ],
)
def test_titles_of_others(title: str, expected: dict[str, object]) -> None:
    (atoms,) = read_res(AIRSS.replace(AIRSS.splitlines()[0], f"TITL {title}"))
    assert atoms.info["name"] == title.split()[0]
    assert {key: atoms.info.get(key) for key in expected} == expected
    if not expected:
        assert set(atoms.info) == {"name"}


@pytest.mark.parametrize("glue", ["", "\n\n", "REM between\n"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_packed_files_come_apart(tmp_path: Path, glue: str, ends: str) -> None:
    (tmp_path / "packed.res").write_bytes(glue.join([AIRSS, CABAL, AIRSS]).replace("\n", ends).encode())
    found = read_structures([tmp_path / "packed.res"])
    assert [(name, len(atoms)) for name, atoms in found] == [
        ("Al-91855-9500-1", 4),
        ("cabal-cell2res", 8),
        ("Al-91855-9500-1", 4),
    ]


def test_packed_files_come_apart_without_end_or_without_title() -> None:
    assert [len(a) for a in read_res((CABAL + AIRSS).replace("\nEND\n", "\n"))] == [8, 4]
    untitled = "\n".join(line for line in (CABAL + AIRSS).splitlines() if not line.startswith("TITL"))
    assert [len(a) for a in read_res(untitled)] == [8, 4]


def test_what_follows_end_is_no_atom() -> None:
    """SHELX puts peaks of the difference map there."""
    assert len(read_res(CABAL + "WGHT 0.1\nREM  peaks\nQ1 1 0.1 0.1 0.1 11.0 0.05 1.2\n")[0]) == 8


def test_bytes_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "latin.res").write_bytes(b"\xef\xbb\xbf" + AIRSS.encode().replace(b"Run", b"M\xfcller"))
    assert len(read_structures([tmp_path / "latin.res"])) == 1


def shelx(lattice: int, operations: list[str], cell: str, atoms: list[str], species: str) -> str:
    return "\n".join(
        [
            "TITL a SHELX file",
            f"CELL 0.71073 {cell}",
            "ZERR 4 0.001 0.001 0.001 0 0 0",
            f"LATT {lattice}",
            *(f"SYMM {operation}" for operation in operations),
            f"SFAC {species}",
            "UNIT 4 8",
            "L.S. 10",
            "FVAR 0.5",
            *atoms,
            "HKLF 4",
            "END",
        ]
    )


RUTILE = ["-X,-Y,Z", "1/2-Y,0.5+X,1/2+Z", "0.5+Y, 1/2-X, .5+Z"]
RUTILE += ["1/2-x,1/2+y,1/2-z", "1/2+X,1/2-Y,1/2-Z", "Y,X,-Z", "-Y,-X,-Z"]


@pytest.mark.parametrize("shares", [("10.125", "10.25"), ("1.0", "1.0"), ("11.0", "11.0")])
def test_symmetry_is_expanded(shares: tuple[str, str]) -> None:
    """Rutile by LATT 1 and the operations without inversion, against ASE's crystal builder."""
    atoms = [f"TI1 1 0 0 0 {shares[0]} 0.01 =", "  0.01 0.01 0 0 0", f"O1 2 0.3053 10.3053 0 {shares[1]} 0.02"]
    (found,) = read_res(shelx(1, RUTILE, "4.594 4.594 2.959 90 90 90", atoms, "TI O"))
    expected = crystal(
        ("Ti", "O"), [(0, 0, 0), (0.3053, 0.3053, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90]
    )
    same_structure(found, expected)


@pytest.mark.parametrize(
    ("lattice", "setting", "cell"),
    [
        (-1, 1, "4 5 6 80 95 100"),
        (1, 2, "4 5 6 80 95 100"),
        (-7, 5, "4 5 6 90 95 90"),
        (-2, 23, "4 5 6 90 90 90"),
        (4, 69, "4 5 6 90 90 90"),
        (-3, 146, "5 5 7 90 90 120"),
        (3, 148, "5 5 7 90 90 120"),
        (-5, 38, "4 5 6 90 90 90"),
    ],
)
def test_centrings_are_those_of_the_tables(lattice: int, setting: int, cell: str) -> None:
    operations = {
        23: ["-X,-Y,Z", "-X,Y,-Z", "X,-Y,-Z"],
        69: ["-X,-Y,Z", "-X,Y,-Z", "X,-Y,-Z"],
        5: ["-X,Y,-Z"],
        38: ["-X,-Y,Z", "X,-Y,Z", "-X,Y,Z"],
        146: ["-Y,X-Y,Z", "Y-X,-X,Z"],
        148: ["-Y,X-Y,Z", "Y-X,-X,Z"],
    }.get(setting, [])
    place = (0.11, 0.23, 0.17)
    (found,) = read_res(shelx(lattice, operations, cell, ["SI1 1 0.11 0.23 0.17"], "SI"))
    expected = crystal("Si", [place], spacegroup=setting, cellpar=[float(v) for v in cell.split()])
    same_structure(found, expected)


def same_structure(first: Atoms, second: Atoms) -> None:
    assert len(first) == len(second)
    np.testing.assert_allclose(first.cell.cellpar(), second.cell.cellpar(), atol=1e-6)
    for symbol in set(second.get_chemical_symbols()):
        one, two = (a.get_scaled_positions()[a.symbols == symbol] for a in (first, second))
        gap = one[:, None] - two[None]
        assert np.abs(gap - np.rint(gap)).max(axis=-1).min(axis=1).max() < 1e-6


def test_symmetry_written_to_three_digits_still_fits() -> None:
    operations = ["-Y,X-Y,Z+0.333", "Y-X,-X,Z+0.667"]
    (found,) = read_res(shelx(-1, operations, "5 5 7 90 90 120", ["SI1 1 0.2 0.1 0"], "SI"))
    assert len(found) == 3
    np.testing.assert_allclose(sorted(found.get_scaled_positions()[:, 2]), [0, 1 / 3, 2 / 3], atol=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("CELL 1.54180 4 4 4 90 90 90", "CELL 1.54180 4 4 4 90 90", "line 5: CELL needs"),
        ("CELL 1.54180 4 4 4 90 90 90", "CELL 1.54180 4 4 -4 90 90 90", "line 5: CELL must have positive"),
        ("CELL 1.54180 4 4 4 90 90 90", "CELL 1.54180 4 4 4 20 20 90", "line 5: CELL must have .* close a cell"),
        ("CELL 1.54180 4 4 4 90 90 90", "REM", "begins at line 1 has no CELL"),
        ("SFAC Al O", "SFAC Al", "line 10: atom O is of species 2, but SFAC names 1"),
        ("SFAC Al O", "SFAC O Al", "line 8: atom Al is of species 1, which SFAC calls O"),
        ("SFAC Al O", "SFAC Al Qq", "line 7: 'Qq' in SFAC is no element"),
        ("O  2 0.5 0.5 0 1.0", "O  2 0.5 0.5 0 0.5", "line 10: occupancy 0.5: only full sites"),
        ("O  2 0.5 0.5 0 1.0", "O  2 0.5 0.5 0 21.0", "line 10: occupancy 21"),
        ("O  2 0.5 0.5 0 1.0", "O  2 0.5 0.5", "line 10: 'O 2 0.5 0.5' is neither an atom nor"),
        ("O  2 0.5 0.5 0 1.0", "O  2 0.5 0.5 nan 1.0", "line 10: .* is neither an atom nor"),
        ("O  2 0.5 0.5 0 1.0\n", "", "has 3 atoms, but its TITL says 4: is the file cut off"),
        ("LATT -1", "LATT 9", "line 6: LATT must be"),
        ("LATT -1", "SYMM X,Y", "line 6: SYMM 'X,Y' must have three parts"),
        ("LATT -1", "SYMM X,Y,Q", "line 6: SYMM 'X,Y,Q' has 'Q', which is not like"),
        ("LATT -1", "SYMM X,Y,Y", "line 6: SYMM 'X,Y,Y' changes the volume"),
        ("LATT -1", "LATT -1\nSYMM Y,Z,X", "SYMM and LATT that make no group"),
        ("LATT -1", "LATT -1\nSYMM -Y,X-Y,Z", "SYMM or LATT that its CELL does not allow"),
        ("LATT -1", "LATT -1\nCELL 1 4 4 4 90 90 90", "line 7: a second CELL in one structure"),
        ("TITL", "hello\nTITL", "line 1: 'hello' before the first TITL"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in AIRSS
    (tmp_path / "bad.res").write_text(AIRSS.replace(old, new, 1))
    with pytest.raises(InputError, match=rf"bad\.res' cannot be read: .*{message}") as caught:
        read_structures([tmp_path / "bad.res"])
    assert "\n" not in str(caught.value)


def test_an_atom_beside_a_special_position_is_refused() -> None:
    text = shelx(1, [], "4 5 6 90 90 90", ["SI1 1 0.01 0 0 1.0"], "SI")
    with pytest.raises(ResError, match=r"line 9: an image of this atom is 0\.08 Å from it"):
        read_res(text)


def test_lines_of_later_structures_count_from_the_top_of_the_file() -> None:
    with pytest.raises(ResError, match=r"line 23: occupancy 0\.5"):
        read_res(CABAL + AIRSS.replace("0.5 0.5 0 1.0", "0.5 0.5 0 0.5"))


def test_pymatgen_and_ase_objects_go_in_and_out(tmp_path: Path) -> None:
    salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    salt.properties = {"name": "halite", "energy": -27.0, "times_found": 3}
    copper = bulk("Cu")
    file = write_structures(tmp_path / "mixed.res", [salt, copper, as_frame(copper, "other")])
    found = read_structures([file])
    assert [name for name, _ in found] == ["halite", "Cu", "other"]
    assert (found[0][1].info["energy"], found[0][1].info["times_found"]) == (pytest.approx(-27), 3)
    back = AseAtomsAdaptor.get_structure(found[0][1])
    assert StructureMatcher().fit(back, salt)
    assert back.properties["times_found"] == 3
    assert [name for name, _ in read_structures([salt, copper, file])] == ["halite", "Cu", "halite", "Cu", "other"]
    alloy = Structure(Lattice.cubic(3), [{"Cu": 0.5, "Au": 0.5}], [[0, 0, 0]])
    with pytest.raises(InputError, match="partly occupied"):
        write_structures(tmp_path / "alloy.res", [alloy])


def test_files_of_ase_and_pymatgen_are_read(tmp_path: Path) -> None:
    salt = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    structure = AseAtomsAdaptor.get_structure(salt)
    write(tmp_path / "POSCAR", salt, format="vasp")
    write(tmp_path / "ase.res", salt, format="res")
    write(tmp_path / "ase.cif", salt)
    write(tmp_path / "ase.extxyz", salt)
    ResIO.structure_to_file(structure, str(tmp_path / "pymatgen.res"))
    CifWriter(structure, symprec=0.01).write_file(tmp_path / "symmetric.cif")
    matcher = StructureMatcher(primitive_cell=False)
    found = read_structures([tmp_path])
    assert len(found) == 6
    for name, atoms in found:
        assert matcher.fit(AseAtomsAdaptor.get_structure(atoms), structure), name


def test_moments_and_frozen_atoms_go_through_extxyz(tmp_path: Path) -> None:
    from ase.constraints import FixAtoms

    salt = bulk("NaCl", "rocksalt", a=5.6)
    salt.set_initial_magnetic_moments([1.0, -2.0])
    frozen = bulk("Cu", cubic=True)
    frozen.set_constraint(FixAtoms(indices=[1, 2]))
    (_, first), (_, second) = read_structures([write_structures(tmp_path / "all.extxyz", [salt, frozen])])
    np.testing.assert_allclose(first.get_initial_magnetic_moments(), [1, -2])
    assert not first.constraints
    assert second.constraints[0].get_indices().tolist() == [1, 2]


VOCABULARY = """TITL CELL LATT SYMM SFAC END REM ZERR Al O Si 1 2 -1 0 0.5 1.0 10.5 4 90 120 X,Y,Z -X,Y,-Z 1/2+X 1/0
= ! ( ) (P1) n - 1e999 nan 1_0 ² ٣ -7 7 0.333"""
WORDS = st.sampled_from([*VOCABULARY.split(), "TITL\x85", "\x00"])
LINES = st.lists(st.lists(WORDS, max_size=9).map(" ".join), max_size=14).map("\n".join)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A good file of several structures with a few of its characters, words or lines changed."""
    rutile = shelx(1, RUTILE, "4.6 4.6 3 90 90 90", ["TI1 1 0 0 0", "O1 2 .3 .3 0"], "TI O")
    lines = (AIRSS + CABAL + rutile).split("\n")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        words = lines[at].split(" ")
        words[draw(st.integers(0, len(words) - 1))] = draw(WORDS | st.text(max_size=6))
        lines[at] = draw(st.sampled_from(["", lines[0], " ".join(words), " ".join(words) + "="]))
    return "\n".join(lines)


@settings(max_examples=600, deadline=None)
@given(st.text(max_size=300) | LINES | damaged())
@example("TITL " + "1" * 20000 + " " + "1" * 20000 + "x")
@example(AIRSS.replace("LATT -1", "LATT 4\n" + "SYMM -X,Y,Z+0.1\n" * 191))
@example(AIRSS.replace("LATT -1", "LATT 4\n" + "\n".join(f"SYMM X,Y,Z+{n / 191:.4f}" for n in range(1, 191))))
@example("\n".join(["=" for _ in range(20000)]))
def test_any_text_gives_structures_or_an_error(text: str) -> None:
    try:
        found = read_res(text)
    except ResError as error:
        assert "\n" not in str(error)
        return
    for atoms in found:
        assert len(atoms) > 0
        assert np.isfinite(atoms.positions).all()
        assert atoms.get_volume() > 0


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | damaged().map(str.encode) | damaged().map(lambda text: text.encode("utf-16")))
def test_any_bytes_as_a_res_file_give_structures_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.res"
    file.write_bytes(data)
    try:
        found = read_structures([file])
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert found
        assert write_structures(file.with_name("again.res"), [atoms for _, atoms in found]).exists()
