from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import covalent_radii
from crystals import known_crystals

from xtalseek.datasets import read_dataset
from xtalseek.errors import InputError
from xtalseek.relax import Relaxer, RelaxSettings, load_potential, make_relaxer
from xtalseek.relax.contract import Evaluation
from xtalseek.relax.guards import closest_contact
from xtalseek.relax.potentials import Potential
from xtalseek.relax.zbl import FULL_RATIO, SWITCH_RATIO, Repulsion, RepulsionMemory, screened_repulsion

MP_VAL = Path(__file__).parents[3] / "shared" / "data" / "mp" / "val.csv.gz"


class Nothing:
    """A potential that is zero everywhere, fails on helium, and counts how often it met each memory."""

    capacity = 0.0

    def evaluate(self, structures: Sequence[Atoms], memories: Sequence[object]) -> list[Evaluation | Exception]:
        return [self._one(atoms, memory) for atoms, memory in zip(structures, memories, strict=True)]

    def _one(self, atoms: Atoms, memory: object) -> Evaluation | Exception:
        if "He" in atoms.symbols:
            return RuntimeError("no helium")
        times = memory + 1 if isinstance(memory, int) else 1
        return Evaluation(0.0, np.zeros((len(atoms), 3)), np.zeros((3, 3)), times)

    def size(self, atoms: Atoms) -> float:
        return 7.0


ZBL = Repulsion(Nothing(), covalent_radii)


def evaluated(atoms: Atoms, memory: object = None) -> Evaluation:
    (found,) = ZBL.evaluate([atoms], [memory])
    assert isinstance(found, Evaluation)
    return found


def crushed() -> Atoms:
    """Many pairs on both sides of both switch distances, and images of single atoms among them."""
    atoms = bulk("MgO", "rocksalt", 2.1, cubic=True)
    atoms.rattle(0.2, seed=5)
    cell = atoms.cell.array + 0.1 * np.random.default_rng(1).normal(size=(3, 3))
    return Atoms(atoms.numbers, cell=cell, positions=atoms.positions, pbc=True)


def test_the_universal_repulsion_is_the_published_one() -> None:
    """Two protons 0.5 Å apart, by hand: 14.3996 / 0.5 eV times the screening function at 0.5 / 0.23425."""
    x = 0.5 * 2 / 0.4685
    published = ((0.18175, 3.1998), (0.50986, 0.94229), (0.28022, 0.4029), (0.02817, 0.20162))
    screening = sum(weight * math.exp(-decay * x) for weight, decay in published)
    (energy,), _ = screened_repulsion(np.array([1]), np.array([1]), np.array([0.5]), np.array([2.0]))
    assert energy == pytest.approx(14.3996454 / 0.5 * screening, rel=1e-12)


def test_it_ends_with_value_slope_and_curvature_and_pushes_everywhere_below() -> None:
    for z, switch in ((1, 0.37), (8, 0.79), (55, 2.9), (92, 2.35)):
        numbers = np.full(2000, z)
        lengths = np.linspace(0.02 * switch, 1.2 * switch, 2000)
        energies, slopes = screened_repulsion(numbers, numbers, lengths, np.full(2000, switch))
        inside = lengths < switch
        assert (energies[~inside] == 0).all()
        assert (slopes[~inside] == 0).all()
        assert (np.diff(energies[inside]) < 0).all()
        near = switch * (1 - np.array([1e-2, 1e-3]))
        energy, slope = screened_repulsion(numbers[:2], numbers[:2], near, np.full(2, switch))
        # A cubic end: ten times nearer, the energy falls a thousandfold and the slope a hundredfold.
        assert energy[0] / energy[1] == pytest.approx(1000, rel=0.2)
        assert slope[0] / slope[1] == pytest.approx(100, rel=0.2)


