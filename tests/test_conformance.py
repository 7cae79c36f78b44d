"""The checks for authors of plug-ins: ours pass them, and each toy that breaks one promise is told which."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import all_changes
from toy_potentials import Batched, Pairs, together

from xtalseek.files import write_atomic
from xtalseek.proposals import Source
from xtalseek.proposals.random import RandomSource
from xtalseek.proposals.shake import ShakeSource
from xtalseek.proposals.substitution import SubstitutionSource
from xtalseek.records import Candidate, Parent, Record, Relaxation, Status, Target
from xtalseek.relax import BatchRelaxer, Relaxer, RelaxSettings, load_potential
from xtalseek.relax.calculators import AseEvaluator
from xtalseek.relax.contract import Evaluation
from xtalseek.relax.potentials import Potential
from xtalseek.search.config import resolve, to_toml
from xtalseek.search.store import CONFIG_FILE, Journal, journal_line, load_run, read_line
from xtalseek.testing import bad_structures, check_potential, check_relaxer, check_source, check_store

MGO = Target("MgO", (1, 2), min_distances={"Mg-O": 1.6}, volume_per_atom=(8, 12))
CROWDED = Target("MgO", (1, 1), min_distances={"Mg-Mg": 9, "O-O": 9, "Mg-O": 9}, volume_per_atom=(8, 9))
ROCKSALT = Parent("MgO-random-000003", bulk("MgO", "rocksalt", a=4.21, cubic=True))
SETTINGS = RelaxSettings(max_steps=150, saddle_push=0.0, pressure_gpa=1.0)


def rattled(*structures: Atoms) -> list[Atoms]:
    rng = np.random.default_rng(4)
    for atoms in structures:
        atoms.positions += rng.uniform(-0.15, 0.15, (len(atoms), 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.uniform(-0.04, 0.04, (3, 3))), scale_atoms=True)
    return list(structures)


SOUND = rattled(bulk("Ar", "fcc", 3.7, cubic=True), bulk("NaCl", "rocksalt", 4.2))

# Ours pass


def test_our_sources_conform() -> None:
    check_source(RandomSource, MGO, name="random", impossible=CROWDED)
    check_source(ShakeSource, replace(MGO, formula_units=(4, 4)), name="shake", parent=ROCKSALT)
    check_source(SubstitutionSource, replace(MGO, formula_units=(1, 4)), name="substitution", impossible=CROWDED)


MORSE = {"r0": 2.6, "rho0": 4.0, "epsilon": 0.4, "rcut1": 1.3, "rcut2": 1.7}


@pytest.mark.parametrize(
    "potential",
    [load_potential("morse", MORSE), load_potential("lj", {"sigma": 2.3, "epsilon": 0.4, "smooth": True}), together()],
    ids=lambda potential: potential.name,
)
def test_our_relaxers_conform(potential: Potential) -> None:
    check_relaxer(BatchRelaxer(potential, SETTINGS), SOUND, SETTINGS, potential=potential)


def test_our_potentials_conform() -> None:
    for potential in (load_potential("morse", MORSE), together(), Pairs(), AseEvaluator(Pairs())):
        check_potential(potential, SOUND)
    check_potential(load_potential("emt", {}), rattled(bulk("Cu", cubic=True)))


def test_chgnet_conforms() -> None:
    # Single precision: differences over a larger step, and a looser comparison.
    structures = rattled(bulk("MgO", "rocksalt", 4.2), bulk("Cu", cubic=True))
    chgnet = load_potential("chgnet", {})
    check_potential(chgnet, structures, step=1e-2, slope_tolerance=0.02, energy_tolerance=1e-4, force_tolerance=1e-3)


def open_journal(folder: Path, number: int) -> Journal:
    if not (folder / CONFIG_FILE).exists():
        write_atomic(folder / CONFIG_FILE, to_toml(resolve({"formula": "MgO", "num": 10}), {}))
    return Journal(folder, number)


def test_our_journal_conforms(tmp_path: Path) -> None:
    check_store(open_journal, lambda folder: load_run(folder).records, tmp_path / "new")


# Sources that break a promise


class Cubes:
    """One formula unit of MgO in a cube; right, but for what a test changes."""

    block = 1

    def check(self, target: Target) -> None:
        pass

    def propose(self, target: Target, index: int, rng: np.random.Generator) -> Candidate:
        atoms = Atoms("MgO", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=[rng.uniform(2.6, 2.8)] * 3, pbc=True)
        return self.changed(Candidate(target.name, "cubes", index, atoms))

    def changed(self, candidate: Candidate) -> Candidate:
        return candidate


def cube(candidate: Candidate) -> Atoms:
    assert candidate.atoms is not None
    return candidate.atoms


class Counting(Cubes):
    drawn = 0

    def changed(self, candidate: Candidate) -> Candidate:
        self.drawn += 1
        cube(candidate).positions[1, 0] += 0.001 * self.drawn
        return candidate


class Remembering(Cubes):
    """Keeps what it drew for each index, which hides that it depends on the order."""

    def __init__(self) -> None:
        self._kept: dict[int, Atoms] = {}

    def changed(self, candidate: Candidate) -> Candidate:
        cube(candidate).positions[1, 0] += 0.001 * len(self._kept)
        kept = self._kept.setdefault(candidate.index, cube(candidate))
        return replace(candidate, atoms=kept.copy())


class Lending(Cubes):
    """Hands out the structure that it keeps."""

    _kept: Atoms | None = None

    def changed(self, candidate: Candidate) -> Candidate:
        if self._kept is None:
            self._kept = Atoms("MgO", [(0, 0, 0), (1.35, 1.35, 1.35)], cell=[2.7] * 3, pbc=True)
        return replace(candidate, atoms=self._kept)


class Global(Cubes):
    def changed(self, candidate: Candidate) -> Candidate:
        cube(candidate).positions[1] += np.random.rand(3) * 0.01
        return candidate


class Raising(Cubes):
    def changed(self, candidate: Candidate) -> Candidate:
        raise RuntimeError("no luck")


class Silent(Cubes):
    def changed(self, candidate: Candidate) -> Candidate:
        return candidate if candidate.index else replace(candidate, atoms=None)


class Misnamed(Cubes):
    def changed(self, candidate: Candidate) -> Candidate:
        return replace(candidate, source="cube")


class Oxygen(Cubes):
    def changed(self, candidate: Candidate) -> Candidate:
        cube(candidate).symbols[0] = "O"
        return candidate


class Doubled(Cubes):
    def changed(self, candidate: Candidate) -> Candidate:
        return replace(candidate, atoms=cube(candidate) * (3, 1, 1))


class Close(Cubes):
    def changed(self, candidate: Candidate) -> Candidate:
        cube(candidate).positions[1] = (1.5, 0, 0)
        return candidate


class Wide(Cubes):
    def changed(self, candidate: Candidate) -> Candidate:
        cube(candidate).set_cell([3, 3, 3], scale_atoms=True)
        return candidate


class Strict(Cubes):
    def check(self, target: Target) -> None:
        raise RuntimeError("not today")


class Block(Cubes):
    """Draws a block at once, but goes on with the numbers where it was left."""

    block = 4

    def __init__(self) -> None:
        self._rng: np.random.Generator | None = None

    def propose(self, target: Target, index: int, rng: np.random.Generator) -> Candidate:
        if self._rng is None or index % self.block == 0:
            self._rng = rng
        return super().propose(target, index, self._rng)


def test_a_plain_source_conforms() -> None:
    check_source(Cubes, MGO, name="cubes")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (Counting, "changes with what was drawn before"),
        (Remembering, "another where a new source draws in another order"),
        (Lending, "changes with what was drawn before"),
        (Global, "changes with what was drawn before"),
        (Raising, "propose raised RuntimeError: no luck"),
        (Silent, "no note that says why"),
        (Misnamed, r"is called \('MgO', 'cube', 0\)"),
        (Oxygen, "is O2, not so many whole MgO"),
        (Doubled, "has 3 formula units, outside 1-2"),
        (Close, "Mg-O at 1.[0-9]* Å, closer than 1.6"),
        (Wide, r"13.5000 Å\^3/atom, outside 8-12"),
        (Strict, "check raised RuntimeError for MgO: not today"),
        (Block, "changes with what was drawn before"),
    ],
)
def test_a_wrong_source_is_told(source: Callable[[], Source], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_source(source, MGO, name="cubes")


def test_a_source_that_tries_the_impossible_is_told() -> None:
    with pytest.raises(AssertionError, match="check raised nothing for a target that no structure can satisfy"):
        check_source(Cubes, MGO, name="cubes", impossible=CROWDED)


# Relaxers that break a promise


@dataclass
class Changed:
    """A sound relaxer whose answers a test changes."""

    change: Callable[[Sequence[Atoms], list[Relaxation]], list[Relaxation]]

    def relax(self, structures: Sequence[Atoms]) -> list[Relaxation]:
        return self.change(structures, BatchRelaxer(PAIRS, SETTINGS).relax(structures))


PAIRS = Potential("pairs", AseEvaluator(Pairs()), np.full(120, 1.25))


def converged(change: Callable[[Relaxation], Relaxation]) -> Changed:
    def each(_: Sequence[Atoms], found: list[Relaxation]) -> list[Relaxation]:
        return [change(one) if one.status is Status.CONVERGED else one for one in found]

    return Changed(each)


class Plain:
    """Believes whatever it is given, as a first attempt would."""

    def relax(self, structures: Sequence[Atoms]) -> list[Relaxation]:
        return [Relaxation(atoms.copy(), Status.CONVERGED, energy=0.0, pressure_gpa=1.0) for atoms in structures]


class Brittle:
    def relax(self, structures: Sequence[Atoms]) -> list[Relaxation]:
        if any(not np.isfinite(atoms.positions).all() for atoms in structures):
            raise ValueError("NaN")
        return BatchRelaxer(PAIRS, SETTINGS).relax(structures)


def moving(structures: Sequence[Atoms], found: list[Relaxation]) -> list[Relaxation]:
    for atoms in structures:
        atoms.positions += 0.1
    return found


def strained(result: Relaxation) -> Relaxation:
    """Ends where the potential says something else than is reported."""
    assert result.atoms is not None
    return replace(result, atoms=Atoms(result.atoms.numbers, result.atoms.positions * 1.1, cell=result.atoms.cell * 1.1,
                                       pbc=True))  # fmt: skip


@pytest.mark.parametrize(
    ("relaxer", "told"),
    [
        (Plain(), "converged to what is not finite|converged, which such a structure cannot"),
        (Brittle(), "relax raised ValueError: NaN"),
        (Changed(moving), "changed the structures"),
        (Changed(lambda _, found: found[:-1]), "relaxations of"),
        (Changed(lambda _, found: found[::-1]), "other atoms|which such a structure cannot"),
        (Changed(lambda _, found: [replace(one, message="") for one in found]), "without a message of one line"),
        (converged(lambda one: replace(one, energy=(one.energy or 0) - 0.1)), "eV/atom off what the potential says"),
        (converged(strained), "off what the potential says"),
        (converged(lambda one: replace(one, max_force=0.06)), "converged with a force of 0.06"),
        (converged(lambda one: replace(one, pressure_gpa=0.0)), "pressure 0.0 GPa, asked for 1.0"),
        (converged(lambda one: replace(one, energy=None)), "without structure or energy"),
        (converged(lambda one: replace(one, status=Status.TIMEOUT, message="late")), "none of the sound structures"),
    ],
)
def test_a_wrong_relaxer_is_told(relaxer: Relaxer, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_relaxer(relaxer, SOUND[:1], SETTINGS, potential=None if isinstance(relaxer, Plain) else PAIRS)


def test_a_relaxer_that_does_not_move_is_told() -> None:
    """It says what the potential says, and that it had converged."""

    def stay(structures: Sequence[Atoms], found: list[Relaxation]) -> list[Relaxation]:
        return [
            replace(one, atoms=atoms.copy(), energy=AseEvaluator(Pairs()).evaluate([atoms], [None])[0].energy)  # type: ignore[union-attr]
            if one.status is Status.CONVERGED
            else one
            for atoms, one in zip(structures, found, strict=True)
        ]

    with pytest.raises(AssertionError, match="converged, but the potential gives a force"):
        check_relaxer(Changed(stay), SOUND[:1], SETTINGS, potential=PAIRS)


def test_a_relaxer_that_climbs_is_told() -> None:
    class Hill(Pairs):
        def calculate(
            self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes
        ) -> None:
            super().calculate(atoms, properties, system_changes)
            self.results = {name: -value for name, value in self.results.items()}

    hill = replace(PAIRS, evaluator=AseEvaluator(Hill()))

    def relax(_: Sequence[Atoms], found: list[Relaxation]) -> list[Relaxation]:
        return [one if one.energy is None else replace(one, energy=-one.energy) for one in found]

    with pytest.raises(AssertionError, match="the enthalpy rose"):
        check_relaxer(Changed(relax), SOUND[:1], SETTINGS, potential=hill)


class WithUnderWay(BatchRelaxer):
    """A sound relaxer with an `UnderWay` of a test's."""

    under_way: type[Any]

    def relax(self, structures: Sequence[Atoms]) -> list[Relaxation]:
        return BatchRelaxer(self.potential, self.settings).relax(structures)

    def in_flight(self) -> Any:
        return self.under_way(BatchRelaxer(self.potential, self.settings))


