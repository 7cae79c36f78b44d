"""CHGNet's graph: bonds up to 6 Å between atoms, and angles between bonds up to 3 Å that meet at an atom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from ..guards import StructureFellApart
from ..neighbours import Neighbours, current_neighbours
from .classes import Classes, find_classes

SKIN = 0.4
"""Å; a wider one is renewed more seldom and gives more pairs to look through each time."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Bonds and angles of one structure; each pair of atoms is one bond here, the package keeps both directions apart.

    Attributes
    ----------
    first, second : (n_bonds,) atoms at the ends of each bond.
    short : (n_short,) the bonds that angles are made of.
    end_bond : (2 n_short,) each short bond seen from each of its ends: its place in `short`, ...
    end_atom : (2 n_short,) ... the atom at that end ...
    end_sign : (2 n_short,) ... and 1 where the bond's vector leads away from that atom, -1 where towards it.
    left, right : (n_angles,) ends that meet at an atom, in either order; sorted by `left`.
    """

    first: np.ndarray
    second: np.ndarray
    short: np.ndarray
    end_bond: np.ndarray
    end_atom: np.ndarray
    end_sign: np.ndarray
    left: np.ndarray
    right: np.ndarray


@dataclass(frozen=True, eq=False)
class Geometry:
    """Lengths and angles of a graph at one set of positions.

    Attributes
    ----------
    vectors : (n_bonds, 3), Å, from the first atom to the second. lengths : (n_bonds,), Å.
    ends : (2 n_short, 3) unit vectors of the short bonds, away from the atom at each end. cosines : (n_angles,).
    """

    vectors: np.ndarray
    lengths: np.ndarray
    ends: np.ndarray
    cosines: np.ndarray


@dataclass(frozen=True, eq=False)
class Memory:
    """What is kept between two evaluations of a structure."""

    neighbours: Neighbours
    is_bond: np.ndarray
    is_short: np.ndarray
    graph: Graph
    classes: Classes


def look(
    atoms: Atoms, memory: Memory | None, reach: float, short_reach: float, symmetry: bool = True
) -> tuple[Geometry, Memory]:
    """Bonds and angles of a structure, and which of them are alike; what has not changed is not made again.

    Parameters
    ----------
    memory : of the last evaluation. reach, short_reach : of bonds and of bonds with angles, Å.
    symmetry : look for bonds and angles that are alike; otherwise each stands for itself.

    Raises
    ------
    StructureFellApart : an atom has no bond.
    """
    neighbours = current_neighbours(None if memory is None else memory.neighbours, atoms, reach, SKIN)
    vectors = neighbours.vectors(atoms)
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    is_bond, is_short = lengths < reach, lengths < short_reach
    vectors, lengths = vectors[is_bond], lengths[is_bond]
    if (
        memory is not None
        and neighbours is memory.neighbours
        and np.array_equal(is_bond, memory.is_bond)
        and np.array_equal(is_short, memory.is_short)
    ):
        graph, classes = memory.graph, memory.classes
    else:
        short = np.flatnonzero(is_short[is_bond])
        graph = make_graph(len(atoms), neighbours.first[is_bond], neighbours.second[is_bond], short)
        if not np.bincount(np.concatenate([graph.first, graph.second]), minlength=len(atoms)).all():
            raise StructureFellApart(f"an atom has no neighbour within CHGNet's {reach:g} Å")
        classes = None
    directions = vectors[graph.short] / lengths[graph.short, None]
    ends = directions[graph.end_bond] * graph.end_sign[:, None]
    cosines = np.einsum("ij,ij->i", ends[graph.left], ends[graph.right])
    if classes is None or not classes.still_hold(lengths, cosines):
        classes = find_classes(atoms.numbers, graph, lengths, cosines, symmetry)
    return Geometry(vectors, lengths, ends, cosines), Memory(neighbours, is_bond, is_short, graph, classes)


def make_graph(n_atoms: int, first: np.ndarray, second: np.ndarray, short: np.ndarray) -> Graph:
    """The graph of one structure from its bonds and the places of the short ones among them."""
    n_short = len(short)
    end_atom = np.concatenate([first[short], second[short]])
    order = np.argsort(end_atom, kind="stable")
    end_atom = end_atom[order]
    # Ends at one atom now stand together: each meets every other of its group.
    begin = np.searchsorted(end_atom, np.arange(n_atoms))
    group = np.bincount(end_atom, minlength=n_atoms)[end_atom]
    left = np.repeat(np.arange(len(order)), group)
    within = np.arange(len(left)) - np.repeat(np.cumsum(group) - group, group)
    right = begin[end_atom[left]] + within
    other = left != right
    sign = np.where(order < n_short, 1.0, -1.0)
    return Graph(first, second, short, order % max(n_short, 1), end_atom, sign, left[other], right[other])


def pulled(geometry: Geometry, graph: Graph, by_length: np.ndarray, by_cosine: np.ndarray) -> np.ndarray:
    """The derivative (n_bonds, 3) by the bonds' vectors, from those by lengths (n_bonds,) and cosines (n_angles,)."""
    by_end = np.zeros_like(geometry.ends)
    pull = by_cosine[:, None]
    _add_rows(by_end, graph.left, pull * geometry.ends[graph.right])
    _add_rows(by_end, graph.right, pull * geometry.ends[graph.left])
    # What turns a bond: the part across it, over its length.
    by_end -= geometry.ends * np.einsum("ij,ij->i", by_end, geometry.ends)[:, None]
    across = np.zeros((len(graph.short), 3))
    _add_rows(across, graph.end_bond, by_end * graph.end_sign[:, None])
    by_vector = geometry.vectors * (by_length / geometry.lengths)[:, None]
    by_vector[graph.short] += across / geometry.lengths[graph.short, None]
    return by_vector


def forces_on(n_atoms: int, graph: Graph, by_vector: np.ndarray) -> np.ndarray:
    """Forces (n_atoms, 3) from the derivative by the bonds' vectors."""
    forces = np.zeros((n_atoms, 3))
    _add_rows(forces, graph.first, by_vector)
    _add_rows(forces, graph.second, -by_vector)
    return forces


def _add_rows(total: np.ndarray, places: np.ndarray, rows: np.ndarray) -> None:
    for axis in range(rows.shape[1]):
        total[:, axis] += np.bincount(places, rows[:, axis], len(total))
