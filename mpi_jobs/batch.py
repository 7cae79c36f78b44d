"""What a job for Slurm, PBS or a plain machine is made from: its layout, time limit, name and launcher."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

SCHEDULERS = ("slurm", "pbs", "local")
_SUBMIT_COMMANDS = {"slurm": "sbatch", "pbs": "qsub", "local": "bash"}
_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<first>\d+)(?::(?P<second>\d+))?(?::(?P<third>\d+))?")
_PBS_NAME_LENGTH = 15


@dataclass(frozen=True)
class Layout:
    """Where the ranks of a job go.

    Attributes
    ----------
    nodes : how many.
    ranks_per_node : None: one for each CPU of a node, which the job counts itself (Slurm only).
    cores_per_node : None: left to the batch system.
    gpus_per_node : 0: none asked for.
    """

    nodes: int = 1
    ranks_per_node: int | None = None
    cores_per_node: int | None = None
    gpus_per_node: int = 0


@dataclass(frozen=True)
class BatchJob:
    """What a job script is made from.

    Attributes
    ----------
    scheduler : one of `SCHEDULERS`.
    name : of the job and of its files, as `job_name` makes it.
    command : words of the search or campaign.
    folder : the run or campaign folder that the command works on, as `xtalseek status` takes it.
    start_in : folder in which the job starts. logs : where the script and its output lie. Both are absolute.
    launcher : shell words before the command that start its ranks; empty: the command runs alone.
    seconds : time limit. grace : seconds before it at which the search is told to end.
    max_resubmits : how often the script may submit itself.
    setup : shell lines before the command.
    header : further lines for the batch system, as they are.
    partition, account, memory : as the batch system calls them; memory is per node, such as 64G; empty: its default.
    """

    scheduler: str
    name: str
    command: tuple[str, ...]
    folder: str
    start_in: Path
    logs: Path
    layout: Layout
    launcher: str
    seconds: int
    grace: int
    max_resubmits: int
    setup: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    partition: str = ""
    account: str = ""
    memory: str = ""

    @property
    def script(self) -> Path:
        """Where the script lies."""
        return self.logs / f"{self.name}.sh"

    @property
    def submit_words(self) -> tuple[str, ...]:
        """The command that submits the script."""
        return _SUBMIT_COMMANDS[self.scheduler], str(self.script)


def parse_time(option: str, text: str) -> int:
    """Seconds of a time limit in Slurm's forms: M, M:SS, H:MM:SS, D-H, D-H:MM, D-H:MM:SS.

    Raises
    ------
    InputError : another form, or no time at all.
    """
    found = _TIME.fullmatch(text.strip())
    seconds = 0
    if found is not None:
        first, second, third = (int(found[part] or 0) for part in ("first", "second", "third"))
        if found["days"] is not None:
            seconds = int(found["days"]) * 86400 + first * 3600 + second * 60 + third
        elif found["third"] is not None:
            seconds = first * 3600 + second * 60 + third
        else:
            seconds = first * 60 + second
    if seconds == 0:
        raise InputError(
            f"{option}: cannot use {text!r}: allowed are minutes, H:MM:SS or D-HH:MM:SS, for example 12:00:00"
        )
    return seconds


def time_text(seconds: int) -> str:
    """H:MM:SS, with as many hours as it takes, as Slurm and PBS both read it."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def job_name(text: str, scheduler: str) -> str:
    """A name that the batch system takes: letters, digits, and "_.-"; for PBS 15 of them, the first a letter."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.") or "xtalseek"
    if scheduler == "pbs":
        name = name if name[0].isalpha() else f"x{name}"
        return name[:_PBS_NAME_LENGTH]
    return name


def launcher_words(mpi_library: str, layout: Layout) -> str:
    """The shell words that start the ranks with the mpirun of an MPI library; empty where there is one rank only.

    Parameters
    ----------
    mpi_library : as mpi4py names it ("MPICH", "Open MPI", ...); empty where it is not known here.
    """
    if layout.nodes == 1 and layout.ranks_per_node == 1:
        return ""
    words = 'mpirun -n "$ranks"'
    if mpi_library in ("MPICH", "Intel MPI", "MVAPICH"):
        return f'{words} -ppn "$ranks_per_node"'
    if mpi_library == "Open MPI":
        # Bound to one core, as is its habit, a rank could not use its threads.
        return f'{words} --map-by "ppr:$ranks_per_node:node" --bind-to none'
    return words
