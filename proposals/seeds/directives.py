"""The table of directives: one row each. The reader looks names up here, and docs/seeds.md is made from it.

What is known of their meaning comes from AIRSS's public documentation (airss-docs.github.io), from measured output of
buildcell 0.9.1 and, where neither says enough, from a choice of ours that `meaning` states.
"""

from __future__ import annotations

from dataclasses import dataclass

GLOBAL, LATTICE, ATOM, BOTH = "global", "lattice block", "per atom", "global, per atom"

BULK = "#SPECIES=Si\n#NATOM=8\n#VARVOL=20\n#MINSEP=2\n"
OXIDE = "#FORMULA=TiO2\n#NFORM=2\n#TARGVOL=33\n#MINSEP=1.8\n#SYMMOPS=2-4\n"
BOX = "%BLOCK LATTICE_CART\n20 0 0\n0 20 0\n0 0 20\n#FIX\n%ENDBLOCK LATTICE_CART\n#SPECIES=Si%NUM=8\n#MINSEP=2\n"
CLUSTER = BOX + "#CLUSTER\n#POSAMP=4\n"
SLAB = "%BLOCK LATTICE_CART\n4 0 0\n0 4 0\n0 0 15\n#CFIX\n%ENDBLOCK LATTICE_CART\n#SPECIES=Si%NUM=4\n#MINSEP=2\n"
GIVEN = "%BLOCK LATTICE_CART\n5 0 0\n0 5 0\n0 0 6\n%ENDBLOCK LATTICE_CART\n#SPECIES=Si%NUM=8\n#MINSEP=2\n"
MOLECULE = (
    "%BLOCK POSITIONS_ABS\nO 0.00 0.00 0.00 # H2O\nH 0.96 0.00 0.00 # H2O\nH -0.24 0.93 0.00 # H2O\n"
    "%ENDBLOCK POSITIONS_ABS\n#NFORM=4\n#VARVOL=30\n#MINSEP=1.5\n"
)


@dataclass(frozen=True)
class Row:
    """One directive.

    Attributes
    ----------
    name : in capitals.
    where : it may stand.
    form : of its value; "" for a flag.
    units : of its value.
    default : what holds without it.
    meaning : one sentence.
    example : a line that uses it; empty where it has no effect here.
    beside : the seed in which the example line stands.
    """

    name: str
    where: str
    form: str
    units: str
    default: str
    meaning: str
    example: str = ""
    beside: str = BULK

    @property
    def has_effect(self) -> bool:
        """Whether the generator heeds it."""
        return bool(self.example)


# fmt: off
CONTENT = (
    Row("SPECIES", GLOBAL, "El, El%TAG=.. TAG=.., joined by commas", "", "atoms of the POSITIONS block",
        "The species and, after %, per-atom tags such as NUM; takes the place of a POSITIONS block.",
        "#SPECIES=Si%NUM=1 RAD=1.1,C%NUM=1 RAD=0.8", "#NFORM=4\n#TARGVOL=26\n#MINSEP=1.6\n"),
    Row("NATOM", GLOBAL, "n or n-m", "atoms", "what NUM says",
        "Number of atoms of one formula unit; shared out at random among the species that have no NUM, every "
        "composition alike.", "#NATOM=4-8"),
    Row("NFORM", GLOBAL, "n or n-m", "formula units", "1 in P1, else the number of symmetry operations",
        "How often the listed content stands in the cell.", "#NFORM=2-4"),
    Row("FORMULA", GLOBAL, "formula", "", "none",
        "The content as a formula, in place of SPECIES or POSITIONS; a volume then is that of this formula.",
        "#FORMULA=SrTiO3", "#NFORM=2\n#VARVOL=60\n#MINSEP=1.7\n"),
    Row("FOCUS", GLOBAL, "n", "species", "0: any", "The structure has exactly so many different species.", "#FOCUS=2",
        "#SPECIES=Fe,Bi,O\n#NATOM=3-6\n#VARVOL=45\n#MINSEP=2\n"),
    Row("OCTET", GLOBAL, "", "", "off", "Only compositions whose number of valence electrons is a multiple of eight.",
        "#OCTET", "#SPECIES=Ga,As\n#NATOM=2-8\n#VARVOL=45\n#MINSEP=2\n"),
    Row("SEED", GLOBAL, "text", "", "the run's seed",
        "A word from which a random seed is made for this file (`random_seed`).", "#SEED=apple"),
    Row("SUPERCELL", GLOBAL, "n, n n n, or 9 whole numbers", "", "1",
        "Repeats the finished cell: n is a random supercell of n cells (of n times the area with SLAB), three "
        "numbers are the repeats along a, b and c, nine the rows of a matrix.", "#SUPERCELL=2 2 1"),
    Row("MOLECULES", GLOBAL, "", "", "off",
        "Atoms of the POSITIONS block that are bonded as they stand (within 1.2 times the sum of covalent radii) "
        "form rigid units, whether or not they share a label.", "#MOLECULES", MOLECULE),
)

