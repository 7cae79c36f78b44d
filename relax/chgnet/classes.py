"""Atoms, bonds and angles that are alike: the network is asked about one of each.

Candidates are drawn with symmetry and keep it while they relax. All of CHGNet's features are scalars, so atoms that
see the same lengths and angles, to their neighbours' neighbours and beyond, have the same features in every layer, and
bonds and angles between such atoms too. Colour refinement finds them without any group theory: everything starts with
a colour of its own data, and takes on the colours around it until no colour splits any more. What the network sees is
then a small graph with counts, the same energy, and derivatives that belong in equal parts to all of a class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .graph import Graph

ALIKE = 1e-6
"""Å, and cosine: what differs by less is the same. Rounding keeps a symmetric structure within 1e-10."""


@dataclass(frozen=True, eq=False)
class ClassGraph:
    """What the network is asked about: one atom, bond and angle of each kind, of one or more structures.

    Attributes
    ----------
    numbers, atom_count : (n_atoms,) atomic numbers, and how many atoms each stands for.
    owner : (n_atoms,) the structure it belongs to.
    row_centre, row_other, row_bond, row_count : (n_rows,) messages along bonds: the atom that receives, the one at the
        other end, the bond, and how many such bonds one receiving atom has.
    short : (n_short,) the bonds that angles are made of.
    angle_left, angle_right, angle_centre, angle_count : (n_angles,) the short bond that receives, the other one, the
        atom where they meet, and how many such angles one receiving bond has.
    """

    numbers: np.ndarray
    atom_count: np.ndarray
    owner: np.ndarray
    row_centre: np.ndarray
    row_other: np.ndarray
    row_bond: np.ndarray
    row_count: np.ndarray
    short: np.ndarray
    angle_left: np.ndarray
    angle_right: np.ndarray
    angle_centre: np.ndarray
    angle_count: np.ndarray


@dataclass(frozen=True, eq=False)
class Classes:
    """Which bonds and angles of a structure are alike.

    Attributes
    ----------
    graph : of the classes.
    bond_member, angle_member : one bond and one angle of each class.
    bond_class, angle_class : the class of each bond and of each angle.
    bond_total, angle_total : how many each class has.
    """

    graph: ClassGraph
    bond_member: np.ndarray
    bond_class: np.ndarray
    bond_total: np.ndarray
    angle_member: np.ndarray
    angle_class: np.ndarray
    angle_total: np.ndarray

    def still_hold(self, lengths: np.ndarray, cosines: np.ndarray) -> bool:
        """Whether members of each class are still alike."""
        for values, member, group in (
            (lengths, self.bond_member, self.bond_class),
            (cosines, self.angle_member, self.angle_class),
        ):
            if len(member) < len(values) and np.abs(values - values[member][group]).max() > ALIKE:
                return False
        return True


def find_classes(
    numbers: np.ndarray, graph: Graph, lengths: np.ndarray, cosines: np.ndarray, symmetry: bool = True
) -> Classes:
    """Sort atoms, bonds and angles into classes; without `symmetry` each is a class of its own."""
    if symmetry:
        atom, bond, angle = _colours(numbers, graph, lengths, cosines)
    else:
        atom, bond, angle = (np.arange(n, dtype=np.uint64) for n in (len(numbers), len(lengths), len(cosines)))
    _, atom_member, atom_class, atom_count = _unique(atom)
    _, bond_member, bond_class, bond_total = _unique(bond)
    _, angle_member, angle_class, angle_total = _unique(angle)
    centre = np.concatenate([atom_class[graph.first], atom_class[graph.second]])
    other = np.concatenate([atom_class[graph.second], atom_class[graph.first]])
    along = np.concatenate([bond_class, bond_class])
    # A message is told by all three: a bond between two unlike atoms gives each of them another one.
    _, row_member, _, row_total = _unique((centre * len(atom_member) + other) * len(bond_member) + along)
    row_centre = centre[row_member]
    short, place = np.unique(bond_class[graph.short], return_inverse=True)
    left_bond, right_bond = (place[graph.end_bond[side[angle_member]]] for side in (graph.left, graph.right))
    quotient = ClassGraph(
        numbers=numbers[atom_member],
        atom_count=atom_count,
        owner=np.zeros(len(atom_member), dtype=np.int64),
        row_centre=row_centre,
        row_other=other[row_member],
        row_bond=along[row_member],
        row_count=row_total / atom_count[row_centre],
        short=short,
        angle_left=left_bond,
        angle_right=right_bond,
        angle_centre=atom_class[graph.end_atom[graph.left[angle_member]]],
        angle_count=angle_total / bond_total[short[left_bond]] if len(angle_member) else np.zeros(0),
    )
    return Classes(quotient, bond_member, bond_class, bond_total, angle_member, angle_class, angle_total)


def joined(graphs: Sequence[ClassGraph], n_bonds: Sequence[int]) -> ClassGraph:
    """Several graphs as one, nothing between them; `n_bonds` counts each one's bond classes."""
    if len(graphs) == 1:
        return graphs[0]
    atoms, bonds, shorts = (
        _offsets(lengths) for lengths in ([len(g.numbers) for g in graphs], n_bonds, [len(g.short) for g in graphs])
    )

    def all_of(name: str, offsets: np.ndarray | None = None) -> np.ndarray:
        parts = [getattr(g, name) for g in graphs]
        if offsets is not None:
            parts = [part + offset for part, offset in zip(parts, offsets, strict=True)]
        return np.concatenate(parts)

    return ClassGraph(
        numbers=all_of("numbers"),
        atom_count=all_of("atom_count"),
        owner=all_of("owner", np.arange(len(graphs))),
        row_centre=all_of("row_centre", atoms),
        row_other=all_of("row_other", atoms),
        row_bond=all_of("row_bond", bonds),
        row_count=all_of("row_count"),
        short=all_of("short", bonds),
        angle_left=all_of("angle_left", shorts),
        angle_right=all_of("angle_right", shorts),
        angle_centre=all_of("angle_centre", atoms),
        angle_count=all_of("angle_count"),
    )


