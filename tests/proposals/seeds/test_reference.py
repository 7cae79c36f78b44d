"""The seeds of the reference ensembles: atoms and volumes as buildcell 0.9.1 made them."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from xtalseek.errors import InputError
from xtalseek.proposals.seeds import read_seed
from xtalseek.proposals.seeds.groups import RANKED, SOHNCKE, SYMMORPHIC

FOLDER = Path("/work/shared/reference/buildcell")


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the reference ensembles are not here")
@pytest.mark.parametrize(("name", "atoms", "counts"), [
    ("Si8", 8, {1}), ("Si8_sym", 8, {2, 3, 4}), ("LJ8", 8, {1}), ("MgSiO3_20_p1", 20, {1})
])  # fmt: skip
def test_reference_seeds(name: str, atoms: int, counts: set[int]) -> None:
    """All reference volumes lie in the recipe's range, and reach to within 1 % of its ends."""
    seed = read_seed(FOLDER / f"{name}.cell")
    assert seed.name == name
    recipe = seed.recipe(np.random.default_rng(0))
    assert sum(len(unit.symbols) for unit in recipe.units) == atoms
    assert recipe.groups.keys() == counts
    assert recipe.is_bulk
    with gzip.open(FOLDER / f"{name}.extxyz.gz", "rt") as file:
        frames = read(file, index=":400", format="extxyz")
    volumes = np.array([frame.get_volume() for frame in frames])
    low, high = recipe.volume
    # buildcell writes lengths and angles with five digits, hence 1e-4.
    assert low * (1 - 1e-4) <= volumes.min() < 1.01 * low
    assert 0.99 * high < volumes.max() <= high * (1 + 1e-4)
    assert {len(frame) for frame in frames} == {atoms}


def test_lists_of_groups() -> None:
    assert sorted(RANKED) == list(range(1, 231))
    assert RANKED[:5] == (225, 62, 14, 2, 12)
    assert len(set(SOHNCKE)) == 65
    assert len(set(SYMMORPHIC)) == 73


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_seed(tmp_path / "none.cell")
    binary = tmp_path / "binary.cell"
    binary.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="is no text"):
        read_seed(binary)
    with pytest.raises(InputError, match="cannot be read"):
        read_seed(tmp_path)
