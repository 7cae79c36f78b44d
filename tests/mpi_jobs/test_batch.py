"""Job scripts: what they ask for, that they run exactly the words given, and when they submit themselves again."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import BIN, environment

from xtalseek.errors import InputError
from xtalseek.mpi_jobs.batch import (
    SCHEDULERS,
    BatchJob,
    Layout,
    job_name,
    launcher_words,
    parse_time,
    time_text,
)
from xtalseek.mpi_jobs.job_script import job_script
from xtalseek.mpi_jobs.submit_words import add_submit, words_passed_on
from xtalseek.search.store import load_run
from xtalseek.submit import run_submit

EVIL = 'it\'s a "run" $(touch pwned) `touch pwned` %j #1; touch pwned'
CONFIG = 'formula = "NaCl"\nnum = 4\nout = "RUN"\n'
FAKE_XTALSEEK = """#!/bin/bash
# Stands in for the command: `status` shows state.json, everything else does what act.sh says.
done_now() {
    printf '{"done": %d, "state": "%s"}' "$1" "${2:-stopped}" >state.json
}
if [[ $1 == status ]]; then
    cat state.json
else
    printf '%s\\n' "$OMP_NUM_THREADS" >threads
    printf '%s\\0' "$@" >words
    . ./act.sh
fi
"""
FAKE_MPIRUN = """#!/bin/bash
printf '%s\\n' "$*" >mpirun-words
shift "$(cat launcher-words)"
exec "$@"
"""
FAKE_SUBMIT = """#!/bin/bash
printf '%s\\n' "$@" >>submitted
"""
WAIT_TO_BE_TOLD = "trap 'done_now 3; exit 0' USR1\ntouch started\nfor ((i = 0; i < 3000; i++)); do sleep 0.02; done\n"


@pytest.fixture
def job(tmp_path: Path) -> BatchJob:
    """A job whose commands are stand-ins, with one candidate done before it starts."""
    tools, start_in = tmp_path / "tools", tmp_path / "start here"
    tools.mkdir()
    start_in.mkdir()
    texts = {"xtalseek": FAKE_XTALSEEK, "mpirun": FAKE_MPIRUN, "sbatch": FAKE_SUBMIT, "qsub": FAKE_SUBMIT}
    for name, text in texts.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (start_in / "state.json").write_text('{"done": 1, "state": "stopped"}')
    return BatchJob(
        scheduler="slurm",
        name="nacl",
        command=("xtalseek", "search", "--config", "nacl.toml"),
        folder="RUN",
        start_in=start_in,
        logs=tmp_path / "logs",
        layout=Layout(ranks_per_node=1, cores_per_node=1),
        launcher="",
        seconds=3600,
        grace=300,
        max_resubmits=5,
        setup=(f"export PATH={shlex.quote(str(tools))}:$PATH",),
    )


def start(job: BatchJob, act: str, *words: str, **variables: str) -> subprocess.Popen[str]:
    """The script of `job` under way; its search does what `act` says."""
    (job.start_in / "act.sh").write_text(act)
    job.logs.mkdir(exist_ok=True)
    job.script.write_text(job_script(job))
    return subprocess.Popen(
        ["bash", str(job.script), *words], cwd="/", text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**environment(), "SLURM_CPUS_ON_NODE": "8", **variables},
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


def submitted(job: BatchJob) -> list[str]:
    """Words that the stand-in of sbatch or qsub was given."""
    file = job.start_in / "submitted"
    return file.read_text().splitlines() if file.exists() else []


def wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    while not file.exists():
        assert process.poll() is None, finish(process)
        time.sleep(0.01)


def directives(job: BatchJob) -> list[str]:
    return [line for line in job_script(job).splitlines() if re.match(r"#(SBATCH|PBS) ", line)]


def parsed(*words: str) -> str:
    """What `xtalseek submit WORDS` prints."""
    own, passed = words_passed_on(words)
    parser = ArgumentParser()
    add_submit(parser)
    options = parser.parse_args(own)
    options.passed = passed
    return run_submit(options)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 5400), ("1:30", 90), ("12:00:00", 43200), ("36:00:00", 129600), ("2-0", 172800), ("1-6:30", 109800),
        ("1-06:30:15", 109815),
    ],
)  # fmt: skip
def test_times_mean_what_slurm_takes_them_for(text: str, seconds: int) -> None:
    assert parse_time("--time", text) == seconds
    assert parse_time("--time", time_text(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "12h", "-5", "0", "00:00:00", "1:2:3:4", "1-", "1.5", "1-2-3", "١٢ hours"])
def test_a_wrong_time_is_told_in_one_line(text: str) -> None:
    with pytest.raises(InputError, match=r"^--time: cannot use .*12:00:00$"):
        parse_time("--time", text)


@given(st.text(), st.sampled_from(SCHEDULERS))
def test_job_names_are_tame(text: str, scheduler: str) -> None:
    name = job_name(text, scheduler)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name)
    assert scheduler != "pbs" or re.fullmatch(r"[A-Za-z].{0,14}", name)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_search_gets_exactly_its_words_in_its_folder(job: BatchJob, tmp_path: Path, scheduler: str) -> None:
    """Whatever is in them: nothing is expanded, split or run."""
    start_in = tmp_path / EVIL
    job.start_in.rename(start_in)
    logs = tmp_path / ("logs" if scheduler == "pbs" else f"{EVIL} logs")
    words = ("xtalseek", "search", "--config", f"{EVIL}.toml", "--relaxer-options", "a='b' c", "*", "")
    job = replace(job, scheduler=scheduler, start_in=start_in, logs=logs, command=words, folder=EVIL)
    status, output = finish(start(job, "done_now 9 finished"))
    assert status == 0, output
    assert "9 candidates done, finished" in output
    assert (start_in / "words").read_bytes().split(b"\0")[:-1] == [word.encode() for word in words[1:]]
    assert not list(tmp_path.rglob("pwned"))
    assert not Path("/pwned").exists()


def test_slurm_is_asked_for_ranks_and_an_early_signal(job: BatchJob) -> None:
    layout = Layout(nodes=4, ranks_per_node=4, cores_per_node=32, gpus_per_node=4)
    more = replace(
        job, layout=layout, partition="gpu", account="mat-1", memory="64G", logs=Path("/a b/50% log"),
        header=("#SBATCH --qos=long",),
    )  # fmt: skip
    assert directives(more) == [
        "#SBATCH --job-name=nacl",
        "#SBATCH --nodes=4",
        "#SBATCH --ntasks-per-node=4",
        "#SBATCH --cpus-per-task=8",
        "#SBATCH --gpus-per-node=4",
        "#SBATCH --time=01:00:00",
        "#SBATCH --signal=B:USR1@300",
        "#SBATCH --output='/a b/50%% log/nacl-%j.out'",
        "#SBATCH --open-mode=append",
        "#SBATCH --requeue",
        "#SBATCH --partition=gpu",
        "#SBATCH --account=mat-1",
        "#SBATCH --mem=64G",
        "#SBATCH --qos=long",
    ]
    assert "#SBATCH --exclusive" in directives(replace(job, layout=Layout(nodes=4)))


def test_pbs_is_asked_in_its_own_words(job: BatchJob) -> None:
    layout = Layout(nodes=4, ranks_per_node=8, cores_per_node=32, gpus_per_node=4)
    more = replace(
        job, scheduler="pbs", layout=layout, partition="gpu", account="mat-1", memory="64G", logs=Path("/run/log")
    )
    assert directives(more) == [
        "#PBS -N nacl",
        "#PBS -l select=4:ncpus=32:mpiprocs=8:ompthreads=4:ngpus=4:mem=64gb",
        "#PBS -l walltime=01:00:00",
        "#PBS -j oe",
        "#PBS -o /run/log/",
        "#PBS -S /bin/bash",
        "#PBS -q gpu",
        "#PBS -A mat-1",
    ]


@pytest.mark.parametrize(
    ("library", "layout", "mpirun", "threads"),
    [
        ("MPICH", Layout(4, 8, 32), "-n 32 -ppn 8", "4"),
        ("Open MPI", Layout(4, 8, 32), "-n 32 --map-by ppr:8:node --bind-to none", "4"),
        ("MPICH", Layout(4), "-n 32 -ppn 8", "1"),  # Slurm says 8 CPUs
        ("MPICH", Layout(2, 3), "-n 6 -ppn 3", "2"),
        ("", Layout(2, 16), "-n 32", "1"),
    ],
)
def test_ranks_and_threads_fill_the_nodes(
    job: BatchJob, library: str, layout: Layout, mpirun: str, threads: str
) -> None:
    job = replace(job, layout=layout, launcher=launcher_words(library, layout))
    (job.start_in / "launcher-words").write_text(str(len(mpirun.split())))
    status, output = finish(start(job, "done_now 9 finished"))
    assert status == 0, output
    assert (job.start_in / "mpirun-words").read_text().strip() == f"{mpirun} {shlex.join(job.command)}"
    assert (job.start_in / "threads").read_text().strip() == threads


def test_one_rank_needs_no_launcher() -> None:
    assert launcher_words("MPICH", Layout(1, 1)) == ""


def test_a_slurm_job_told_of_its_limit_passes_it_on_and_submits_itself_again(job: BatchJob) -> None:
    process = start(job, WAIT_TO_BE_TOLD, "2")
    wait_for(job.start_in / "started", process)
    process.send_signal(signal.SIGUSR1)
    status, output = finish(process)
    assert status == 0
    assert "resubmission 2" in output
    assert "ended (limit) with status 0, 3 candidates done, stopped" in output
    assert submitted(job) == [str(job.script), "3"]


def test_without_early_signals_the_script_watches_the_time(job: BatchJob) -> None:
    job = replace(job, scheduler="pbs", seconds=302)
    status, output = finish(start(job, WAIT_TO_BE_TOLD, XTALSEEK_RESUBMITS="2"))
    assert status == 0
    assert "ended (limit) with status 124, 3 candidates done, stopped" in output
    assert submitted(job) == ["-v", "XTALSEEK_RESUBMITS=3", str(job.script)]


def test_a_local_job_starts_itself_again(job: BatchJob) -> None:
    job = replace(job, scheduler="local", seconds=302)
    again = f"if [[ -e started ]]; then done_now 9 finished; else\n{WAIT_TO_BE_TOLD}fi"
    status, output = finish(start(job, again))
    assert status == 0
    assert re.findall(r"resubmission (\d)", output) == ["0", "1"]
    assert output.rstrip().endswith("nothing is left to do")


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_cancelled_job_ends_cleanly_and_stays_away(job: BatchJob, scheduler: str) -> None:
    job = replace(job, scheduler=scheduler)
    process = start(job, WAIT_TO_BE_TOLD)
    wait_for(job.start_in / "started", process)
    process.send_signal(signal.SIGTERM)
    _, output = finish(process)
    assert "ended (cancelled) with status 0, 3 candidates done" in output
    assert "cancelled: not submitted again" in output
    assert submitted(job) == []


@pytest.mark.parametrize(
    ("act", "said", "status", "again"),
    [
        ("done_now 9 finished", "nothing is left to do", 0, False),
        ("done_now 5", "it ended by itself: not submitted again", 0, False),  # its own max_hours
        ("done_now 5; exit 139", "status 139, 5 candidates done", 139, True),
        ("exit 2", "no candidate was done in this job: not submitted again", 2, False),
        ("rm state.json; exit 2", "no candidate was done in this job: not submitted again", 2, False),
    ],
)
def test_it_goes_on_only_where_that_helps(job: BatchJob, act: str, said: str, status: int, again: bool) -> None:
    found, output = finish(start(job, act))
    assert said in output
    assert found == status
    assert submitted(job) == ([str(job.script), "1"] if again else [])


def test_the_number_of_resubmissions_is_bounded(job: BatchJob) -> None:
    _, output = finish(start(job, "done_now 5; exit 139", "5"))
    assert "as often as --max-resubmits allows" in output
    assert submitted(job) == []


def test_a_job_that_cannot_be_submitted_again_says_how_to(job: BatchJob) -> None:
    job = replace(job, setup=(*job.setup, "sbatch() { return 1; }"))
    status, output = finish(start(job, "done_now 5; exit 139"))
    assert status == 1
    assert f"by hand: sbatch {job.script}" in output


def test_a_setup_without_the_command_is_told(job: BatchJob) -> None:
    job = replace(job, setup=("PATH=/nowhere",))
    status, output = finish(start(job, ""))
    assert status == 127
    assert "give the lines that bring it as --setup" in output


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"partition": "a b"}, "--partition: cannot use 'a b'"),
        ({"account": "a\n#SBATCH --x"}, "--account: cannot use"),
        ({"memory": "64"}, "--memory: cannot use '64'"),
        ({"header": ("rm -rf /",)}, "--header: cannot use"),
        ({"header": ("#PBS -x",)}, "--header: cannot use"),
        ({"logs": Path("/a\\b")}, "--out: Slurm cannot use"),
        ({"logs": Path("/a b"), "scheduler": "pbs"}, "--out: PBS cannot use"),
        ({"folder": "a\nb"}, "line break"),
        ({"scheduler": "local", "account": "mat-1"}, "--account: is for a batch system"),
        ({"scheduler": "local", "header": ("#SBATCH --qos=long",)}, "--header: is for a batch system"),
    ],
)
def test_what_no_batch_system_takes_is_told(job: BatchJob, changes: dict[str, str], told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        job_script(replace(job, **changes))  # type: ignore[arg-type]


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a search's and a campaign's file, as the working folder."""
    (tmp_path / "nacl.toml").write_text(CONFIG)
    (tmp_path / "many.csv").write_text("formula,num\nMgO,4\nTiO2,4\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_dry_run_prints_the_script_and_writes_nothing(in_folder: Path) -> None:
    before = sorted(in_folder.rglob("*"))
    script = parsed(
        "nacl.toml", "--scheduler", "slurm", "--nodes", "4", "--time", "12:00:00", "--dry-run", "--", "-n", "50"
    )
    assert sorted(in_folder.rglob("*")) == before
    assert "#SBATCH --nodes=4\n" in script
    assert "#SBATCH --time=12:00:00\n" in script
    assert "xtalseek search --config nacl.toml -n 50 &" in script
    assert f"--output={in_folder}/RUN/log/nacl-%j.out" in script
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_words_behind_the_dashes_move_the_run_folder(in_folder: Path) -> None:
    words = ("nacl.toml", "--scheduler", "slurm", "--time", "60", "--dry-run", "--", "--out", "ELSEWHERE")
    script = parsed(*words)
    assert "folder=ELSEWHERE\n" in script
    assert f"{in_folder}/ELSEWHERE/log/nacl.sh" in script


def test_a_campaign_is_told_by_its_file(in_folder: Path) -> None:
    (in_folder / "many.toml").write_text('compositions = ["MgO", "TiO2"]\nout = "CAMPAIGN"\n')
    for file, folder in (("many.csv", "campaigns/many"), ("many.toml", "CAMPAIGN")):
        script = parsed(file, "--scheduler", "slurm", "--time", "60", "--dry-run", "--array", "3")
        assert f"xtalseek campaign {file} &" in script
        assert f"folder={folder}\n" in script
    moved = ("many.csv", "--scheduler", "slurm", "--time", "60", "--dry-run", "--", "--rounds", "2", "--out", "OTHER")
    script = parsed(*moved)
    assert "xtalseek campaign many.csv --rounds 2 --out OTHER &" in script
    assert "folder=OTHER\n" in script


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("nacl.toml --scheduler slurm --time soon", "--time: cannot use 'soon'"),
        ("nacl.toml --scheduler slurm --time 2 --grace 120", "--grace: 120 s before a limit of 120 s"),
        ("nacl.toml --scheduler slurm --time 60 --nodes 0", "--nodes: cannot use '0'"),
        ("nacl.toml --scheduler slurm --time 60 --array 2", "--array: independent jobs can share a campaign"),
        ("nacl.toml --scheduler pbs --time 60", "--cores-per-node: PBS gives cores by number"),
        ("nacl.toml --scheduler local --time 60 --nodes 2", "--nodes: this machine is one node"),
        ("nacl.toml --scheduler slurm --time 60 --cores-per-node 2 --ranks-per-node 4", "--ranks-per-node: 4 ranks"),
        ("nacl.toml --scheduler slurm --time 60 -- --nmu 5", "unknown option '--nmu'"),
        ("nacl.toml --scheduler slurm --time 60 -- -n none", "num: cannot use 'none'"),
        ("code.toml --scheduler slurm --time 60", "which may run code of others"),
        ("absent.toml --scheduler slurm --time 60", "cannot be read"),
    ],
)
def test_what_is_wrong_is_told_before_the_queue(in_folder: Path, words: str, told: str) -> None:
    (in_folder / "code.toml").write_text(CONFIG + 'relaxer = "toy_potentials:Pairs"\n')
    with pytest.raises(InputError, match=re.escape(told)):
        parsed(*words.split(), "--dry-run") if " -- " not in words else parsed(*words.split())
    assert not (in_folder / "RUN").exists()


