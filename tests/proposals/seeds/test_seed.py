"""What each directive of the first list makes of a recipe."""

from collections import Counter

import numpy as np
import pytest

from xtalseek.errors import InfeasibleTarget, InputError
from xtalseek.proposals.recipe import Recipe, Unit
from xtalseek.proposals.seeds import Seed, parse_seed

SI = "#SPECIES=Si\n#NATOM=8\n#VARVOL=20\n#MINSEP=2\n"
BLOCK = "%BLOCK POSITIONS_FRAC\n{}\n%ENDBLOCK POSITIONS_FRAC\n#VARVOL=20\n#MINSEP=2\n"
CELL = "%BLOCK LATTICE_CART\n5 0 0\n0 5 0\n0 0 6\n{}\n%ENDBLOCK LATTICE_CART\n"


def one(text: str, number: int = 0, **options: str) -> Recipe:
    return parse_seed(text, "seed", **options).recipe(np.random.default_rng(number))  # type: ignore[arg-type]


def many(text: str, n: int = 200) -> list[Recipe]:
    seed, rng = parse_seed(text, "seed"), np.random.default_rng(1)
    return [seed.recipe(rng) for _ in range(n)]


def first(text: str) -> Unit:
    return one(text).units[0]


def composition(recipe: Recipe) -> Counter[str]:
    return Counter(symbol for unit in recipe.units for symbol in unit.symbols)


def warned(text: str, words: str) -> bool:
    return any(words in warning for warning in parse_seed(text, "seed").warnings)


def test_minsep_default_pairs_and_ranges() -> None:
    recipe = one("#FORMULA=SiO2\n#VARVOL=40\n#MINSEP=1.0 O-Si=1.6-1.8 Si-Si=3.0")
    assert recipe.min_distances == {("O", "O"): (1.0, 1.0), ("O", "Si"): (1.6, 1.8), ("Si", "Si"): (3.0, 3.0)}
    assert one("#FORMULA=SiO2\n#VARVOL=40\n#MINSEP=1-3").min_distances[("O", "Si")] == (1.0, 3.0)


def test_minsep_lines_add_up() -> None:
    recipe = one("#FORMULA=SiO2\n#VARVOL=40\n#MINSEP=1.0\n#MINSEP=Si-O=1.6\n#MINSEP O-O=2.4")
    assert recipe.min_distances == {("O", "O"): (2.4, 2.4), ("O", "Si"): (1.6, 1.6), ("Si", "Si"): (1.0, 1.0)}


def test_a_bare_range_warns_without_overlap_only() -> None:
    text = "#FORMULA=SiO2\n#VARVOL=40\n#MINSEP=1-3\n"
    assert warned(text, "line 3: a bare MINSEP=1-3")
    assert not warned(text + "#OVERLAP=0.1\n", "bare")


def test_a_bare_range_can_act_as_in_buildcell() -> None:
    text = "#FORMULA=SiO2\n#VARVOL=40\n#MINSEP=1-3 O-Si=1.5-2\n"
    found = one(text, bare_ranges="lower_end").min_distances
    assert found == {("O", "O"): (1, 1), ("O", "Si"): (1.5, 2), ("Si", "Si"): (1, 1)}
    assert one(text + "#OVERLAP=0.1", bare_ranges="lower_end").min_distances["O", "O"] == (1, 3)
    with pytest.raises(InputError, match="bare_ranges: 'low' is not one of drawn, lower_end"):
        one(text, bare_ranges="low")


def test_varvol_spreads_by_five_percent_and_targvol_is_exact() -> None:
    assert one(SI).volume == pytest.approx((152, 168))
    assert one(SI.replace("VARVOL", "TARGVOL")).volume == pytest.approx((160, 160))
    assert one(SI.replace("VARVOL=20", "TARGVOL=18-22")).volume == pytest.approx((144, 176))


