"""Any text as a seed gives a seed or one clear error: never another exception, never a hang."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xtalseek.errors import InputError
from xtalseek.proposals.recipe import Recipe
from xtalseek.proposals.seeds import parse_seed
from xtalseek.proposals.seeds.composition import MAX_ATOMS
from xtalseek.proposals.seeds.directives import ATOM_NAMES, GLOBAL_NAMES

QUICK = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
VALUES = st.one_of(
    st.sampled_from(["", "1", "8", "2-4", "~2", "-1", "1e9", "0", "1-3 AUTO", "AUTO", "nan", "inf", "1-999999999",
                     "A-B", "Si", "Si,O", "Si%NUM=1,O%NUM=2", "SiO2", "P21/c", "225", "Cubi", "2 2 1", "{1,2}",
                     "{1,{2,3}}", "{",
                     "4 4 Si", "1@Si", "3 0.5", "-1 -1 -1 90 90 90", "0.5", "1/2", "1.5 Si-O=1.6", "²", "1d0", "{,4}"]),
    st.text(max_size=12),
)  # fmt: skip
GLOBALS = st.builds(lambda key, value: f"#{key}={value}", st.sampled_from(sorted(GLOBAL_NAMES)), VALUES)
TAGS = st.builds(lambda key, value: f"{key}={value}", st.sampled_from(sorted(ATOM_NAMES)), VALUES)
NUMBERS = st.sampled_from(["0", "0.5", "-1.0", "3", "1e5", "x"])
ATOMS = st.builds(
    lambda el, xyz, label, tags: f"{el} {' '.join(xyz)} # {label} % {' '.join(tags)}",
    st.sampled_from(["Si", "O", "Fe", "Og", "Lr", "A", "si"]),
    st.lists(NUMBERS, min_size=3, max_size=3),
    st.sampled_from(["a", "b", "", "Si1"]),
    st.lists(TAGS, max_size=2),
)
FRAMES = st.sampled_from(
    ["%BLOCK LATTICE_CART\n5 0 0\n0 5 0\n0 0 6", "%BLOCK LATTICE_ABC\n5 5 5\n90 90 90", "#FIX",
     "%ENDBLOCK LATTICE_CART",
     "%ENDBLOCK LATTICE_ABC", "%BLOCK POSITIONS_FRAC", "%BLOCK POSITIONS_ABS", "%ENDBLOCK POSITIONS_FRAC",
     "%ENDBLOCK POSITIONS_ABS", "%BLOCK SPECIES_POT\nQC5\n%ENDBLOCK SPECIES_POT", "KPOINTS_MP_SPACING 0.07", "## x",
     "%BLOCK EXTERNAL_PRESSURE\n1 0 0\n1 0\n1\n%ENDBLOCK EXTERNAL_PRESSURE"]
)  # fmt: skip


def check(text: str) -> None:
    try:
        seed = parse_seed(text, "seed")
    except InputError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 500
        return
    for warning in seed.warnings:
        assert "\n" not in warning
    for number in range(3):
        try:
            recipe = seed.recipe(np.random.default_rng(number))
        except InputError as error:
            assert "\n" not in str(error)
            continue
        assert isinstance(recipe, Recipe)
        assert 1 <= sum(len(unit.symbols) for unit in recipe.units) <= MAX_ATOMS
        assert 0 < recipe.volume[0] <= recipe.volume[1] < np.inf
        species = {symbol for unit in recipe.units for symbol in unit.symbols}
        for first in species:
            for second in species:
                if first <= second:
                    low, high = recipe.min_distances[first, second]
                    assert 0 <= low <= high <= 20
        assert all(numbers for numbers in recipe.groups.values())


@QUICK
@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    check(text)


@QUICK
@given(st.lists(GLOBALS, max_size=5))
def test_any_directives_beside_a_good_seed(lines: list[str]) -> None:
    check("\n".join(["#VARVOL=20", "#MINSEP=1.5", "%BLOCK POSITIONS_FRAC", "Si 0 0 0 # Si1 % NUM=4",
                     "O 0.5 0 0 # O1 % NUM=2", "%ENDBLOCK POSITIONS_FRAC", *lines]))  # fmt: skip


@QUICK
@given(st.lists(GLOBALS, max_size=6))
def test_any_directives_alone(lines: list[str]) -> None:
    check("\n".join(lines))


@QUICK
@given(st.lists(ATOMS, min_size=1, max_size=4), st.booleans())
def test_any_atoms(lines: list[str], cell: bool) -> None:
    head = "%BLOCK LATTICE_CART\n5 0 0\n0 5 0\n0 0 6\n%ENDBLOCK LATTICE_CART\n" if cell else "#VARVOL=90\n"
    block = "FRAC" if cell else "ABS"
    check("\n".join([head, f"%BLOCK POSITIONS_{block}", *lines, f"%ENDBLOCK POSITIONS_{block}"]))


@QUICK
@given(st.lists(st.one_of(GLOBALS, ATOMS, FRAMES), max_size=10))
def test_any_lines_in_any_order(lines: list[str]) -> None:
    check("\n".join(lines))


@pytest.mark.parametrize(
    "text",
    [
        "#SPECIES=Si%NUM=" + "{" * 3000 + "1" + "}" * 3000,
        "#SPECIES=Si%NUM=" + "{1,2}" * 2000,
        "#SPECIES=Si\n#NATOM=1000000000",
        "#SPECIES=Si\n#NATOM=1-1000\n#NFORM=1-1000\n#VARVOL=20",
        "#SPECIES=Si\n#NATOM=8\n#SUPERCELL=1000\n#VARVOL=20",
        "#SPECIES=" + ",".join(["H", "Li", "Na", "K", "Rb", "Cs", "Fe", "Co", "Ni", "Cu", "O", "S"]) + "\n#NATOM=20-40",
        "#SPECIES=Si\n#SYMMNO=1-999999999",
        "#SPECIES=Ga,As,N,P,In\n#NATOM=5-50\n#FOCUS=5\n#OCTET\n#VARVOL=90",
        "x" * 300_000,
        "",
    ],
    ids=[
        "deep",
        "many choices",
        "many atoms",
        "many cells",
        "supercell",
        "12 species",
        "groups",
        "octet",
        "long",
        "empty",
    ],
)
def test_large_things_end(text: str) -> None:
    check(text)
