"""Wyckoff positions: known numbers, exact invariance, exact occupation."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import spglib

from xtalseek.proposals.random.occupation import can_hold, draw_occupation
from xtalseek.proposals.wyckoff import (
    OPERATION_COUNTS,
    UNIT,
    groups_by_operations,
    primitive_operations,
    solve_modulo_lattice,
    space_group,
)

# International Tables for Crystallography, vol. A.
KNOWN_NUMBERS = {1: 1, 2: 9, 47: 27, 123: 21, 221: 14, 225: 12, 227: 9, 229: 12, 230: 8}
SAMPLE = (1, 2, 5, 15, 43, 47, 62, 70, 88, 122, 141, 146, 155, 166, 167, 178, 191, 194, 205, 216, 220, 227, 230)


def test_all_groups_have_1731_positions() -> None:
    """1731 is the number of Wyckoff positions of the 230 space-group types."""
    assert sum(len(space_group(number).positions) for number in range(1, 231)) == 1731


@pytest.mark.parametrize(("number", "positions"), KNOWN_NUMBERS.items())
def test_known_numbers(number: int, positions: int) -> None:
    assert len(space_group(number).positions) == positions


def test_operation_counts_cover_all_groups_once() -> None:
    listed = sorted(n for ranges in OPERATION_COUNTS.values() for numbers in ranges for n in numbers)
    assert listed == list(range(1, 231))
    for count, numbers in groups_by_operations(1, 48).items():
        assert all(len(primitive_operations(number)[0]) == count for number in numbers)


def test_known_multiplicities() -> None:
    """Fd-3m, primitive: a, b 2; c, d 4; e 8; f 12; g, h 24; i 48 (conventional multiplicities over four)."""
    positions = space_group(227).positions
    assert [p.multiplicity for p in positions] == [2, 2, 4, 4, 8, 12, 24, 24, 48]
    assert [p.freedom for p in positions] == [0, 0, 0, 0, 1, 1, 1, 2, 3]


@pytest.mark.parametrize("number", SAMPLE)
def test_orbits_are_invariant_and_of_their_multiplicity(number: int) -> None:
    group = space_group(number)
    rng = np.random.default_rng(number)
    assert sum(p.multiplicity == group.operations and p.freedom == 3 for p in group.positions) == 1
    for position in group.positions:
        points = position.offsets + position.directions @ rng.random(3)
        images = np.einsum("nij,pj->npi", group.rotations, points) + group.translations[:, None]
        difference = images[:, :, None] - points
        same = np.abs(difference - np.rint(difference)).max(axis=-1) < 1e-9
        assert (same.sum(axis=2) == 1).all()  # each image is exactly one point of the orbit
        assert (same.sum(axis=0) == group.operations // position.multiplicity).all()


@pytest.mark.parametrize("number", [2, 15, 62, 88, 141, 166, 194, 205, 216, 227])
def test_orbits_alone_have_the_site_symmetry_that_spglib_finds(number: int) -> None:
    """A crystal of the general and one other orbit: spglib finds the group, and that orbit's site-symmetry order."""
    group = space_group(number)
    rng = np.random.default_rng(number)
    basis = rng.normal(size=(3, 3))
    metric = np.einsum("nki,kl,nlj->ij", group.rotations, basis @ basis.T + 3 * np.eye(3), group.rotations)
    lattice = 10 * np.linalg.cholesky(metric / np.linalg.det(metric) ** (1 / 3))
    general = group.positions[-1]
    for position in group.positions[:-1]:
        points = [p.offsets + p.directions @ rng.random(3) for p in (position, general)]
        numbers = [1] * position.multiplicity + [2] * general.multiplicity
        crystal: Any = (lattice, np.concatenate(points), numbers)
        found: Any = spglib.get_symmetry_dataset(crystal, symprec=1e-6)
        assert found.number == number
        assert (np.bincount(found.equivalent_atoms[: position.multiplicity]) == position.multiplicity).sum() == 1


def test_solutions_modulo_the_lattice_are_all_solutions() -> None:
    """Against every point of a grid of eighths, for the inversion and for a glide plane, which fixes nothing."""
    inversion = solve_modulo_lattice(2 * np.eye(3, dtype=int), np.zeros(3, dtype=int))
    points = {tuple(np.asarray(point).tolist()) for point, _ in inversion}
    grid = [np.array(n) * (UNIT // 8) for n in product(range(8), repeat=3)]
    assert points == {tuple(x.tolist()) for x in grid if not (2 * x % UNIT).any()}
    glide = np.diag([0, 0, 2])
    assert solve_modulo_lattice(glide, np.array([UNIT // 2, 0, 0])) == []
    assert len(solve_modulo_lattice(glide, np.array([0, 0, UNIT // 2]))) == 2


def test_occupation_counts_exactly_and_fixed_positions_hold_one_orbit() -> None:
    rng = np.random.default_rng(0)
    for number, counts in ((221, (1, 1, 3)), (62, (4, 4, 12)), (2, (3, 5)), (227, (2, 4, 8)), (47, (5, 9))):
        group = space_group(number)
        assert can_hold(number, counts)
        for _ in range(50):
            orbits = draw_occupation(rng, group, counts, frozenset())
            assert orbits is not None
            placed = [0] * len(counts)
            for species, position in orbits:
                placed[species] += group.positions[position].multiplicity
            assert tuple(placed) == counts
            fixed = [position for _, position in orbits if group.positions[position].freedom == 0]
            assert len(fixed) == len(set(fixed))


@pytest.mark.parametrize(
    ("number", "counts", "fits"),
    [
        (1, (1,), True),
        (2, (9,), True),  # eight inversion centres, and a pair
        (19, (2,), False),  # P2_12_12_1 has only its general position, of four
        (221, (1, 1, 1), False),  # Pm-3m has two single positions
        (221, (1, 1, 3), True),
        (227, (1,), False),
        (227, (2, 2, 2), False),
    ],
)
def test_which_counts_fit(number: int, counts: tuple[int, ...], fits: bool) -> None:
    assert can_hold(number, counts) is fits