def test_a_machine_without_the_batch_system_is_told(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(in_folder))
    with pytest.raises(InputError, match="there is no qsub on this machine"):
        parsed("nacl.toml", "--scheduler", "pbs", "--time", "60", "--cores-per-node", "2")
    assert not (in_folder / "RUN").exists()


@pytest.mark.parametrize(
    ("scheduler", "calls"), [("slurm", [["--array=1-3"]]), ("pbs", [[], [], []])], ids=["slurm", "pbs"]
)
def test_independent_jobs_are_submitted_at_once(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, scheduler: str, calls: list[list[str]]
) -> None:
    program = {"slurm": "sbatch", "pbs": "qsub"}[scheduler]
    tool = in_folder / "tools" / program
    tool.parent.mkdir()
    tool.write_text('#!/bin/bash\necho "$@" >>calls\necho job 7 taken\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    words = ("many.csv", "--scheduler", scheduler, "--time", "60", "--cores-per-node", "2", "--array", "3")
    said = parsed(*words)
    script = in_folder / "campaigns" / "many" / "log" / "many.sh"
    assert said.count("job 7 taken") == len(calls)
    assert [line.split() for line in (in_folder / "calls").read_text().splitlines()] == [
        [*call, str(script)] for call in calls
    ]
    tool.write_text("#!/bin/bash\necho no such queue >&2\nexit 1\n")
    with pytest.raises(InputError, match=f"{program} .*: no such queue"):
        parsed(*words)


@pytest.mark.slow
@pytest.mark.skipif(not (BIN / "xtalseek").exists(), reason="xtalseek is not installed in this environment")
def test_a_local_job_runs_a_search_to_its_end(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    words = ("nacl.toml", "--scheduler", "local", "--time", "60", "--ranks-per-node", "1")
    small = ("--formula-units", "1", "--volume-per-atom", "10-14", "--max-steps", "20")
    said = parsed(*words, "--out", "job log", "--", "--relaxer", "toy_potentials:Pairs", *small)
    output, started = in_folder / "job log" / "nacl-1.out", re.search(r"`kill (\d+)`", said)
    assert started is not None
    end = time.monotonic() + 300
    while "nothing is left to do" not in output.read_text():
        assert time.monotonic() < end, output.read_text()
        time.sleep(0.1)
    assert [record.number for record in load_run(in_folder / "RUN").records] == list(range(4))


def test_the_job_finds_the_environment_it_was_submitted_from(in_folder: Path) -> None:
    script = parsed("nacl.toml", "--scheduler", "slurm", "--time", "60", "--dry-run")
    line = next(line for line in script.splitlines() if "activate" in line or line.startswith("export PATH="))
    shown = subprocess.run(
        ["bash", "-c", f"{line}\ncommand -v python3"],
        env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(shown.stdout.strip()).parent == Path(sys.executable).parent
