"""Relaxation of positions and cell together with any ASE calculator, watched step by step."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from ase.units import GPa

from ..records import Relaxation, Status
from .contract import RelaxSettings
from .fire import fire_start, fire_step, generalised_force, move
from .guards import StructureFellApart, geometry_fault, suspicion
from .potentials import Potential


@dataclass(frozen=True, eq=False)
class AseRelaxer:
    """Relaxes one structure after the other with any ASE calculator.

    Attributes
    ----------
    potential : the calculator and its limits.
    settings : tolerances, limits and pressure.
    """

    potential: Potential
    settings: RelaxSettings

    def relax(self, structures: Sequence[Atoms]) -> list[Relaxation]:
        """Relax each structure: same order, same length; a bad structure becomes a status, never an exception."""
        return [self._relax_one(structure) for structure in structures]

    def _relax_one(self, structure: Atoms) -> Relaxation:
        start = time.perf_counter()
        blank = Relaxation(atoms=None, status=Status.ERROR, pressure_gpa=self.settings.pressure_gpa)
        last = blank
        try:
            for state in self._states(structure, blank, start):
                last = state
        except StructureFellApart as error:
            last = _ended(last, Status.EXPLODED, str(error))
        except Exception as error:  # whatever a calculator may raise on a strange structure: the run goes on
            last = _ended(last, Status.ERROR, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        return replace(last, seconds=time.perf_counter() - start)

    def _states(self, structure: Atoms, state: Relaxation, start: float) -> Iterator[Relaxation]:
        """Yield the sound states along the way, the last with the final status."""
        settings, radii = self.settings, self.potential.contact_radii
        # The negative of a left-handed cell is the same lattice, right-handed: CHGNet gives the stress of a left-handed
        # one with the wrong sign.
        hand = -1.0 if np.linalg.det(np.nan_to_num(structure.cell.array)) < 0 else 1.0
        atoms = Atoms(structure.numbers, cell=hand * structure.cell.array, positions=structure.positions, pbc=True)
        fault = geometry_fault(atoms, radii, start_volume=math.inf)
        if fault is not None:
            yield _ended(state, *fault)
            return
        start_volume = float(atoms.get_volume())
        atoms.calc = self.potential.calculator
        optimizer = fire_start(len(atoms))
        for step in range(settings.max_steps + 1):
            energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False)
            calls = step + 1
            if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(stress).all()):
                reason = "the potential gave an energy, force or stress that is not finite"
                yield _ended(replace(state, force_calls=calls), Status.NAN, reason)
                return
            state = replace(
                state,
                atoms=Atoms(numbers=atoms.numbers, cell=atoms.cell, positions=atoms.positions, pbc=True),
                energy=float(energy),
                max_force=float(np.sqrt((forces**2).sum(axis=1).max())),
                max_stress_gpa=float(np.abs(stress / GPa + settings.pressure_gpa * np.eye(3)).max()),
                steps=step,
                force_calls=calls,
            )
            if self._is_converged(state):
                yield self._judged(state)
                return
            if time.perf_counter() - start > settings.max_seconds:
                yield _ended(state, Status.TIMEOUT, f"not converged after {settings.max_seconds:g} s")
                return
            yield state
            force = generalised_force(forces, stress, settings.pressure_gpa * GPa, float(atoms.get_volume()))
            optimizer, motion = fire_step(optimizer, force)
            move(atoms, motion)
            fault = geometry_fault(atoms, radii, start_volume)
            if fault is not None:
                yield _ended(state, *fault)
                return
        reached = f"force {state.max_force:.3g} eV/Å, stress {state.max_stress_gpa:.3g} GPa"
        yield _ended(state, Status.MAX_STEPS, f"not converged after {settings.max_steps} steps ({reached})")

    def _is_converged(self, state: Relaxation) -> bool:
        assert state.max_force is not None and state.max_stress_gpa is not None
        return (
            state.max_force <= self.settings.force_tolerance
            and state.max_stress_gpa <= self.settings.stress_tolerance_gpa
        )

    def _judged(self, state: Relaxation) -> Relaxation:
        """A converged state, unless something speaks against believing it."""
        assert state.atoms is not None and state.energy is not None
        floor = None if self.potential.energy_floor is None else self.potential.energy_floor(state.atoms)
        reason = suspicion(state.atoms, state.energy, self.potential.contact_radii, floor)
        return replace(state, status=Status.CONVERGED) if reason is None else _ended(state, Status.SUSPICIOUS, reason)


def _ended(state: Relaxation, status: Status, reason: str) -> Relaxation:
    return replace(state, status=status, message=f"{reason}; {status.advice}")
