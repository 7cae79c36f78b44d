"""`unimat-unet`: what the contract promises of any model, trained or not."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from xtalseek.errors import InputError
from xtalseek.proposals.unimat.cell_parameters import cell_features, cell_from_features, describe
from xtalseek.proposals.unimat.unet_config import UNetConfig
from xtalseek.proposals.unimat.unet_model import UNetModel

TINY: dict[str, Any] = {"channels": 8, "multipliers": (1, 2), "blocks": 1, "dropout": 0.0}
FAST = {"steps": 3}
COMPOSITIONS = [{"O": 4, "Ti": 2}, {"Na": 1, "Cl": 1}, {"Sr": 1, "Ti": 1, "O": 3}, {"C": 5}]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(seed: int = 0, **settings: Any) -> UNetModel:
    """A small model whose last layers are not 0, as if it had been trained."""
    torch.manual_seed(seed)
    made = UNetModel(UNetConfig(**{**TINY, "slots": 6, **settings}))
    with torch.no_grad():
        for parameter in made.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05)
    return made.eval()


def crystals() -> list[Atoms]:
    """Twenty binary crystals of 2 and 8 atoms."""
    found = []
    for cation, a in (("Li", 4.1), ("Na", 4.8), ("K", 5.3), ("Mg", 4.2), ("Ca", 4.8)):
        for anion in ("O", "S"):
            found += [bulk(cation + anion, "rocksalt", a=a), bulk(cation + anion, "zincblende", a=a, cubic=True)]
    return found


def counted(atoms: Atoms) -> dict[str, int]:
    return {symbol: atoms.get_chemical_symbols().count(symbol) for symbol in dict.fromkeys(atoms.symbols)}


@pytest.mark.parametrize("condition", ["none", "types", "formula"])
def test_samples_have_exactly_the_asked_composition(condition: str) -> None:
    structures = model(condition=condition).sample(COMPOSITIONS, [0] * 4, generator(), FAST)
    for atoms, asked in zip(structures, COMPOSITIONS, strict=True):
        assert counted(atoms) == asked
        assert list(counted(atoms)) == list(asked)
        assert atoms.pbc.all()
        assert atoms.get_volume() > 0.1
        assert np.isfinite(atoms.positions).all()


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_the_generator_decides_everything(sampler: str) -> None:
    made = model()
    options = {"steps": 4, "sampler": sampler}
    runs: list[list[Atoms]] = []
    for seed in (3, 3, 4):
        torch.manual_seed(len(runs))  # global numbers must not matter
        runs.append(made.sample(COMPOSITIONS, [0] * 4, generator(seed), options))
    for first, second, other in zip(*runs, strict=True):
        assert np.array_equal(first.positions, second.positions)
        assert np.array_equal(first.cell, second.cell)
        assert not np.allclose(first.get_scaled_positions(), other.get_scaled_positions())


def test_sampling_leaves_the_mode_as_it_was() -> None:
    made = model(dropout=0.5)
    quiet = made.sample(COMPOSITIONS[:1], [0], generator(), FAST)[0]
    made.train()
    loud = made.sample(COMPOSITIONS[:1], [0], generator(), FAST)[0]
    assert made.training
    assert np.array_equal(quiet.positions, loud.positions)


def test_guidance_of_weight_zero_is_no_guidance() -> None:
    made = model()
    plain, zero, guided, free = (
        made.sample(COMPOSITIONS, [0] * 4, generator(), FAST | options)
        for options in ({"energy": -2.0}, {"energy": -2.0, "guidance": 0.0}, {"energy": -2.0, "guidance": 3.0}, {})
    )
    for one, two, three, four in zip(plain, zero, guided, free, strict=True):
        assert np.array_equal(one.positions, two.positions)
        assert not np.allclose(one.positions, three.positions)
        assert not np.allclose(one.positions, four.positions)


def test_hidden_energies_are_not_seen() -> None:
    """NaN and dropped energies give the same batch as none at all; told ones do not."""
    made = model(energy_dropout=0.0, shift=False)
    dropping = model(energy_dropout=1.0, shift=False)
    structures = crystals()
    rows = np.arange(len(structures))
    told, _ = made.prepare(structures, [-1.0] * len(rows))
    unknown, _ = made.prepare(structures, [float("nan")] * len(rows))
    batches = [
        made.collate(told, rows, np.random.default_rng(0))["energy"],
        dropping.collate(told, rows, np.random.default_rng(0))["energy"],
        made.collate(unknown, rows, np.random.default_rng(0))["energy"],
    ]
    assert (batches[0][:, 1] == 1).all()
    assert not batches[1].any()
    assert not batches[2].any()


def test_sampling_without_composition() -> None:
    free = model(condition="none", elements=(6, 14), slots=3)
    structures = free.sample_unconditional(5, generator(), FAST | {"batch": 2})
    assert len(structures) == 5
    assert all(set(atoms.symbols) <= {"C", "Si"} for atoms in structures)
    assert all(len(atoms) <= 6 for atoms in structures)
    types = model(condition="types").sample_unconditional(3, generator(), FAST, types=["O", "Ti"])
    assert all(set(atoms.symbols) <= {"O", "Ti"} for atoms in types)
    for wrong, kind in ((model(), None), (free, ["C"])):
        with pytest.raises(InputError, match="trained with condition"):
            wrong.sample_unconditional(1, generator(), FAST, types=kind)


@pytest.mark.parametrize(
    ("composition", "options", "message"),
    [
        ({"O": 7}, {}, "7 atoms of O do not fit into 6 slots"),
        ({"Am": 1}, {}, "Am is not on the table"),
        ({}, {}, "without atoms"),
        ({"O": 1}, {"step": 3}, "unknown option of unimat-unet 'step'.*did you mean 'steps'"),
        ({"O": 1}, {"sampler": "euler"}, "unknown sampler"),
        ({"O": 1}, {"steps": 0}, "steps: 0 is not a whole number from 1 up"),
        ({"O": 1}, {"energy": "low"}, "energy: 'low' is not a number"),
        ({"O": 1}, {"guidance": 1.0}, "needs an energy"),
    ],
)
def test_what_cannot_be_sampled_is_an_error(composition: dict[str, int], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        model().sample([composition], [0], generator(), options)


def test_check_needs_no_sampling() -> None:
    made = model()
    made.check({}, {"steps": 5})
    made.check({"O": 6}, {})
    assert made.max_atoms == made.config.max_atoms == 20
    with pytest.raises(InputError, match="7 atoms of O"):
        made.check({"O": 7}, {})
    with pytest.raises(InputError, match="unknown option"):
        made.check({}, {"pases": 5})


def test_unusable_structures_are_named() -> None:
    good = bulk("NaCl", "rocksalt", a=5.6)
    crowded = bulk("C", "diamond", a=3.57, cubic=True)
    flat = Atoms("C", cell=[1, 1, 0], pbc=True)
    foreign = bulk("Fe")
    large = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    made = model(elements=(6, 11, 17), max_atoms=8, slots=5)
    arrays, refused = made.prepare([crowded, good, flat, Atoms(), foreign, good, large * (1, 1, 2)], [0.0] * 7)
    assert [index for index, _ in refused] == [0, 2, 3, 4, 6]
    assert refused[4][1] == "16 atoms, more than max_atoms (8)"
    assert "8 atoms of C do not fit into 5 slots" in refused[0][1]
    assert "volume" in refused[1][1]
    assert "Fe is not on the table" in refused[3][1]
    assert all(len(array) == 2 for array in arrays.values())
    nothing, refused = made.prepare([flat], [0.0])
    assert len(made.sizes(nothing)) == 0
    assert len(refused) == 1


@pytest.mark.parametrize("condition", ["none", "types", "formula"])
def test_batches_hold_the_structures(condition: str) -> None:
    """Shuffled and shifted, each structure keeps its distances; L is what the batch needs where the formula is told."""
    made = model(condition=condition, reduce_cell=False, shift=True)
    structures = crystals()
    arrays, refused = made.prepare(structures, [0.0] * len(structures))
    assert not refused
    rows = np.array([0, 4, 1])
    batch = made.collate(arrays, rows, np.random.default_rng(0))
    slots = 4 if condition == "formula" else 6
    assert batch["coordinates"].shape == (3, slots, 9, 18, 3)
    assert batch["coordinates"].dtype == torch.float32
    assert list(made.sizes(arrays)[rows]) == [162 * n for n in ((1, 1, 4) if condition == "formula" else (6, 6, 6))]
    assert ("mask" in batch) == (condition != "none")
    for index, row in enumerate(rows):
        coordinates = (batch["coordinates"][index] / made.config.coordinate_scale + 0.5).numpy()
        occupied = (coordinates > -0.5).all(axis=-1)
        assert occupied.sum() == len(structures[row])
        if condition == "formula":
            np.testing.assert_array_equal(batch["mask"][index], occupied)
        if condition == "types":
            assert batch["mask"][index].sum() == 2 * slots
        cellpar = made._cellpar(batch["cell"][index].double().numpy(), len(structures[row]))
        np.testing.assert_allclose(cellpar, structures[row].cell.cellpar(), rtol=1e-5)
        back = Atoms(f"H{occupied.sum()}", scaled_positions=coordinates[occupied], cell=cellpar, pbc=True)
        given = structures[row].get_all_distances(mic=True)
        np.testing.assert_allclose(np.sort(back.get_all_distances(mic=True).ravel()), np.sort(given.ravel()), atol=1e-4)


def test_augmentation_changes_from_step_to_step_and_repeats_with_the_seed() -> None:
    made = model(shift=True)
    arrays, _ = made.prepare(crystals(), [0.0] * 20)
    first, second, other = (
        made.collate(arrays, np.arange(20), np.random.default_rng(seed))["coordinates"] for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.allclose(first, other)


def test_loss_depends_on_its_generator_alone() -> None:
    """Apart from dropout, which the training loop seeds. Torch's global numbers stay as they were."""
    made = model().train()
    arrays, _ = made.prepare(crystals(), [0.0] * 20)
    batch = made.collate(arrays, np.arange(20), np.random.default_rng(0))
    torch.manual_seed(1)
    first = made.loss(batch, generator(5))
    after = torch.rand(())
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(()))
    torch.manual_seed(2)
    second, other = made.loss(batch, generator(5)), made.loss(batch, generator(6))
    assert {"loss", "coordinates", "cell"} == set(first)
    assert torch.equal(first["loss"], second["loss"])
    assert not torch.equal(first["loss"], other["loss"])