CELL = (
    Row("VARVOL", GLOBAL, "V", "Å^3", "the LATTICE block's volume, else from radii",
        "Volume, drawn within 5 %; it belongs to the listed lines, so it is multiplied by (atoms after "
        "NUM)/(lines) and by NFORM.", "#VARVOL=20"),
    Row("TARGVOL", GLOBAL, "V or V-V", "Å^3", "see VARVOL",
        "Volume, exact or drawn from the range; multiplied as VARVOL is.", "#TARGVOL=18-22",
        "#SPECIES=Si\n#NATOM=8\n#MINSEP=2\n"),
    Row("VOL", BOTH, "V or V-V (per atom: V)", "Å^3", "see VARVOL",
        "Volume of the whole cell, not multiplied; per atom: the atom's share of it, where every atom has one.",
        "#VOL=160", "#SPECIES=Si\n#NATOM=8\n#MINSEP=2\n"),
    Row("FIX", LATTICE, "", "", "off", "The cell stays as given.", "#FIX", "#SPECIES=Si%NUM=8\n#MINSEP=2\n"),
    Row("ABFIX", LATTICE, "", "", "off", "a and b keep length and direction.", "#ABFIX",
        "#SPECIES=Si%NUM=8\n#TARGVOL=20\n#MINSEP=2\n"),
    Row("CFIX", LATTICE, "", "", "off", "c keeps length and direction.", "#CFIX",
        "#SPECIES=Si%NUM=8\n#TARGVOL=20\n#MINSEP=2\n"),
    Row("CELLAMP", GLOBAL, "A", "Å", "-1: no relation to the given cell",
        "Random change of a given cell's vectors; 0 keeps it.", "#CELLAMP=0.2", GIVEN),
    Row("CELLCON", GLOBAL, "a b c α β γ", "Å and degrees", "none",
        "Shape of the cell: a number fixes an entry, -1 makes it random but equal to the others of -1, 0 free.",
        "#CELLCON=-1 -1 -1 90 90 90"),
    Row("SYSTEM", GLOBAL, "Tric, Mono, Orth, Tetra, Rhom, Hexa or Cubi", "", "any",
        "Shape of the random cell; groups that do not fit into it are left out.", "#SYSTEM=Cubi"),
    Row("CONS", GLOBAL, "0 to 1", "", "0.4", "How alike the lengths of the edges are.", "#CONS=0.6"),
    Row("ACONS", GLOBAL, "0 to 1", "", "0.5", "Smallest volume of a cell of unit edges: larger is less flat.",
        "#ACONS=0.7"),
    Row("COMPACT", GLOBAL, "", "", "on, unless the cell is fixed or CLUSTER",
        "Reduces the cell to its shortest vectors.", "#COMPACT"),
    Row("NOCOMPACT", GLOBAL, "", "", "off", "Leaves the cell as drawn.", "#NOCOMPACT"),
    Row("CELLADAPT", GLOBAL, "", "", "off",
        "Soft spheres (OVERLAP) may change the cell's shape, at its volume; the symmetry is kept, unlike in "
        "buildcell.", "#CELLADAPT", BULK + "#OVERLAP=0.1\n"),
)