def test_the_volume_is_multiplied_by_atoms_over_lines_and_nform() -> None:
    text = (
        BLOCK.format("Sr 0 0 0 # Sr\nTi 0 0 0 # Ti\nO 0 0 0 # O % NUM=3").replace("VARVOL=20", "TARGVOL=60")
        + "#NFORM=2\n"
    )
    assert one(text).volume == pytest.approx((200, 200))
    assert warned(text, "line 6: TARGVOL is multiplied by 5/3")
    assert one(text, volume_law="per_formula_unit").volume == pytest.approx((120, 120))
    assert parse_seed(text, "seed", volume_law="per_formula_unit").warnings == ()


def test_one_line_per_atom_has_the_volume_as_written() -> None:
    text = "#FORMULA=SrTiO3\n#TARGVOL=60\n#MINSEP=1.7\n#NFORM=2\n"
    assert one(text).volume == pytest.approx((120, 120))
    assert parse_seed(text, "seed").warnings == ()


def test_a_varvol_range_is_read_with_a_warning() -> None:
    text = SI.replace("VARVOL=20", "VARVOL=50-80")
    assert one(text).volume == pytest.approx((400, 640))
    assert warned(text, "line 3: VARVOL=50-80 makes buildcell hang")


def test_a_given_cell_gives_a_volume() -> None:
    recipe = one(
        CELL.format("").replace("0 0 6", "0 0 0.8") + BLOCK.format("Si 0 0 0 % NUM=8").replace("#VARVOL=20\n", "")
    )
    assert recipe.volume == pytest.approx((152, 168))
    assert recipe.cell is None


def test_nform_natom_and_species() -> None:
    assert composition(one("#SPECIES=Si%NUM=1,O%NUM=2\n#NFORM=3\n#VARVOL=20\n#MINSEP=1")) == {"Si": 3, "O": 6}
    sizes = Counter(len(recipe.units) for recipe in many(SI.replace("NATOM=8", "NATOM=2-4")))
    assert set(sizes) == {2, 3, 4}
    assert {len(r.units) for r in many(SI.replace("NATOM=8", "NATOM=2\n#NFORM=1-3"))} == {2, 4, 6}


def test_compositions_of_natom_are_drawn_alike() -> None:
    """Fe and Bi, four atoms: five compositions. A false alarm (any of them off by five sigma) once in 300,000 runs."""
    found = Counter(composition(r)["Fe"] for r in many("#SPECIES=Fe,Bi\n#NATOM=4\n#VARVOL=30\n#MINSEP=1", 2000))
    assert set(found) == {0, 1, 2, 3, 4}
    assert all(abs(n - 400) < 5 * np.sqrt(2000 * 0.2 * 0.8) for n in found.values())


def test_num_ranges_and_natom_together() -> None:
    recipes = many("#SPECIES=Si%NUM=1-3,O%NUM=1-6\n#NATOM=4-5\n#VARVOL=20\n#MINSEP=1")
    assert {len(r.units) for r in recipes} == {4, 5}
    assert {composition(r)["Si"] for r in recipes} == {1, 2, 3}


def test_focus_and_octet() -> None:
    recipes = many("#SPECIES=Fe,Bi,O\n#NATOM=3-6\n#FOCUS=2\n#VARVOL=45\n#MINSEP=2")
    assert {len(composition(r)) for r in recipes} == {2}
    assert len({frozenset(composition(r)) for r in recipes}) == 3
    electrons = {"Ga": 3, "As": 5}
    for recipe in many("#SPECIES=Ga,As\n#NATOM=2-8\n#OCTET\n#VARVOL=45\n#MINSEP=2"):
        assert sum(electrons[s] * n for s, n in composition(recipe).items()) % 8 == 0


def test_an_impossible_composition_is_infeasible() -> None:
    for text in ("#SPECIES=Fe,Bi\n#NATOM=2\n#FOCUS=3", "#SPECIES=Si%NUM=1\n#OCTET", "#SPECIES=Si%NUM=3\n#NATOM=8"):
        with pytest.raises(InfeasibleTarget, match="no composition"):
            one(text + "\n#VARVOL=20\n#MINSEP=2")


