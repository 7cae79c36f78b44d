"""What `xtalseek submit` does between its words and its output: check, write a job script, hand it to the scheduler."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .arguments import parse
from .command_words import CAMPAIGN_SEARCH_WORDS, RELAX_WORDS, SEARCH_WORDS, given_words, whole
from .errors import InputError
from .files import write_atomic
from .mpi_jobs.batch import BatchJob, Layout, job_name, launcher_words, parse_time
from .mpi_jobs.job_script import job_script
from .relax.trust import require_typed
from .search.campaign_config import read_campaign
from .search.campaign_words import CAMPAIGN_WORDS
from .search.config import read_toml, resolve

_OF_CAMPAIGNS = ("compositions", "composition", "chemical_system")
_WHICH_MPI = "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; print(MPI.get_vendor()[0])"


def run_submit(options: argparse.Namespace) -> str:
    """Write and submit a job script, or only show it; return what to print.

    Parameters
    ----------
    options : the words of `add_submit`, and `passed`: those for the search or campaign itself.

    Raises
    ------
    InputError : a word that cannot be used, a configuration that cannot, no such batch system on this machine, or what
        it answers where it refuses the job. Nothing is submitted then.
    """
    job, array = _job(options)
    script = job_script(job)
    if options.dry_run:
        return script.rstrip()
    program = job.submit_words[0]
    if shutil.which(program) is None:
        raise InputError(
            f"--scheduler {job.scheduler}: there is no {program} on this machine; submit where there is, or look at "
            "the script with --dry-run"
        )
    try:
        write_atomic(job.script, script)
    except OSError as error:
        raise InputError(f"--out: {str(job.logs)!r} cannot be written ({error.strerror})") from error
    lines = [f"script: {job.script}"]
    if job.scheduler == "local":
        return "\n".join(lines + [_start_here(job, number) for number in range(1, array + 1)])
    # Slurm knows arrays of one script; with PBS as many jobs do the same, and can submit themselves again.
    at_once = (f"--array=1-{array}",) if job.scheduler == "slurm" and array > 1 else ()
    for _ in range(1 if at_once else array):
        lines.append(_submitted([program, *at_once, *job.submit_words[1:]], job.start_in))
    return "\n".join([*lines, f"output: {job.logs}"])


def _submitted(words: Sequence[str], start_in: Path) -> str:
    """What the batch system says to a job it takes; raises InputError where it takes it not."""
    answer = subprocess.run(words, cwd=start_in, capture_output=True, text=True, check=False)
    if answer.returncode:
        said = " ".join((answer.stderr or answer.stdout).split())
        raise InputError(f"{shlex.join(words)}: {said or f'exit status {answer.returncode}'}")
    return answer.stdout.strip()


def _start_here(job: BatchJob, number: int) -> str:
    """Start a job in the background, out of reach of the terminal's hang-up."""
    output = job.logs / f"{job.name}-{number}.out"
    with output.open("ab") as file:
        process = subprocess.Popen(
            job.submit_words, cwd=job.start_in, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
    return f"started in the background: output {output}; `kill {process.pid}` ends it cleanly"


def _job(options: argparse.Namespace) -> tuple[BatchJob, int]:
    """The job that the words ask for, and how many times."""
    command, folder, shared = _command(options.config, options.passed)
    seconds = parse_time("--time", options.time)
    grace = whole("--grace", options.grace, 1, "300")
    if grace >= seconds:
        raise InputError(f"--grace: {grace} s before a limit of {seconds} s leaves no time to search: give less")
    array = whole("--array", options.array, 1, "4")
    if array > 1 and not shared:
        raise InputError("--array: independent jobs can share a campaign, not a search: leave it out, or give --nodes")
    layout = _layout(options)
    launcher = options.launcher
    if launcher is None:
        launcher = launcher_words(_mpi_library(), layout)
    job = BatchJob(
        scheduler=options.scheduler,
        name=job_name(options.job_name or Path(options.config).stem, options.scheduler),
        command=tuple(command),
        folder=folder,
        start_in=Path.cwd(),
        logs=Path(options.out or Path(folder) / "log").absolute(),
        layout=layout,
        launcher=launcher,
        seconds=seconds,
        grace=grace,
        max_resubmits=whole("--max-resubmits", options.max_resubmits, 0, "100"),
        setup=tuple(_this_environment() if options.setup is None else options.setup),
        header=tuple(options.header),
        partition=options.partition,
        account=options.account,
        memory=options.memory,
    )
    return job, array


def _command(file: str, passed: Sequence[str]) -> tuple[list[str], str, bool]:
    """The command to run, its folder, and whether jobs can share that: of a campaign, or of a search.

    It is read as the job will read it, so that what is wrong is told now and not in the queue.
    """
    if _is_campaign(file):
        words = ["campaign", file, *passed]
        typed: dict[str, Any] = given_words(parse(words), (*CAMPAIGN_SEARCH_WORDS, *CAMPAIGN_WORDS))
        campaign = read_campaign(file, typed)
        configs, folder = list(campaign.searches.values()), campaign.out
    else:
        words = ["search", "--config", file, *passed]
        typed = given_words(parse(words), ("formula", *SEARCH_WORDS))
        config = resolve(read_toml(Path(file)) | typed)
        configs, folder = [config], config.out
    for config in configs:
        require_typed(config.relaxer, config.relaxer_options, typed.keys() & set(RELAX_WORDS), file)
    return ["xtalseek", *words], folder, words[0] == "campaign"


def _is_campaign(file: str) -> bool:
    path = Path(file)
    return path.suffix.lower() != ".toml" or any(name in read_toml(path) for name in _OF_CAMPAIGNS)


def _layout(options: argparse.Namespace) -> Layout:
    nodes = whole("--nodes", options.nodes, 1, "4")
    gpus = whole("--gpus-per-node", options.gpus_per_node, 0, "4")
    cores = whole("--cores-per-node", options.cores_per_node, 1, "32") if options.cores_per_node else None
    if options.scheduler == "local":
        if nodes > 1:
            raise InputError("--nodes: this machine is one node; for more give --scheduler slurm or pbs")
        cores = cores or len(os.sched_getaffinity(0))
    ranks = whole("--ranks-per-node", options.ranks_per_node, 1, "4") if options.ranks_per_node else gpus or cores
    if ranks is None and options.scheduler == "pbs":
        raise InputError("--cores-per-node: PBS gives cores by number: say how many a node has, for example 32")
    if ranks is not None and cores is not None and ranks > cores and options.scheduler != "local":
        raise InputError(
            f"--ranks-per-node: {ranks} ranks on {cores} cores would slow each other: give {cores} or fewer"
        )
    return Layout(nodes, ranks, cores, gpus)


def _mpi_library() -> str:
    """The MPI library that mpi4py uses here, by its vendor; empty where there is none.

    It is asked in a process of its own: some clusters' libraries end a process that loads them on a login node.
    """
    answer = subprocess.run([sys.executable, "-c", _WHICH_MPI], capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _this_environment() -> list[str]:
    """The shell line that brings the Python environment of this process."""
    folder = Path(sys.prefix).absolute() / "bin"
    if sys.prefix != sys.base_prefix and (folder / "activate").is_file():
        return [f". {shlex.quote(str(folder / 'activate'))}"]
    return [f"export PATH={shlex.quote(str(Path(sys.executable).absolute().parent))}:$PATH"]
