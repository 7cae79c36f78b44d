"""MINSEP=AUTO, the writer, and what both learn from structures."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from xtalseek.errors import InputError
from xtalseek.proposals.recipe import Recipe
from xtalseek.proposals.seeds import parse_seed, write_seed
from xtalseek.proposals.seeds.learning import learn, shortest_distances

NACL = bulk("NaCl", "rocksalt", a=5.64)
FORMULAS = [
    "Si",
    "SiO2",
    "SrTiO3",
    "MgSiO3",
    "Ca(OH)2",
    "LiFePO4",
    "CsPbI3",
    "He",
    "YBa2Cu3O7",
    "UO2",
    "H2O",
    "AlCoCrFeNi",
]


def recipe(text: str, structures: list[Atoms] | None = None) -> Recipe:
    return parse_seed(text, "seed", structures=structures or ()).recipe(np.random.default_rng(0))


def test_shortest_distances_count_periodic_images() -> None:
    found = shortest_distances(NACL)
    assert found == pytest.approx({("Na", "Na"): 3.988, ("Cl", "Na"): 2.82, ("Cl", "Cl"): 3.988}, abs=1e-3)
    assert shortest_distances(Atoms("Si", cell=[2.0, 9, 9], pbc=True)) == pytest.approx({("Si", "Si"): 2.0})


def test_only_the_lowest_quarter_teaches() -> None:
    structures = []
    for number, a in enumerate((5.6, 6.0, 6.4, 6.8)):
        atoms = bulk("NaCl", "rocksalt", a=a)
        atoms.calc = SinglePointCalculator(atoms, energy=float(number))
        structures.append(atoms)
    learned = learn(structures)
    assert learned.structures == 1
    assert learned.volume_per_atom == pytest.approx(5.6**3 / 8)
    assert learned.distances["Cl", "Na"] == pytest.approx(0.9 * 2.8)
    assert learn([atoms.copy() for atoms in structures]).structures == 4


def test_auto_takes_distances_and_volume_from_structures() -> None:
    text = "#FORMULA=NaCl\n#NFORM=4\n#VARVOL=99\n#MINSEP=1-3 AUTO\n#OVERLAP=0.1\n"
    found = recipe(text, [NACL])
    assert found.volume == pytest.approx((0.95 * 5.64**3, 1.05 * 5.64**3))
    assert found.min_distances["Cl", "Na"] == pytest.approx((0.9 * 2.82,) * 2)
    warnings = parse_seed(text, "seed", structures=[NACL]).warnings
    assert warnings == ("line 3: VARVOL has no effect: MINSEP=AUTO takes the volume from the structures",)


def test_a_pair_that_no_structure_has_keeps_the_default() -> None:
    found = recipe("#FORMULA=NaF\n#MINSEP=1-3 AUTO\n#OVERLAP=0.1", [NACL])
    assert found.min_distances["F", "Na"] == (1, 3)
    assert found.min_distances["Na", "Na"] == pytest.approx((0.9 * 3.988,) * 2, abs=1e-3)


def test_auto_without_structures_falls_back_on_radii() -> None:
    text = "#FORMULA=NaCl\n#NFORM=4\n#VARVOL=45\n#MINSEP=1-3 AUTO\n#OVERLAP=0.1\n"
    found = recipe(text)
    assert found.volume == pytest.approx((0.95 * 180, 1.05 * 180))
    assert 1.5 < found.min_distances["Cl", "Na"][0] < 2.8
    assert any("no structures to learn from" in warning for warning in parse_seed(text, "seed").warnings)


def test_autovol_learns_the_volume_only() -> None:
    found = recipe("#FORMULA=NaCl\n#MINSEP=1.5 AUTOVOL", [NACL])
    assert found.volume == pytest.approx((0.95 * 5.64**3 / 4, 1.05 * 5.64**3 / 4))
    assert set(found.min_distances.values()) == {(1.5, 1.5)}


@pytest.mark.parametrize("formula", FORMULAS)
def test_what_is_written_is_read_without_a_warning(formula: str) -> None:
    seed = parse_seed(write_seed(formula, formula_units=(1, 4)), "seed")
    assert seed.warnings == ()
    for number in range(8):
        found = seed.recipe(np.random.default_rng(number))
        assert all(unit.is_free_atom for unit in found.units)
        assert found.groups.keys() == {2, 3, 4}
        smallest = min(low for low, _ in found.min_distances.values())
        assert 0.3 < smallest < 5


def test_the_written_volume_is_that_of_the_structures() -> None:
    found = recipe(write_seed("NaCl", [NACL], formula_units=4, symmetry_operations=1))
    assert found.volume == pytest.approx((0.95 * 5.64**3, 1.05 * 5.64**3), rel=1e-3)
    assert found.min_distances["Cl", "Na"][0] == pytest.approx(0.9 * 2.82, abs=0.01)
    assert found.groups == {1: (1,)}


def test_the_written_volume_is_the_same_under_both_laws() -> None:
    text = write_seed("SrTiO3", formula_units=2)
    one, other = (
        parse_seed(text, "seed", volume_law=law).recipe(np.random.default_rng(0)).volume
        for law in ("buildcell", "per_formula_unit")
    )
    assert one == pytest.approx(other)


def test_wrong_words_are_refused() -> None:
    with pytest.raises(InputError, match="structures hold Cl"):
        write_seed("Na", [NACL])
    with pytest.raises(InputError, match="symmetry_operations: 0-4"):
        write_seed("Na", symmetry_operations=(0, 4))
    with pytest.raises(InputError, match="symmetry_operations: 5: groups have 1, 2, 3"):
        write_seed("Na", symmetry_operations=5)
    with pytest.raises(InputError, match="seed of Na x 0"):
        write_seed("Na", formula_units=0)
    with pytest.raises(InputError, match="at most 100 atoms"):
        write_seed("Na200")
    with pytest.raises(InputError, match="no structure to learn from"):
        learn([])
