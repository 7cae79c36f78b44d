"""The `unimat` source: what is promised of every candidate, whatever the weights."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spglib
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list

from xtalseek.errors import InfeasibleTarget, InputError
from xtalseek.proposals import Source, make_source, propose
from xtalseek.proposals.unimat.checkpoint import new_model, save_checkpoint
from xtalseek.proposals.wyckoff import primitive_operations
from xtalseek.records import Candidate, Target
from xtalseek.search.config import resolve
from xtalseek.search.loop import draw
from xtalseek.search.workshop import make_sources

BLOCK = 6


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights that have learnt nothing."""
    torch.manual_seed(0)
    model = new_model("unimat-sparse", {"width": 32, "layers": 1, "heads": 2, "bins": 32})
    folder = tmp_path_factory.mktemp("checkpoint")
    save_checkpoint(model, folder, {})
    return str(folder)


@pytest.fixture(scope="module")
def shipped() -> Source:
    return make_source("unimat", {"block": BLOCK})


def untrained(checkpoint: str, **options: Any) -> Source:
    return make_source("unimat", {"checkpoint": checkpoint, "block": BLOCK, **options})


def shortest(atoms: Atoms, pair: set[str], within: float = 4.0) -> float:
    first, second, distance = neighbor_list("ijd", atoms, within)
    symbols = np.array(atoms.get_chemical_symbols())
    wanted = [{a, b} == pair for a, b in zip(symbols[first], symbols[second], strict=True)]
    return float(distance[wanted].min(initial=within))


def assert_same(first: Candidate, second: Candidate) -> None:
    assert (first.name, first.note, first.provenance) == (second.name, second.note, second.provenance)
    if first.atoms is None or second.atoms is None:
        assert first.atoms is second.atoms
        return
    assert first.atoms.get_chemical_symbols() == second.atoms.get_chemical_symbols()
    assert np.array_equal(first.atoms.positions, second.atoms.positions)
    assert np.array_equal(first.atoms.cell, second.atoms.cell)


def test_candidates_have_the_composition_and_take_turns_with_formula_units(shipped: Source) -> None:
    target = Target("SrTiO3", formula_units=(1, 3))
    for index in range(2 * BLOCK):
        candidate = propose(shipped, "unimat", target, index, seed=1)
        units = 1 + index % 3
        assert candidate.provenance["formula_units"] == units
        assert candidate.provenance["draw"] == index // 3
        if candidate.atoms is not None:
            assert Counter(candidate.atoms.get_chemical_symbols()) == {"Sr": units, "Ti": units, "O": 3 * units}
            assert list(dict.fromkeys(candidate.atoms.get_chemical_symbols())) == ["Sr", "Ti", "O"]
            assert candidate.atoms.pbc.all()


def test_the_shipped_model_draws_nearly_always(shipped: Source) -> None:
    for formula in ("NaCl", "TiO2", "Si"):
        target = Target(formula, formula_units=(1, 2))
        drawn = [propose(shipped, "unimat", target, index, seed=0).atoms for index in range(BLOCK)]
        assert sum(atoms is not None for atoms in drawn) >= BLOCK - 1


def test_distances_and_volumes_are_kept(shipped: Source) -> None:
    target = Target("TiO2", (1, 3), min_distances={"Ti-O": 1.9, "O-O": 2.5}, volume_per_atom=(11.0, 12.0))
    drawn = [propose(shipped, "unimat", target, index, seed=2).atoms for index in range(2 * BLOCK)]
    kept = [atoms for atoms in drawn if atoms is not None]
    assert kept
    for atoms in kept:
        assert shortest(atoms, {"Ti", "O"}) >= 1.9
        assert shortest(atoms, {"O"}) >= 2.5
        assert 11.0 - 1e-6 <= atoms.get_volume() / len(atoms) <= 12.0 + 1e-6


def test_untrained_weights_keep_distances_and_volumes_too(checkpoint: str) -> None:
    source = untrained(checkpoint, redraws=10)
    target = Target("NaCl", (1, 2), min_distances={"Na-Cl": 2.2}, volume_per_atom=(20.0, 25.0))
    drawn = [propose(source, "unimat", target, index, seed=2) for index in range(3 * BLOCK)]
    kept = [candidate.atoms for candidate in drawn if candidate.atoms is not None]
    assert kept
    for atoms in kept:
        assert shortest(atoms, {"Na", "Cl"}) >= 2.2
        assert 20.0 - 1e-6 <= atoms.get_volume() / len(atoms) <= 25.0 + 1e-6
    assert any(candidate.provenance["redraws"] > 0 for candidate in drawn)


@pytest.mark.parametrize(
    "symmetry",
    [
        {"space_groups": (136,)},
        {"symmetry_operations": (8, 16)},
        {"space_groups": (2, 14), "symmetry_operations": (4, 4)},
    ],
)
def test_symmetry_is_what_was_asked_for(shipped: Source, symmetry: dict[str, Any]) -> None:
    least = {"space_groups": 16, "symmetry_operations": 8}[next(iter(symmetry))] if len(symmetry) == 1 else 4
    target = Target("TiO2", (2, 4), **symmetry)
    drawn = [propose(shipped, "unimat", target, index, seed=3).atoms for index in range(BLOCK)]
    assert any(atoms is not None for atoms in drawn)
    for atoms in drawn:
        if atoms is not None:
            cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
            found = spglib.get_symmetry_dataset(cell, symprec=1e-3)
            assert found is not None
            assert len(primitive_operations(int(found.number))[0]) >= least