def test_formula() -> None:
    recipe = one("#FORMULA=Ca(OH)2\n#TARGVOL=55\n#MINSEP=1\n#NFORM=2")
    assert composition(recipe) == {"Ca": 2, "O": 4, "H": 4}
    assert recipe.volume == pytest.approx((110, 110))


@pytest.mark.parametrize(("line", "amplitude", "axes", "kept"), [
    ("#FIX", 0.0, "", True), ("#CFIX", None, "c", True), ("#ABFIX", None, "ab", True), ("", None, "", False)
])  # fmt: skip
def test_fix_cfix_abfix(line: str, amplitude: float | None, axes: str, kept: bool) -> None:
    recipe = one(CELL.format(line) + "#SPECIES=Si%NUM=8\n#MINSEP=2\n" + ("#TARGVOL=20\n" if line != "#FIX" else ""))
    assert (recipe.cell is not None) == kept
    assert (recipe.cell_amplitude, recipe.fixed_axes) == (amplitude, axes)
    assert recipe.compact == (not kept)
    assert recipe.volume == pytest.approx((150, 150) if line == "#FIX" else (160, 160))
    if recipe.cell is not None:
        assert np.allclose(recipe.cell, np.diag([5, 5, 6]))


def test_fix_behind_a_row_of_the_block_and_outside_of_it() -> None:
    rest = "#SPECIES=Si%NUM=8\n#MINSEP=2\n"
    inside = "%BLOCK LATTICE_ABC\n5 5 6\n90 90 90 #FIX\n%ENDBLOCK LATTICE_ABC\n" + rest
    assert one(inside).cell_amplitude == 0
    outside = CELL.format("") + rest + "#FIX\n"
    assert one(outside).cell_amplitude == 0
    assert warned(outside, "FIX belongs inside the LATTICE block")
    with pytest.raises(InputError, match="line 3: FIX needs the cell"):
        parse_seed(rest + "#FIX", "seed")


def test_symmops() -> None:
    assert one(SI + "#SYMMOPS=4\n#NFORM=1").groups.keys() == {4}
    groups = one(SI + "#SYMMOPS=2-4\n#NFORM=1").groups
    assert {count: len(numbers) for count, numbers in groups.items()} == {2: 8, 3: 4, 4: 45}
    assert not one(SI + "#SYMMOPS=2-4\n#NFORM=1").general_only
    assert one(SI + "#SYMMOPS=~2-4\n#NFORM=1").general_only
    assert one(SI).groups == {1: (1,)}


def test_without_nform_the_symmetry_repeats_the_content() -> None:
    text = "#SPECIES=Si%NUM=2\n#VARVOL=20\n#MINSEP=2\n#SYMMOPS=2-4\n"
    assert warned(text, "no NFORM")
    for recipe in many(text, 50):
        (operations,) = recipe.groups
        assert len(recipe.units) == 2 * operations
    assert {next(iter(recipe.groups)) for recipe in many(text, 50)} == {2, 3, 4}


def test_symm_symmno_sgrank_and_kinds() -> None:
    def groups(line: str) -> set[int]:
        found = one(SI + line + "\n#NFORM=1").groups
        return {number for numbers in found.values() for number in numbers}

    assert groups("#SYMM=P21/c") == groups("#SYMM=P2_1/c") == groups("#SYMMNO=14") == {14}
    assert groups("#SYMM=Cmca") == {64}
    assert groups("#SYMMNO=2,14,61-63") == {2, 14, 61, 62, 63}
    assert groups("#SYMMOPS=48\n#SGRANK=20") == {221, 225}
    assert groups("#SYMMOPS=48\n#SGRANK=21") == {221, 225, 227}
    assert groups("#SYMMOPS=4\n#SYMMORPHIC") == {10, 12, 16, 21, 22, 23, 25, 35, 38, 42, 44, 75, 79, 81, 82}
    assert groups("#SYMMOPS=2\n#CHIRAL") == {3, 4, 5}
    assert groups("#SYMMOPS=2-3\n#SYSTEM=Hexa") == {2, 143, 144, 145}
    with pytest.raises(InfeasibleTarget, match="line 5: no space group obeys SYMMOPS and SGRANK together"):
        groups("#SYMMOPS=3\n#SGRANK=5")


