"""Messages between ranks: whole, and a few hundred bytes."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.constraints import FixAtoms

from xtalseek.mpi_jobs.messages import pack, unpack
from xtalseek.records import Candidate, Parent
from xtalseek.search.schedule import Assignment
from xtalseek.search.tasks import Finished, Relax


def same(one: Atoms, other: Atoms) -> bool:
    return bool(
        (one.numbers == other.numbers).all()
        and (one.positions == other.positions).all()
        and (one.cell.array == other.cell.array).all()
        and (one.pbc == other.pbc).all()
    )


def test_structures_arrive_bit_for_bit_and_can_be_changed() -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    atoms.positions += np.random.default_rng(0).normal(size=(8, 3))
    task = Relax("NaCl", Assignment(3, "shake", 1, Parent("NaCl-random-000000", atoms)))
    arrived = unpack(pack(task))
    assert arrived.assignment.parent is not None and same(arrived.assignment.parent.atoms, atoms)
    arrived.assignment.parent.atoms.rattle()
    assert arrived.search == "NaCl" and arrived.assignment.index == 1


def test_what_a_structure_carries_arrives_too() -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    atoms.set_constraint(FixAtoms([0]))
    atoms.info["seed"] = "X"
    arrived = unpack(pack(Candidate("NaCl", "random", 0, atoms))).atoms
    assert same(arrived, atoms)
    assert arrived.constraints[0].index.tolist() == [0]
    assert arrived.info == {"seed": "X"}


def test_they_take_a_few_hundred_bytes() -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    name = "Li3Fe2P3O12-random-123456"
    word = Finished(123456, name, "random", 123456, "converged", -5.1, 10.1, 40, 12.3, search="Li3Fe2P3O12")
    assert len(pack(("done", (word,)))) < 400
    assert len(pack(Relax("Li3Fe2P3O12", Assignment(123456, "random", 123456), lowest=-5.1))) < 400
    assert len(pack(Relax("NaCl", Assignment(1, "unimat", 1), Candidate("NaCl", "unimat", 1, atoms)))) < 900
