"""Conventional settings: plain free coordinates, closed orbits, and normalizers that are normalizers."""

import numpy as np
import pytest

from xtalseek.proposals.unimat.setting import Setting, setting
from xtalseek.proposals.unimat.vocabulary import compute_vocabulary, load_vocabulary
from xtalseek.proposals.wyckoff import space_group

SAMPLE = (1, 2, 5, 9, 14, 15, 36, 43, 62, 70, 88, 122, 139, 146, 152, 160, 166, 167, 186, 194, 205, 216, 225, 227, 230)
# Index of each group in its Euclidean normalizer, International Tables A, section 15.2 (Pnma: Pmmm with halved axes).
KNOWN_COSETS = {2: 8, 62: 8, 152: 4, 194: 2, 205: 2, 221: 2, 225: 2, 227: 2, 229: 1, 230: 1}


def in_lattice(vectors: np.ndarray, group: Setting) -> np.ndarray:
    """Whether vectors (..., 3) are translations of the lattice."""
    difference = vectors[..., None, :] - group.centring
    whole: np.ndarray = (np.abs(difference - np.rint(difference)).max(axis=-1) < 1e-6).any(axis=-1)
    return whole


@pytest.mark.parametrize("number", SAMPLE)
def test_free_coordinates_are_those_of_the_first_site(number: int) -> None:
    rng = np.random.default_rng(number)
    for position in setting(number).positions:
        u = rng.random(3)
        first = position.directions[0] @ u + position.offsets[0]
        np.testing.assert_allclose(first[position.free], u[position.free], atol=1e-12)
        assert not position.directions[:, :, ~position.free].any()


@pytest.mark.parametrize("number", SAMPLE)
def test_orbits_are_closed_and_of_their_multiplicity(number: int) -> None:
    group = setting(number)
    rng = np.random.default_rng(number)
    for position in group.positions:
        sites = position.directions @ rng.random(3) + position.offsets
        images = np.einsum("rij,nj->rni", group.rotations, sites) + group.translations[:, None]
        same = in_lattice(images[:, :, None] - sites, group)
        assert (same.sum(axis=2) == 1).all()  # each image is exactly one site of the orbit
        assert (same.sum(axis=0) == len(group.rotations) // position.multiplicity).all()


@pytest.mark.parametrize("number", SAMPLE)
def test_coordinates_from_0_to_1_reach_every_orbit(number: int) -> None:
    """Any orbit, made from other parameters, has a site that is the representative for its own coordinates mod 1."""
    group = setting(number)
    rng = np.random.default_rng(number)
    for position, other in zip(group.positions, space_group(number).positions, strict=True):
        for _ in range(5):
            sites = (other.offsets + other.directions @ (7 * rng.random(3))) @ group.basis.T
            sites = ((sites[:, None] + group.centring).reshape(-1, 3) + 1e-9) % 1
            again = sites @ position.directions[0].T + position.offsets[0]
            assert in_lattice(again - sites, group).any()


@pytest.mark.parametrize("number", SAMPLE)
def test_normalizers_map_the_group_onto_itself(number: int) -> None:
    group = setting(number)
    turns, shifts = group.normalizer
    members = (turns[:, None] == group.rotations).all(axis=(2, 3))
    # One of them stands for the group itself: the description as it is.
    assert (members & in_lattice((shifts[:, None] - group.translations) * ~group.polar, group)).any(axis=1).sum() == 1
    for turn, shift in zip(turns, shifts, strict=True):
        inverse = np.linalg.inv(turn)
        rotations = turn @ group.rotations @ inverse
        translations = group.translations @ turn.T + shift - rotations @ shift
        equal_turns = (np.abs(rotations[:, None] - group.rotations) < 1e-9).all(axis=(2, 3))
        found = equal_turns & in_lattice(translations[:, None] - group.translations, group)
        assert (found.sum(axis=0) == 1).all()
        assert (found.sum(axis=1) == 1).all()


@pytest.mark.parametrize(("number", "cosets"), KNOWN_COSETS.items())
def test_normalizers_are_complete_and_without_repeats(number: int, cosets: int) -> None:
    assert len(setting(number).normalizer[0]) == cosets


@pytest.mark.parametrize(
    ("number", "axes"), [(1, "abc"), (2, ""), (4, "b"), (8, "ac"), (36, "c"), (160, "c"), (186, "c"), (216, "")]
)
def test_polar_axes(number: int, axes: str) -> None:
    assert "".join(axis for axis, polar in zip("abc", setting(number).polar, strict=True) if polar) == axes


def test_shipped_tables_are_those_that_the_operations_give() -> None:
    shipped, computed = vars(load_vocabulary()), vars(compute_vocabulary())
    assert shipped["start"][-1] == 1731
    for name, table in computed.items():
        assert shipped[name].dtype == table.dtype, name
        np.testing.assert_allclose(shipped[name], table, atol=1e-6, err_msg=name)


def test_features_tell_all_positions_of_a_group_apart() -> None:
    tables = load_vocabulary()
    for number in range(1, 231):
        rows = tables.position_features[tables.start[number] : tables.start[number + 1]]
        apart = np.abs(rows[:, None] - rows).max(axis=-1) > 1e-3
        assert (apart | np.eye(len(rows), dtype=bool)).all(), number


def test_groups_that_share_a_lattice_are_written_in_its_axes() -> None:
    """Every group's operations keep the metric of its lattice system, whatever the lengths and angles left free."""
    tables = load_vocabulary()
    for number in SAMPLE:
        lengths = np.where([False, *tables.equal_lengths[number]], 4.0, [4.0, 5.0, 6.0])
        angles = np.where(tables.fixed_angles[number] > 0, tables.fixed_angles[number], [81, 95, 104])
        cosines = np.cos(np.radians(angles))
        metric = np.outer(lengths, lengths) * [
            [1, cosines[2], cosines[1]],
            [cosines[2], 1, cosines[0]],
            [cosines[1], cosines[0], 1],
        ]
        rotations = setting(number).rotations
        np.testing.assert_allclose(
            np.swapaxes(rotations, 1, 2) @ metric @ rotations, [metric] * len(rotations), atol=1e-9
        )