def test_forces_and_stress_are_the_derivatives_of_the_energy() -> None:
    atoms, step = crushed(), 1e-5
    found = evaluated(atoms)
    ratios = _ratios(atoms)
    assert ((ratios > FULL_RATIO) & (ratios < SWITCH_RATIO)).sum() > 5
    assert (ratios < FULL_RATIO).any()
    for atom, axis in ((0, 0), (3, 1), (7, 2)):
        energies = []
        for sign in (-1, 1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            energies.append(evaluated(moved).energy)
        assert found.forces[atom, axis] == pytest.approx((energies[0] - energies[1]) / (2 * step), rel=1e-6)
    for i, j in ((0, 0), (1, 1), (2, 0), (1, 2)):
        energies = []
        for sign in (-1, 1):
            strain = np.eye(3)
            strain[i, j] += sign * step / 2
            strain[j, i] += sign * step / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            energies.append(evaluated(strained).energy)
        numeric = (energies[1] - energies[0]) / (2 * step) / atoms.get_volume()
        assert found.stress[i, j] == pytest.approx(numeric, rel=1e-6)
    np.testing.assert_allclose(found.forces.sum(axis=0), 0, atol=1e-9 * np.abs(found.forces).max())


def test_the_memory_holds_both_and_changes_nothing() -> None:
    """Along a path the answers are those of a fresh start, while the list is kept and the inner memory passed on."""
    atoms, rng, memory, kept = crushed(), np.random.default_rng(2), None, 0
    for step in range(30):
        found = evaluated(atoms, memory)
        fresh = evaluated(atoms)
        assert found.energy == pytest.approx(fresh.energy, rel=1e-12)
        np.testing.assert_allclose(found.forces, fresh.forces, rtol=1e-9, atol=1e-9)
        assert isinstance(found.memory, RepulsionMemory)
        assert found.memory.inner == step + 1
        kept += isinstance(memory, RepulsionMemory) and memory.neighbours is found.memory.neighbours
        memory = found.memory
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(scale=0.01, size=(3, 3))), scale_atoms=True)
    assert 5 < kept < 29


def test_failures_pass_through_and_touch_no_one_else() -> None:
    batch = [Atoms("He", cell=[3, 3, 3], pbc=True), crushed()]
    failed, sound = ZBL.evaluate(batch, [None, None])
    assert isinstance(failed, RuntimeError)
    assert isinstance(sound, Evaluation)
    assert sound.energy == evaluated(crushed()).energy > 1
    assert ZBL.size(batch[0]) == 7.0


def test_atoms_in_one_place_are_not_finite_rather_than_an_exception() -> None:
    found = evaluated(Atoms("Ar2", positions=np.zeros((2, 3)), cell=[5, 5, 5], pbc=True))
    assert not np.isfinite(found.energy)
    assert not np.isfinite(found.forces).all()


@pytest.mark.parametrize("name", known_crystals())
def test_real_crystals_are_left_alone_to_the_last_digit(name: str) -> None:
    crystal = known_crystals()[name]
    crystal.set_cell(crystal.cell.array * 0.97, scale_atoms=True)  # some 10 to 30 GPa
    found = evaluated(crystal)
    assert found.energy == 0
    assert (found.forces == 0).all()
    assert (found.stress == 0).all()


@pytest.mark.skipif(not MP_VAL.exists(), reason="no shared data")
def test_no_structure_of_materials_project_has_a_pair_within_reach() -> None:
    structures = read_dataset([MP_VAL]).structures
    assert len(structures) > 600
    assert max(evaluated(atoms).energy for atoms in structures) == 0
    squeezed = [Atoms(a.numbers, cell=0.4 * a.cell.array, positions=0.4 * a.positions, pbc=True) for a in structures]
    assert min(evaluated(atoms).energy for atoms in squeezed) > 0


def test_a_call_without_close_pairs_costs_next_to_nothing() -> None:
    atoms = bulk("MgO", "rocksalt", 4.2, cubic=True)
    memory = evaluated(atoms).memory
    least = math.inf
    for _ in range(200):
        start = time.perf_counter()
        evaluated(atoms, memory)
        least = min(least, time.perf_counter() - start)
    assert least < 1e-3  # 0.07 ms where it was written: room for a slow machine, and none for a new list each time