@pytest.mark.parametrize(
    ("settings", "remains"), [({"condition": "none"}, 0.35), ({"condition": "formula", "null_weight": 0.0}, 0.8)]
)
def test_a_tiny_model_learns_twenty_structures(settings: dict[str, Any], remains: float) -> None:
    """The loss on fixed draws of noise falls. With the formula only atoms and cells count, and of these the untrained
    network already guesses mean and variance; without, most of what there is to learn is that most sites are empty.
    """
    structures = crystals()
    torch.manual_seed(0)
    made = UNetModel(UNetConfig.fitted(structures, [-1.0] * 20, **TINY | {"channels": 16} | settings))
    assert made.table.shape == (3, 3)
    arrays, _ = made.prepare(structures, [-1.0] * 20)
    rng, noise = np.random.default_rng(0), generator()

    def measured() -> float:
        """Mean over the same ten draws of augmentation and noise."""
        made.eval()
        rng, noise = np.random.default_rng(9), generator(9)
        with torch.no_grad():
            values = [made.loss(made.collate(arrays, np.arange(20), rng), noise)["loss"] for _ in range(10)]
        made.train()
        return float(torch.stack(values).mean())

    before = measured()
    optimiser = torch.optim.Adam(made.parameters(), lr=2e-3)
    for _ in range(200):
        optimiser.zero_grad()
        made.loss(made.collate(arrays, np.arange(20), rng), noise)["loss"].backward()
        optimiser.step()
    after = measured()
    assert after < remains * before, (before, after)


