"""Job scripts for Slurm, PBS and a plain machine: they end before the time limit and submit themselves again."""

from __future__ import annotations

import re
import shlex

from .. import __version__
from ..errors import InputError
from .batch import BatchJob, time_text


def job_script(job: BatchJob) -> str:
    """The text of a job's script.

    Raises
    ------
    InputError : a word or a path that the batch system could not take.
    """
    for option, text in (("--partition", job.partition), ("--account", job.account)):
        if text and not re.fullmatch(r"[\w.,:@/+-]+", text):
            raise InputError(f"{option}: cannot use {text!r}: allowed are letters, digits and .,:@/+-")
    for path in (job.folder, job.start_in, job.logs):
        if "\n" in str(path):
            raise InputError(f"{str(path)!r}: a folder with a line break in its name cannot stand in a job script")
    if job.memory and not re.fullmatch(r"[1-9]\d*[MGT]", job.memory):
        raise InputError(f"--memory: cannot use {job.memory!r}: allowed is a number with M, G or T, for example 64G")
    mark, directives = {"slurm": ("#SBATCH ", _slurm), "pbs": ("#PBS ", _pbs), "local": ("", _local)}[job.scheduler]
    for line in job.header:
        if not line.startswith(mark) or "\n" in line:
            raise InputError(f"--header: cannot use {line!r}: allowed is one line that starts with {mark.strip()}")
    counted, layout = "1", job.layout
    if job.scheduler == "slurm":
        counted = '"$((SLURM_CPUS_ON_NODE / ranks_per_node > 0 ? SLURM_CPUS_ON_NODE / ranks_per_node : 1))"'
    if layout.cores_per_node is not None and layout.ranks_per_node is not None:
        counted = str(max(1, layout.cores_per_node // layout.ranks_per_node))
    ranks_per_node = '"$SLURM_CPUS_ON_NODE"' if layout.ranks_per_node is None else str(layout.ranks_per_node)
    # Slurm tells the script when time is short; elsewhere `timeout` tells the launcher.
    watch = "" if job.scheduler == "slurm" else f"timeout --foreground --signal=USR1 {job.seconds - job.grace} "
    again = {
        "slurm": 'sbatch "$script" "$((resubmits + 1))"',
        "pbs": 'qsub -v "XTALSEEK_RESUBMITS=$((resubmits + 1))" "$script"',
        "local": 'exec bash "$script" "$((resubmits + 1))"',
    }[job.scheduler]
    return _TEMPLATE.format(
        directives="".join(f"{line}\n" for line in [*directives(job), *job.header]),
        version=__version__,
        program=job.submit_words[0],
        submitted=shlex.join(job.submit_words),
        start_in=shlex.quote(str(job.start_in)),
        setup="".join(f"{line}\n" for line in job.setup),
        ranks_per_node=ranks_per_node,
        nodes=layout.nodes,
        threads=counted,
        folder=shlex.quote(job.folder),
        script=shlex.quote(str(job.script)),
        resubmits="${XTALSEEK_RESUBMITS:-0}" if job.scheduler == "pbs" else "${1:-0}",
        job={"slurm": "$SLURM_JOB_ID", "pbs": "$PBS_JOBID", "local": "$$"}[job.scheduler],
        most=job.max_resubmits,
        command=f"{watch}{job.launcher}{' ' if job.launcher else ''}{shlex.join(job.command)}",
        again=again,
    )


def _slurm(job: BatchJob) -> list[str]:
    if "\\" in str(job.logs):
        raise InputError(f"--out: Slurm cannot use {str(job.logs)!r}: give a folder without a backslash in its path")
    layout, output = job.layout, str(job.logs).replace("%", "%%") + f"/{job.name}-%j.out"
    lines = [f"--job-name={job.name}", f"--nodes={layout.nodes}"]
    if layout.ranks_per_node is None:
        lines.append("--exclusive")
    else:
        lines.append(f"--ntasks-per-node={layout.ranks_per_node}")
        if layout.cores_per_node is not None:
            lines.append(f"--cpus-per-task={max(1, layout.cores_per_node // layout.ranks_per_node)}")
    if layout.gpus_per_node:
        lines.append(f"--gpus-per-node={layout.gpus_per_node}")
    lines += [f"--time={time_text(job.seconds)}", f"--signal=B:USR1@{job.grace}"]
    lines += [f"--output={shlex.quote(output)}", "--open-mode=append", "--requeue"]
    options = {"partition": job.partition, "account": job.account, "mem": job.memory}
    lines += [f"--{name}={value}" for name, value in options.items() if value]
    return [f"#SBATCH {line}" for line in lines]


def _pbs(job: BatchJob) -> list[str]:
    if not re.fullmatch(r"[\w.,/+=@-]+", str(job.logs)):
        raise InputError(
            f"--out: PBS cannot use {str(job.logs)!r}: give a folder with letters, digits and .,/+=@- in its path only"
        )
    layout = job.layout
    ranks = layout.ranks_per_node or 1
    cores = layout.cores_per_node or ranks
    select = [f"select={layout.nodes}", f"ncpus={cores}", f"mpiprocs={ranks}", f"ompthreads={max(1, cores // ranks)}"]
    if layout.gpus_per_node:
        select.append(f"ngpus={layout.gpus_per_node}")
    if job.memory:
        select.append(f"mem={job.memory.lower()}b")
    lines = [f"-N {job.name}", f"-l {':'.join(select)}", f"-l walltime={time_text(job.seconds)}"]
    lines += ["-j oe", f"-o {job.logs}/", "-S /bin/bash"]
    options = {"-q": job.partition, "-A": job.account}
    lines += [f"{name} {value}" for name, value in options.items() if value]
    return [f"#PBS {line}" for line in lines]


def _local(job: BatchJob) -> list[str]:
    words = {"--partition": job.partition, "--account": job.account, "--memory": job.memory, "--header": job.header}
    for option, given in words.items():
        if given:
            raise InputError(f"{option}: is for a batch system; leave it out with --scheduler local")
    return []


_TEMPLATE = """#!/bin/bash
{directives}
# Written by xtalseek {version}. Submit it with: {submitted}
# It ends the search before the time limit and submits itself again until the search is finished.
cd {start_in} || exit 1
{setup}if ! command -v xtalseek >/dev/null; then
    echo "xtalseek: not found on $HOSTNAME; give the lines that bring it as --setup"
    exit 127
fi

ranks_per_node={ranks_per_node}
ranks=$(({nodes} * ranks_per_node))
threads={threads}
export OMP_NUM_THREADS="$threads" MKL_NUM_THREADS="$threads" OPENBLAS_NUM_THREADS="$threads"
folder={folder}
script={script}
resubmits={resubmits}

# Candidates done, and the state: finished, or anything else.
progress() {{
    xtalseek status "$folder" --json --brief 2>/dev/null |
        python3 -c 'import json, sys; s = json.load(sys.stdin); print(s["done"], s["state"])' 2>/dev/null ||
        echo 0 new
}}
say() {{
    echo "$(date '+%F %T') job {job}: $1"
}}

read -r before state <<<"$(progress)"
say "resubmission $resubmits on $HOSTNAME, $before candidates done before"

search=
ended=
# Every MPI library's mpirun passes USR1 on to its ranks; TERM would kill them under some.
tell() {{
    ended=${{ended:-$1}}
    if [[ -n $search ]]; then
        kill -USR1 "$search" 2>/dev/null
    fi
}}
trap 'tell limit' USR1
trap 'tell cancelled' TERM
{command} &
search=$!
if [[ -n $ended ]]; then # told before it could be passed on
    tell "$ended"
fi
while wait "$search"; kill -0 "$search" 2>/dev/null; do :; done # a trapped signal ends `wait` early
wait "$search"
status=$?
if ((status == 124)); then # from `timeout`
    ended=${{ended:-limit}}
fi

read -r after state <<<"$(progress)"
say "ended${{ended:+ ($ended)}} with status $status, $after candidates done, $state"
if [[ $ended == limit ]]; then
    status=0
fi
if [[ $state == finished ]]; then
    say "nothing is left to do"
elif [[ $ended == cancelled ]]; then
    say "cancelled: not submitted again"
elif [[ -z $ended && $status == 0 ]]; then
    say "it ended by itself: not submitted again"
elif ((after <= before)); then
    say "no candidate was done in this job: not submitted again"
elif ((resubmits >= {most})); then
    say "submitted again {most} times, as often as --max-resubmits allows: not submitted again"
elif ! {again}; then
    say "could not be submitted again; by hand: {program} $script"
    exit 1
fi
exit "$status"
"""
