"""The table of directives: the page made from it, and every example read."""

from pathlib import Path

import numpy as np
import pytest

from xtalseek.errors import InputError
from xtalseek.proposals.seeds import parse_seed
from xtalseek.proposals.seeds.directives import ROWS, WITHOUT_EFFECT, Row, example_seed
from xtalseek.proposals.seeds.manual import page

ISSUE_LISTS = """MINSEP VARVOL TARGVOL NFORM SPECIES NATOM FIX CFIX ABFIX SYMMOPS SLACK OVERLAP POSAMP MINAMP XAMP YAMP
ZAMP ANGAMP COMPACT NOCOMPACT CONS ACONS CELLAMP CELLCON SYSTEM CELLADAPT SUPERCELL FOCUS OCTET FORMULA SYMM SYMMNO
SGRANK ADJGEN SEED NUM NOMOVE OCC RAD COORD CLUSTER SPHERE ELLIPSOID CYLINDER SLAB SURFACE WIDTH SHIFT VACUUM MINBANGLE
MAXBANGLE PERMUTE PERMFRAC VACANCIES HOLE ADATOM MOLECULES SPIN BREAKAMP NOPUSH FLIP SYMMORPHIC"""


def test_the_page_is_made_from_the_table() -> None:
    written = Path(__file__).parents[3] / "docs" / "seeds.md"
    assert written.read_text(encoding="utf-8") == page(), (
        "run: python -m xtalseek.proposals.seeds.manual > docs/seeds.md"
    )


def test_the_table_has_every_directive_that_was_asked_for() -> None:
    assert set(ISSUE_LISTS.split()) <= {row.name for row in (*ROWS, *WITHOUT_EFFECT)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name} {row.where}")
def test_every_example_is_read_without_a_warning(row: Row) -> None:
    text = example_seed(row)
    assert row.example in text
    assert row.name.split()[0] in row.example
    seed = parse_seed(text, "example")
    assert seed.warnings == ()
    for number in range(20):
        assert seed.recipe(np.random.default_rng(number)).units


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name} {row.where}")
def test_every_example_has_an_effect_or_is_the_default(row: Row) -> None:
    """Without its line the seed draws another recipe, or is none at all; two directives state a default."""
    text = example_seed(row)
    without = text.replace(row.example + "\n", "")
    assert without != text
    if row.name in ("SEED", "COMPACT", "SURFACE", "SLAB", "MOLECULES"):
        return
    try:
        other = parse_seed(without, "example")
        assert any(summary(parse_seed(text, "example"), number) != summary(other, number) for number in range(5)), (
            row.name
        )
    except InputError:
        pass


@pytest.mark.parametrize("row", WITHOUT_EFFECT, ids=lambda row: row.name)
def test_what_has_no_effect_is_reported_by_name_and_line(row: Row) -> None:
    text = f"#SPECIES=Si%NUM=2\n#VARVOL=20\n#MINSEP=2\n#{row.name}=1\n"
    if row.where == "per atom":
        text = f"\n\n\n#SPECIES=Si%NUM=2 {row.name}\n#VARVOL=20\n#MINSEP=2\n"
    warnings = parse_seed(text, "example").warnings
    assert len(warnings) == 1
    assert warnings[0].startswith(f"line 4: {row.name} has no effect")


def summary(seed: object, number: int) -> str:
    recipe = seed.recipe(np.random.default_rng(number))  # type: ignore[attr-defined]
    units = [vars(unit) for unit in recipe.units]
    edits = {name: value for name, value in vars(recipe.edits).items() if name != "adatoms"}
    adatoms = [vars(unit) for unit in recipe.edits.adatoms]
    rest = {name: value for name, value in vars(recipe).items() if name not in ("units", "edits")}
    return repr((units, edits, adatoms, rest))
