"""Crystals on the periodic table and back: exact to float32, or an error that says what does not fit."""

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers
from pymatgen.core import Element, Structure

from xtalseek.errors import InputError
from xtalseek.proposals.unimat.grid import (
    ELEMENT,
    GROUP,
    NULL,
    PERIOD,
    Table,
    assign_slots,
    decode,
    element_counts,
    encode,
    formula_mask,
    types_mask,
)

VALIDATION = Path(__file__).parents[4] / "shared" / "data" / "mp" / "val.csv.gz"
RUTILE = Atoms(
    "Ti2O4",
    scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5), (0.3, 0.3, 0), (0.7, 0.7, 0), (0.2, 0.8, 0.5), (0.8, 0.2, 0.5)],
    cell=[4.6, 4.6, 2.96],
    pbc=True,
)


@pytest.fixture(scope="module")
def validation() -> list[Atoms]:
    """Every structure of mp/val, read by pymatgen."""
    if not VALIDATION.exists():
        pytest.skip(f"{VALIDATION} is not here")
    with gzip.open(VALIDATION, "rt") as file:
        texts = [row["cif"] for row in csv.DictReader(io.StringIO(file.read()))]
    structures = [Structure.from_str(text, fmt="cif", primitive=False) for text in texts]
    return [
        Atoms([site.specie.Z for site in s], scaled_positions=s.frac_coords, cell=s.lattice.matrix, pbc=True)
        for s in structures
    ]


def assert_exact(atoms: Atoms, table: Table, slots: int) -> None:
    """Each element's atoms come back in order, with coordinates exact in float32 and the cell exact."""
    grid, cell = encode(atoms, slots, table)
    assert grid.dtype == np.float32
    assert grid.shape == (slots, *table.shape, 3)
    empty = (grid == NULL).all(axis=-1)
    assert (~empty).sum() == len(atoms)
    assert grid[~empty].min() >= 0
    assert grid[~empty].max() < 1
    back = decode(grid, cell, table)
    np.testing.assert_allclose(back.cell.cellpar(), atoms.cell.cellpar(), rtol=1e-12, atol=1e-10)
    assert sorted(back.numbers) == sorted(atoms.numbers)
    for z in set(atoms.numbers):
        given = atoms.cell.scaled_positions(atoms.positions)[atoms.numbers == z]
        difference = back.cell.scaled_positions(back.positions)[back.numbers == z] - given
        assert np.abs(difference - np.rint(difference)).max() < 1e-7


def test_positions_are_the_periodic_table() -> None:
    for z in range(1, 104):
        element = Element.from_Z(z)
        if 57 <= z <= 71:
            assert (PERIOD[z], GROUP[z]) == (8, z - 54)
        elif z >= 89:
            assert (PERIOD[z], GROUP[z]) == (9, z - 86)
        else:
            assert (PERIOD[z], GROUP[z]) == (element.row, element.group)
        assert ELEMENT[PERIOD[z], GROUP[z]] == z
    assert (ELEMENT > 0).sum() == 103


def test_table_shrinks_to_what_is_needed() -> None:
    assert Table().shape == (9, 18)
    assert Table((6,)).shape == (1, 1)
    assert Table.of([RUTILE]).shape == (2, 2)
    assert Table.of([RUTILE]).elements == (8, 22)
    table = Table((1, 2, 6, 22))
    assert [table.element[table.site[z]] for z in table.elements] == list(table.elements)
    assert (table.element > 0).sum() == 4


@pytest.mark.parametrize("table", [Table(), Table.of([RUTILE])])
def test_rutile_is_exact(table: Table) -> None:
    assert_exact(RUTILE, table, 4)
    assert_exact(RUTILE, table, 20)


def test_carbon_needs_one_site_per_slot() -> None:
    diamond = bulk("C", "diamond", a=3.57, cubic=True)
    grid, _ = encode(diamond, 8, Table.of([diamond]))
    assert grid.shape == (8, 1, 1, 3)
    assert_exact(diamond, Table.of([diamond]), 8)