@pytest.mark.parametrize("settings", [{}, {"elements": (6,), "slots": 24, "condition": "none", "multipliers": (1,)}])
def test_config_goes_through_json(settings: dict[str, Any]) -> None:
    config = UNetConfig(**settings)
    assert UNetConfig(**json.loads(json.dumps(dataclasses.asdict(config)))) == config


def test_config_of_a_data_set() -> None:
    diamonds = [bulk("C", "diamond", a=3.57), bulk("C", "diamond", a=3.6, cubic=True)]
    config = UNetConfig.fitted(diamonds, [0.1, float("nan")], channels=8)
    assert (config.elements, config.slots, config.channels) == ((6,), 8, 8)
    assert UNetModel(config).table.shape == (1, 1)
    assert UNetConfig.fitted(diamonds, slots=3).slots == 3
    assert json.loads(json.dumps(dataclasses.asdict(config)))["slots"] == 8
    with pytest.raises(InputError, match=r"unknown condition 'formulas'.*did you mean 'formula'"):
        UNetConfig(condition="formulas")


def test_the_reduced_cell_is_the_same_crystal() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        atoms = Atoms("H5", scaled_positions=rng.random((5, 3)), cell=rng.normal(scale=4, size=(3, 3)), pbc=True)
        skewed = np.array([[1, 2, 0], [0, 1, -3], [0, 0, 1]])
        atoms.set_cell(skewed @ np.array(atoms.cell))
        cellpar, fractional = describe(atoms, reduce_cell=True)
        back = Atoms("H5", scaled_positions=fractional, cell=cellpar, pbc=True)
        assert (cellpar[3:] > 59.9).all()
        assert (cellpar[3:] < 120.1).all()
        np.testing.assert_allclose(back.get_all_distances(mic=True), atoms.get_all_distances(mic=True), atol=1e-4)
        np.testing.assert_allclose(cell_from_features(cell_features(cellpar, 5), 5), cellpar)


def test_impossible_angles_are_mended() -> None:
    for angles in ([30, 30, 150], [120, 120, 120], [150, 150, 150], [-500, 20, 900]):
        cellpar = cell_from_features(np.array([0.0, 0.0, 0.0, *angles]), 8)
        np.testing.assert_allclose(cellpar[:3], 2)
        assert Atoms("H", cell=cellpar).get_volume() > 0.2 * 8


def test_weights_go_through_a_state_dict() -> None:
    first, second = model(0), model(1)
    wanted = first.sample(COMPOSITIONS, [0] * 4, generator(), FAST)
    second.load_state_dict(first.state_dict())
    for one, two in zip(wanted, second.sample(COMPOSITIONS, [0] * 4, generator(), FAST), strict=True):
        assert np.array_equal(one.positions, two.positions)
