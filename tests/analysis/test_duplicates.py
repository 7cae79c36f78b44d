"""One crystal in any disguise is one; what differs in species, stacking, energy or a real displacement is two."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.spacegroup import crystal
from crystals import relaxed_again
from pymatgen.analysis.structure_matcher import StructureMatcher

from xtalseek.analysis.duplicates import Crystal, CrystalMatcher, MatchTolerances, unite
from xtalseek.analysis.isometry import average_distances, same_crystal
from xtalseek.analysis.primitive import primitive_cell

TOLERANCES = MatchTolerances()


def groups(structures: list[Atoms], enthalpies: list[float] | None = None) -> list[list[int]]:
    return unite(structures, [f"s{n:03d}" for n in range(len(structures))], enthalpies)


def perovskite(shift: float = 0.0) -> Atoms:
    """Cubic SrTiO3; titanium moved along z by a fraction of the cell."""
    places = [(0, 0, 0), (0.5, 0.5, 0.5 + shift), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return Atoms("SrTiO3", scaled_positions=places, cell=[3.95] * 3, pbc=True)


def quartz() -> Atoms:
    sites = [(0.47, 0, 1 / 3), (0.413, 0.267, 0.119 + 1 / 3)]
    return crystal(["Si", "O"], sites, spacegroup=152, cellpar=[4.916, 4.916, 5.405, 90, 90, 120])


def mirrored(atoms: Atoms) -> Atoms:
    other = atoms.copy()
    other.set_cell(atoms.cell.array * [1, 1, -1], scale_atoms=True)
    return other


def shaken(atoms: Atoms, size: float, seed: int) -> Atoms:
    """Each atom moved by `size` Å in a direction of its own."""
    other = atoms.copy()
    moves = np.random.default_rng(seed).normal(size=(len(atoms), 3))
    other.positions += size * moves / np.linalg.norm(moves, axis=1)[:, None]
    return other


@pytest.fixture(params=["rutile", "anatase", "perovskite", "quartz", "silicon"])
def known(request: pytest.FixtureRequest) -> Atoms:
    made = {"perovskite": perovskite, "quartz": quartz, "silicon": lambda: bulk("Si")}
    atoms = made[request.param]() if request.param in made else request.getfixturevalue(request.param)
    assert isinstance(atoms, Atoms)
    return atoms


def test_any_disguise_is_the_same_crystal(known: Atoms) -> None:
    rng = np.random.default_rng(0)
    skewed = make_supercell(known, [[1, 2, 0], [0, 1, -1], [0, 0, 1]])
    others = [known.repeat((2, 1, 3)), skewed, mirrored(known), shaken(known, 0.04, 1)]
    others += [relaxed_again(atoms, rng) for atoms in (known, skewed, mirrored(known)) for _ in range(2)]
    assert groups([known, *others]) == [list(range(len(others) + 1))]


def test_distances_do_not_depend_on_the_cell(known: Atoms) -> None:
    """Of the cell as it is, not of the primitive one: nothing is reduced before."""
    own = average_distances(primitive_cell(known, 1e-3))
    for matrix in ([[2, 0, 0], [0, 1, 0], [0, 0, 1]], [[1, 1, 0], [0, 1, 2], [0, 0, 2]]):
        supercell = make_supercell(mirrored(known), matrix)
        supercell.positions += np.array([0.3, 0.2, 0.1])
        # A tolerance below zero finds no translation.
        large = primitive_cell(supercell, -1.0)
        assert len(large) == len(supercell)
        np.testing.assert_allclose(average_distances(large), own, atol=1e-6)


@pytest.mark.parametrize("copies", [(2, 2, 2), (3, 1, 2), (1, 1, 5)])
def test_primitive_cells_are_those_before_the_supercell(known: Atoms, copies: tuple[int, int, int]) -> None:
    small = primitive_cell(known, 0.1)
    large = primitive_cell(relaxed_again(known.repeat(copies), np.random.default_rng(2)), 0.1)
    assert len(large) == len(small)
    assert large.volume == pytest.approx(small.volume)


def test_exchanged_species_are_another_crystal() -> None:
    """Strontium and titanium exchanged; zincblende's two species, exchanged, are the same."""
    exchanged = perovskite()
    exchanged.symbols[:2] = ["Ti", "Sr"]
    assert groups([perovskite(), exchanged]) == [[0], [1]]
    zincblende = bulk("GaAs", "zincblende", 5.65)
    other = zincblende.copy()
    other.symbols[:] = ["As", "Ga"]
    assert groups([zincblende, other]) == [[0, 1]]


def test_colours_on_one_lattice_are_told_apart() -> None:
    """L1_0 and L1_1: fcc sites, one composition, one volume, and (here) one energy."""
    l10 = Atoms("CuAu", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=[2.8, 2.8, 3.96], pbc=True)
    fcc = bulk("Cu", "fcc", 3.96)
    l11 = make_supercell(fcc, [[1, 1, 0], [0, 1, 1], [1, 0, 1]])
    l11.symbols[:] = ["Cu", "Au"]
    assert groups([l10, l11, l10.repeat(2), l11.repeat((1, 2, 1))]) == [[0, 2], [1, 3]]


def test_a_real_displacement_is_another_crystal() -> None:
    """Titanium off its centre by 0.5 Å, beyond StructureMatcher's 0.15 (V/n)^(1/3) = 0.35 Å: tetragonal, not cubic."""
    moved = perovskite(0.5 / 3.95)
    assert groups([perovskite(), moved]) == [[0], [1]]
    assert groups([perovskite(), perovskite(0.1 / 3.95)]) == [[0, 1]]


