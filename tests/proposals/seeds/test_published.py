"""Seeds in the forms that AIRSS's tutorials, gencell and papers use: read whole, with the warnings they deserve."""

import numpy as np
import pytest

from xtalseek.proposals.seeds import parse_seed

BOX = "%BLOCK LATTICE_CART\n20 0 0\n0 20 0\n0 0 20\n#FIX\n%ENDBLOCK LATTICE_CART\n"
GENCELL = """%BLOCK LATTICE_CART
2.15 0 0
0 2.15 0
0 0 2.15
%ENDBLOCK LATTICE_CART

#VARVOL=10

%BLOCK POSITIONS_FRAC
Fe 0.0 0.0 0.0 # Fe1 % NUM=1
Bi 0.0 0.0 0.0 # Bi1 % NUM=1
%ENDBLOCK POSITIONS_FRAC

##SPECIES=Fe,Bi
##NATOM=3-9
##FOCUS=2

#SYMMOPS=2-4
##SGRANK=20
#NFORM=1
##ADJGEN=0-1
##SLACK=0.25
##OVERLAP=0.1
#MINSEP=1-3 AUTO
#COMPACT
##SYSTEM={Rhom,Tric,Mono,Cubi,Hexa,Orth,Tetra}

KPOINTS_MP_SPACING 0.07

SYMMETRY_GENERATE
SNAP_TO_SYMMETRY

%BLOCK SPECIES_POT
%ENDBLOCK SPECIES_POT

%BLOCK EXTERNAL_PRESSURE
0 0 0
0 0
0
%ENDBLOCK EXTERNAL_PRESSURE
"""
CASES: dict[str, tuple[str, int, tuple[float, float], tuple[str, ...]]] = {
    "gencell": (GENCELL, 2, (9.5, 10.5), ("AUTO has no structures", "a bare MINSEP=1-3")),
    "solid": (
        "%BLOCK LATTICE_CART\n2 0 0\n0 2 0\n0 0 2\n%ENDBLOCK LATTICE_CART\n\n%BLOCK POSITIONS_FRAC\n"
        "Al 0.0 0.0 0.0 # Al1 % NUM=8\n%ENDBLOCK POSITIONS_FRAC\n\n#MINSEP=1.5\n",
        8, (60.8, 67.2), (),
    ),
    "cluster with symmetry": (
        BOX + "%BLOCK POSITIONS_FRAC\nAl 0.0 0.0 0.0 # Al1 % NUM=38\n%ENDBLOCK POSITIONS_FRAC\nFIX_ALL_CELL : true\n"
        "#MINSEP=1.5\n#CLUSTER\n#POSAMP=3.75\n#SYMMOPS=2-5\n#NFORM=1\n",
        38, (8000, 8000), ("SYMMOPS of 5",),
    ),
    "core and one more": (
        BOX + "%BLOCK POSITIONS_FRAC\nAl 0.05 0 0 # Ih\nAl -0.05 0 0 # Ih\nAl 0 0.07 0 # Ih\n"
        "Al 0 0 0 # Al % NUM=1 POSAMP=6 MINAMP=5\n%ENDBLOCK POSITIONS_FRAC\n#MINSEP=1.5\n#CLUSTER\n#POSAMP=0\n"
        "#ANGAMP=0\n",
        4, (8000, 8000), (),
    ),
    "adatom on a slab": (
        "%BLOCK LATTICE_CART\n1.9 -1.1 0\n0 2.2 0\n0 0 36\n#FIX\n%ENDBLOCK LATTICE_CART\n%BLOCK POSITIONS_FRAC\n"
        " Al 0.333 -0.333 0.35 # Al1\n Al 0 0 0.4 # Al2\n Al 0 0 0.6 # Al3 % NUM=1 ADATOM ZAMP=2.0\n"
        "%ENDBLOCK POSITIONS_FRAC\n#SUPERCELL=2 2 1\n#SLAB\n#POSAMP=0\n#MINSEP=2.2\n",
        2, (150.48, 150.48), (),
    ),
    "molecules of a dense gas": (
        "#TARGVOL=30\n%BLOCK POSITIONS_ABS\n C 0.86 0.88 0.70 # 1-Td % NUM=1\n H -0.16 1.20 0.63 # 1-Td\n"
        " H 1.19 0.94 1.71 # 1-Td\n H 0.94 -0.13 0.35 # 1-Td\n H 1.48 1.51 0.09 # 1-Td\n%ENDBLOCK POSITIONS_ABS\n"
        "#SYMMOPS=4\n#SGRANK=20\n#SLACK=0.25\n#OVERLAP=1\n##SYSTEM=Cubi\n#MINSEP=1.0 C-C=2.10 C-H=1.45 H-H=1.00\n",
        20, (120, 120), ("no NFORM",),
    ),
    "layer": (
        "%BLOCK LATTICE_CART\n1 0 0\n0 1 0\n0 0 15\n#CFIX\n%ENDBLOCK LATTICE_CART\n#TARGVOL=50\n#SLAB\n#WIDTH=4.0\n"
        "#SHIFT=7.5\n#SPECIES=Si%NUM=1,O%NUM=2\n#NFORM=4\n#MINSEP=1.0 Si-Si=3.00 Si-O=1.60 O-O=2.58\n#COMPACT\n",
        12, (300, 300), ("SHIFT has no effect", "COMPACT has no effect", "TARGVOL is multiplied by 3/2"),
    ),
    "network": (
        "#TARGVOL=5.6\n#SPECIES=C\n#NATOM=8\n#SYMMOPS=1\n#NFORM=1\n#COMPACT\n#MINSEP=1.5\n#COORD=4\n#MINBANGLE=91\n"
        "#MAXBANGLE=180\n",
        8, (44.8, 44.8), (),
    ),
    "units in a fixed cell": (
        "%BLOCK LATTICE_ABC\n5.0 5.6 7.0\n90 90 90\n#FIX\n%ENDBLOCK LATTICE_ABC\n%BLOCK POSITIONS_ABS\n"
        " B 2.5 4.7 4.3 # 1-D2h % NUM=2\n B 1.7 8.0 2.8 # 1-D2h\n B 2.6 3.7 2.8 # 1-D2h\n%ENDBLOCK POSITIONS_ABS\n"
        "#SLACK=0.25\n#OVERLAP=0.1\n#MINSEP=1.64\nFIX_ALL_CELL : true\n",
        6, (196, 196), (),
    ),
    "polyanions": (
        "#TARGVOL=80\n%BLOCK POSITIONS_ABS\nLi 0 0 0\nO 4.2 4.6 5.9 #  PO4-1 %\nO 3.5 3.3 3.7 #  PO4-1 %\n"
        "P 4.2 4.6 4.4  #  PO4-1 %\nFe  8.1 1.5 2.4\n%ENDBLOCK POSITIONS_ABS\n#SYMMOPS=2-4\n###SGRANK=20\n#NFORM=4\n"
        "#SLACK=0.25\n#OVERLAP=0.1\n#COMPACT\n#MINSEP=1.0 Li-O=2.11 O-O=2.47\n#ADJGEN=0-1\n#SPIN=4 4 Fe\n",
        20, (320, 320), (),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_published_forms(name: str) -> None:
    text, atoms, volume, warnings = CASES[name]
    seed = parse_seed(text, "seed")
    assert len(seed.warnings) == len(warnings)
    assert all(any(words in warning for warning in seed.warnings) for words in warnings)
    recipe = seed.recipe(np.random.default_rng(0))
    assert sum(len(unit.symbols) for unit in recipe.units) == atoms
    assert recipe.volume == pytest.approx(volume, rel=1e-3)