def test_edges_of_the_cell_are_wrapped() -> None:
    """Coordinates that round to 1 in float32 or lie just below 0 are 0, not the null value's neighbour."""
    fractional = np.array([(1 - 1e-12, -1e-17, -0.25), (2.5, 1.0, -3.0)])
    atoms = Atoms("C2", positions=fractional * 5, cell=[5, 5, 5], pbc=True)
    grid, _ = encode(atoms, 2, Table((6,)))
    np.testing.assert_array_equal(grid[:, 0, 0], [(0, 0, 0.75), (0.5, 0, 0)])


@pytest.mark.filterwarnings("ignore:Issues encountered while parsing CIF")
def test_every_validation_structure_is_exact(validation: list[Atoms]) -> None:
    assert len(validation) == 625
    whole, small = Table(), Table.of(validation)
    slots = max(max(element_counts(atoms.numbers).values()) for atoms in validation)
    for atoms in validation:
        assert_exact(atoms, whole, slots)
        assert_exact(atoms, small, slots)


def test_overflow_and_unknown_elements_are_errors() -> None:
    with pytest.raises(InputError, match="4 atoms of O do not fit into 3 slots"):
        encode(RUTILE, 3, Table())
    with pytest.raises(InputError, match="Ti is not on the table"):
        encode(RUTILE, 4, Table((8,)))
    with pytest.raises(InputError, match="Am is not on the table of 94 elements"):
        formula_mask([{"Am": 1}], 4, Table())
    with pytest.raises(InputError, match="5 atoms of O"):
        formula_mask([{"O": 5}], 4, Table())


def test_shuffled_slots_are_the_same_structure() -> None:
    table = Table()
    plain, cell = encode(RUTILE, 6, table)
    seen = set()
    for seed in range(10):
        shuffled, _ = encode(RUTILE, 6, table, np.random.default_rng(seed))
        seen.add(shuffled.tobytes())
        back, again = decode(plain, cell, table), decode(shuffled, cell, table)
        assert list(back.numbers) == list(again.numbers)
        assert sorted(map(tuple, back.get_scaled_positions())) == sorted(map(tuple, again.get_scaled_positions()))
    assert len(seen) > 5


def test_slots_count_each_element_from_zero() -> None:
    numbers = np.array([[8, 22, 8, 8, 22, 0], [6, 6, 6, 6, 6, 6]])
    np.testing.assert_array_equal(assign_slots(numbers), [[0, 0, 1, 2, 1, 0], [0, 1, 2, 3, 4, 5]])
    shuffled = assign_slots(numbers, np.random.default_rng(0))
    assert sorted(shuffled[0, [0, 2, 3]]) == [0, 1, 2]
    assert sorted(shuffled[0, [1, 4]]) == [0, 1]
    assert sorted(shuffled[1]) == list(range(6))


def test_shuffling_is_uniform() -> None:
    """Each of 6 orders of three atoms: chi-squared with 5 degrees of freedom, false alarm 1e-3 (20.5)."""
    slots = assign_slots(np.full((6000, 3), 6), np.random.default_rng(1))
    _, counts = np.unique(slots, axis=0, return_counts=True)
    assert len(counts) == 6
    assert ((counts - 1000) ** 2 / 1000).sum() < 20.5


def test_noise_and_foreign_sites_do_not_become_atoms() -> None:
    table = Table((1, 2, 6, 22))
    methane = Atoms("CH4", scaled_positions=np.random.default_rng(3).random((5, 3)), cell=[6, 6, 6], pbc=True)
    grid, cell = encode(methane, 4, table)
    noisy = grid + np.random.default_rng(4).normal(scale=0.05, size=grid.shape).astype(np.float32)
    assert element_counts(decode(noisy, cell, table).numbers) == {"H": 4, "C": 1}
    foreign = grid.reshape(4, -1, 3).copy()
    foreign[:, table.element == 0] = 0.5
    assert len(decode(foreign.reshape(grid.shape), cell, table)) == 5


def test_masks_are_where_the_atoms_are() -> None:
    table = Table()
    grid, _ = encode(RUTILE, 5, table)
    np.testing.assert_array_equal(formula_mask([{"O": 4, "Ti": 2}], 5, table)[0], (grid != NULL).all(axis=-1))
    types = types_mask([{"O": 40, "Ti": 2}], table)[0]
    assert types.sum() == 2
    for symbol in ("O", "Ti"):
        z = atomic_numbers[symbol]
        assert types[PERIOD[z] - 1, GROUP[z] - 1] == 1