class Queue:
    """Right, but for what a test changes."""

    lowest: float | None = None

    def __init__(self, relaxer: BatchRelaxer) -> None:
        self._relaxer = relaxer
        self._waiting: deque[tuple[int, Atoms]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def has_room(self) -> bool:
        return len(self._waiting) < 2

    def add(self, key: int, structure: Atoms) -> None:
        self._waiting.append((key, structure))

    def advance(self) -> list[tuple[int, Relaxation]]:
        key, structure = self._waiting.popleft()
        return [(key, self._relaxer.relax([structure])[0])]


class Renaming(Queue):
    def advance(self) -> list[tuple[int, Relaxation]]:
        return [(key + 1, result) for key, result in super().advance()]


class Losing(Queue):
    def advance(self) -> list[tuple[int, Relaxation]]:
        return super().advance()[:0]


class Crossing(Queue):
    """Gives each its neighbour's result."""

    def advance(self) -> list[tuple[int, Relaxation]]:
        if len(self._waiting) < 2:
            return super().advance()
        (one, first), (two, second) = super().advance() + super().advance()
        return [(one, second), (two, first)]


class Full(Queue):
    has_room = False


@pytest.mark.parametrize(
    ("under_way", "told"),
    [
        (Queue, None),
        (Renaming, "was not given"),
        (Losing, "its length is"),
        (Crossing, "in a batch"),
        (Full, "never came out; has it no room when it is empty"),
    ],
)
def test_the_contract_of_relaxations_under_way(under_way: type[Any], told: str | None) -> None:
    relaxer = WithUnderWay(PAIRS, SETTINGS)
    object.__setattr__(relaxer, "under_way", under_way)
    if told is None:
        check_relaxer(relaxer, SOUND, SETTINGS)
        return
    with pytest.raises(AssertionError, match=told):
        check_relaxer(relaxer, SOUND, SETTINGS)


def test_bad_structures_leave_the_good_one_alone() -> None:
    good = SOUND[0].copy()
    bad = bad_structures(good)
    assert len(bad) == 7
    np.testing.assert_array_equal(good.positions, SOUND[0].positions)
    np.testing.assert_array_equal(good.cell.array, SOUND[0].cell.array)
    np.testing.assert_array_equal(good.numbers, SOUND[0].numbers)


# Potentials that break a promise


@dataclass
class Answering:
    """`Pairs`, its answers changed; `place` counts the structures of a batch."""

    change: Callable[[Evaluation, Atoms, int], Evaluation]
    capacity: float = 0.0

    def evaluate(self, structures: Sequence[Atoms], memories: Sequence[object]) -> list[Evaluation | Exception]:
        found = Batched(0).evaluate(structures, [None] * len(structures))
        return [
            self.change(one, atoms, place) if isinstance(one, Evaluation) else one
            for place, (one, atoms) in enumerate(zip(found, structures, strict=True))
        ]

    def size(self, atoms: Atoms) -> float:
        return float(len(atoms))


def by_first_atom(found: Evaluation, atoms: Atoms, place: int) -> Evaluation:
    """The atom that is given first has a spring to the origin of its own."""
    return replace(found, energy=found.energy + 0.01 * float(atoms.numbers[0]))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda e, a, p: replace(e, forces=1.05 * e.forces), "forces say that the energy changes by"),
        (lambda e, a, p: replace(e, stress=-e.stress), "the stress say that"),
        (lambda e, a, p: replace(e, stress=160.2 * e.stress), "the stress"),
        (lambda e, a, p: replace(e, forces=e.forces + np.array([0, 0, 0.2])), "forces"),
        (lambda e, a, p: replace(e, forces=e.forces[:1]), r"forces of shape \(1, 3\)"),
        (lambda e, a, p: replace(e, energy=e.energy + 0.1 * p), "in a batch: the energy differs"),
        (lambda e, a, p: replace(e, energy=e.energy + 0.3 * a.cell[0, 0] / a.cell.lengths()[0]), "energy"),
        (by_first_atom, "atoms in another order: the energy differs"),
        (lambda e, a, p: replace(e, energy=float("nan")), "not finite"),
        (lambda e, a, p: (_ for _ in ()).throw(RuntimeError("gone")), "evaluate raised RuntimeError: gone"),
    ],
)
def test_a_wrong_potential_is_told(change: Any, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_potential(Answering(change), SOUND[::-1])


# Stores that break a promise


class Lines:
    """Appends to one file, whatever its end looks like."""

    def __init__(self, folder: Path, number: int) -> None:
        self._file = (folder / f"{number}.jsonl").open("ab", buffering=0)

    def append(self, record: Record) -> None:
        self._file.write(journal_line(record))

    def close(self) -> None:
        self._file.close()


class Buffered(Lines):
    """Leaves the last records in memory."""

    def __init__(self, folder: Path, number: int) -> None:
        self._file = (folder / f"{number}.jsonl").open("ab", buffering=1_000_000)  # type: ignore[assignment]


class KeptUntilKilled(Buffered):
    """Flushes where the reader is this very process, as one that checks itself might."""

    _process = os.getpid()

    def append(self, record: Record) -> None:
        super().append(record)
        if os.getpid() == self._process:
            self._file.flush()


class Whole(Lines):
    """Writes everything anew each time."""

    def __init__(self, folder: Path, number: int) -> None:
        self._path = folder / f"{number}.jsonl"

    def append(self, record: Record) -> None:
        old = self._path.read_bytes() if self._path.exists() else b""
        self._path.write_bytes(journal_line(record) + old)

    def close(self) -> None:
        pass


def read_lines(folder: Path) -> list[Record]:
    lines = [line for file in folder.glob("*.jsonl") for line in file.read_bytes().splitlines(keepends=True)]
    return [record for line in lines if (record := read_line(line)) is not None]


def read_strictly(folder: Path) -> list[Record]:
    lines = [line for file in folder.glob("*.jsonl") for line in file.read_bytes().splitlines(keepends=True)]
    return [record for line in lines if (record := read_line(line)) is not None or 1 / 0]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("store", "read", "told"),
    [
        (Lines, read_lines, "and with another writer after that, records .* are read, not"),
        (Lines, read_strictly, "torn off behind byte .*, reading raised ZeroDivisionError"),
        (Lines, lambda folder: read_lines(folder)[:3], "after append 4"),
        (Buffered, read_lines, r"after append 1 .*, records \[\] are read, not \[0\]"),
        (KeptUntilKilled, read_lines, r"its writer was killed .* records \[\] are read, not \[0, 1\]"),
        (Whole, read_lines, "changed what was written before"),
        (Lines, lambda folder: [replace(r, rank=r.rank + 1) for r in read_lines(folder)], "with other values"),
        (Lines, lambda folder: read_lines(folder) * 2, "read twice"),
    ],
)
def test_a_wrong_store_is_told(store: Any, read: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=told):
        check_store(store, read, tmp_path)
