"""docs/seeds.md from the table of directives: `python -m xtalseek.proposals.seeds.manual > docs/seeds.md`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .directives import SECTIONS, WITHOUT_EFFECT, Row

HEAD = """# AIRSS seeds

`xtalseek propose --seed-file X.cell -n 100` and `xtalseek search --seed-file X.cell` read AIRSS seeds as they are;
`xtalseek seed SrTiO3` writes one. From Python: `xtalseek.proposals.seeds.read_seed("X.cell")`.

This page is made from the table in `proposals/seeds/directives.py`:
`python -m xtalseek.proposals.seeds.manual > docs/seeds.md`.

## How a seed is read

- A seed is a CASTEP `.cell` file. `#KEY=VALUE` is a directive; `##` starts a comment, which also switches a directive
  off. Capitals do not matter. Of a directive given twice the last holds, with a warning; MINSEP lines add up.
- `{a,b}` is a choice, anywhere in a directive, a LATTICE or a POSITIONS block, also inside of a number: one option,
  each as likely as the others, takes its place for each structure before anything is read.
- `n-m` is a range, both ends included.
- Atoms are listed once: by SPECIES, by FORMULA, or in a block POSITIONS_FRAC or POSITIONS_ABS, as
  `El x y z # label % TAG=.. TAG`. Lines with the same label form one rigid unit.
- The cell is listed in a block LATTICE_CART or LATTICE_ABC. Without FIX, ABFIX, CFIX or CELLAMP it gives only a volume.
- CASTEP's own blocks and keywords pass through (`Seed.passed_through`). A block EXTERNAL_PRESSURE, the same from all
  sides, sets the pressure (`Seed.pressure_gpa`).
- What is unknown or has no effect is reported with its line (`Seed.warnings`). What cannot be read is an error with
  its line.
- At most 1,000 atoms.

## Volume

VARVOL and TARGVOL belong to the listed lines. As in buildcell, they are multiplied by
(atoms after NUM)/(lines) and by NFORM: `#VARVOL=60` with lines Sr, Ti and `O % NUM=3` is 60 · 5/3 = 100 Å^3 per formula
unit. A warning says so. With one line per atom the volume is what is written. `volume_law="per_formula_unit"` in Python
reads VARVOL and TARGVOL as the volume of a formula unit whatever the lines; a seed with NATOM has no formula unit of
its own and follows the first law always.

## Traps of buildcell 0.9.1 that a warning names

- NUM multiplies VARVOL (above).
- `MINSEP=1-3` without OVERLAP acts as about 1; here every pair is drawn from the range
  (`bare_ranges="lower_end"` in Python acts as buildcell does).
- `VARVOL=50-80` hangs; here it is a range.
- CELLADAPT loses the symmetry of a third of the structures; here it is kept.
- `VACANCIES=n` without `@El` never ends; here any atoms are taken out.
"""


def page() -> str:
    """The whole page, as Markdown."""
    parts = [HEAD]
    for title, rows in SECTIONS.items():
        parts.append(f"\n## {title}\n\n{_table(rows)}")
    parts.append("\n## Known to AIRSS, without effect here\n\nEach is reported when a seed has it.\n\n")
    parts.append("| directive | where | instead |\n|---|---|---|\n")
    parts += [f"| {row.name} | {row.where} | {row.meaning} |\n" for row in WITHOUT_EFFECT]
    return "".join(parts)


def _table(rows: Sequence[Row]) -> str:
    lines = ["| directive | where | value | units | default | meaning | example |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        name = row.name.partition(" ")[0]
        cells = (name, row.where, row.form, row.units, row.default, row.meaning, f"`{row.example}`")
        # A bracket may begin a link: "[a] [b]" is one to b.
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("[", "\\[") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
