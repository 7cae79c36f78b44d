"""Where and with what a run was made."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import __version__

_PACKAGES = ("ase", "chgnet", "h5py", "mpi4py", "numpy", "pymatgen", "scipy", "spglib", "torch")


def provenance(command: str, ranks: int, threads: int) -> dict[str, Any]:
    """Versions, hardware and command, as plain values.

    Parameters
    ----------
    command : what the user typed. ranks : MPI ranks, 1 without MPI. threads : threads of each rank.
    """
    return {
        "command": command,
        "xtalseek": __version__,
        "python": platform.python_version(),
        **{package: found for package in _PACKAGES if (found := _version(package))},
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
        "ranks": ranks,
        "threads_per_rank": threads,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name; Linux tells it only here."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
