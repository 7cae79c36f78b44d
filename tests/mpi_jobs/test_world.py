from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
from running import BIN, environment

from xtalseek.errors import StorageError
from xtalseek.mpi_jobs.world import World, find_world, limit_threads, ranks_started, share_of_cores


@pytest.mark.parametrize(
    ("variables", "ranks"),
    [
        ({"PMI_SIZE": "4", "PMI_RANK": "0"}, 4),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, 2),
        ({"SLURM_STEP_NUM_TASKS": "16"}, 16),
        ({"SLURM_NTASKS": "16"}, None),  # inside a job script, but not under srun
        ({}, None),
    ],
)
def test_launchers_say_how_many_ranks_they_started(variables: dict[str, str], ranks: int | None) -> None:
    assert ranks_started(variables) == ranks


def test_a_process_on_its_own_needs_no_mpi(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "mpi4py", None)  # importing it would fail
    assert find_world() == World(rank=0, size=1, comm=None)


def test_a_launcher_of_another_kind_is_refused(needs_mpirun: None) -> None:
    """Three ranks by the word of a launcher that MPICH knows nothing of: each would search on its own."""
    finished = subprocess.run(
        [sys.executable, "-m", "xtalseek", "version"],
        env=environment() | {"OMPI_COMM_WORLD_SIZE": "3"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 2
    assert "the launcher started 3 ranks" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_threads_follow_the_share_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_NUM_THREADS", "9")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert limit_threads(1) == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert limit_threads(2) == 2
    assert [os.environ[f"{library}_NUM_THREADS"] for library in ("OMP", "MKL", "OPENBLAS")] == ["2", "2", "2"]


def test_a_process_on_its_own_has_all_its_cores() -> None:
    assert share_of_cores(World()) == len(os.sched_getaffinity(0))


class Comm:
    """As much of a communicator as ends a job."""

    status: int | None = None

    def Abort(self, status: int) -> None:  # noqa: N802
        self.status = status
        raise SystemExit(status)


def fail(world: World, error: Exception) -> None:
    with world.aborting():
        raise error


def test_a_rank_that_fails_ends_the_job_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    comm = Comm()
    with pytest.raises(SystemExit):
        fail(World(1, 2, comm), KeyError("lost"))
    assert comm.status == 1
    said = capsys.readouterr().err
    assert said.startswith("rank 1 failed, the job ends:\nTraceback")
    assert "KeyError: 'lost'" in said


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_fails_is_told_in_one_line(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Alone or on ranks, and whatever it was that could not be written."""
    comm, error = Comm(), OSError(number, "No space left on device")
    with pytest.raises(SystemExit):
        fail(World(1, 2, comm), error)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("xtalseek: cannot write a file (No space left on device): the journal is safe")
    with pytest.raises(StorageError, match="No space left on device"):
        fail(World(), error)
    with pytest.raises(FileNotFoundError):
        fail(World(), FileNotFoundError(errno.ENOENT, "missing"))


def test_ranks_divide_the_cores_they_share(needs_mpirun: None) -> None:
    code = (
        "import os; from xtalseek.mpi_jobs.world import *; w = find_world()\n"
        "os.write(1, f'{w.rank} {w.size} {share_of_cores(w)}\\n'.encode())"
    )
    ranks = 2 * len(os.sched_getaffinity(0))
    finished = subprocess.run(
        [str(BIN / "mpirun"), "-n", str(ranks), sys.executable, "-c", code],
        env=environment(), capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert sorted(finished.stdout.splitlines()) == sorted(f"{rank} {ranks} 1" for rank in range(ranks))
