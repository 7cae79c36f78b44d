"""One structure through DFT: a single point, or positions and cell relaxed together, ending in a status.

Plane waves up to a fixed energy are other plane waves in every cell. An engine's stress leaves that out (the Pulay
stress), and where an element needs more plane waves than it gets, as oxygen does, it is wrong by tens of GPa. It is put
right here with the slope of the energy over the cut-off, taken once from the starting structure: the slope belongs to
the atoms' cores, and hardly changes while a structure relaxes.

Source: Francis and Payne, J. Phys.: Condens. Matter 2, 4395 (1990), doi:10.1088/0953-8984/2/19/007.
"""

from __future__ import annotations

import math
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from ase.units import GPa

from ...records import Relaxation, Status
from .contract import MAX_SCF_STEPS, Engine, Job
from .levels import Level, initial_moments, kpoint_grid

CUTOFF_STEP = 0.1
"""Share of the cut-off by which it is raised and lowered to take the slope. Smaller steps see the single plane waves
that come and go: with 3 % the pressure of MgO at 500 eV is 10 GPa off."""
LARGEST_VOLUME_CHANGE = 2.0
"""Factor beyond which a minimum of another potential is no neighbour of where DFT goes."""


@dataclass(frozen=True)
class DftSettings:
    """How one structure is treated.

    Attributes
    ----------
    level : accuracy.
    cutoff : eV; None: that of the level.
    static : a single point instead of a relaxation.
    pressure_gpa : external pressure.
    max_steps : steps of the optimiser at most.
    max_seconds : wall time after which no further step is begun.
    """

    level: Level
    cutoff: float | None = None
    static: bool = False
    pressure_gpa: float = 0.0
    max_steps: int = 60
    max_seconds: float = math.inf

    @property
    def cutoff_in_use(self) -> float:
        """In eV."""
        return self.level.cutoff if self.cutoff is None else self.cutoff


def relax_with_dft(structure: Atoms, engine: Engine, settings: DftSettings, log: Path) -> Relaxation:
    """Relax positions and cell, or compute a single point; whatever happens becomes a status.

    The energy is extrapolated to zero smearing; forces and stress, like every engine's, belong to the free energy.

    Parameters
    ----------
    structure : periodic; it is not changed. Its symmetry is kept.
    log : file for the engine's own words, overwritten.
    """
    start = time.perf_counter()
    last = Relaxation(atoms=None, status=Status.ERROR, pressure_gpa=settings.pressure_gpa)
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="xtalseek-dft-", ignore_cleanup_errors=True) as scratch:
        job = Job(
            settings.level,
            settings.cutoff_in_use,
            kpoint_grid(structure, settings.level.kpoint_density),
            log,
            Path(scratch),
        )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # engines warn of what they then put right themselves
                for state in _states(structure, engine, settings, job, start):
                    last = state
        except Exception as error:  # an engine may raise anything: the other structures go on
            if engine.is_unconverged(error, job):
                last = _ended(last, Status.SCF, f"the electrons were not self-consistent after {MAX_SCF_STEPS} steps")
            else:
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                last = replace(last, status=Status.ERROR, message=f"{reason}; the engine's output is in {log}")
    return replace(last, seconds=time.perf_counter() - start)


def cutoff_slope(low: float, middle: float, high: float, step: float) -> float:
    """dE/dE_cut (eV per eV, negative) at the middle of three cut-offs `step` (eV) apart, from the energies (eV) there.

    The error of a finite cut-off falls about exponentially: E = E_inf + A exp(-b E_cut). Where the energies do not fall
    ever more slowly, it is the plain central difference.
    """
    first, second = middle - low, high - middle
    plain = (high - low) / (2 * step)
    if not (first < second < 0):
        return plain
    decay = math.log(first / second)  # b times step
    return plain * decay / math.sinh(decay)


class PulayCorrected(Calculator):
    """An engine's calculator whose stress is that of a constant cut-off.

    Parameters
    ----------
    inner : the engine's. cutoff : eV. slope : dE/dE_cut of the whole cell, eV per eV.
    """

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, inner: Any, cutoff: float, slope: float) -> None:
        super().__init__()
        self.inner, self.cutoff, self.slope = inner, cutoff, slope

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        assert atoms is not None
        inside = atoms.copy()
        inside.calc = self.inner
        stress = np.array(inside.get_stress(voigt=True), dtype=float)
        stress[:3] += pulay_stress(self.cutoff, self.slope, float(atoms.get_volume()))
        self.results = {
            "energy": float(inside.get_potential_energy(force_consistent=True)),
            "forces": np.array(inside.get_forces(), dtype=float),
            "stress": stress,
        }


def pulay_stress(cutoff: float, slope: float, volume: float) -> float:
    """What has to be added to the diagonal of an engine's stress (eV/Å^3).

    At a constant number of plane waves the cut-off goes as V^(-2/3); the term takes that part of dE/dV out again.
    """
    return 2 / 3 * cutoff / volume * slope