def test_slack_overlap_and_shape_numbers() -> None:
    recipe = one(SI + "#SLACK=0.25\n#OVERLAP=0.1\n#CONS=0.6\n#ACONS=0.7\n#ADJGEN=0-1\n#NOPUSH\n#CELLADAPT")
    assert (recipe.slack, recipe.overlap, recipe.lengths_ratio, recipe.flatness) == (0.25, 0.1, 0.6, 0.7)
    assert recipe.more_sites == (0, 1)
    assert recipe.adapt_cell
    assert not recipe.push
    plain = one(SI + "#OVERLAP=-999.9")
    assert (plain.slack, plain.overlap, plain.lengths_ratio, plain.flatness) == (0.0, None, 0.4, 0.5)


def test_compact_and_nocompact() -> None:
    assert one(SI).compact
    assert one(SI + "#COMPACT").compact
    assert not one(SI + "#NOCOMPACT").compact
    assert warned(CELL.format("#FIX") + "#SPECIES=Si\n#NATOM=8\n#MINSEP=2\n#COMPACT", "COMPACT has no effect")


def test_amplitudes_of_all_atoms_and_of_one() -> None:
    text = CELL.format("#FIX") + BLOCK.format(
        "Si 0.1 0.2 0.3 # a\nSi 0.5 0.5 0.5 # b % POSAMP=2 MINAMP=1\nSi 0 0 0 # c % ZAMP=0.5\nSi 0 0 0 # d % POSAMP=-1"
    )
    anywhere, sphere, box, free = one(text).units
    assert anywhere.position is None
    assert (sphere.amplitude, sphere.least_amplitude) == (2, 1)
    assert sphere.position is not None
    assert np.allclose(sphere.position, 0.5)
    assert box.box == (-1, -1, 0.5)
    still, sphere, box, free = one(text + "#POSAMP=0\n").units
    assert still.amplitude == 0
    assert still.position is not None
    assert np.allclose(still.position, [0.1, 0.2, 0.3])
    assert sphere.amplitude == 2
    assert (box.amplitude, box.box) == (None, (-1, -1, 0.5))
    assert (free.position, free.amplitude) == (None, None)


def test_cellamp_cellcon_system() -> None:
    atoms = "#SPECIES=Si\n#NATOM=8\n#TARGVOL=20\n#MINSEP=2\n"
    recipe = one(CELL.format("") + atoms + "#CELLAMP=0.3")
    assert recipe.cell_amplitude == 0.3
    assert recipe.cell is not None
    assert one(CELL.format("") + atoms + "#CELLAMP=-1").cell is None
    assert one(atoms + "#CELLCON = -1 -1 -1 90 90 90").cell_constraints == (-1, -1, -1, 90, 90, 90)
    assert one(atoms + "#SYSTEM=Tetr").crystal_system == "Tetra"
    assert {r.crystal_system for r in many(atoms + "#SYSTEM={Rhom,Cubi}", 40)} == {"Rhom", "Cubi"}
    with pytest.raises(InputError, match="SYSTEM and CELLCON"):
        parse_seed(atoms + "#SYSTEM=Cubi\n#CELLCON=-1 -1 -1 90 90 90", "seed")


def test_supercells() -> None:
    recipe = one(SI + "#SUPERCELL=2 3 1")
    assert recipe.supercell is not None
    assert np.array_equal(recipe.supercell, np.diag([2, 3, 1]))
    assert recipe.volume == pytest.approx((152, 168)), "before the supercell"
    assert one(SI + "#SUPERCELL=0 1 0 1 0 0 0 0 -2").supercell is not None


