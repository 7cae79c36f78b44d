"""Training examples of the sparse model: nothing hidden is seen, and everything asked for can be answered."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from ase.spacegroup import crystal
from crystals import hexagonal, known_crystals

from xtalseek.proposals.unimat.masking import PLACING, cell_fields, cell_lengths, mask_batch, orbit_waves
from xtalseek.proposals.unimat.model import Arrays, Batch
from xtalseek.proposals.unimat.orbits import to_orbits
from xtalseek.proposals.unimat.setting import setting
from xtalseek.proposals.unimat.sparse import pack
from xtalseek.proposals.unimat.state import Draft, State, make_state, start_numbers
from xtalseek.proposals.unimat.vocabulary import load_vocabulary

TABLES = load_vocabulary()
ORBITS = [to_orbits(atoms) for atoms in known_crystals().values()]
ROWS = np.tile(np.arange(len(ORBITS)), 20)
SEEDS = range(3)


def batch_of(arrays: Arrays, seed: int, rows: np.ndarray = ROWS) -> Batch:
    return mask_batch(arrays, rows, np.random.default_rng(seed), TABLES, jitter=0.01)


def unrolled(arrays: Arrays) -> Arrays:
    """One entry for each of ROWS, so that each example can be changed for itself."""
    return {name: value[ROWS].copy() for name, value in arrays.items()}


def test_cell_fields_and_lengths_are_inverse() -> None:
    for orbits in ORBITS:
        atoms = int(orbits.counts.sum())
        values, free = cell_fields(orbits.cell[None], np.array([orbits.number]), np.array([atoms]), TABLES)
        np.testing.assert_allclose(cell_lengths(values[0], orbits.number, atoms, TABLES), orbits.cell[:3], rtol=1e-6)
        np.testing.assert_allclose(values[0, 3:], orbits.cell[3:])
        # What symmetry fixes has the value that symmetry gives it.
        rules = np.concatenate([[0, 0, 0], TABLES.fixed_angles[orbits.number]])
        np.testing.assert_allclose(values[0][~free[0]], rules[~free[0]], atol=1e-6)


def test_the_volume_field_is_the_volume_of_an_atom() -> None:
    for orbits, atoms in zip(ORBITS, known_crystals().values(), strict=True):
        count = np.array([orbits.counts.sum()])
        values, _ = cell_fields(orbits.cell[None], np.array([orbits.number]), count, TABLES)
        assert np.exp(values[0, 0]) == pytest.approx(atoms.get_volume() / len(atoms), rel=1e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_hidden_is_not_seen(seed: int) -> None:
    """Any other number in its place gives the network the same: all free ones while positions are being placed."""
    rng = np.random.default_rng(seed)
    arrays = unrolled(pack(ORBITS))
    every = np.arange(len(ROWS))
    first = batch_of(arrays, seed, every)
    changed = {name: value.copy() for name, value in arrays.items()}
    for row, orbits in enumerate([ORBITS[number] for number in ROWS]):
        k, atoms = len(orbits.elements), int(orbits.counts.sum())
        values, cell_free = cell_fields(orbits.cell[None], np.array([orbits.number]), np.array([atoms]), TABLES)
        if (first["kind"][row] == 2).any():
            hidden = TABLES.free[TABLES.start[orbits.number] + orbits.positions]
            hidden[0] &= ~TABLES.polar[orbits.number]  # the origin was put there by rule
            cell_hidden = cell_free[0]
        else:
            hidden = first["predict_site"][row, :k].numpy()
            cell_hidden = first["predict_cell"][row].numpy()
        changed["coordinates"][row, :k][hidden] = 0.05 + 0.9 * rng.random(int(hidden.sum()))
        values[0] = np.where(cell_hidden, values[0] + [0.3, 0.1, -0.1, 4, 5, -6], values[0])
        changed["cell"][row] = [*cell_lengths(values[0], orbits.number, atoms, TABLES), *values[0, 3:]]
    second = batch_of(changed, seed, every)
    assert not torch.equal(first["true_coordinates"], second["true_coordinates"])
    assert not torch.equal(first["true_cell"], second["true_cell"])
    for field in fields(State):
        # Volume and ratios come back from the lengths in float32.
        torch.testing.assert_close(first[field.name], second[field.name], rtol=0, atol=1e-4, msg=field.name)


def test_a_hidden_space_group_is_not_seen() -> None:
    """Rocksalt, and the same stretched along a diagonal: another group, other positions, other fixed angles."""
    stretched = crystal(("Na", "Cl"), [(0, 0, 0), (0, 0, 0.5)], spacegroup=166, cellpar=hexagonal(3.99, 11.0))
    arrays = pack([to_orbits(known_crystals()["rocksalt"]), to_orbits(stretched)])
    assert arrays["group"].tolist() == [225, 166]
    seen = 0
    for seed in range(200):
        one, other = batch_of(arrays, seed, np.array([0])), batch_of(arrays, seed, np.array([1]))
        if one["predict_group"].all():
            seen += 1
            for field in fields(State):
                assert torch.equal(one[field.name], other[field.name]), field.name
    assert seen > 10


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_known_is_what_is_there(seed: int) -> None:
    """Known coordinates are the true ones but for the jitter, and zero where symmetry fixes them."""
    batch = batch_of(pack(ORBITS), seed)
    known = batch["known"]
    difference = (batch["coordinates"] - batch["true_coordinates"])[known]
    assert 0.003 < float(difference.abs().max()) < 0.06
    fixed = known & ~torch.from_numpy(TABLES.free)[batch["position"]]
    assert not batch["coordinates"][fixed].any()
    assert not batch["coordinates"][~known].any()
    torch.testing.assert_close(batch["cell"][batch["cell_known"]], batch["true_cell"][batch["cell_known"]])
    assert not (batch["cell_known"] & batch["predict_cell"]).any()
    assert not (known & batch["predict_site"]).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_no_atom_is_lost_between_orbits_and_elements(seed: int) -> None:
    batch = batch_of(pack(ORBITS), seed)
    for row, number in enumerate(ROWS):
        orbits = ORBITS[number]
        present = batch["kind"][row] > 0
        assert batch["left"][row][present].sum() == orbits.counts.sum()
        for element in set(orbits.elements.tolist()):
            mine = present & (batch["element"][row] == element)
            wanted = orbits.counts[orbits.elements == element].sum()
            assert batch["left"][row][mine].sum() == wanted
            assert (batch["total"][row][mine] == wanted).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_next_position_is_allowed_and_points_are_not_taken_twice(seed: int) -> None:
    batch = batch_of(pack(ORBITS), seed)
    rows, columns = torch.nonzero(batch["next_position"] >= 0, as_tuple=True)
    assert len(rows) > 50
    assert batch["allowed"].any(-1).all()
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        allowed, group = batch["allowed"][row, column], int(batch["true_group"][row])
        assert allowed[batch["next_position"][row, column]]
        numbers = TABLES.start[group] + np.flatnonzero(allowed.numpy())
        assert (numbers < TABLES.start[group + 1]).all()
        assert (TABLES.multiplicity[numbers] <= int(batch["left"][row, column])).all()
        placed = batch["position"][row][batch["kind"][row] == 1].numpy()
        points = placed[~TABLES.free[placed].any(axis=1)]
        assert not np.isin(numbers, points).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_every_example_asks_for_something(seed: int) -> None:
    batch = batch_of(pack(ORBITS), seed)
    placing = (batch["kind"] == 2).any(1)
    numbers = batch["predict_site"].flatten(1).any(1) | batch["predict_cell"].any(1)
    positions = (batch["next_position"] >= 0).any(1)
    assert (numbers == ~placing).all()
    assert (positions == (placing & ~batch["predict_group"])).all()
    assert (batch["predict_group"] <= placing).all()
    assert abs(float(placing.float().mean()) - PLACING) < 0.1


@pytest.mark.parametrize("number", [1, 2, 14, 19, 62, 136, 152, 186, 194, 198, 205, 221])
def test_waves_do_not_depend_on_which_atom_stands_for_the_orbit(number: int) -> None:
    rng = np.random.default_rng(number)
    group = setting(number)
    others = 0
    for index, position in enumerate(group.positions):
        name = np.array(TABLES.start[number] + index)
        u = rng.random(3) * position.free
        wanted, known = orbit_waves(name, u, np.array(True), TABLES)
        assert known
        for site in position.directions @ u + position.offsets:
            again = position.directions[0] @ (site % 1 * position.free) + position.offsets[0] - site
            if np.abs(again - np.rint(again)).max() < 1e-6:
                waves, _ = orbit_waves(name, site % 1 * position.free, np.array(True), TABLES)
                np.testing.assert_allclose(waves, wanted, atol=1e-4)
                others += 1
    assert others > len(group.positions) or number == 1


def test_waves_that_are_not_known_are_zero() -> None:
    waves, known = orbit_waves(np.array([500, 500]), np.full((2, 3), 0.3), np.array([True, False]), TABLES)
    assert known.tolist() == [True, False]
    assert waves[0].any()
    assert not waves[1].any()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_sampler_sees_what_training_showed(seed: int) -> None:
    """Equal knowledge is an equal state, whether training hid the rest or the sampler is yet to draw it."""
    batch = mask_batch(pack(ORBITS), ROWS, np.random.default_rng(seed), TABLES, jitter=0.0)
    for row, number in enumerate(ROWS):
        orbits = ORBITS[number]
        counts: dict[int, int] = {}
        for element, n in zip(orbits.elements.tolist(), orbits.counts.tolist(), strict=True):
            counts[element] = counts.get(element, 0) + n
        placed = batch["kind"][row] == 1
        k = int(placed.sum())
        draft = Draft(counts, group=int(batch["group"][row]))
        draft.placed = list(zip(batch["element"][row, :k].tolist(), batch["position"][row, :k].tolist(), strict=True))
        if not draft.left(TABLES):
            start_numbers(draft, TABLES)
            told, cell_told = batch["known"][row, :k].numpy(), batch["cell_known"][row].numpy()
            assert (draft.known <= told).all()
            draft.known, draft.cell_known = told, cell_told
            draft.coordinates = np.where(told, batch["coordinates"][row, :k], draft.coordinates)
            draft.cell = np.where(cell_told, batch["cell"][row], draft.cell)
        state = make_state([draft], TABLES)
        t = int((batch["kind"][row] > 0).sum())
        for field in fields(State):
            wanted = batch[field.name][row]
            wanted = wanted if field.name in ("group", "cell", "cell_known") else wanted[:t]
            got = getattr(state, field.name)[0]
            torch.testing.assert_close(got, wanted, rtol=0, atol=1e-4, msg=field.name)
