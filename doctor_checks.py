"""The checks of `xtalseek doctor`, each a function that returns what it found.

What a check needs is imported inside it: a package that does not import is one of the findings.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

State = Literal["ok", "warning", "broken", "absent"]
MPI_SECONDS = 60
"""After so long two ranks that have not answered will not."""
FEWEST_WRITES = 20
"""A second; a relaxation ends with one, and with many ranks they share the disk."""
LEAST_FREE_GB = 1.0
_RANK = (
    "from mpi4py import MPI; w = MPI.COMM_WORLD; seen = w.gather(w.size); "
    "w.rank or print('seen', *seen, 'by', *MPI.get_vendor()[1], MPI.get_vendor()[0], flush=True)"
)


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes
    ----------
    name : of the check.
    ok : "ok"; "warning": it works, and would better; "broken": mend it; "absent": optional, and not there.
    what : what there is. mend : what to do about it; empty: nothing.
    """

    name: str
    ok: State
    what: str
    mend: str = ""


def check_python() -> Finding:
    """Which Python and which xtalseek these are."""
    from . import __version__

    return Finding("Python", "ok", f"{platform.python_version()}, xtalseek {__version__}, {sys.executable}")


def check_packages() -> Finding:
    """Every package that xtalseek requires is there, new enough, and imports."""
    try:
        required = [text.replace(" ", "") for text in requires("xtalseek") or () if ";" not in text]
    except PackageNotFoundError:
        return Finding("packages", "warning", "xtalseek runs from a folder and is not installed", "pip install -e .")
    bad: dict[str, str] = {}
    for text in required:
        name, _, least = text.partition(">=")
        try:
            if _numbers(version(name)) < _numbers(least):
                bad[text] = f"{name} {version(name)} is too old"
            importlib.import_module(name.replace("-", "_"))
        except PackageNotFoundError:
            bad[text] = f"{name} is not installed"
        except Exception as error:  # an import can fail in any way
            bad[text] = f"{name} cannot be imported: {' '.join(str(error).split())[:120]}"
    if bad:
        return Finding("packages", "broken", "; ".join(bad.values()), f"pip install {' '.join(map(shlex.quote, bad))}")
    shown = ", ".join(f"{name} {version(name)}" for name in ("ase", "numpy", "pymatgen", "torch"))
    return Finding("packages", "ok", f"all {len(required)} there, such as {shown}")


def check_mpi() -> Finding:
    """The launcher starts two ranks, and mpi4py sees both."""
    beside, on_path = Path(sys.executable).parent / "mpirun", shutil.which("mpirun")
    launcher = str(beside) if beside.exists() else on_path
    if launcher is None:
        return Finding(
            "MPI",
            "absent",
            "no mpirun: searches run in one process",
            "for several ranks: pip install 'xtalseek[mpich]'",
        )
    status, said = start([launcher, "-n", "2", sys.executable, "-c", _RANK], MPI_SECONDS)
    seen = re.search(r"^seen ([\d ]+) by ([\d ]+) (.*)$", said, flags=re.MULTILINE)
    one_kind = "use the mpirun of mpi4py's own MPI; pip install 'xtalseek[mpich]' puts one beside this Python"
    if status is None:
        return Finding("MPI", "broken", f"{launcher} -n 2 gave no answer in {MPI_SECONDS} s", one_kind)
    if status or seen is None:
        reason = " ".join(said.split())[:300] or f"exit status {status}"
        return Finding("MPI", "broken", f"{launcher} -n 2 fails: {reason}", _mpi_advice(said) or one_kind)
    library = f"{seen[3]} {'.'.join(seen[2].split())}"
    if seen[1].split() != ["2", "2"]:
        return Finding("MPI", "broken", f"{launcher} starts 2 ranks, and mpi4py ({library}) sees 1 each", one_kind)
    what = f"{launcher} starts 2 ranks, mpi4py ({library}) sees both"
    if on_path is None or not Path(on_path).samefile(launcher):
        other = f"`mpirun` alone is {on_path}" if on_path else "`mpirun` is not on the PATH"
        return Finding("MPI", "warning", what, f"{other}: write {launcher}, or activate this environment")
    return Finding("MPI", "ok", what)


def _mpi_advice(said: str) -> str:
    if "slots" in said:
        return "Open MPI counts fewer than two cores: mpirun --oversubscribe starts more ranks than cores"
    if "as root" in said:
        return "Open MPI does not start as root: use another user, or mpirun --allow-run-as-root"
    return ""


