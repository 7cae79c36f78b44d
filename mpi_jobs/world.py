"""The communicator this process was started in, if any, and this rank's share of the machine."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import InputError, StorageError
from ..files import DISK_ERRORS

_SIZE_VARIABLES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
"""Ranks started, as MPICH, Open MPI and Slurm's srun tell every rank."""
_LAUNCHER_VARIABLES = ("PMI", "OMPI_", "PRTE", "HYDI", "HYDRA", "MPI_LOCAL")
"""How names begin of what launchers tell every rank."""
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class World:
    """The ranks of this job.

    Attributes
    ----------
    rank, size : this rank, from 0, and how many there are.
    comm : the mpi4py communicator; None for a process on its own.
    """

    rank: int = 0
    size: int = 1
    comm: Any = None

    @contextmanager
    def aborting(self, passing: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
        """End the whole job, and say why, where one rank fails: the others would wait for it for ever.

        Parameters
        ----------
        passing : what all ranks raise together, and each may handle as a process on its own does.

        Raises
        ------
        StorageError : in a process on its own, also where a report or the like could not be written.
        """
        try:
            yield
        except passing:
            raise
        except BaseException as error:
            if self.comm is not None:
                self.abort()
            if isinstance(error, OSError) and error.errno in DISK_ERRORS:
                raise _told(error) from error
            raise

    def abort(self) -> None:
        """Print the exception in hand, in one line where the disk or the user is the cause, and kill every rank."""
        error = sys.exception()
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            error = _told(error)
        if isinstance(error, StorageError | KeyboardInterrupt):
            sys.stderr.write(f"xtalseek: {str(error) or 'interrupted'}\n")
        else:
            sys.stderr.write(f"rank {self.rank} failed, the job ends:\n{traceback.format_exc()}")
        sys.stderr.flush()
        self.comm.Abort(1)
        os._exit(1)  # Abort may come back before the launcher has ended this process


def _told(error: OSError) -> StorageError:
    """What is to be said of a disk that failed while something was written that others can make anew."""
    return StorageError(
        f"cannot write a file ({error.strerror}): the journal is safe; make room and give the same command again"
    )


def ranks_started(environment: Mapping[str, str]) -> int | None:
    """How many ranks a launcher says it started; None where there is no launcher."""
    for name in _SIZE_VARIABLES:
        if environment.get(name, "").isdigit():
            return int(environment[name])
    return None


def find_world() -> World:
    """The job's ranks. MPI is imported only under a launcher of several ranks, so that nobody else needs to have it.

    Raises
    ------
    InputError : the launcher and mpi4py's MPI library are not of one kind (each rank would believe it is alone).
    """
    started = ranks_started(os.environ)
    if started is None or started == 1:
        return World()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # mpi4py's own guess at what is checked, and told, here
        from mpi4py import MPI
    comm = MPI.COMM_WORLD
    if comm.size != started:
        raise InputError(
            f"the launcher started {started} ranks, but mpi4py ({MPI.Get_library_version().splitlines()[0]}) sees "
            f"{comm.size}: use the mpirun of that MPI library, the one in this environment's bin folder"
        )
    return World(comm.rank, comm.size, comm)


def launcher_variables() -> dict[str, str]:
    """What this process was told by the launcher that started it, which another launcher must not see.

    Without a launcher such variables are the user's own settings: none is named. Nor is Open MPI's permission to run
    as root, the user's word to any launcher.
    """
    if ranks_started(os.environ) is None:
        return {}
    told = {name: value for name, value in os.environ.items() if name.startswith(_LAUNCHER_VARIABLES)}
    return {name: value for name, value in told.items() if not name.startswith("OMPI_ALLOW_")}


def share_of_cores(world: World) -> int:
    """Threads for this rank: its cores, divided among the ranks of this node that may run on them too."""
    mine = (
        frozenset(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else frozenset(range(os.cpu_count() or 1))
    )
    neighbours = [mine]
    if world.comm is not None:
        node = world.comm.Split_type(_shared_memory())
        neighbours = node.allgather(mine)
        node.Free()
    return max(1, len(mine) // sum(1 for cores in neighbours if cores & mine))


def on_this_node(world: World) -> tuple[int, int]:
    """A number that the ranks of this node share (the lowest rank of them), and this rank's place among them."""
    node = world.comm.Split_type(_shared_memory())
    found = node.bcast(world.rank), node.rank
    node.Free()
    return found


def _shared_memory() -> int:
    from mpi4py import MPI

    return int(MPI.COMM_TYPE_SHARED)


def limit_threads(threads: int) -> int:
    """Let the numerical libraries use so many threads, unless the user set OMP_NUM_THREADS; return the number in force.

    It has to be called before torch is imported: two threads beside another busy rank run ten times slower than one. A
    MKL_NUM_THREADS or the like that stands in the environment is overruled, for a forgotten one costs that factor.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(given) if given.isdigit() and int(given) > 0 else threads
    for name in _THREAD_VARIABLES:
        os.environ[name] = str(threads)
    return threads
