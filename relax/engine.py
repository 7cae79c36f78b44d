"""Relaxation of positions and cell together with any potential, many structures at once, watched step by step.

Structures under way advance together, one evaluation of the potential for all; one that is done leaves and another
takes its place, so that a batch stays full to the end.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import spglib
from ase import Atoms
from ase.constraints import FixAtoms
from ase.units import GPa

from ..records import Relaxation, Status
from .contract import Evaluation, OutOfMemory, RelaxSettings, UnderWay
from .disagreement import second_opinion
from .forecast import forecast
from .guards import Fault, StructureFellApart, Watch, start_fault, suspicion
from .optimisers import OPTIMISERS, Optimiser, apply
from .optimisers.soft_spheres import pushed_apart
from .potentials import Potential


@dataclass(eq=False)
class _Run:
    """One relaxation that has begun."""

    key: int
    atoms: Atoms
    size: float
    watch: Watch
    optimiser_state: Any
    frozen: np.ndarray
    """Numbers of the atoms that keep their fractional places."""
    result: Relaxation
    memory: object = None
    seconds: float = 0.0
    enthalpies: list[float] = field(default_factory=list)
    """eV/atom after each step since the start or the push."""
    at_rest: Relaxation | None = None
    """Where it first came to rest, once it was pushed off there."""
    ended: bool = False

    def end(self, status: Status, reason: str) -> None:
        self.result = _ended(self.result, status, reason)
        self.ended = True


@dataclass(frozen=True, eq=False)
class BatchRelaxer:
    """Relaxes structures with any potential.

    Attributes
    ----------
    potential : what gives energies, forces and stresses, and its limits.
    settings : tolerances, limits, pressure and optimiser.
    """

    potential: Potential
    settings: RelaxSettings

    def relax(self, structures: Sequence[Atoms]) -> list[Relaxation]:
        """Relax each structure: same order, same length; a bad structure becomes a status, never an exception."""
        results = dict(as_they_end(self.in_flight(), structures))
        return [results[place] for place in range(len(structures))]

    def in_flight(self) -> InFlight:
        """An empty batch, to be filled and advanced."""
        return InFlight(self.potential, self.settings)


class InFlight:
    """Relaxations that advance together: see `UnderWay`.

    Parameters
    ----------
    potential, settings : as of `BatchRelaxer`.
    """

    def __init__(self, potential: Potential, settings: RelaxSettings) -> None:
        self.lowest: float | None = None
        self._potential, self._settings = potential, settings
        self._optimiser: Optimiser = OPTIMISERS[settings.optimiser]
        self._budget = potential.evaluator.capacity
        self._active: list[_Run] = []
        self._waiting: deque[_Run] = deque()
        self._done: list[_Run] = []

    def __len__(self) -> int:
        """See `UnderWay`."""
        return len(self._active) + len(self._waiting) + len(self._done)

    @property
    def has_room(self) -> bool:
        """See `UnderWay`."""
        coming = sum(run.size for run in self._waiting)
        return len(self) == 0 or (not self._done and self._load() + coming < self._budget)

    def add(self, key: int, structure: Atoms) -> None:
        """See `UnderWay`."""
        run = self._begin(key, structure)
        (self._done if run.ended else self._waiting).append(run)

    def advance(self) -> list[tuple[int, Relaxation]]:
        """Move every structure by one step, and return those that are done."""
        while self._waiting and (not self._active or self._load() + self._waiting[0].size <= self._budget):
            self._active.append(self._waiting.popleft())
        if self._active:
            start = time.perf_counter()
            evaluated = self._evaluate()
            for run, found in evaluated:
                self._take(run, found)
            # Each carries its share of the time, so that the seconds of a run's relaxations add up.
            each = (time.perf_counter() - start) / max(sum(run.size for run, _ in evaluated), 1e-30)
            for run, _ in evaluated:
                run.seconds += each * run.size
        done = self._done + [run for run in self._active if run.ended]
        self._active = [run for run in self._active if not run.ended]
        self._done = []
        return [(run.key, replace(_lower(run), seconds=run.seconds)) for run in done]

    def _load(self) -> float:
        return sum(run.size for run in self._active)

    def _begin(self, key: int, structure: Atoms) -> _Run:
        start = time.perf_counter()
        potential, settings = self._potential, self._settings
        blank = Relaxation(atoms=None, status=Status.ERROR, pressure_gpa=settings.pressure_gpa)
        # The negative of a left-handed cell is the same lattice, right-handed: CHGNet gives the stress of a left-handed
        # one with the wrong sign.
        with np.errstate(over="ignore"):
            hand = -1.0 if np.linalg.det(np.nan_to_num(structure.cell.array)) < 0 else 1.0
        atoms = Atoms(structure.numbers, cell=hand * structure.cell.array, positions=structure.positions, pbc=True)
        fault = start_fault(atoms, potential.contact_radii, potential.elements)
        if settings.push_apart is not None and (fault is None or fault[0] is Status.OVERLAP):
            try:
                atoms = pushed_apart(atoms, potential.contact_radii, settings.push_apart)
                fault = start_fault(atoms, potential.contact_radii, potential.elements)
            except Exception as error:
                fault = _fault(error)
        run = _Run(key, atoms, 1.0, Watch(potential.contact_radii), None, _frozen(structure), blank)
        if fault is None:
            try:
                # Atoms far outside the cell make neighbour searches slow, and some of them hang.
                atoms.wrap()
                run.size = potential.evaluator.size(atoms)
                run.watch = replace(run.watch, start_volume=float(atoms.get_volume()))
                run.optimiser_state = self._optimiser.start(atoms)
            except Exception as error:
                fault = _fault(error)
        if fault is not None:
            run.end(*fault)
        run.seconds = time.perf_counter() - start
        return run

    def _evaluate(self) -> list[tuple[_Run, Evaluation | Exception]]:
        """Evaluate all, fewer where they do not fit into memory: the rest waits."""
        while True:
            runs = self._active
            try:
                found = self._potential.evaluator.evaluate([run.atoms for run in runs], [run.memory for run in runs])
                return list(zip(runs, found, strict=True))
            except OutOfMemory as error:
                if len(runs) == 1:
                    return [(runs[0], error)]
                self._budget = self._load() / 2
                while len(self._active) > 1 and self._load() > self._budget:
                    self._waiting.appendleft(self._active.pop())
            except Exception as error:  # whatever a potential may raise on a strange structure: the run goes on
                if len(runs) == 1:
                    return [(runs[0], error)]
                return [(run, self._evaluate_alone(run)) for run in runs]

    def _evaluate_alone(self, run: _Run) -> Evaluation | Exception:
        try:
            return self._potential.evaluator.evaluate([run.atoms], [run.memory])[0]
        except Exception as error:
            return error

    def _take(self, run: _Run, found: Evaluation | Exception) -> None:
        """Judge what the potential said of a structure, and move it on."""
        run.result = replace(run.result, force_calls=run.result.force_calls + 1)
        if isinstance(found, Exception):
            run.end(*_fault(found))
            return
        if not (np.isfinite(found.energy) and np.isfinite(found.forces).all() and np.isfinite(found.stress).all()):
            run.end(Status.NAN, "the potential gave an energy, force or stress that is not finite")
            return
        run.memory = found.memory
        try:
            self._step(run, found)
        except Exception as error:  # linear algebra on numbers that no longer make sense
            run.end(*_fault(error))

    def _step(self, run: _Run, found: Evaluation) -> None:
        settings, atoms = self._settings, run.atoms
        if len(run.frozen):
            found = replace(found, forces=found.forces.copy())
            found.forces[run.frozen] = 0.0
        pressure = settings.pressure_gpa * GPa
        force = float(np.sqrt((found.forces**2).sum(axis=1).max()))
        stress = float(np.abs(found.stress / GPa + settings.pressure_gpa * np.eye(3)).max())
        run.result = state = replace(
            run.result,
            atoms=Atoms(numbers=atoms.numbers, cell=atoms.cell, positions=atoms.positions, pbc=True),
            energy=float(found.energy),
            max_force=force,
            max_stress_gpa=stress,
            steps=run.result.force_calls - 1,
        )
        run.enthalpies.append((found.energy + pressure * float(atoms.get_volume())) / len(atoms))
        reached = f"force {force:.3g} eV/Å, stress {stress:.3g} GPa"
        if force <= settings.force_tolerance and stress <= settings.stress_tolerance_gpa:
            self._judge(run, found)
        elif run.seconds > settings.max_seconds:
            run.end(Status.TIMEOUT, f"not converged after {settings.max_seconds:g} s ({reached})")
        elif state.steps >= settings.max_steps:
            run.end(Status.MAX_STEPS, f"not converged after {settings.max_steps} steps ({reached})")
        elif self._is_lost(run):
            run.end(
                Status.GIVEN_UP,
                f"heading for more than {settings.early_stop_window:g} eV/atom above the best known, "
                f"{self.lowest:.3f}, after {state.steps} steps",
            )
        else:
            run.optimiser_state, move = self._optimiser.step(
                run.optimiser_state, atoms, found.energy, found.forces, found.stress, pressure
            )
            places = atoms.get_scaled_positions(wrap=False)[run.frozen]
            apply(atoms, move)
            atoms.positions[run.frozen] = places @ move.cell
            run.watch, fault = run.watch.check(atoms)
            if fault is not None:
                run.end(*fault)

    def _is_lost(self, run: _Run) -> bool:
        window = self._settings.early_stop_window
        if window is None or self.lowest is None:
            return False
        if forecast(run.enthalpies) <= self.lowest + window:
            return False
        # One that symmetry may hold on a saddle point says nothing yet of where it will end once it is pushed off.
        return run.at_rest is not None or not self._settings.saddle_push or not _is_symmetric(run.atoms)

    def _judge(self, run: _Run, found: Evaluation) -> None:
        """End a relaxation that came to rest, believing it unless something speaks against that."""
        potential, state = self._potential, run.result
        assert state.atoms is not None
        floor = None if potential.energy_floor is None else potential.energy_floor(state.atoms)
        reason = suspicion(state.atoms, found.energy, potential.contact_radii, floor)
        if reason is not None:
            run.end(Status.SUSPICIOUS, reason)
            return
        doubt = None
        if potential.second_opinion is not None:
            doubt = second_opinion(potential.second_opinion, state.atoms, found)
        run.result = replace(state, status=Status.CONVERGED, message=doubt or "")
        push = self._settings.saddle_push
        if not push or run.at_rest is not None or not _is_symmetric(state.atoms):
            run.ended = True
            return
        run.at_rest, run.enthalpies = run.result, []
        # The same push each time, so that a candidate's result depends on nothing else.
        noise = push * np.random.default_rng(len(state.atoms)).normal(size=run.atoms.positions.shape)
        noise[run.frozen] = 0.0
        run.atoms.positions += noise
        run.optimiser_state = self._optimiser.start(run.atoms)


def as_they_end(under_way: UnderWay, structures: Iterable[Atoms]) -> Iterator[tuple[int, Relaxation]]:
    """Relax each structure, and give its place among them with its result as soon as that is there."""
    to_come = enumerate(structures)
    coming = next(to_come, None)
    while coming is not None or len(under_way):
        if coming is not None and under_way.has_room:
            under_way.add(*coming)
            coming = next(to_come, None)
        else:
            yield from under_way.advance()


def _frozen(structure: Atoms) -> np.ndarray:
    """Numbers of the atoms that ASE's FixAtoms holds."""
    held = [c.get_indices() for c in structure.constraints if isinstance(c, FixAtoms)]
    return np.unique(np.concatenate(held)).astype(int) if held else np.zeros(0, dtype=int)


def _is_symmetric(atoms: Atoms) -> bool:
    found = spglib.get_symmetry((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=1e-3)
    return found is not None and len(found["rotations"]) > 1


def _lower(run: _Run) -> Relaxation:
    """The result, or the place where it rested before it was pushed, whichever is lower; all of its force calls."""
    now, before = run.result, run.at_rest
    if before is None or now.status == Status.GIVEN_UP:
        return now
    assert before.enthalpy is not None
    if now.status == Status.CONVERGED and now.enthalpy is not None and now.enthalpy < before.enthalpy:
        return now
    return replace(before, steps=now.steps, force_calls=now.force_calls)


def _fault(error: Exception) -> Fault:
    if isinstance(error, StructureFellApart):
        return Status.EXPLODED, str(error)
    if isinstance(error, OutOfMemory):
        return Status.ERROR, f"the structure alone needs more memory than there is ({error})"
    return Status.ERROR, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _ended(state: Relaxation, status: Status, reason: str) -> Relaxation:
    return replace(state, status=status, message=f"{reason}; {status.advice}")