def test_a_candidate_is_the_same_alone_in_order_and_backwards(checkpoint: str) -> None:
    target = Target("TiO2", (1, 2))
    indices = list(range(2 * BLOCK))
    source = untrained(checkpoint)
    in_order = [propose(source, "unimat", target, index, seed=5) for index in indices]
    backwards = untrained(checkpoint)
    for index in reversed(indices):
        assert_same(propose(backwards, "unimat", target, index, seed=5), in_order[index])
    for index in (0, BLOCK - 1, BLOCK, BLOCK + 3):
        assert_same(propose(untrained(checkpoint), "unimat", target, index, seed=5), in_order[index])


def test_targets_between_one_another_do_not_mix(checkpoint: str) -> None:
    """A source remembers a few blocks; other targets and seeds push them out and must not take their place."""
    source = untrained(checkpoint)
    targets = [Target(formula, (1, 2)) for formula in ("TiO2", "NaCl", "MgO", "SiO2", "ZnS", "Si")]
    first = [propose(source, "unimat", target, 1, seed=5) for target in targets]
    again = [propose(source, "unimat", target, 1, seed=5) for target in targets]
    for one, other in zip(first, again, strict=True):
        assert_same(one, other)


def test_another_seed_draws_other_candidates(shipped: Source) -> None:
    target = Target("TiO2", (1, 2))
    drawn = [[propose(shipped, "unimat", target, i, seed).atoms for i in range(BLOCK)] for seed in (5, 6)]
    both = [(one, other) for one, other in zip(*drawn, strict=True) if one is not None and other is not None]
    assert any(len(one) != len(other) or not np.allclose(one.cell, other.cell) for one, other in both)


def test_changing_a_candidate_does_not_change_the_next_one_asked_for(checkpoint: str) -> None:
    source, target = untrained(checkpoint, redraws=10), Target("NaCl")
    drawn = [propose(source, "unimat", target, index, seed=1) for index in range(BLOCK)]
    index, atoms = next((c.index, c.atoms) for c in drawn if c.atoms is not None)
    before = atoms.positions.copy()
    atoms.positions += 1.0
    again = propose(source, "unimat", target, index, seed=1).atoms
    assert again is not None
    assert np.array_equal(again.positions, before)


def test_a_search_draws_what_the_source_draws(checkpoint: str) -> None:
    words = {
        "formula": "NaCl", "num": 8, "source": ["random", "unimat"], "seed": 3, "formula_units": "1-2",
        "source_options": {"unimat": {"checkpoint": checkpoint, "block": BLOCK}},
    }  # fmt: skip
    config = resolve(words)
    sources = make_sources(config)
    drawn = [draw(config, sources, assignment) for assignment in config.assignments()]
    assert [candidate.source for candidate in drawn] == ["random", "unimat"] * 4
    for candidate in drawn[1::2]:
        assert_same(candidate, propose(untrained(checkpoint), "unimat", config.target, candidate.index, seed=3))


def test_what_never_keeps_its_distances_is_given_up_and_counted(checkpoint: str) -> None:
    target = Target("NaCl", min_distances={"Na-Cl": 4.9}, volume_per_atom=(10.0, 10.5))
    candidate = propose(untrained(checkpoint, redraws=2), "unimat", target, 0, seed=0)
    assert candidate.atoms is None
    assert candidate.provenance["redraws"] == 3
    assert "atoms too close in 3 draws" in candidate.note
    assert "\n" not in candidate.note


def test_formula_units_that_no_group_asked_for_holds_are_left_out(checkpoint: str) -> None:
    """Diamond's group holds two atoms or none; four formula units of perovskite are too many for it."""
    source = untrained(checkpoint)
    target = Target("Si", (1, 4), space_groups=(227,))
    units = [propose(source, "unimat", target, index, seed=0).provenance["formula_units"] for index in range(BLOCK)]
    assert units == [2, 4] * (BLOCK // 2)
    with pytest.raises(InfeasibleTarget, match="no space group asked for holds SrTiO3 with 1-1 formula units"):
        source.check(Target("SrTiO3", space_groups=(227,)))


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (Target("SrTiO3", (12, 20)), "has 60 atoms, the unimat checkpoint was trained on cells of at most 52"),
        (Target("AmO2"), "Am: unimat knows the elements 1-94"),
        (Target("Si", space_groups=(1,), symmetry_operations=(4, 48)), "no space group has the symmetry_operations"),
    ],
)
def test_targets_beyond_the_model_are_told_before_a_run(checkpoint: str, target: Target, told: str) -> None:
    source = untrained(checkpoint)
    for call in (source.check, lambda t: propose(source, "unimat", t, 0, seed=0)):
        with pytest.raises(InputError, match=told) as error:
            call(target)
        assert "\n" not in str(error.value)


def test_a_model_without_symmetry_says_so(tmp_path: Path) -> None:
    save_checkpoint(new_model("unimat-unet", {"channels": 8, "multipliers": (1,), "blocks": 1}), tmp_path, {})
    source = make_source("unimat", {"checkpoint": str(tmp_path)})
    source.check(Target("NaCl"))
    with pytest.raises(InfeasibleTarget, match="unimat-unet knows nothing of symmetry"):
        source.check(Target("NaCl", space_groups=(225,)))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"pases": 3}, "unknown option.*'pases'.*did you mean 'passes'"),
        ({"passes": 0}, "passes: 0"),
        ({"nucleus": 2}, "nucleus: 2"),
        ({"block": 0}, "block: 0 is not a whole number from 1 up"),
        ({"redraws": -1}, "redraws: -1 is not a whole number from 0 up"),
        ({"block": 2.5}, "block: 2.5"),
        ({"checkpoint": "nowhere"}, "'nowhere' is not a checkpoint"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told) as error:
        make_source("unimat", options)
    assert "\n" not in str(error.value)
