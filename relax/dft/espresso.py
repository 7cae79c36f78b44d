"""Quantum ESPRESSO's pw.x, a process of its own, with pseudopotentials from a folder that the user names."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.calculators.espresso import Espresso, EspressoProfile
from ase.units import Ry

from ...errors import InputError
from .contract import MAX_SCF_STEPS, EngineOptions, Job

_OUTPUT = "espresso.pwo"


@dataclass(frozen=True)
class Pseudopotential:
    """What the head of a UPF file says.

    Attributes
    ----------
    file : its name. element : symbol. functional : as written there, such as "PBE" or "SLA PW PBX PBC".
    norm_conserving : else ultrasoft or PAW, whose density needs a higher cut-off.
    relativity : "scalar", "full" (spin-orbit) or "no".
    cutoff : eV that its maker suggests for the wave functions; 0 where there is no suggestion.
    digest : start of the file's SHA-256.
    """

    file: str
    element: str
    functional: str
    norm_conserving: bool
    relativity: str
    cutoff: float
    digest: str

    @property
    def is_pbe(self) -> bool:
        """Whether it was made with PBE, by either of its names."""
        return " ".join(self.functional.upper().replace("-", " ").split()) in (
            "PBE",
            "SLA PW PBX PBC",
            "SLA PW PBE PBE",
        )


class EspressoEngine:
    """Quantum ESPRESSO as it is installed, started by `launcher` where one is given.

    Raises
    ------
    InputError : pw.x or the launcher is not installed, or the folder of pseudopotentials is missing.
    """

    name = "espresso"

    def __init__(self, options: EngineOptions | None = None) -> None:
        options = options or EngineOptions()
        for program in (*options.launcher[:1], "pw.x"):
            if shutil.which(program) is None:
                how = "apt-get install quantum-espresso" if program == "pw.x" else "give another --launcher"
                raise InputError(f"--engine espresso needs {program}, which is not installed: {how} (docs/dft.md)")
        if options.pseudopotentials is None:
            raise InputError("--engine espresso needs --pseudopotentials FOLDER with a PBE .UPF file for each element")
        if not options.pseudopotentials.is_dir():
            raise InputError(f"--pseudopotentials: {str(options.pseudopotentials)!r} is not a folder")
        self._launcher = options.launcher
        self._folder = options.pseudopotentials.resolve()
        self._version = _version()

    def settings(self, symbols: Iterable[str]) -> dict[str, Any]:
        """Version of pw.x, and name and digest of each pseudopotential.

        Raises
        ------
        InputError : no PBE pseudopotential for an element, or several.
        """
        chosen = {symbol: self._pseudopotential(symbol) for symbol in sorted(set(symbols))}
        return {
            "pw.x": self._version,
            "pseudopotentials": {symbol: f"{found.file} {found.digest}" for symbol, found in chosen.items()},
        }

    def advice(self, symbols: Iterable[str], cutoff: float) -> str | None:
        """One line where a pseudopotential's maker asks for a higher cut-off (eV) than there is."""
        hardest = max((self._pseudopotential(symbol) for symbol in set(symbols)), key=lambda found: found.cutoff)
        if hardest.cutoff <= cutoff + 1:
            return None
        return f"{hardest.file} was made for {hardest.cutoff:.0f} eV, and the cut-off is {cutoff:g} eV: raise --cutoff"

    def calculator(self, atoms: Atoms, job: Job) -> BaseCalculator:
        """A calculator that runs pw.x in the job's scratch folder."""
        chosen = {symbol: self._pseudopotential(symbol) for symbol in sorted(set(atoms.get_chemical_symbols()))}
        soft_density = all(found.norm_conserving for found in chosen.values())
        return Espresso(
            profile=EspressoProfile(shlex.join([*self._launcher, "pw.x"]), self._folder),
            directory=job.scratch,
            pseudopotentials={symbol: found.file for symbol, found in chosen.items()},
            kpts=job.grid,
            koffset=(0, 0, 0),
            input_data=input_words(job, len(atoms), soft_density),
        )

    def zero_width_energy(self, atoms: Atoms, job: Job) -> float:
        """(E + F) / 2 = F + TS / 2; pw.x gives F as the total energy, and -TS as "smearing contrib."."""
        text = (job.scratch / _OUTPUT).read_text(encoding="utf-8", errors="replace")
        shutil.copyfile(job.scratch / _OUTPUT, job.log)
        return float(atoms.get_potential_energy(force_consistent=True)) - smearing_term(text) / 2

    def is_unconverged(self, error: Exception, job: Job) -> bool:
        """Pw.x says so in its output, whatever the exception is that ASE makes of it."""
        output = job.scratch / _OUTPUT
        if not output.is_file():
            return False
        shutil.copyfile(output, job.log)
        return "convergence NOT achieved" in output.read_text(encoding="utf-8", errors="replace")

    def _pseudopotential(self, symbol: str) -> Pseudopotential:
        named = re.compile(rf"{symbol}([^a-z].*)?\.upf", re.IGNORECASE)
        files = [path for path in sorted(self._folder.iterdir()) if named.fullmatch(path.name)]
        found = [read_head(path) for path in files]
        usable = [p for p in found if p.element == symbol and p.is_pbe and p.relativity != "full"]
        if len(usable) == 1:
            return usable[0]
        if usable:
            names = ", ".join(p.file for p in usable)
            raise InputError(f"several pseudopotentials for {symbol} in {str(self._folder)!r}: keep one of {names}")
        others = ", ".join(f"{p.file} ({p.functional})" for p in found)
        seen = f"; not usable: {others}" if others else ""
        raise InputError(f"no scalar-relativistic PBE pseudopotential for {symbol} in {str(self._folder)!r}{seen}")