SYMMETRY = (
    Row("SYMMOPS", GLOBAL, "n, n-m or ~n", "operations", "1",
        "Number of symmetry operations of the primitive cell (1, 2, 3, 4, 6, 8, 12, 16, 24, 48), drawn uniformly; "
        "~: units on general positions only.", "#SYMMOPS=2-4", BULK + "#NFORM=1\n"),
    Row("SYMM", GLOBAL, "symbol", "", "P1", "Space group by its short international symbol; ~ as in SYMMOPS.",
        "#SYMM=P21/c", BULK + "#NFORM=1\n"),
    Row("SYMMNO", GLOBAL, "numbers and ranges", "", "1", "Space groups by international number.",
        "#SYMMNO=2,14,61-63", BULK + "#NFORM=1\n"),
    Row("SGRANK", GLOBAL, "n", "groups", "230: all",
        "Only the n most frequent space groups (of 23,660 structures of the Materials Project; AIRSS has a list of"
        " its own).", "#SGRANK=20", BULK + "#NFORM=1\n#SYMMOPS=2-4\n"),
    Row("SYMMORPHIC", GLOBAL, "", "", "off", "Only the 73 symmorphic space groups.", "#SYMMORPHIC",
        BULK + "#NFORM=1\n#SYMMOPS=2-4\n"),
    Row("CHIRAL", GLOBAL, "", "", "off", "Only the 65 space groups without mirror images (Sohncke).", "#CHIRAL",
        BULK + "#NFORM=1\n#SYMMOPS=2-4\n"),
    Row("ADJGEN", GLOBAL, "n or n-m", "sites", "0",
        "Inequivalent sites beyond the fewest possible: more on special positions.", "#ADJGEN=0-1",
        BULK + "#NFORM=1\n#SYMMOPS=2-4\n"),
)

DISTANCES = (
    Row("MINSEP", GLOBAL, "[d or d-d] [A-B=d or A-B=d-d ...] [AUTO or AUTOVOL]", "Å", "from radii",
        "Smallest distances: first for all pairs, then pair by pair; a range is drawn anew per structure, pair by "
        "pair; AUTO learns them and the volume (AUTOVOL: only the volume) from given structures, else from radii.",
        "#MINSEP=1.0 Ti-Ti=2.8 Ti-O=1.7-1.9 O-O=2.4", OXIDE),
    Row("SLACK", GLOBAL, "0 to 1", "share", "0", "Pairs may be closer than MINSEP by this share.", "#SLACK=0.25"),
    Row("OVERLAP", GLOBAL, "x", "energy per atom", "off",
        "Then soft spheres at the full MINSEP are relaxed, and a structure is accepted at or below this energy; "
        "negative: off.", "#OVERLAP=0.1"),
    Row("NOPUSH", GLOBAL, "", "", "off",
        "Throws away structures with short distances instead of pushing atoms apart.", "#NOPUSH",
        "#SPECIES=Si\n#NATOM=4\n#VARVOL=20\n#MINSEP=1.5\n"),
    Row("RAD", BOTH, "r", "Å", "0: MINSEP", "Radius of the atom: sums of radii take the place of MINSEP.",
        "Si 0.0 0.0 0.0 # Si1 % NUM=8 RAD=1.1", "#VARVOL=20\n#MINSEP=2\n"),
    Row("COORD", BOTH, "n or n-m", "neighbours", "-1: any",
        "Number of neighbours within 1.2 times MINSEP or the sum of covalent radii, whichever is larger.",
        "#COORD=3-9"),
    Row("MINBANGLE", GLOBAL, "0 to 180", "degrees", "0", "Smallest angle between neighbours of one atom.",
        "#MINBANGLE=40"),
    Row("MAXBANGLE", GLOBAL, "0 to 180", "degrees", "180", "Largest angle between neighbours of one atom.",
        "#MAXBANGLE=170"),
)

