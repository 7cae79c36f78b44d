"""`unimat-sparse`: symmetries of the network, exact compositions from any weights, and learning by heart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spglib
import torch
from ase import Atoms
from crystals import known_crystals

from xtalseek.analysis.assignment import compositions
from xtalseek.analysis.matching import match_distances, primitive_cells
from xtalseek.errors import InputError
from xtalseek.formula import parse_formula
from xtalseek.proposals.random.occupation import can_hold
from xtalseek.proposals.unimat.generate import Generator
from xtalseek.proposals.unimat.sampler import SparseSampling, draw_value, share_out
from xtalseek.proposals.unimat.sparse import SparseConfig, SparseModel
from xtalseek.proposals.unimat.state import Draft, State, to_atoms
from xtalseek.proposals.unimat.training import Progress, TrainSettings, train
from xtalseek.proposals.unimat.vocabulary import load_vocabulary
from xtalseek.proposals.wyckoff import primitive_operations

TABLES = load_vocabulary()
TINY: dict[str, Any] = {"width": 32, "layers": 2, "heads": 4, "bins": 32, "dropout": 0.0}
FORMULAS = (
    "Cu", "C2", "NaCl", "Ce9Rh6", "SrTiO3", "Ti2O4", "Na7Cl13", "Al11P9", "H19O", "Fe17Sm2", "Ca4Mg4Si8O2", "HHeLiBeB",
    "LiBeBCNOFNa", "U5Pu5Th5Np5", "Si20", "C17", "Mg12Al17", "Ba2Y3Cu7O4", "Ag3Au5Cu7", "KFCl2O4SN11",
)  # fmt: skip


def tiny(seed: int = 0, **settings: Any) -> SparseModel:
    torch.manual_seed(seed)
    return SparseModel(SparseConfig(**{**TINY, **settings})).eval()


def batch_of(model: SparseModel, rows: int = 60) -> dict[str, torch.Tensor]:
    arrays, _ = model.prepare(list(known_crystals().values()), [0.0] * 21)
    return model.collate(arrays, np.arange(rows) % 21, np.random.default_rng(5))


def state_of(batch: dict[str, torch.Tensor]) -> State:
    return State(**{field.name: batch[field.name] for field in fields(State)})


def sample(model: SparseModel, formulas: list[str], seed: int = 0, draws: int = 1, **options: Any) -> list[Atoms]:
    wanted = [parse_formula(formula) for formula in formulas for _ in range(draws)]
    generator = torch.Generator().manual_seed(seed)
    return model.sample(wanted, list(range(draws)) * len(formulas), generator, options)


def test_the_order_of_the_tokens_does_not_matter() -> None:
    model = tiny()
    state = state_of(batch_of(model))
    order = torch.randperm(state.kind.shape[1], generator=torch.Generator().manual_seed(2))
    whole = {"group", "cell", "cell_known"}
    shuffled = replace(
        state, **{f.name: getattr(state, f.name)[:, order] for f in fields(State) if f.name not in whole}
    )
    with torch.no_grad():
        first, second = model.encode(state), model.encode(shuffled)
        torch.testing.assert_close(model.site_logits(second), model.site_logits(first)[:, order], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(model.cell_logits(second), model.cell_logits(first), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(model.group_logits(second), model.group_logits(first), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(model.site_logits(first), model.site_logits(first)[:, order], atol=1e-2)


def test_absent_tokens_change_nothing() -> None:
    model = tiny()
    state = state_of(batch_of(model))
    t = state.kind.shape[1]
    whole = {"group", "cell", "cell_known"}
    rng = torch.Generator().manual_seed(3)
    longer = {}
    for field in fields(State):
        value = getattr(state, field.name)
        if field.name not in whole:
            junk = torch.randint(0, 2, (len(value), 4, *value.shape[2:]), generator=rng)
            junk = torch.zeros_like(junk) if field.name == "kind" else junk
            value = torch.cat([value, junk.to(value.dtype)], dim=1)
        longer[field.name] = value
    with torch.no_grad():
        first, second = model.encode(state), model.encode(State(**longer))
    present = torch.cat([torch.ones(len(first), 1, dtype=torch.bool), state.kind > 0], dim=1)
    torch.testing.assert_close(second[:, : t + 1][present], first[present], rtol=1e-4, atol=1e-4)


def test_coordinates_have_no_border() -> None:
    """0.001 and 1.001 are one place, and 0.999 lies close to both."""
    model = tiny()
    state = state_of(batch_of(model))
    with torch.no_grad():
        first = model.encode(state)
        turned = model.encode(replace(state, coordinates=state.coordinates + 1))
    torch.testing.assert_close(turned, first, rtol=1e-3, atol=1e-3)


def test_loss_counts_only_what_is_hidden() -> None:
    model = tiny()
    batch = batch_of(model)
    before = model.loss(batch, torch.Generator())
    told = ~batch["predict_site"]
    batch["true_coordinates"] = torch.where(told, torch.rand(told.shape), batch["true_coordinates"])
    batch["true_cell"] = torch.where(
        batch["predict_cell"], batch["true_cell"], torch.full_like(batch["true_cell"], 2.0)
    )
    after = model.loss(batch, torch.Generator())
    for name, value in before.items():
        torch.testing.assert_close(after[name], value)
        assert value > 0


@pytest.mark.parametrize("seed", range(2))
def test_any_weights_give_exactly_the_asked_composition(seed: int) -> None:
    drawn = sample(tiny(seed), list(FORMULAS), seed, draws=3)
    for atoms, formula in zip(drawn, [f for f in FORMULAS for _ in range(3)], strict=True):
        assert Counter(atoms.get_chemical_symbols()) == parse_formula(formula)
        assert atoms.pbc.all()
        assert np.isfinite(atoms.positions).all()
        assert atoms.get_volume() > len(atoms)


def test_the_generator_decides_everything() -> None:
    model = tiny()
    runs: list[list[Atoms]] = []
    for seed in (3, 3, 4):
        torch.manual_seed(len(runs))  # global numbers must not matter
        np.random.seed(len(runs))
        runs.append(sample(model, ["SrTiO3", "Ti2O4", "Ca4Mg4Si8O2"], seed, draws=2))
    for first, second in zip(runs[0], runs[1], strict=True):
        assert np.array_equal(first.positions, second.positions)
        assert np.array_equal(first.cell, second.cell)
    assert any(not np.allclose(first.cell, other.cell) for first, other in zip(runs[0], runs[2], strict=True))


@pytest.mark.parametrize("group", [2, 14, 62, 139, 160, 166, 194, 221, 225, 227])
def test_structures_have_the_symmetry_that_was_asked_for(group: int) -> None:
    """At least as many operations as the group, in the primitive cell that spglib finds; special numbers give more."""
    model = tiny(group)
    asked = [f for f in ("Cu", "Ca4Mg4Si8O2", "Ti2O4", "SrTiO3", "Si20") if can_hold(group, counts(f))]
    assert asked
    for atoms in sample(model, asked, draws=2, space_groups=(group,), first_temperature=1.0):
        cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
        found = spglib.get_symmetry_dataset(cell, symprec=1e-4)
        assert found is not None
        operations = len(primitive_operations(int(found.number))[0])
        assert operations >= len(primitive_operations(group)[0])


def counts(formula: str) -> tuple[int, ...]:
    return tuple(parse_formula(formula).values())


@pytest.mark.parametrize(
    "angles", [(139.0, 139.0, 139.0), (56.0, 56.0, 139.0), (120.0, 120.0, 120.0), (80.0, 95.0, 104.0)]
)
def test_angles_that_close_no_cell_are_mended(angles: tuple[float, float, float]) -> None:
    draft = Draft({3: 4}, group=1, placed=[(3, int(TABLES.start[1]))] * 4)
    draft.coordinates = np.random.default_rng(0).random((4, 3))
    draft.cell = np.array([np.log(15.0), 0.2, -0.1, *angles])
    atoms = to_atoms(draft, TABLES)
    assert atoms.get_volume() / 4 == pytest.approx(15.0)
    if angles[0] == 80.0:  # nothing wrong with these
        assert atoms.cell.cellpar()[3:] == pytest.approx(angles)


def test_space_groups_that_hold_no_such_composition() -> None:
    with pytest.raises(InputError, match="space_groups: none of those allowed can hold"):
        sample(tiny(), ["SrTiO3"], space_groups=(227,))


def logits_of(probabilities: dict[int, float]) -> np.ndarray:
    values = np.full(230, -1e9)
    for group, probability in probabilities.items():
        values[group - 1] = np.log(probability)
    return values


def test_draws_are_shared_out_in_proportion() -> None:
    settings = SparseSampling(group_temperature=1.0)
    shares = {225: 0.5, 221: 0.3, 12: 0.15, 2: 0.05}
    sequence = share_out(logits_of(shares), (1, 1), 100, settings, TABLES)
    taken = Counter(group for group, _ in sequence)
    for group, share in shares.items():
        assert abs(taken[group] - 100 * share) <= 1
    assert [group for group, _ in sequence[:2]] == [225, 221]
    for group in shares:  # the visits of a group are counted
        assert [visit for number, visit in sequence if number == group] == list(range(taken[group]))


def test_fewer_draws_are_the_first_of_more() -> None:
    logits = np.random.default_rng(0).normal(size=230) * 3
    long = share_out(logits, (1, 1, 3), 60, SparseSampling(), TABLES)
    for draws in (0, 1, 7, 59):
        assert share_out(logits, (1, 1, 3), draws, SparseSampling(), TABLES) == long[:draws]


def test_groups_that_cannot_hold_the_atoms_are_passed_over() -> None:
    logits = logits_of({227: 0.9, 19: 0.05, 221: 0.05})
    assert {group for group, _ in share_out(logits, (1, 1, 3), 20, SparseSampling(), TABLES)} == {221}
    drawn = share_out(np.zeros(230), (3, 5, 7), 300, SparseSampling(), TABLES)
    assert {group for group, _ in drawn} == {n for n in range(1, 231) if can_hold(n, (3, 5, 7))}


def test_a_higher_temperature_reaches_more_groups() -> None:
    logits = np.random.default_rng(0).normal(size=230) * 3
    reached = [
        len({group for group, _ in share_out(logits, (4, 8), 40, SparseSampling(group_temperature=t), TABLES)})
        for t in (0.3, 1.0, 4.0)
    ]
    assert reached == sorted(set(reached))


@pytest.mark.parametrize("periodic", [True, False])
def test_a_sure_bin_is_hit_within_its_width(periodic: bool) -> None:
    rng = np.random.default_rng(0)
    for bin_ in (0, 20, 63):
        distance = np.abs(np.arange(64) - bin_)
        distance = np.minimum(distance, 64 - distance) if periodic else distance
        probability = np.exp(-0.5 * distance**2.0)
        value = draw_value(probability / probability.sum(), 0.1, 0.95, periodic, rng)
        gap = value - (bin_ + 0.5) / 64
        assert abs(gap - round(gap) * periodic) < 1 / 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"passes": 0}, "passes: 0 is not a whole number from 1 up"),
        ({"nucleus": 1.5}, "nucleus: 1.5 is not between 0 and 1"),
        ({"number_temperature": 0}, "number_temperature: 0 is not above zero"),
        ({"first_temperature": float("nan")}, "first_temperature: nan is not above zero"),
        ({"group_temperatur": 1}, "unknown option 'group_temperatur'.*did you mean 'group_temperature'"),
        ({"nucleus": "wide"}, "nucleus"),
    ],
)
def test_settings_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tiny().check({}, options)


def test_elements_beyond_the_model() -> None:
    with pytest.raises(InputError, match="Am: unimat knows the elements 1-94"):
        sample(tiny(), ["AmO2"])


def test_unusable_structures_are_named() -> None:
    good = known_crystals()["rutile"]
    large = Atoms("H9" * 3, scaled_positions=np.random.default_rng(0).random((27, 3)), cell=[9, 10, 11], pbc=True)
    heavy = Atoms("Am", cell=[3, 3, 3], pbc=True)
    doubled = Atoms("HO", positions=[(0, 0, 0), (0, 0, 0)], cell=[3, 4, 5], pbc=True)
    arrays, refused = tiny().prepare([large, good, heavy, doubled, good], [0.0] * 5)
    assert [number for number, _ in refused] == [0, 2, 3]
    assert "more than 20 atoms" in refused[0][1]
    assert "beyond 94" in refused[1][1]
    assert all(len(value) == 2 for value in arrays.values())
    assert tiny().sizes(arrays).tolist() == [2, 2]
    nowhere = Atoms("C", positions=[[np.nan] * 3], cell=[3, 3, 3], pbc=True)
    arrays, refused = tiny().prepare([Atoms(), Atoms("C", cell=[1, 1, 0], pbc=True), nowhere], [0.0] * 3)
    assert len(refused) == 3
    assert len(tiny().sizes(arrays)) == 0


@pytest.mark.slow
def test_a_tiny_model_learns_twenty_structures_by_heart(tmp_path: Path) -> None:
    """Every lattice system, polar and chiral groups, 2 to 12 atoms: each one comes back as the first sample."""
    structures = list(known_crystals().values())[1:]
    assert len({tuple(sorted(c.items())) for c in compositions(structures)}) == 20
    model = tiny(width=64, bins=64)
    arrays, refused = model.prepare(structures, [float("nan")] * 20)
    assert not refused
    # The same structures many times in a batch, each hidden in another way: fewer, steadier steps.
    arrays = {name: np.repeat(value, 8, axis=0) for name, value in arrays.items()}
    settings = TrainSettings(passes=300, batch=160, learning_rate=3e-3, warmup=20, weight_decay=0.0)
    losses: list[float] = []

    def after_pass(progress: Progress, figures: Mapping[str, float]) -> dict[str, float]:
        losses.append(progress.losses["loss"])
        return {}

    train(model, arrays, settings, tmp_path, after_pass=after_pass)
    assert losses[-1] < 0.3 * losses[0]
    assert np.mean(losses[150:300]) < np.mean(losses[30:60]) < np.mean(losses[:10])
    drawn = Generator(model, {}).generate(compositions(structures), 1, 0, {})
    distances = match_distances([primitive_cells(row) for row in drawn], primitive_cells(structures))
    assert np.isfinite(distances).all()
    assert distances.mean() < 0.02
