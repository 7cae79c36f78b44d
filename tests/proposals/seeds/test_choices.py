"""`{a,b}`: textual choices, anywhere."""

from collections import Counter

import numpy as np
import pytest

from xtalseek.errors import InputError
from xtalseek.proposals.recipe import Recipe
from xtalseek.proposals.seeds import parse_seed

REST = "\n#MINSEP=1\n"


def draw(text: str, n: int = 60) -> list[Recipe]:
    seed, rng = parse_seed(text + REST, "seed"), np.random.default_rng(3)
    return [seed.recipe(rng) for _ in range(n)]


def test_options_are_drawn_alike() -> None:
    """Four options, 2,000 draws: a false alarm (five sigma) once in 400,000 runs."""
    found = Counter(len(recipe.units) for recipe in draw("#SPECIES=Si\n#NATOM={1,2,3,4}\n#VARVOL=20", 2000))
    assert set(found) == {1, 2, 3, 4}
    assert all(abs(n - 500) < 5 * np.sqrt(2000 * 0.25 * 0.75) for n in found.values())


@pytest.mark.parametrize(("text", "sizes"), [
    ("#SPECIES=Si\n#NATOM=1{0,2}\n#VARVOL=20", {10, 12}),
    ("#SPECIES=Si\n#NA{TOM=2,TOM=3}\n#VARVOL=20", {2, 3}),
    ("#SPECIES=Si\n#NATOM={2,{3,{4,5}}}\n#VARVOL=20", {2, 3, 4, 5}),
    ("#SPECIES=Si%NUM={2,4}\n#VARVOL=20", {2, 4}),
    ("#SPECIES=Si%NUM=2\n#VARVOL=20\n{#NFORM=3,##NFORM=5}", {2, 6}),
    ("#SPECIES=Si\n#VARVOL=20\n#NATOM=3{,0}", {3, 30}),
    ("%BLOCK POSITIONS_FRAC\nSi 0 0 0 # a % NUM={2,4}\n%ENDBLOCK POSITIONS_FRAC\n#VARVOL=20", {2, 4}),
    ("#SPECIES=Si\n#NATOM={7}\n#VARVOL=20", {7}),
])  # fmt: skip
def test_choices_stand_anywhere(text: str, sizes: set[int]) -> None:
    assert {len(recipe.units) for recipe in draw(text)} == sizes


def test_elements_positions_and_cells() -> None:
    text = "%BLOCK LATTICE_CART\n{5,6} 0 0\n0 5 0\n0 0 5\n#FIX\n%ENDBLOCK LATTICE_CART\n%BLOCK POSITIONS_FRAC\n"
    recipes = draw(text + "{Si,Ge} 0.{1,2} 0 0 # a % FIX\n%ENDBLOCK POSITIONS_FRAC\n")
    assert {recipe.units[0].symbols for recipe in recipes} == {("Si",), ("Ge",)}
    places = {round(float(r.units[0].position[0]), 3) for r in recipes if r.units[0].position is not None}
    assert places == {0.1, 0.2}
    assert {round(float(r.cell[0, 0])) for r in recipes if r.cell is not None} == {5, 6}


def test_what_was_chosen_is_noted() -> None:
    for recipe in draw("#SPECIES=Si\n#NATOM={2,3}\n#VARVOL=20", 5):
        assert recipe.notes == (f"line 2: {{2,3}} gave {len(recipe.units)}",)


def test_every_option_is_read_when_the_seed_is() -> None:
    with pytest.raises(InputError, match="line 2: NATOM='x'"):
        parse_seed("#SPECIES=Si\n#NATOM={2,3,x}\n#VARVOL=20\n#MINSEP=1", "seed")
    seed = parse_seed("#SPECIES=Si\n#NATOM=2\n#VARVOL={20,20-30}\n#MINSEP=1", "seed")
    assert any("makes buildcell hang" in warning for warning in seed.warnings)


def test_braces_of_comments_and_pseudopotentials_stay() -> None:
    block = "%BLOCK SPECIES_POT\nSi 2|1.8|4|5{3s2,3p2}\n%ENDBLOCK SPECIES_POT"
    seed = parse_seed(
        f"#SPECIES=Si\n#NATOM=2 ## or {{3,4\n#VARVOL=20\n#MINSEP=1\n##SYSTEM={{Rhom,Cubi}}\n{block}", "seed"
    )
    assert seed.passed_through == block
    assert seed.recipe(np.random.default_rng(0)).notes == ()
