"""The command in a process of its own, alone or on ranks, with the toy potentials in reach."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

SUPPORT = Path(__file__).parent
ROOT = SUPPORT.parent.parent
BIN = Path(sys.executable).parent

Run = Callable[..., subprocess.CompletedProcess[str]]


def environment() -> dict[str, str]:
    """That of this process, without what a launcher left in it, and with the package and the toys on the path."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PMI", "OMPI_", "HYD", "MPI_LOCAL"))}
    paths = [str(SUPPORT), str(ROOT / ".typing"), os.environ.get("PYTHONPATH", "")]
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}


def command(*words: str, ranks: int = 1) -> list[str]:
    """The command line of `xtalseek`, under mpirun where there are several ranks."""
    launcher = [str(BIN / "mpirun"), "-n", str(ranks)] if ranks > 1 else []
    return [*launcher, sys.executable, "-m", "xtalseek", *words]


def toy_search(out: Path | str, *more: str, num: int = 8) -> Sequence[str]:
    """Words of a small search with a quick potential."""
    return (
        *("search", "NaCl", "-n", str(num), "--formula-units", "1-2", "--relaxer", "toy_potentials:Pairs"),
        *("--volume-per-atom", "10-14", "--max-steps", "80", "--seed", "3", "--out", str(out), *more),
    )
