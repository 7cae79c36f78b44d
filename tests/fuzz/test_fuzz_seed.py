"""Damaged AIRSS seeds are seeds still, or told in one line with its number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated

from xtalseek.errors import InputError
from xtalseek.proposals.seeds import read_seed, write_seed
from xtalseek.proposals.seeds.composition import MAX_ATOMS
from xtalseek.proposals.seeds.directives import ATOM_NAMES, GLOBAL_NAMES

EXAMPLES = (
    write_seed("SrTiO3", formula_units=(1, 2)).encode(),
    b"%BLOCK LATTICE_CART\n4.5 0 0\n0 4.5 0\n0 0 6.1\n#CFIX\n%ENDBLOCK LATTICE_CART\n\n%BLOCK POSITIONS_FRAC\n"
    b"Si 0.0 0.0 0.0 # Si1 % NUM=1-3 POSAMP=0.5\nO 0.5 0.5 {0.1,0.2} # w % NUM=2 ANGAMP=90\nH 0.6 0.5 0.1 # w\n"
    b"%ENDBLOCK POSITIONS_FRAC\n\n#SYMMOPS=2-4\n#NFORM=2\n#MINSEP=1.0-2.0 Si-O=1.6-1.7 AUTO\n#SLACK=0.25\n"
    b"KPOINTS_MP_SPACING 0.05\n%BLOCK EXTERNAL_PRESSURE\n10 0 0\n10 0\n10\n%ENDBLOCK EXTERNAL_PRESSURE\n",
    b"#SPECIES=Si%NUM=1 RAD=1.1 COORD=4,O%NUM=2-4\n#NATOM={4,8}\n#VARVOL=40\n#SYMM=P21/c\n#SUPERCELL=2 1 1\n"
    b"#CLUSTER\n#SPHERE=4\n#TARGVOL=10-12\n#COMPACT\n#CELLAMP=0.1\n#SEED=abc\n#MINBANGLE=90\n",
)
WORDS = tuple(name.encode() for name in sorted({*ATOM_NAMES, *GLOBAL_NAMES}))


def read(data: bytes, folder: Path) -> None:
    """A seed with these bytes, and two of its recipes."""
    (folder / "x.cell").write_bytes(data)
    try:
        seed = read_seed(folder / "x.cell")
    except InputError as error:
        assert "\n" not in str(error)
        return
    assert all("\n" not in line for line in seed.warnings)
    for number in range(2):
        try:
            recipe = seed.recipe(np.random.default_rng(number))
        except InputError as error:
            assert "\n" not in str(error)
        else:
            assert 1 <= sum(len(unit.symbols) for unit in recipe.units) <= MAX_ATOMS
            assert 0 < recipe.volume[0] <= recipe.volume[1] < np.inf


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(EXAMPLES), st.integers(0, 2**32))
def test_damaged_seeds_are_told_in_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes, seed: int) -> None:
    read(mutated(data, seed, WORDS), tmp_path_factory.getbasetemp())
