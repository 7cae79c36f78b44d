"""Close pairs and shortest distances against ase's neighbour list, in cells of any shape."""

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from xtalseek.proposals.random.pairs import close_pairs, shortest_distances

SKEW = np.array([[1, 4, -3], [0, 1, 5], [0, 0, 1]])
CELLS = {
    "cubic": np.eye(3) * 4.0,
    "small": np.diag([1.1, 1.4, 1.9]),
    "flat": np.array([[5.0, 0, 0], [4.6, 1.2, 0], [2.0, 0.4, 1.1]]),
    "skewed": SKEW @ np.array([[3.1, 0.2, 0], [0.4, 3.6, -0.7], [0.9, 0.1, 4.4]]),
    "left-handed": np.array([[0, 0, 3.3], [0, 2.7, 0.5], [3.9, 0.3, 0]]),
}
REACH = np.array([[2.9, 3.4, 1.2], [3.4, 4.1, 2.2], [1.2, 2.2, 0.6]])


def example(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A cell, six unwrapped atoms of three species, two of them on one another's lattice line."""
    rng = np.random.default_rng(len(name))
    cell = CELLS[name]
    positions = rng.uniform(-1.5, 2.5, (6, 3)) @ cell
    positions[1] = positions[0] + 0.5 * cell[2]
    return cell, positions, np.array([0, 1, 1, 2, 0, 2])


@pytest.mark.parametrize("name", CELLS)
def test_close_pairs_are_ases_each_once(name: str) -> None:
    cell, positions, species = example(name)
    first, second, shift = close_pairs(cell, positions, species, REACH)
    assert (first <= second).all()
    ours = sorted(zip(first.tolist(), second.tolist(), *shift.T.tolist(), strict=True))
    assert len(set(ours)) == len(ours)
    mirrored = [(j, i, -a, -b, -c) for i, j, a, b, c in ours]

    atoms = Atoms(numbers=species + 1, positions=positions, cell=cell, pbc=True)
    i, j, distance, images = neighbor_list("ijdS", atoms, float(REACH.max()))
    kept = distance < REACH[species[i], species[j]]
    theirs = sorted(zip(i[kept].tolist(), j[kept].tolist(), *images[kept].T.tolist(), strict=True))
    assert len(theirs) > 20
    assert sorted(ours + mirrored) == theirs


@pytest.mark.parametrize("name", CELLS)
def test_shortest_distances_are_ases(name: str) -> None:
    cell, positions, species = example(name)
    atoms = Atoms(numbers=species + 1, positions=positions, cell=cell, pbc=True)
    limit = 3.0
    i, j, distance = neighbor_list("ijd", atoms, limit)
    expected = np.full((3, 3), np.inf)
    np.minimum.at(expected, (species[i], species[j]), distance)
    found = shortest_distances(cell, positions, species, 3, limit)
    assert np.allclose(found, expected, rtol=0, atol=1e-9)


def test_what_is_beyond_the_limit_is_infinite() -> None:
    found = shortest_distances(np.eye(3) * 5.0, np.zeros((1, 3)), np.zeros(1, np.int64), 2, 4.9)
    assert np.isinf(found).all()
    found = shortest_distances(np.eye(3) * 5.0, np.zeros((1, 3)), np.zeros(1, np.int64), 2, 5.1)
    assert found[0, 0] == pytest.approx(5.0) and np.isinf(found[0, 1]) and np.isinf(found[1, 1])