def _states(structure: Atoms, engine: Engine, settings: DftSettings, job: Job, start: float) -> Iterator[Relaxation]:
    """Yield the sound states along the way, the last with the final status."""
    atoms = Atoms(structure.numbers, cell=structure.cell, positions=structure.positions, pbc=True)
    atoms.set_initial_magnetic_moments(initial_moments(atoms))
    atoms.calc = engine.calculator(atoms, job)
    free = float(atoms.get_potential_energy(force_consistent=True))
    state = Relaxation(
        atoms=_bare(atoms),
        status=Status.CONVERGED,
        energy=engine.zero_width_energy(atoms, job),
        pressure_gpa=settings.pressure_gpa,
        force_calls=1,
    )
    if not math.isfinite(free):
        yield _ended(replace(state, energy=None), Status.NAN, "the engine gave an energy that is not finite")
        return
    if settings.static:
        yield state
        return
    yield _ended(state, Status.TIMEOUT, "stopped before the first step")
    around = [_energy_at(atoms, engine, job, factor) for factor in (1 - CUTOFF_STEP, 1 + CUTOFF_STEP)]
    slope = cutoff_slope(around[0], free, around[1], CUTOFF_STEP * job.cutoff)
    atoms.calc = PulayCorrected(atoms.calc, job.cutoff, slope)
    yield from _relaxed(atoms, engine, settings, job, start)


def _relaxed(atoms: Atoms, engine: Engine, settings: DftSettings, job: Job, start: float) -> Iterator[Relaxation]:
    first_volume = float(atoms.get_volume())
    movable: Any = FrechetCellFilter(atoms, scalar_pressure=settings.pressure_gpa * GPa)
    optimizer = BFGS(movable, logfile=None)
    steps = optimizer.irun(fmax=0.0, steps=settings.max_steps)
    for step in range(settings.max_steps + 1):
        next(steps, None)
        forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False)
        state = Relaxation(
            atoms=_bare(atoms),
            status=Status.CONVERGED,
            energy=_zero_width(atoms, engine, job),
            pressure_gpa=settings.pressure_gpa,
            max_force=float(np.sqrt((forces**2).sum(axis=1).max())),
            max_stress_gpa=float(np.abs(stress / GPa + settings.pressure_gpa * np.eye(3)).max()),
            steps=step,
            force_calls=step + 3,
        )
        assert state.max_force is not None and state.max_stress_gpa is not None
        if not (math.isfinite(state.max_force) and math.isfinite(state.max_stress_gpa)):
            yield _ended(state, Status.NAN, "the engine gave a force or stress that is not finite")
            return
        level = settings.level
        if state.max_force <= level.force_tolerance and state.max_stress_gpa <= level.stress_tolerance_gpa:
            yield state
            return
        if not 1 / LARGEST_VOLUME_CHANGE < atoms.get_volume() / first_volume < LARGEST_VOLUME_CHANGE:
            yield _ended(state, Status.EXPLODED, f"the volume changed by more than a factor {LARGEST_VOLUME_CHANGE:g}")
            return
        reached = f"force {state.max_force:.3g} eV/Å, stress {state.max_stress_gpa:.3g} GPa"
        if time.perf_counter() - start > settings.max_seconds:
            yield _ended(state, Status.TIMEOUT, f"not converged after {settings.max_seconds:g} s ({reached})")
            return
        yield _ended(state, Status.MAX_STEPS, f"not converged after {step} steps ({reached})")


def _energy_at(atoms: Atoms, engine: Engine, job: Job, factor: float) -> float:
    """Free energy (eV) with the cut-off changed by `factor`; its files are not those of the job."""
    scratch = job.scratch / f"cutoff-{factor:g}"
    scratch.mkdir()
    copy = atoms.copy()
    copy.calc = engine.calculator(
        copy, replace(job, cutoff=job.cutoff * factor, scratch=scratch, log=scratch / "log.txt")
    )
    return float(copy.get_potential_energy(force_consistent=True))


def _zero_width(atoms: Atoms, engine: Engine, job: Job) -> float:
    inside = atoms.copy()
    inside.calc = atoms.calc.inner
    return engine.zero_width_energy(inside, job)


def _bare(atoms: Atoms) -> Atoms:
    return Atoms(numbers=atoms.numbers, cell=atoms.cell, positions=atoms.positions, pbc=True)


def _ended(state: Relaxation, status: Status, reason: str) -> Relaxation:
    return replace(state, status=status, message=f"{reason}; {_ADVICE[status]}")


# What to do differs from what a search is told to do: nothing is proposed here.
_ADVICE = {
    Status.MAX_STEPS: "give the command again with --retry, and with more --max-steps",
    Status.TIMEOUT: "give the command again with --retry, and with more --max-seconds",
    Status.EXPLODED: "the search's potential and DFT see different structures here",
    Status.NAN: "look at the engine's output",
    Status.SCF: Status.SCF.advice,
}
