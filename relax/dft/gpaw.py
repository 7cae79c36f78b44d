"""GPAW: plane waves and its own PAW sets, in this process. It is imported only where it is used."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from ...errors import InputError
from .contract import MAX_SCF_STEPS, EngineOptions, Job


class GpawEngine:
    """GPAW as it is installed; see docs/dft.md for how.

    Raises
    ------
    InputError : it is not installed, or the user gave options that belong to another engine.
    """

    name = "gpaw"

    def __init__(self, options: EngineOptions | None = None) -> None:
        options = options or EngineOptions()
        if options.pseudopotentials is not None:
            raise InputError("--pseudopotentials: gpaw brings its own PAW sets; leave it out, or use --engine espresso")
        if options.launcher:
            raise InputError("--launcher: gpaw runs in xtalseek's own processes; start them with mpirun -n N xtalseek")
        if find_spec("gpaw") is None:
            raise InputError(
                "--engine gpaw needs GPAW: apt-get install build-essential python3-dev libxc-dev libblas-dev, then "
                "GPAW_CONFIG=FILE pip install 'xtalseek[dft]' with the three-line FILE of docs/dft.md"
            )

    def settings(self, symbols: Iterable[str]) -> dict[str, Any]:
        """Versions of GPAW and of its PAW sets."""
        return {"gpaw": version("gpaw"), "paw_sets": _version("gpaw-data")}

    def advice(self, symbols: Iterable[str], cutoff: float) -> str | None:
        """GPAW's PAW sets name no cut-off."""
        return None

    def calculator(self, atoms: Atoms, job: Job) -> BaseCalculator:
        """A calculator for `atoms`; GPAW finds their symmetry, and reduces the k-points by it, when it starts."""
        gpaw = importlib.import_module("gpaw")
        made: BaseCalculator = gpaw.GPAW(
            mode={"name": "pw", "ecut": job.cutoff},
            xc="PBE",
            kpts={"size": job.grid, "gamma": True},
            occupations={"name": "fermi-dirac", "width": job.level.smearing},
            # Energy in eV per valence electron, at least one an atom. Errors of density and wave functions are squared
            # in the energy: these two bounds keep forces and stress, where they are not, below the tolerances.
            convergence={
                "energy": job.level.energy_tolerance,
                "density": 10 * job.level.energy_tolerance,
                "eigenstates": job.level.energy_tolerance / 100,
            },
            spinpol=bool(atoms.get_initial_magnetic_moments().any()),
            maxiter=MAX_SCF_STEPS,
            txt=str(job.log),
        )
        return made

    def zero_width_energy(self, atoms: Atoms, job: Job) -> float:
        """GPAW's own extrapolation, (E + F) / 2."""
        return float(atoms.get_potential_energy())

    def is_unconverged(self, error: Exception, job: Job) -> bool:
        """GPAW raises an exception of its own for it."""
        return any(kind.__name__ == "ConvergenceError" for kind in type(error).__mro__)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