def _colours(
    numbers: np.ndarray, graph: Graph, lengths: np.ndarray, cosines: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colours (64-bit hashes) of atoms, bonds and angles that no further look around would split."""
    first, second, short = graph.first, graph.second, graph.short
    atom = _mixed(numbers.astype(np.uint64))
    bond = _mixed(_levels(lengths) + np.uint64(1 << 32))
    cosine = _mixed(_levels(cosines) + np.uint64(1 << 33))
    left_bond, right_bond = short[graph.end_bond[graph.left]], short[graph.end_bond[graph.right]]
    centre = graph.end_atom[graph.left]
    counts = (0, 0)
    while True:
        angle = _mixed(cosine + _mixed(bond[left_bond]) + _mixed(~bond[right_bond]) + atom[centre])
        found = (len(np.unique(atom)), len(np.unique(bond)))
        # Colours only ever split: as many as before are the same as before.
        if found == counts or found == (len(atom), len(bond)):
            return atom, bond, angle
        counts = found
        seen = np.zeros_like(atom)
        np.add.at(seen, first, _mixed(bond + _mixed(atom[second])))
        np.add.at(seen, second, _mixed(bond + _mixed(atom[first])))
        around = atom[first] + atom[second]
        np.add.at(around, left_bond, angle)
        atom, bond = _mixed(atom + seen), _mixed(bond + _mixed(around))


def _levels(values: np.ndarray) -> np.ndarray:
    """Whole numbers that are the same for values with no gap above `ALIKE` between them."""
    order = np.argsort(values)
    levels = np.zeros(len(values), dtype=np.uint64)
    levels[order[1:]] = np.cumsum(np.diff(values[order]) > ALIKE)
    return levels


def _mixed(words: np.ndarray) -> np.ndarray:
    """Each 64-bit word scrambled: the finaliser of splitmix64 (Steele et al. 2014, doi:10.1145/2714064.2660195)."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    scrambled: np.ndarray = words ^ (words >> np.uint64(31))
    return scrambled


def _unique(colours: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return np.unique(colours, return_index=True, return_inverse=True, return_counts=True)


def _offsets(lengths: Sequence[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
