"""Damaged structure files of any format are crystals still, or told in one line; never a traceback, never a giant."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated

from xtalseek.errors import InputError
from xtalseek.formats import Frame, res_text
from xtalseek.res_files import ResError, read_res
from xtalseek.structure_files import read_structures, write_structures

MOST_ATOMS = 100_000
SHELX = (
    b"TITL a 0.0 64.0 -12.5 0 0 4 (Fm-3m) n - 3\nCELL 1.54180 4.0 4.0 4.0 90 90 90\nLATT -4\nSYMM -X,-Y,Z\n"
    b"SYMM -X, Y, -Z\nSYMM X,-Y,-Z\nSFAC Na Cl\nNa1 1 0.0 0.0 0.0 1.0\nCl1 2 0.5 0.5 0.5 10.25 0.01 =\n 0.02\nEND\n"
)


def salt() -> Frame:
    """Rock salt as searches leave it."""
    return Frame("NaCl-random-000001", bulk("NaCl", "rocksalt", 5.6, cubic=True), -27.0, 1.0, "Fm-3m", 3, "random")


def corpus(folder: Path) -> dict[str, list[bytes]]:
    """Real files by suffix."""
    found: dict[str, list[bytes]] = {".res": [SHELX, res_text(salt()).encode() * 2]}
    for suffix in (".cif", ".extxyz", ".db"):
        found[suffix] = [write_structures(folder / f"ours{suffix}", [salt(), salt()]).read_bytes()]
    atoms = bulk("NaCl", "rocksalt", 5.6)
    atoms.calc = SinglePointCalculator(atoms, energy=-6.0, forces=np.zeros((2, 3)))
    for suffix in (".cif", ".extxyz", ".traj", ".json", ".vasp", ".xsf", ".cell"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write(folder / f"ases{suffix}", atoms, format="vasp" if suffix == ".vasp" else None)
        found.setdefault(suffix, []).append((folder / f"ases{suffix}").read_bytes())
    return found


def read(suffix: str, data: bytes, folder: Path) -> None:
    """What a file with these bytes holds."""
    (folder / f"x{suffix}").write_bytes(data)
    try:
        structures = read_structures([folder / f"x{suffix}"])
    except InputError as error:
        assert "\n" not in str(error)
        return
    for name, atoms in structures:
        assert "\n" not in name
        assert 0 < len(atoms) < MOST_ATOMS
        assert np.isfinite(atoms.positions).all()
        assert np.isfinite(atoms.cell.array).all()
        assert 0 < atoms.numbers.min() <= atoms.numbers.max() < 119


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".res", ".cif", ".extxyz", ".traj", ".json", ".vasp", ".xsf"])
def test_damaged_files_are_told_in_one_line(tmp_path: Path, suffix: str) -> None:
    files = corpus(tmp_path)[suffix]
    for seed in range(40):
        read(suffix, mutated(files[seed % len(files)], seed), tmp_path)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from([SHELX, res_text(salt()).encode() * 2]), st.integers(0, 2**32))
def test_a_damaged_res_names_its_line(data: bytes, seed: int) -> None:
    try:
        read_res(mutated(data, seed, (b"LATT 1\n", b"SYMM X,Y,Z\n", b"SFAC H\n", b"TITL\n")).decode(errors="replace"))
    except ResError as error:
        assert "line " in str(error)
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (
            ".res",
            "TITL a 0 1 -1 0 0 1000000000 (P1) n - 999999999\nCELL 1 4 4 4 90 90 90\nSFAC Na\nNa 1 0 0 0 1\nEND\n",
        ),
        (".res", "TITL a\nCELL 1 4 4 4 90 90 90\nSFAC " + "Na " * 50_000 + "\nNa 999999999 0 0 0 1\nEND\n"),
        (".res", "TITL " + "9" * 50_000 + " 1 2 3\nCELL 1 4 4 4 90 90 90\nSFAC Na\nNa 1 0 0 0 1\nEND\n"),
        (".extxyz", '999999999999\nLattice="4 0 0 0 4 0 0 0 4"\nNa 0 0 0\n'),
        (".extxyz", '+9_9999999999\nLattice="4 0 0 0 4 0 0 0 4"\nNa 0 0 0\n'),
        (".json", '{"1": {"cell": {"__ndarray__": [[1000000000000], "float64", [1.0]]}, "numbers": [1]}, "ids": [1]}'),
        (".extxyz", '1\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:999999999999:pos:R:3\nNa 0 0 0\n'),
        (".json", "[" * 100_000),
        (".vasp", "x\n1\n4 0 0\n0 4 0\n0 0 4\nNa\n999999999999\nDirect\n0 0 0\n"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_counts_that_lie_are_told(tmp_path: Path, suffix: str, text: str) -> None:
    read(suffix, text.encode(), tmp_path)