def input_words(job: Job, n_atoms: int, norm_conserving: bool) -> dict[str, dict[str, Any]]:
    """The namelists of pw.x, in its units: Rydberg.

    The density of ultrasoft and PAW sets needs eight times the cut-off of the wave functions, else four.
    """
    cutoff = job.cutoff / Ry
    return {
        "control": {
            "calculation": "scf",
            "tprnfor": True,
            "tstress": True,
            "disk_io": "nowf",
            "outdir": "out",
        },
        "system": {
            "ecutwfc": cutoff,
            "ecutrho": (4 if norm_conserving else 8) * cutoff,
            "occupations": "smearing",
            "smearing": "fermi-dirac",
            "degauss": job.level.smearing / Ry,
        },
        "electrons": {
            "conv_thr": job.level.energy_tolerance * n_atoms / Ry / 100,
            "electron_maxstep": MAX_SCF_STEPS,
            "mixing_beta": 0.5,
        },
    }


def smearing_term(output: str) -> float:
    """The last -TS (eV) in what pw.x printed; 0 where it printed none."""
    found = re.findall(r"smearing contrib\. \(-TS\)\s*=\s*(\S+)\s*Ry", output)
    return float(found[-1]) * Ry if found else 0.0


def read_head(path: Path) -> Pseudopotential:
    """Read what is needed from a UPF file, of version 1 or 2.

    Raises
    ------
    InputError : it is not a UPF file.
    """
    content = path.read_bytes()
    text = content.decode("utf-8", errors="replace")
    digest = hashlib.sha256(content).hexdigest()[:12]
    head = re.search(r"<PP_HEADER(.*?)(?:/>|</PP_HEADER>)", text, flags=re.DOTALL)
    if head is None:
        raise InputError(f"{path.name!r} in {str(path.parent)!r} is not a UPF pseudopotential: take it out")
    words = dict(re.findall(r'(\w+)\s*=\s*"\s*(.*?)\s*"', head[1]))
    if words:
        kind, relativity = words.get("pseudo_type", ""), words.get("relativistic", "scalar")
        return Pseudopotential(
            path.name, words.get("element", "").strip().capitalize(), words.get("functional", "?"),
            kind in ("NC", "SL"), relativity, float(words.get("wfc_cutoff", "0").replace("D", "E")) * Ry, digest,
        )  # fmt: skip
    lines = [line.split() for line in head[1].lstrip(">").strip().splitlines()]
    # Version 1: version, element, NC or US, core correction, four names of the functional, charge, energy, cut-offs.
    functional = " ".join(lines[4][:4])
    full = re.search(r"<PP_ADDINFO>", text) is not None
    return Pseudopotential(
        path.name, lines[1][0].capitalize(), functional, lines[2][0] == "NC", "full" if full else "scalar",
        float(lines[7][0]) * Ry, digest,
    )  # fmt: skip


def _version() -> str:
    """Pw.x has no option for it, and tells it in the first lines of any run."""
    with tempfile.TemporaryDirectory() as scratch:  # for the file CRASH that it leaves
        try:
            said = subprocess.run(
                ["pw.x"], input="&control /\n", cwd=scratch, capture_output=True, text=True, timeout=60, check=False
            ).stdout
        except (OSError, subprocess.TimeoutExpired):
            said = ""
    found = re.search(r"Program PWSCF v\.(\S+)", said)
    return found[1] if found else "unknown"
