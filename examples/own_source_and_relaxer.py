"""A source and a relaxer of one's own: checked, registered, and used in a search.

    python own_source_and_relaxer.py [NUM [RUN]]

A package would register both through entry points instead (docs/api.md), and then the command line knows them, too.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.morse import MorsePotential
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from ase.units import GPa

import xtalseek
from xtalseek import api
from xtalseek.testing import check_relaxer, check_source


@dataclass(frozen=True)
class Lattices:
    """One atom of an element in a random cell: the simplest source."""

    flatness: float = 0.5

    def check(self, target: api.Target) -> None:
        if sum(target.composition.values()) > 1 or target.formula_units[0] > 1:
            raise api.InfeasibleTarget(f"lattices: {target.formula} has more than one atom: give one element, one atom")

    def propose(self, target: api.Target, index: int, rng: np.random.Generator) -> api.Candidate:
        low, high = target.volume_per_atom or (15.0, 25.0)
        limit = max(target.min_distances.values(), default=1.0)
        for _ in range(1000):
            cell = rng.normal(size=(3, 3))
            if abs(np.linalg.det(cell)) < self.flatness * np.prod(np.linalg.norm(cell, axis=1)):
                continue
            cell *= (rng.uniform(low, high) / abs(np.linalg.det(cell))) ** (1 / 3)
            atoms = Atoms(target.formula, cell=cell, pbc=True)
            steps = np.array(np.meshgrid(*[range(-3, 4)] * 3)).reshape(3, -1).T
            if np.sort(np.linalg.norm(steps @ cell, axis=1))[1] >= limit:
                return api.Candidate(target.name, "lattices", index, atoms)
        return api.Candidate(target.name, "lattices", index, None, note="no cell keeps min_distances in 1000 trials")


class AseFire:
    """ASE's FIRE and its Morse potential: an engine that does its own minimising."""

    def __init__(self, settings: api.RelaxSettings, r0: float = 2.6) -> None:
        self._settings, self._r0 = settings, r0

    def relax(self, structures: Sequence[Atoms]) -> list[api.Relaxation]:
        return [self._safely(atoms.copy()) for atoms in structures]

    def _safely(self, atoms: Atoms) -> api.Relaxation:
        try:
            self._require_sane(atoms)
            return self._relax(atoms)
        except Exception as error:  # a bad structure is an outcome, and never ends a search
            told = " ".join(str(error).split())
            return api.Relaxation(None, api.Status.ERROR, told, pressure_gpa=self._settings.pressure_gpa)

    def _require_sane(self, atoms: Atoms) -> None:
        finite = np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()
        if not finite or not len(atoms) or not atoms.numbers.all() or atoms.get_volume() < len(atoms):
            raise ValueError("no atoms, no elements, or no cell that could hold them")
        if np.unique(atoms.get_scaled_positions().round(3) % 1, axis=0).shape != atoms.positions.shape:
            raise ValueError("atoms lie on one another")

    def _relax(self, atoms: Atoms) -> api.Relaxation:
        start, limits, status, reached = time.perf_counter(), self._settings, api.Status.MAX_STEPS, ""
        atoms.calc = MorsePotential(r0=self._r0, rho0=4.0, epsilon=0.4, rcut1=1.3, rcut2=1.7)
        optimiser = FIRE(FrechetCellFilter(atoms, scalar_pressure=limits.pressure_gpa * GPa), logfile=None)
        for _ in optimiser.irun(fmax=0.0, steps=limits.max_steps):
            force = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
            stress = float(np.abs(atoms.get_stress(voigt=False) / GPa + limits.pressure_gpa * np.eye(3)).max())
            reached = f"force {force:.3g} eV/Å, stress {stress:.3g} GPa"
            if force <= limits.force_tolerance and stress <= limits.stress_tolerance_gpa:
                status = api.Status.CONVERGED
                break
        energy, steps, seconds = atoms.get_potential_energy(), optimiser.nsteps, time.perf_counter() - start
        return api.Relaxation(
            atoms, status, reached, energy, limits.pressure_gpa, force, stress, steps, steps + 1, seconds
        )


def main(num: str = "4", out: str = "runs/own") -> None:
    target = api.Target("Cu", min_distances={"Cu-Cu": 2.0}, volume_per_atom=(10, 14))
    check_source(Lattices, target, name="lattices", impossible=api.Target("CuZn"))
    settings = api.RelaxSettings(max_steps=300)
    check_relaxer(AseFire(settings), [bulk("Cu", a=3.8), bulk("Cu", "bcc", a=3.0)], settings)
    print("both conform")
    api.sources.add("lattices", Lattices)
    api.relaxers.add("ase-fire", AseFire)
    run = xtalseek.search(
        "Cu",
        num=int(num),
        source="lattices",
        relaxer="ase-fire",
        relaxer_options={"r0": 2.6},
        formula_units=1,
        min_distances={"Cu-Cu": 2.0},
        volume_per_atom=(10, 14),
        max_steps=300,
        out=out,
    )
    for minimum in xtalseek.find_minima(run):
        words = f"{minimum.enthalpy_per_atom:9.4f} eV/atom {minimum.space_group:8}"
        print(f"{minimum.name} {words} found {minimum.times_found} times")


if __name__ == "__main__":
    main(*sys.argv[1:])
