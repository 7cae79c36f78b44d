"""What one random structure is to be made of: the common ground of targets, AIRSS seeds and the generator.

A `Recipe` is concrete: the composition of this candidate is settled, ranges that are drawn anew with each attempt (the
volume, minimum distances) are still ranges. `Drafts` make recipes: one from a `Target`, one from an AIRSS seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from ase import Atoms

Pair = tuple[str, str]
"""Two chemical symbols, sorted."""

Range = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Unit:
    """One atom, or several that are placed, turned and pushed as a rigid body.

    Attributes
    ----------
    symbols : of its atoms.
    offsets : (n_atoms, 3) Å from the unit's centre; zeros for one atom.
    position : (3,) fractional, where its centre is put, before any random displacement; None: anywhere.
    amplitude : Å; its centre lands uniformly within a sphere of this radius around `position`; 0: right there.
        None: anywhere in the cell.
    least_amplitude : Å; but never nearer to `position` than this.
    box : (3,) Å; amplitudes along x, y and z that take the sphere's place; -1 in a component: anywhere along it; None:
        the sphere.
    turn : degrees of its largest random rotation; None: any orientation.
    pushed : whether atoms that are too close may push it away.
    frozen : whether relaxations must keep it where it is.
    occupation : share of the images under symmetry that exist: 1 a general position, 1/n a special position that n
        operations leave in place; None: the generator's choice.
    radius : Å; replaces its species' minimum distances by sums of radii, where given.
    coordination : smallest and largest number of neighbours, counted within 1.2 times the minimum distances or the sum
        of covalent radii, whichever is larger; None: any.
    spin : initial magnetic moment, Bohr magnetons.
    label : the name by which messages call it.
    """

    symbols: tuple[str, ...]
    offsets: np.ndarray
    position: np.ndarray | None = None
    amplitude: float | None = None
    least_amplitude: float = 0.0
    box: tuple[float, float, float] | None = None
    turn: float | None = None
    pushed: bool = True
    frozen: bool = False
    occupation: float | None = None
    radius: float | None = None
    coordination: tuple[int, int] | None = None
    spin: float = 0.0
    label: str = ""

    @property
    def is_free_atom(self) -> bool:
        """One atom that may land anywhere, with nothing asked of it but distances."""
        anywhere = self.position is None or (self.amplitude is None and self.box is None)
        plain = self.pushed and not self.frozen and self.occupation is None and self.radius is None
        return len(self.symbols) == 1 and anywhere and plain and self.coordination is None


@dataclass(frozen=True)
class Confinement:
    """A region in which unit centres land; the origin of the cell is its centre.

    Attributes
    ----------
    radii : Å; half axes of an ellipsoid along x, y, z; infinite ones make a cylinder (z) or a slab (x and y).
    """

    radii: tuple[float, float, float]


@dataclass(frozen=True)
class Edits:
    """What is done to a structure once its atoms keep their distances.

    Attributes
    ----------
    permute : species whose atoms swap places at random among each other; empty: none.
    permute_fraction : share of those atoms that take part.
    vacancies : atoms that are taken out: (number, species; "" any).
    hole : radius (Å) of a sphere around a random point that is emptied; 0: none.
    adatoms : units that are put onto free places after all others, farthest from what is there.
    spin : initial moments: a pair (number of the atoms' total excess, size) as AIRSS's SPIN has it; None: none.
    spin_species : species that carry those moments; empty: all.
    break_amplitude : Å; atoms are displaced by up to this at last, which breaks the symmetry.
    vacuum : Å of empty space added along c (of a slab) or around (of a cluster).
    """

    permute: tuple[str, ...] = ()
    permute_fraction: float = 1.0
    vacancies: tuple[int, str] | None = None
    hole: float = 0.0
    adatoms: tuple[Unit, ...] = ()
    spin: tuple[float, float] | None = None
    spin_species: tuple[str, ...] = ()
    break_amplitude: float = 0.0
    vacuum: float = 0.0


@dataclass(frozen=True, eq=False)
class Recipe:
    """Everything one candidate must obey.

    Attributes
    ----------
    units : every unit of the cell, copies listed one by one, in output order.
    volume : smallest and largest of the whole cell, Å^3, before any supercell; uniform between.
    min_distances : (low, high) in Å for every pair of species, drawn uniformly anew for each attempt; obeyed to 1e-6.
    groups : allowed international numbers by number of operations of the primitive cell; {1: (1,)}: no symmetry.
    general_only : units on general positions only (SYMMOPS=~n).
    more_sites : inequivalent sites beyond the fewest possible, smallest and largest (ADJGEN).
    cell : (3, 3) Å rows, a cell that was given; None: random.
    cell_amplitude : Å; random change of a given cell's vectors; None: `cell` gives nothing but a volume; 0: as it is.
    fixed_axes : of "abc", those that keep length and direction.
    lengths_ratio : CONS, 0 to 1: the larger, the more alike the edges.
    flatness : ACONS, 0 to 1: the smallest volume of a cell of unit edges with the angles drawn.
    cell_constraints : CELLCON: a, b, c (Å), α, β, γ (°); -1 random but equal to others of -1, 0 free; None: none.
    crystal_system : "Tric", "Mono", "Orth", "Tetra", "Rhom", "Hexa" or "Cubi": the shape of a random cell; "": any.
    compact : reduce the cell to its shortest vectors.
    slack : share by which pairs may be closer than their minimum while atoms are pushed apart; distances obey
        (1 - slack) times the minimum.
    overlap : eV-like energy per atom of soft spheres at the full minimum below which a structure is accepted; None:
        no such stage.
    push : push atoms apart; otherwise throw away what overlaps.
    adapt_cell : soft spheres may also change the shape of the cell, not its volume.
    supercell : (3, 3) integers, rows; the cell is repeated so after the atoms were placed; None: not.
    confinement : where units land; None: anywhere.
    cluster : not periodic: a cluster in the middle of a cell.
    bond_angles : smallest and largest angle (°) between neighbours of one atom; None: any.
    edits : what is done at last.
    flip : rigid units are mirrored at random (FLIP).
    notes : lines that the candidate's provenance carries (which choice was taken, which trap a seed fell into).
    """

    units: tuple[Unit, ...]
    volume: Range
    min_distances: Mapping[Pair, Range]
    groups: Mapping[int, tuple[int, ...]] = field(default_factory=lambda: {1: (1,)})
    general_only: bool = False
    more_sites: tuple[int, int] = (0, 0)
    cell: np.ndarray | None = None
    cell_amplitude: float | None = None
    fixed_axes: str = ""
    lengths_ratio: float = 0.4
    flatness: float = 0.5
    cell_constraints: tuple[float, float, float, float, float, float] | None = None
    crystal_system: str = ""
    compact: bool = True
    slack: float = 0.0
    overlap: float | None = None
    push: bool = True
    adapt_cell: bool = False
    supercell: np.ndarray | None = None
    confinement: Confinement | None = None
    cluster: bool = False
    bond_angles: Range | None = None
    edits: Edits = Edits()
    flip: bool = False
    notes: tuple[str, ...] = ()

    @cached_property
    def is_plain(self) -> bool:
        """A crystal of free atoms to which nothing is done at last."""
        return self.is_bulk and self.supercell is None and self.edits == Edits() and not any(u.spin for u in self.units)

    @cached_property
    def is_bulk(self) -> bool:
        """A crystal of free atoms in a random cell, before edits: what the fast generator makes."""
        plain_cell = (self.cell is None or self.cell_amplitude is None) and not self.fixed_axes
        shape = self.cell_constraints is None and not self.crystal_system
        stages = self.overlap is None and not self.adapt_cell and self.push and self.bond_angles is None
        whole = self.confinement is None and not self.cluster and self.edits.vacuum == 0
        sites = not self.general_only and self.more_sites == (0, 0)
        return plain_cell and shape and stages and whole and sites and all(u.is_free_atom for u in self.units)


@dataclass(frozen=True, eq=False)
class Drawn:
    """What the generator made of a recipe.

    Attributes
    ----------
    atoms : the structure, wrapped, units in recipe order and their atoms together; None where no attempt gave one.
    group : international number asked for in the last attempt; operations : of its primitive cell.
    volume : Å^3 of the cell of the last attempt, before any supercell or vacuum.
    attempts : trials of cell, sites and positions.
    rejects : failed attempts by reason: "cell", "sites", "Ti-O" (a pair that stayed too close), "bond angles", ...
    rejects_by_group : the same by group.
    """

    atoms: Atoms | None
    group: int
    operations: int
    volume: float
    attempts: int
    rejects: Mapping[str, int]
    rejects_by_group: Mapping[int, int]


class Draft(Protocol):
    """Makes recipes: what is left to chance in the composition is settled here, candidate by candidate."""

    @property
    def name(self) -> str:
        """What candidates are called after."""

    def recipe(self, rng: np.random.Generator) -> Recipe:
        """The recipe of one candidate; raises `InfeasibleTarget` where none can exist."""