def test_random_supercells_are_drawn_alike() -> None:
    """Two cells: seven lattices, three of them in the plane. A false alarm (five sigma) once in 200,000 runs."""
    for slab, lattices in (("", 7), ("#SLAB\n", 3)):
        found = Counter(
            str(r.supercell.tolist()) for r in many(SI + slab + "#SUPERCELL=2", 1400) if r.supercell is not None
        )
        assert len(found) == lattices
        share = 1 / lattices
        assert all(abs(n - 1400 * share) < 5 * np.sqrt(1400 * share * (1 - share)) for n in found.values())


def test_seed_gives_a_number_of_its_own() -> None:
    apple, pear = (parse_seed(SI + f"#SEED={word}", "seed").random_seed for word in ("apple", "pear"))
    assert apple is not None
    assert apple != pear
    assert parse_seed(SI, "seed").random_seed is None


def test_tags_of_atoms() -> None:
    unit = first(BLOCK.format("Si 0.25 0 0 # a % NUM=8 RAD=1.1 COORD=3-4 SPIN=2"))
    assert (unit.radius, unit.coordination, unit.spin, unit.label) == (1.1, (3, 4), 2, "a")
    assert not unit.frozen
    fixed = first(BLOCK.format("Si 0.25 0 0 # a % FIX"))
    assert (fixed.frozen, fixed.pushed, fixed.amplitude) == (True, False, 0)
    still = first(BLOCK.format("Si 0.25 0 0 # a % NOMOVE"))
    assert (still.frozen, still.pushed, still.amplitude) == (False, False, 0)
    assert first(BLOCK.format("Si 0 0 0 # a % OCC=1/4") + "#SYMMOPS=4\n#NFORM=1").occupation == 0.25
    assert first(SI.replace("Si", "Si%COORD=4")).coordination == (4, 4)
    assert {len(r.units) for r in many(BLOCK.format("Si 0 0 0 # a % NUM=2-4"), 50)} == {2, 3, 4}


def test_mult_is_a_share_of_the_operations_and_counts_images() -> None:
    text = BLOCK.format("Si 0 0 0 # a % MULT=2\nO 0 0 0 # b") + "#SYMMOPS=4\n"
    recipe = one(text)
    assert composition(recipe) == {"Si": 2, "O": 4}
    assert recipe.units[0].occupation == 0.5


def test_a_shared_label_makes_a_rigid_unit() -> None:
    water = "O 1 1 1 # H2O-1 % NUM=2\nH 1.96 1 1 # H2O-1\nH 0.76 1.93 1 # H2O-1\nNe 0 0 0 # Ne1"
    text = BLOCK.format(water).replace("FRAC", "ABS")
    recipe = one(text)
    assert [unit.symbols for unit in recipe.units] == [("O", "H", "H")] * 2 + [("Ne",)]
    offsets = recipe.units[0].offsets
    assert np.allclose(offsets.mean(axis=0), 0)
    assert np.allclose(offsets[1] - offsets[0], [0.96, 0, 0])
    assert recipe.volume == pytest.approx((19 * 7 / 4, 21 * 7 / 4)), "seven atoms on four lines"
    assert first(text + "#ANGAMP=30").turn == 30
    assert first(text + "#ANGAMP=-1").turn is None


def test_atoms_of_one_label_on_one_place_stand_alone() -> None:
    text = BLOCK.format("O 0 0 0 # O\nO 0 0 0 # O\nSi 0 0 0 # Si")
    assert [unit.symbols for unit in one(text).units] == [("O",), ("O",), ("Si",)]
    assert warned(text, "lines 2, 3: atoms labelled 'O' lie on one another")


def test_fractional_units_need_a_cell_and_use_it() -> None:
    atoms = BLOCK.format("C 0 0 0 # CO\nO 0 0 0.2 # CO")
    with pytest.raises(InputError, match="line 2: the rigid unit 'CO' has fractional coordinates"):
        parse_seed(atoms, "seed")
    assert np.ptp(first(CELL.format("") + atoms).offsets, axis=0) == pytest.approx([0, 0, 1.2])


def test_molecules_joins_what_is_bonded() -> None:
    atoms = BLOCK.format("O 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\nNe 9 9 9").replace("FRAC", "ABS")
    assert len(one(atoms).units) == 4
    assert [unit.symbols for unit in one(atoms + "#MOLECULES").units] == [("O", "H", "H"), ("Ne",)]


