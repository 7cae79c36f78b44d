"""Fingerprints of known surroundings, coverage by hand, and distances of distributions."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor

from xtalseek.analysis.coverage import (
    _ORDER_PARAMETERS,
    coverage,
    densities,
    distribution_distance,
    element_counts,
    fingerprint,
)

# CrystalNN guesses radii where there are no oxidation states, and says so.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

# The order of the numbers in a fingerprint: the weight of each coordination number, then its order parameters.
LABELS = [(cn, name) for cn in range(1, 25) for name in ("weight", *_ORDER_PARAMETERS.get(cn, ()))]


@pytest.mark.parametrize(
    ("atoms", "cn", "motif"),
    [
        (bulk("NaCl", "rocksalt", a=5.64), 6, "octahedral"),
        (bulk("C", "diamond", a=3.57), 4, "tetrahedral"),
        (bulk("Cu", "fcc", a=3.61), 12, "cuboctahedral"),
    ],
    ids=["rocksalt", "diamond", "fcc"],
)
def test_fingerprints_know_their_motif(atoms: Atoms, cn: int, motif: str) -> None:
    found = fingerprint(atoms)
    assert found is not None
    assert found.shape == (61,) == (len(LABELS),)
    values = dict(zip(LABELS, found, strict=True))
    assert values[cn, "weight"] > 0.9
    assert values[cn, motif] > 0.9 * values[cn, "weight"]
    assert sum(value for (_, name), value in values.items() if name == "weight") == pytest.approx(1, abs=1e-6)


def test_fingerprints_do_not_depend_on_the_cell(rutile: Atoms) -> None:
    turned = rutile.repeat((1, 2, 1))
    turned.rotate(30, (1, 1, 0), rotate_cell=True)
    first, second = fingerprint(rutile), fingerprint(turned)
    assert first is not None
    assert second is not None
    assert second == pytest.approx(first, abs=1e-4)


def test_a_structure_without_surroundings_has_no_fingerprint() -> None:
    assert fingerprint(Atoms("H2", positions=[[0, 0, 0], [0, 0, 0]], cell=[3, 3, 1e-9], pbc=True)) is None


def test_coverage_counts_what_is_near_on_each_side(rutile: Atoms, anatase: Atoms) -> None:
    salt = bulk("NaCl", "rocksalt", a=5.64)
    caesium = bulk("NaCl", "cesiumchloride", a=3.4)
    found = coverage([salt, salt, caesium, None], [salt, rutile], structure_cutoff=0.2)
    # Two of four samples have a near reference; of two references one was drawn.
    assert (found.precision, found.recall) == (0.5, 0.5)
    assert found.without_fingerprint == 1
    everything = coverage([salt, rutile], [salt, rutile])
    assert (everything.precision, everything.recall) == (1, 1)


def test_a_composition_that_is_no_references_leaves_coverage_unknown(rutile: Atoms) -> None:
    found = coverage([bulk("Cu")], [rutile])
    assert (found.recall, found.precision) == (None, None)
    nothing = coverage([None], [rutile])
    assert (nothing.recall, nothing.precision) == (0, 0)


def test_densities_are_pymatgens_and_elements_are_counted(rutile: Atoms) -> None:
    structures = [rutile, bulk("Cu"), None]
    wanted = [AseAtomsAdaptor.get_structure(atoms).density for atoms in structures if atoms is not None]
    assert densities(structures) == pytest.approx(wanted, rel=1e-4)
    assert element_counts(structures).tolist() == [2, 1]


def test_the_distance_of_shifted_numbers_is_the_shift() -> None:
    numbers = np.array([1.0, 2.0, 5.0])
    assert distribution_distance(numbers + 0.5, numbers) == pytest.approx(0.5)
    assert distribution_distance(np.array([1.5, np.nan]), np.array([1.0])) == 0.5
    assert distribution_distance(np.array([]), numbers) is None