POSITIONS = (
    Row("POSAMP", BOTH, "A", "Å", "-1: anywhere",
        "The unit lands within a sphere of this radius around its given place.", "#POSAMP=3.0", BOX),
    Row("MINAMP", BOTH, "A", "Å", "0", "But no nearer to its place than this.", "#MINAMP=1.0", BOX + "#POSAMP=3.0\n"),
    Row("XAMP", BOTH, "A", "Å", "-1: the sphere, or anywhere along x once YAMP or ZAMP is given",
        "Largest displacement along x.", "#XAMP=1.0", BOX),
    Row("YAMP", BOTH, "A", "Å", "as XAMP", "Largest displacement along y.", "#YAMP=1.0", BOX),
    Row("ZAMP", BOTH, "A", "Å", "as XAMP", "Largest displacement along z.", "#ZAMP=0.5", BOX),
    Row("ANGAMP", BOTH, "A", "degrees", "-1: any orientation", "Largest rotation of a rigid unit.", "#ANGAMP=30",
        MOLECULE),
    Row("FLIP", GLOBAL, "", "", "off", "Rigid units are mirrored at random.", "#FLIP", MOLECULE),
    Row("NUM", ATOM, "n or n-m", "copies", "1",
        "Copies of the atom, or of the rigid unit; of a unit's lines one gives it.",
        "Si 0.0 0.0 0.0 # Si1 % NUM=6-10", "#VARVOL=20\n#MINSEP=2\n"),
    Row("NOMOVE", ATOM, "", "", "off",
        "Stays where it was put while atoms are pushed apart; without POSAMP, at its given place.",
        "Si 0.0 0.0 0.0 # Si1 % NOMOVE", "#VARVOL=20\n#MINSEP=2\n"),
    Row("FIX (atom)", ATOM, "", "", "off", "Stays at its given place, in relaxations too.",
        "Si 0.0 0.0 0.0 # Si1 % FIX", "#VARVOL=20\n#MINSEP=2\n"),
    Row("OCC", ATOM, "share, as 0.5 or 1/2", "", "the generator's choice",
        "Share of the unit's images under symmetry that exist: 1 a general position, 1/n a special one.",
        "Si 0.0 0.0 0.0 # Si1 % OCC=1/2", "#VARVOL=20\n#MINSEP=2\n#SYMMOPS=4\n#NFORM=2\n"),
    Row("MULT", ATOM, "n", "images", "the generator's choice", "The same as a number: OCC = MULT/(operations).",
        "Si 0.0 0.0 0.0 # Si1 % MULT=2", "#VARVOL=20\n#MINSEP=2\n#SYMMOPS=4\n#NFORM=2\n"),
)

SHAPES = (
    Row("CLUSTER", GLOBAL, "", "", "off",
        "Not periodic: a cluster around the origin; SYMMOPS are those of the 32 crystallographic point groups.",
        "#CLUSTER", BOX + "#POSAMP=4\n"),
    Row("SPHERE", GLOBAL, "r", "Å", "none", "Units land in a sphere around the origin.", "#SPHERE=4", BOX),
    Row("ELLIPSOID", GLOBAL, "r e", "Å, share", "none",
        "Units land in an ellipsoid of the volume of a sphere of radius r; its half axes vary by factors up to "
        "exp(e), drawn anew per structure.", "#ELLIPSOID=4 0.5", BOX),
    Row("CYLINDER", GLOBAL, "r", "Å", "none", "Units land in a cylinder around z.", "#CYLINDER=3", BOX),
    Row("SLAB", GLOBAL, "", "", "off", "A slab perpendicular to c; SUPERCELL=n repeats along a and b only.", "#SLAB",
        SLAB + "#TARGVOL=30\n#WIDTH=6\n"),
    Row("SURFACE", GLOBAL, "", "", "off", "The same as SLAB.", "#SURFACE", SLAB + "#TARGVOL=30\n#WIDTH=6\n"),
    Row("WIDTH", GLOBAL, "w", "Å", "none", "Units of a slab land between two planes so far apart.", "#WIDTH=6",
        SLAB + "#TARGVOL=30\n#SLAB\n"),
    Row("VACUUM", GLOBAL, "d", "Å", "0", "Empty space added along c (slab) or around (cluster).", "#VACUUM=10",
        CLUSTER),
)