def start(words: Sequence[str], seconds: float) -> tuple[int | None, str]:
    """Run a command outside of any launcher; its exit status (None: it was ended after `seconds`) and what it said."""
    from .mpi_jobs.world import launcher_variables

    told = launcher_variables()
    environment = {k: v for k, v in os.environ.items() if k not in told}
    process = subprocess.Popen(
        words, env=environment | {"OMP_NUM_THREADS": "1"}, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # the ranks too
        process.communicate()
        return None, ""
    return process.returncode, said


def check_threads(given: str | None, cores: int, quota: float | None) -> Finding:
    """Whether threads fit the cores.

    Parameters
    ----------
    given : OMP_NUM_THREADS as the user set it. cores : that this process may use.
    quota : cores' worth of time that a container is allowed; None: all.
    """
    shown = f"{cores} core{'s' if cores > 1 else ''}"
    slow = "two threads beside another busy rank run ten times slower than one"
    rule = f"keep ranks times threads at most {cores} on this machine: {slow}"
    if quota is not None and quota < cores:
        fit = max(1, math.floor(quota))
        what = f"{shown} seen, and {quota:g} allowed to this container"
        fits = given is not None and given.isdigit() and 0 < int(given) <= fit
        mend = f"export OMP_NUM_THREADS=1, and start at most {fit} rank{'s' if fit > 1 else ''}: {slow}"
        return Finding("threads", "ok" if fits else "warning", what, "" if fits else mend)
    if given is None or given == "":
        return Finding("threads", "ok", f"{shown}, shared among the ranks of a run as threads")
    if not given.isdigit() or int(given) < 1:
        return Finding(
            "threads", "warning", f"{shown}; OMP_NUM_THREADS={given!r} is no number", "unset OMP_NUM_THREADS"
        )
    what = f"{shown}; OMP_NUM_THREADS={given} for each rank"
    if int(given) > cores:
        return Finding("threads", "warning", what, f"unset OMP_NUM_THREADS, or {rule}")
    return Finding("threads", "ok", what, rule if int(given) > 1 else "")


def cpu_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Cores' worth of time that this container may use; None: no limit is known."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        with contextlib.suppress(OSError, ValueError):
            quota, period = " ".join((root / name).read_text() for name in names).split()
            if quota != "max" and int(quota) > 0:
                return int(quota) / int(period)
    return None


def check_gpu() -> Finding:
    """What torch can compute on besides the CPU."""
    import torch

    if not torch.cuda.is_available():
        if shutil.which("nvidia-smi") is None:
            return Finding("GPU", "absent", "none: everything runs on the CPU")
        return Finding(
            "GPU", "warning", f"nvidia-smi is there, and torch {torch.__version__} sees no GPU",
            "install the build of torch for your driver's CUDA: https://pytorch.org/get-started/locally",
        )  # fmt: skip
    torch.ones(8, device="cuda").sum().item()
    properties: Any = torch.cuda.get_device_properties(0)
    count = torch.cuda.device_count()
    return Finding("GPU", "ok", f"{count} x {properties.name}, {properties.total_memory / 1e9:.0f} GB")


def check_disk(out: Path, seconds: float = 1.0) -> Finding:
    """Room and speed of the disk that a run folder would lie on; nothing stays there."""
    out = out.expanduser().absolute()
    folder = next(place for place in (out, *out.parents) if place.exists())
    if not folder.is_dir():
        return Finding("disk", "broken", f"{folder} is a file", "name a folder with --out")
    free = shutil.disk_usage(folder).free / 1e9
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".xtalseek-doctor-", buffering=0) as file:
            begin, lines = time.perf_counter(), 0
            while lines < 200 and time.perf_counter() - begin < seconds:
                file.write(b"x" * 1999 + b"\n")
                os.fsync(file.fileno())
                lines += 1
            rate = lines / (time.perf_counter() - begin)
    except OSError as error:
        return Finding(
            "disk", "broken", f"{folder} cannot be written ({error.strerror})", "give another folder as --out"
        )
    what = f"{folder}: {free:.3g} GB free, {rate:.0f} durable writes/s"
    if free < LEAST_FREE_GB:
        return Finding("disk", "warning", what, "make room, or give a folder on another disk as --out")
    if rate < FEWEST_WRITES:
        return Finding(
            "disk", "warning", what, "slow for many ranks: give a folder on a local or parallel disk as --out"
        )
    return Finding("disk", "ok", what)


def check_checkpoint() -> Finding:
    """The UniMat checkpoint that comes with xtalseek loads, and names the compositions it was trained on."""
    from .errors import InputError
    from .proposals.unimat.checkpoint import DEFAULT, load_checkpoint, training_compositions

    name, again = "UniMat checkpoint", "install xtalseek again"
    try:
        model, _ = load_checkpoint(DEFAULT)
        compositions = training_compositions()
    except InputError as error:
        return Finding(name, "broken", str(error), again)
    weights = sum(parameter.numel() for parameter in model.parameters())
    if compositions is None:
        return Finding(name, "warning", f"{weights:,} weights, no list of its compositions", again)
    return Finding(name, "ok", f"{weights:,} weights, trained on {len(compositions):,} compositions")


def check_gpaw() -> Finding:
    """The DFT engine GPAW, for `xtalseek verify`."""
    if find_spec("gpaw") is None:
        return Finding("DFT gpaw", "absent", "not installed", "only for `xtalseek verify`: see docs/dft.md")
    return Finding("DFT gpaw", "ok", f"GPAW {version('gpaw')}")


def check_espresso() -> Finding:
    """The DFT engine Quantum ESPRESSO, for `xtalseek verify`."""
    program = shutil.which("pw.x")
    if program is None:
        return Finding("DFT espresso", "absent", "no pw.x on the PATH", "only for `xtalseek verify`: see docs/dft.md")
    return Finding("DFT espresso", "ok", program)


def _numbers(text: str) -> tuple[int, ...]:
    """The first three numbers of a version."""
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:3])