def test_clusters_slabs_and_regions() -> None:
    box = "%BLOCK LATTICE_CART\n20 0 0\n0 20 0\n0 0 20\n#FIX\n%ENDBLOCK LATTICE_CART\n#SPECIES=Si%NUM=8\n#MINSEP=2\n"
    cluster = one(box + "#CLUSTER\n#POSAMP=4\n#SYMMOPS=2-5\n#NFORM=1")
    assert cluster.cluster
    assert cluster.groups == {2: (2, 3, 6), 3: (143,), 4: (10, 16, 25, 75, 81)}
    assert one(box + "#SPHERE=4").confinement is not None
    confinement = one(box + "#SPHERE=4").confinement
    assert confinement is not None
    assert confinement.radii == (4, 4, 4)
    confinement = one(box + "#CYLINDER=3").confinement
    assert confinement is not None
    assert confinement.radii == (3, 3, np.inf)
    confinement = one(box + "#SLAB\n#WIDTH=6").confinement
    assert confinement is not None
    assert confinement.radii == (np.inf, np.inf, 3)
    for recipe in many(box + "#ELLIPSOID=4 0.5", 50):
        assert recipe.confinement is not None
        assert np.prod(recipe.confinement.radii) == pytest.approx(64)
        assert np.abs(np.log(np.array(recipe.confinement.radii) / 4)).max() <= 0.5
    assert one("#SPECIES=Si%NUM=8\n#MINSEP=2\n#CLUSTER\n#SPHERE=4\n#VACUUM=10").edits.vacuum == 10


def test_edits() -> None:
    edits = one("#FORMULA=TiO2\n#NFORM=4\n#TARGVOL=33\n#MINSEP=1.5\n#PERMUTE=Ti,O\n#PERMFRAC=0.5\n#VACANCIES=2@O\n"
                "#HOLE=2\n#SPIN=4 4 Ti\n#BREAKAMP=0.1").edits  # fmt: skip
    assert (edits.permute, edits.permute_fraction, edits.vacancies) == (("Ti", "O"), 0.5, (2, "O"))
    assert (edits.hole, edits.spin, edits.spin_species, edits.break_amplitude) == (2, (4, 4), ("Ti",), 0.1)
    assert one(SI + "#PERMUTE").edits.permute == ("Si",)
    assert one(SI + "#VACANCIES=1").edits.vacancies == (1, "")
    assert warned(SI + "#VACANCIES=1", "line 5: VACANCIES without @El makes buildcell run for ever")
    adatom = one(BLOCK.format("Si 0 0 0 # a % NUM=4\nO 0 0 0.6 # b % ADATOM NUM=2"))
    assert len(adatom.units) == 4
    assert [unit.symbols for unit in adatom.edits.adatoms] == [("O",), ("O",)]
    assert ("O", "Si") in adatom.min_distances
    assert adatom.volume == pytest.approx((76, 84))


def test_bond_angles() -> None:
    assert one(SI + "#COORD=4\n#MINBANGLE=91").bond_angles == (91, 180)
    assert one(SI + "#MAXBANGLE=120").bond_angles == (0, 120)


def test_castep_passes_through_and_pressure_is_read() -> None:
    rest = "KPOINTS_MP_SPACING 0.07\nSYMMETRY_GENERATE\n%BLOCK SPECIES_POT\nSi 2|1.8{3s,3p}\n%ENDBLOCK SPECIES_POT"
    seed = parse_seed(SI + rest, "seed")
    assert seed.passed_through == rest
    assert seed.warnings == ()
    assert seed.pressure_gpa is None
    block = "\n%BLOCK EXTERNAL_PRESSURE\n{}\n%ENDBLOCK EXTERNAL_PRESSURE\n"
    assert parse_seed(SI + block.format("10 0 0\n10 0\n10"), "seed").pressure_gpa == 10
    assert parse_seed(SI + block.format("kbar\n10 0 0\n10 0\n10"), "seed").pressure_gpa == pytest.approx(1)
    uneven = parse_seed(SI + block.format("10 0 0\n5 0\n10"), "seed")
    assert uneven.pressure_gpa is None
    assert any("EXTERNAL_PRESSURE is not read" in warning for warning in uneven.warnings)


