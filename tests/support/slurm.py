"""A Slurm cluster of one node, this machine, in a folder of its own: munge, controller and node daemon."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo", "scancel")
"""What Debian's `slurm-wlm` brings."""
_START_SECONDS = 60.0

_CONF = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=10
SchedulerParameters=batch_sched_delay=0,sched_interval=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why no cluster can be started here; empty where one can."""
    absent = [program for program in PROGRAMS if shutil.which(program, path=_path()) is None]
    if absent:
        return f"no {', '.join(absent)}: apt-get install slurm-wlm"
    return "" if os.geteuid() == 0 else "Slurm's daemons start jobs as root only"


@contextmanager
def one_node_cluster(folder: Path, cpus: int = 2) -> Iterator[Mapping[str, str]]:
    """Run a cluster whose state is in `folder`; yields the variables with which its commands find it."""
    host = socket.gethostname().partition(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    conf = folder / "slurm.conf"
    conf.write_text(
        _CONF.format(host=host, folder=folder, cpus=cpus, controller_port=_free_port(), node_port=_free_port())
    )
    found = {"SLURM_CONF": str(conf), "PATH": _path()}
    munge = [f"--{name}={folder / file}" for name, file in _MUNGE_FILES.items()]
    with ExitStack() as stack:
        stack.enter_context(_daemon("munged", ["--foreground", "--force", *munge], folder, found))
        _wait_until(lambda: (folder / "munge.socket").exists(), folder)
        stack.enter_context(_daemon("slurmctld", ["-D", "-c", "-f", str(conf)], folder, found))
        stack.enter_context(_daemon("slurmd", ["-D", "-f", str(conf)], folder, found))
        _wait_until(lambda: ask(found, "sinfo", "--noheader", "--format=%T") == "idle", folder)
        try:
            yield found
        finally:
            ask(found, "scancel", "--user=root", "--signal=KILL", "--full")
            ask(found, "scancel", "--user=root")
            _wait_until(lambda: not ask(found, "squeue", "--noheader"), folder)


_MUNGE_FILES = {
    "key-file": "munge.key",
    "socket": "munge.socket",
    "pid-file": "munged.pid",
    "log-file": "munged.log",
    "seed-file": "munged.seed",
}


def ask(found: Mapping[str, str], *words: str) -> str:
    """What a command of the cluster answers."""
    answer = subprocess.run(
        words, env={**os.environ, **found}, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    return answer.stdout.strip()


@contextmanager
def _daemon(program: str, words: list[str], folder: Path, found: Mapping[str, str]) -> Iterator[None]:
    with (folder / f"{program}.out").open("wb") as output:
        process = subprocess.Popen(
            [program, *words], env={**os.environ, **found}, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _path() -> str:
    """The search path, with the folders of daemons, which are not in every user's."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until(met: Callable[[], bool], folder: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while not met():
        if time.monotonic() > end:
            logs = "\n".join(f"{file.name}: {file.read_text()[-2000:]}" for file in folder.glob("*.out"))
            raise RuntimeError(f"the cluster does not answer\n{logs}")
        time.sleep(0.1)