EDITS = (
    Row("PERMUTE", GLOBAL, "[El,El]", "", "off", "Atoms of these species (none named: of all) swap places at random.",
        "#PERMUTE=Ti,O", OXIDE),
    Row("PERMFRAC", GLOBAL, "0 to 1", "share", "1", "Share of those atoms that take part.", "#PERMFRAC=0.5",
        OXIDE + "#PERMUTE\n"),
    Row("VACANCIES", GLOBAL, "n@El, or n", "atoms", "0", "So many atoms (of El) are taken out at last.",
        "#VACANCIES=1@O", OXIDE),
    Row("HOLE", GLOBAL, "r", "Å", "none", "Empties a sphere around a random point.", "#HOLE=2.0"),
    Row("ADATOM", ATOM, "", "", "off", "Put onto a free place after the supercell was made; it counts for no volume.",
        "Si 0.0 0.0 0.6 # Si1 % ADATOM",
        "%BLOCK POSITIONS_FRAC\nSi 0 0 0 # Si2 % NUM=7\n%ENDBLOCK POSITIONS_FRAC\n#VARVOL=20\n#MINSEP=2\n"),
    Row("SPIN", BOTH, "total size [El ...] (per atom: moment)", "Bohr magnetons", "0 0",
        "Initial moments: their total, and the size of each, of the species named or of all.", "#SPIN=4 4 Ti", OXIDE),
    Row("BREAKAMP", GLOBAL, "A", "Å", "off", "Displaces every atom at last by up to this, which breaks the symmetry.",
        "#BREAKAMP=0.05"),
)
# fmt: on

_NO_EFFECT = {
    "MAXTIME": "attempts bound the retries here, not seconds",
    "SHIFT": "where a periodic slab stands along c changes nothing",
    "PACKING": "without a volume it follows from radii",
    "THREE": "switched off in AIRSS too",
    "TIGHT": "no such mode here",
    "NFAILS": "no violation is tolerated here",
    "PUSHMAX": "the generator has its own limit",
    "PUSHSTEP": "the generator has its own step",
    "RASH": "`xtalseek` shakes structures as a source of its own",
    "RASH_POSAMP": "see RASH",
    "RASH_ANGAMP": "see RASH",
    "AUTOSLACK": "write SLACK",
    "REMOVE": "write OCC for atoms on special positions",
    "CORE": "write MINAMP",
    "PANCAKE": "write ELLIPSOID",
    "CIGAR": "write ELLIPSOID",
    "HOLEPOS": "the hole is around a random point",
}
_NO_EFFECT_ON_ATOMS = {
    "PERM": "write PERMUTE with the species",
    "ATHOLE": "the hole is around a random point",
}

WITHOUT_EFFECT = tuple(Row(name, GLOBAL, "", "", "", text) for name, text in _NO_EFFECT.items()) + tuple(
    Row(name, ATOM, "", "", "", text) for name, text in _NO_EFFECT_ON_ATOMS.items()
)

SECTIONS: dict[str, tuple[Row, ...]] = {
    "What the cell holds": CONTENT,
    "Cell and volume": CELL,
    "Symmetry": SYMMETRY,
    "Distances and neighbours": DISTANCES,
    "Where atoms land": POSITIONS,
    "Clusters, slabs, confinement": SHAPES,
    "Changes at last": EDITS,
}

ROWS = tuple(row for rows in SECTIONS.values() for row in rows)
GLOBAL_NAMES = frozenset(row.name for row in (*ROWS, *WITHOUT_EFFECT) if row.where != ATOM)
ATOM_NAMES = frozenset(row.name.split()[0] for row in (*ROWS, *WITHOUT_EFFECT) if row.where in (ATOM, BOTH))
NO_EFFECT: dict[str, str] = {**_NO_EFFECT, **_NO_EFFECT_ON_ATOMS}


def example_seed(row: Row) -> str:
    """A whole seed in which the row's example line stands; a line of its surroundings with the same key gives way."""
    key = row.example.lstrip("#").partition("=")[0]
    beside = "".join(f"{line}\n" for line in row.beside.splitlines() if line.lstrip("#").partition("=")[0] != key)
    if row.where == LATTICE:
        return f"%BLOCK LATTICE_CART\n5 0 0\n0 5 0\n0 0 6\n{row.example}\n%ENDBLOCK LATTICE_CART\n{beside}"
    if not row.example.startswith("#"):
        if "%ENDBLOCK POSITIONS_FRAC" in beside:
            return beside.replace("%ENDBLOCK", f"{row.example}\n%ENDBLOCK")
        return f"%BLOCK POSITIONS_FRAC\n{row.example}\n%ENDBLOCK POSITIONS_FRAC\n{beside}"
    return f"{beside}{row.example}\n"