def test_unknown_directives_are_named_with_their_line() -> None:
    assert warned(SI + "#MINSEPP=2", "line 5: 'MINSEPP' is no directive and has no effect; did you mean MINSEP?")
    assert warned(SI + "SYMMOPS=4", "line 5: SYMMOPS has no # before it")
    assert warned(SI + "#VARVOL=30", "line 5: VARVOL stands in line 3 too")
    assert warned(SI + "KPOINTS_MP_SPACING 0.1 #SYMMOPS=4", "#SYMMOPS has no effect behind a keyword")
    assert parse_seed(SI + "##MINSEP=9\n## words\n#### words", "seed").warnings == ()
    with pytest.raises(InputError, match=r"seed, line 1: unknown tag 'NUMB'.*NUM"):
        parse_seed("#SPECIES=Si%NUMB=2", "seed")


@pytest.mark.parametrize(("line", "message"), [
    ("#VARVOL=big", r"line 5: VARVOL='big': write a number from 0.01 up, or a range"),
    ("#SYMMOPS=5", r"line 5: SYMMOPS='5': groups have 1, 2, 3, 4, 6, 8, 12, 16, 24, 48"),
    ("#SYMM=Q23", r"line 5: SYMM='Q23' is no short international symbol"),
    ("#SYMMNO=231", r"line 5: SYMMNO='231': write a whole number from 1 to 230"),
    ("#SLACK=2", r"line 5: SLACK='2': write one number from 0 to 1"),
    ("#MINSEP=Si-Q=2", r"line 5: MINSEP: 'Si-Q' is not a pair of elements"),
    ("#CELLCON=1 2 3", r"line 5: CELLCON='1 2 3': write 6 numbers"),
    ("#SYSTEM=Round", r"line 5: SYSTEM='Round': write one of Tric, Mono"),
    ("#SUPERCELL=1 2", r"line 5: SUPERCELL='1 2': write 1 or 3 or 9 numbers"),
    ("#VACANCIES=1@Fe", r"line 5: VACANCIES: Fe is not among the listed atoms"),
    ("#NFORM=500", r"4000 atoms in a cell; at most 1000"),
    ("%BLOCK POSITIONS_FRAC", r"line 5: %BLOCK POSITIONS_FRAC has no %ENDBLOCK"),
    ("#MINSEP={2,3", r"line 5: a brace without its partner"),
    ("#COMPACT=7", r"line 5: COMPACT is a flag and takes no value; given '7'"),
])  # fmt: skip
def test_bad_values_are_one_clear_line(line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        one(SI + line)


def test_model_species_are_refused_with_a_hint() -> None:
    with pytest.raises(InputError, match=r"line 1: 'A' is no element.*model species"):
        parse_seed("#SPECIES=A%NUM=4,B%NUM=1", "seed")


def test_the_formula_of_a_seed() -> None:
    assert parse_seed(SI, "seed").formula == "Si"
    assert parse_seed("#SPECIES=Si%NUM=2,O%NUM=4\n#VARVOL=9\n#MINSEP=1", "seed").formula == "SiO2"
    assert parse_seed("#SPECIES=Fe,Bi\n#NATOM=3-6\n#VARVOL=9\n#MINSEP=1", "seed").formula == "FeBi"


def test_a_recipe_is_a_pure_function_of_its_random_numbers() -> None:
    seed: Seed = parse_seed("#SPECIES=Fe,Bi,O\n#NATOM=3-{6,9}\n#VARVOL=45\n#MINSEP={1,2}\n#SYMMOPS=2-4\n", "seed")
    before = [composition(seed.recipe(np.random.default_rng(i))) for i in range(10)]
    assert before == [composition(seed.recipe(np.random.default_rng(i))) for i in range(10)]