def test_learned_potentials_have_it_and_others_where_asked() -> None:
    assert isinstance(load_potential("chgnet", {}).evaluator, Repulsion)
    assert not isinstance(load_potential("chgnet", {"repulsion": False}).evaluator, Repulsion)
    assert not isinstance(load_potential("lj", {"sigma": 2.0}).evaluator, Repulsion)
    assert isinstance(load_potential("lj", {"sigma": 2.0, "repulsion": True}).evaluator, Repulsion)
    assert isinstance(load_potential("ase.calculators.emt:EMT", {"repulsion": True}).evaluator, Repulsion)
    with pytest.raises(InputError, match="neither true nor false"):
        load_potential("lj", {"repulsion": "of course"})


@pytest.fixture(scope="module")
def chgnets() -> tuple[Relaxer, Relaxer]:
    """With the repulsion and without."""
    settings = RelaxSettings(max_steps=10)
    return make_relaxer("chgnet", settings), make_relaxer("chgnet", settings, {"repulsion": False})


def test_the_same_crystal_comes_out_with_and_without(chgnets: tuple[Relaxer, Relaxer]) -> None:
    """CHGNet on crystals of short bonds, pushed off their places: not one digit of the energy may move."""
    starts = [known_crystals()[name] for name in ("perovskite", "baddeleyite")]
    for start in starts:
        start.rattle(0.05, seed=1)
    compare(chgnets, starts)


@pytest.mark.skipif(not MP_VAL.exists(), reason="no shared data")
def test_relaxed_energies_of_materials_project_stay(chgnets: tuple[Relaxer, Relaxer]) -> None:
    """Asked for: 0.1 meV/atom. Those whose atoms come nearest to the switch distance, among them Ce-Ce at 0.67."""
    structures = [atoms for atoms in read_dataset([MP_VAL]).structures if len(atoms) <= 8]
    structures.sort(key=lambda atoms: (closest_contact(atoms, covalent_radii, 1.2) or (2.0, ""))[0])
    assert _ratios(structures[0]).min() < 0.7
    compare(chgnets, structures[:4])


def compare(chgnets: tuple[Relaxer, Relaxer], starts: list[Atoms]) -> None:
    moved = 0
    for with_it, without in zip(*(relaxer.relax(starts) for relaxer in chgnets), strict=True):
        assert with_it.steps == without.steps
        assert with_it.energy == without.energy is not None
        moved += with_it.steps
    assert moved > 3


def test_a_hole_in_a_potential_is_filled() -> None:
    """Two atoms that attract each other without end: alone they fall together, with the repulsion they come to rest."""

    class Hole:
        capacity = 0.0

        def evaluate(self, structures: Sequence[Atoms], memories: Sequence[object]) -> list[Evaluation | Exception]:
            return [self._one(atoms) for atoms in structures]

        def _one(self, atoms: Atoms) -> Evaluation:
            vector = atoms.positions[1] - atoms.positions[0]
            pull = 2.0 * vector / np.linalg.norm(vector)
            return Evaluation(2.0 * float(np.linalg.norm(vector)), np.array([pull, -pull]), np.zeros((3, 3)))

        def size(self, atoms: Atoms) -> float:
            return 2.0

    atoms = Atoms("C2", positions=[(0, 0, 0), (1.6, 0, 0)], cell=[4, 4, 4], pbc=True)
    potential = Potential("hole", Repulsion(Hole(), covalent_radii), covalent_radii)
    strongest, memory = math.inf, None
    for _ in range(1000):
        (found,) = potential.evaluator.evaluate([atoms], [memory])
        assert isinstance(found, Evaluation)
        strongest, memory = float(np.abs(found.forces).max()), found.memory
        atoms.positions += np.clip(0.002 * found.forces, -0.02, 0.02)
    assert strongest < 0.01
    assert _ratios(atoms).min() > 0.4


def _ratios(atoms: Atoms) -> np.ndarray:
    """Of every pair of nearby images, its distance over the sum of covalent radii; by a loop over images, no list."""
    grid = np.array(np.meshgrid(*[range(-3, 4)] * 3)).reshape(3, -1).T @ atoms.cell.array
    vectors = atoms.positions[None, :, None] - atoms.positions[:, None, None] + grid
    lengths = np.linalg.norm(vectors, axis=-1)
    radii = covalent_radii[atoms.numbers]
    ratios = lengths / (radii[:, None] + radii)[..., None]
    return np.asarray(ratios[lengths > 1e-9])