def test_superstructures_that_lose_a_translation_stay_apart() -> None:
    """Titanium up in one cell and down in the next by 0.18 Å: within StructureMatcher's reach, were cells alike."""
    doubled = perovskite().repeat((2, 1, 1))
    titanium = np.flatnonzero(doubled.symbols == "Ti")
    doubled.positions[titanium, 2] += [0.18, -0.18]
    assert groups([perovskite(), doubled]) == [[0], [1]]


def test_twins_on_either_side_of_a_tolerance_are_one() -> None:
    """A doubled cell whose halves differ by just less and just more than the tolerance of translations."""
    halves = []
    for size in (0.045, 0.055):  # the difference is twice that
        doubled = perovskite().repeat((2, 1, 1))
        titanium = np.flatnonzero(doubled.symbols == "Ti")
        doubled.positions[titanium, 2] += [size, -size]
        halves.append(doubled)
    assert [len(primitive_cell(atoms, TOLERANCES.primitive)) for atoms in halves] == [5, 10]
    assert groups(halves) == [[0, 1]]


def test_windows_have_no_borders_to_fall_between() -> None:
    """Twins 1 meV/atom and 0.2 % in volume apart are one, wherever they lie."""
    for offset in np.linspace(0, 0.01, 23):
        atoms = bulk("Cu", "fcc", 3.6 * (1 + offset))
        larger = atoms.copy()
        larger.set_cell(atoms.cell.array * 1.002 ** (1 / 3), scale_atoms=True)
        assert groups([atoms, larger], [-1 + offset, -0.999 + offset]) == [[0, 1]]


def test_windows_of_energy_and_volume() -> None:
    atoms = bulk("Cu", "fcc", 3.6)
    larger = bulk("Cu", "fcc", 3.6 * 1.06 ** (1 / 3))
    assert groups([atoms, atoms], [0.0, 0.0049]) == [[0, 1]]
    assert groups([atoms, atoms], [0.0, 0.0051]) == [[0], [1]]
    assert groups([atoms, larger]) == [[0], [1]]


@pytest.mark.parametrize("seed", range(6))
def test_any_order_gives_the_same_groups(seed: int, rutile: Atoms, anatase: Atoms) -> None:
    """Also where structures lie between others, and could be counted with either."""
    rng = np.random.default_rng(seed)
    crystals = [rutile, anatase] + [shaken(rutile, size, seed) for size in (0.15, 0.3, 0.45)]
    structures = [relaxed_again(atoms, rng) for atoms in crystals for _ in range(4)]
    enthalpies = np.round(0.008 * rng.random(len(structures)), 3)  # some equal, some out of each other's window
    names = [f"s{n:03d}" for n in range(len(structures))]
    expected = [[names[place] for place in group] for group in unite(structures, names, enthalpies.tolist())]
    for _ in range(3):
        order = rng.permutation(len(structures))
        found = unite([structures[n] for n in order], [names[n] for n in order], enthalpies[order].tolist())
        assert [[names[order[place]] for place in group] for group in found] == expected


def test_what_is_certain_is_what_structure_matcher_says() -> None:
    """Crystals shaken and strained from nothing to beyond the tolerances: each verdict, and that all three occur."""
    rng = np.random.default_rng(3)
    matcher = StructureMatcher(0.1, 0.15, 5, primitive_cell=False, scale=False)
    verdicts: list[tuple[bool | None, bool, float]] = []
    for atoms in (perovskite(), quartz(), bulk("Si"), crystal("Mg", [(1 / 3, 2 / 3, 0.25)], spacegroup=194,
                  cellpar=[3.2, 3.2, 5.2, 90, 90, 120])):  # fmt: skip
        one = primitive_cell(atoms, 1e-3)
        for _ in range(12):
            other = shaken(one.atoms, float(rng.choice([0.02, 0.1, 0.2, 0.3])), int(rng.integers(1000)))
            strain = rng.normal(scale=float(rng.choice([0, 0.02, 0.05])), size=(3, 3))
            other.set_cell(other.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
            two = primitive_cell(other, 1e-3)
            fits = [
                matcher.fit(a.structure, b.structure, skip_structure_reduction=True)
                for a, b in ((one, two), (two, one))
            ]
            apart = float(np.abs(average_distances(one) - average_distances(two)).mean())
            verdicts.append((same_crystal(one, two, 0.1, 5, 0.15), any(fits), apart))
    assert {verdict for verdict, _, _ in verdicts} == {True, False, None}
    assert all(verdict is None or verdict == fits for verdict, fits, _ in verdicts)
    assert max(apart for _, fits, apart in verdicts if fits) < TOLERANCES.distances / 1.5


def test_matching_is_symmetric(rutile: Atoms, anatase: Atoms) -> None:
    matcher = CrystalMatcher(TOLERANCES)
    found = [Crystal.of(a, TOLERANCES) for a in (rutile, anatase, shaken(rutile, 0.3, 0), shaken(rutile, 0.35, 1))]
    crystals = [one for one in found if one is not None]
    for one in crystals:
        assert matcher.same(one, one)
        assert [matcher.same(one, other) for other in crystals] == [matcher.same(other, one) for other in crystals]


def test_a_flat_cell_is_alone() -> None:
    flat = Atoms("Cu", cell=[[2, 0, 0], [0, 2, 0], [2, 2, 0]], pbc=True)
    assert groups([flat, bulk("Cu"), flat, bulk("Cu")]) == [[0], [1, 3], [2]]


def test_tolerances_are_told() -> None:
    assert "5 meV/atom" in str(TOLERANCES) and "stol=0.15" in str(TOLERANCES) and "either way" in str(TOLERANCES)
