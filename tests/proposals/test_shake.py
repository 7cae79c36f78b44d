"""Shaken structures: what is kept, what moves, and that nothing but parent and random numbers decides."""

import json
from itertools import product

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from scipy.stats import kstest

from xtalseek.errors import InputError
from xtalseek.formula import pair_key
from xtalseek.proposals import candidate_rng, make_source, propose
from xtalseek.proposals.shake import ShakeSource, shaken
from xtalseek.records import Parent, Target

ROCKSALT = Parent("MgO-random-000003", bulk("MgO", "rocksalt", a=4.21, cubic=True))
MGO = Target("MgO", (4, 4))


def shake(
    index: int, source: ShakeSource | None = None, parent: Parent = ROCKSALT, target: Target = MGO
) -> tuple[Atoms, dict[str, float]]:
    candidate = (source or ShakeSource()).propose(target, index, candidate_rng(3, "shake", index), parent)
    assert candidate.atoms is not None, candidate.note
    return candidate.atoms, dict(candidate.provenance)


def shortest(atoms: Atoms) -> dict[tuple[str, str], float]:
    """By ASE, which shares nothing with the source."""
    first, second, lengths = neighbor_list("ijd", atoms, 6.0)
    found: dict[tuple[str, str], float] = {}
    for i, j, length in zip(first, second, lengths, strict=True):
        pair = pair_key(f"{atoms.symbols[i]}-{atoms.symbols[j]}")
        found[pair] = min(found.get(pair, np.inf), float(length))
    return found


def test_same_index_and_parent_give_the_same_structure_and_others_another() -> None:
    one, again, other = shake(5)[0], shake(5)[0], shake(6)[0]
    np.testing.assert_array_equal(one.positions, again.positions)
    np.testing.assert_array_equal(one.cell.array, again.cell.array)
    assert np.abs(one.positions - other.positions).max() > 0.05
    elsewhere = Parent("b", bulk("MgO", "cesiumchloride", a=2.7).repeat((2, 2, 1)))
    assert np.abs(one.cell.array - shake(5, parent=elsewhere)[0].cell.array).max() > 0.5


def test_atoms_and_volume_stay_and_the_parent_is_recorded_and_left_alone() -> None:
    before = ROCKSALT.atoms.copy()
    for index in range(10):
        atoms, provenance = shake(index)
        assert atoms.get_chemical_symbols() == ["Mg"] * 4 + ["O"] * 4
        assert atoms.get_volume() == pytest.approx(ROCKSALT.atoms.get_volume(), rel=1e-9)
        assert np.linalg.det(atoms.cell.array) > 0
        assert json.loads(json.dumps(provenance))["parent"] == "MgO-random-000003"
    np.testing.assert_array_equal(ROCKSALT.atoms.positions, before.positions)
    assert ROCKSALT.atoms.get_chemical_symbols() == before.get_chemical_symbols()


def test_distances_that_the_parent_keeps_are_kept() -> None:
    target = Target("MgO", (4, 4), min_distances={"Mg-O": 1.9, "O-O": 2.7})
    for index in range(20):
        found = shortest(shake(index, ShakeSource(displacement=1.0), target=target)[0])
        assert found["Mg", "O"] >= 1.9
        assert found["O", "O"] >= 2.7


def test_distances_that_the_parent_falls_short_of_shrink_no_further_than_a_tenth() -> None:
    target = Target("MgO", (4, 4), min_distances={"Mg-O": 2.5})
    for index in range(20):
        atoms, provenance = shake(index, target=target)
        assert shortest(atoms)["Mg", "O"] >= 0.9 * 4.21 / 2 - 1e-9
        assert provenance["displacement"] > 0


def test_moves_are_uniform_in_a_sphere() -> None:
    """Kolmogorov-Smirnov on 1,000 lengths and directions each: false alarm 2e-4 together, seed fixed."""
    places = 20.0 * np.array(list(product(range(10), repeat=3)))
    gas = Atoms("Ar1000", positions=places, cell=[200] * 3, pbc=True)
    moved, scale = shaken(gas, np.random.default_rng(1), 0.8, 0.0, {("Ar", "Ar"): 1.0})
    assert moved is not None
    assert scale == 1
    moves = moved.positions - gas.positions
    lengths = np.linalg.norm(moves, axis=1)
    assert lengths.max() <= 0.8
    assert kstest((lengths / 0.8) ** 3, "uniform").pvalue > 1e-4
    assert kstest((1 + moves[:, 2] / lengths) / 2, "uniform").pvalue > 1e-4


def test_strain_alone_keeps_fractional_coordinates() -> None:
    atoms, _ = shake(0, ShakeSource(displacement=0.0, strain=0.03))
    parent = ROCKSALT.atoms[[0, 2, 4, 6, 1, 3, 5, 7]]
    assert atoms.get_chemical_symbols() == parent.get_chemical_symbols()
    apart = atoms.get_scaled_positions() - parent.get_scaled_positions()
    np.testing.assert_allclose(apart - np.rint(apart), 0, atol=1e-9)
    lengths = atoms.cell.lengths() / 4.21
    assert 0.85 < lengths.min() < lengths.max() < 1.15


def test_without_a_parent_it_says_what_to_do() -> None:
    source = make_source("shake")
    source.check(MGO)
    assert getattr(source, "needs_parent", False)
    with pytest.raises(InputError, match="--source random,shake"):
        propose(source, "shake", MGO, 0, seed=1)


@pytest.mark.parametrize(
    "options", [{"displacement": -1}, {"strain": 0.9}, {"displacement": 0, "strain": 0}, {"swap": 1}]
)
def test_senseless_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError):
        make_source("shake", options)
