"""A search or a campaign that can be broken: started in processes of its own, looked at, and compared with another."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from running import command, environment
from toy_potentials import WORKER

from xtalseek.errors import InputError
from xtalseek.records import Record
from xtalseek.records_json import record_to_json
from xtalseek.search.results import read_results
from xtalseek.search.store import Run, journal_files, load_run, read_line

PATIENCE = 900.0
"""Seconds after which a session that does not end hangs: far more than any takes on a busy machine."""
_MARK = "XTALSEEK_SESSION"
_OF_THE_MOMENT = {"candidate": ("seconds",), "relaxation": ("seconds",), "": ("finished", "rank")}


@dataclass(frozen=True)
class Work:
    """What is searched for, and by how many.

    Attributes
    ----------
    name : for messages. words : of the command, without --out.
    ranks : of each job. jobs : at once, on the same folder.
    mpirun : a launcher of Open MPI, run with --with-ft ulfm; the Python beside it is used. None: the usual one.
    variables : of the environment.
    """

    name: str
    words: tuple[str, ...]
    ranks: int = 1
    jobs: int = 1
    mpirun: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_campaign(self) -> bool:
        """Whether its folder holds several run folders."""
        return self.words[0] == "campaign"

    def command(self, out: Path) -> list[str]:
        """The command line of one job."""
        words = (*self.words, "--out", str(out))
        if self.mpirun is None:
            return command(*words, ranks=self.ranks)
        launcher = [str(self.mpirun), "--with-ft", "ulfm", "--oversubscribe", "-n", str(self.ranks)]
        return [*launcher, str(self.mpirun.parent / "python"), "-m", "xtalseek", *words]


@dataclass(eq=False)
class Session:
    """Jobs under way.

    Attributes
    ----------
    work, out : what they do, and the folder.
    jobs : their first processes: launchers, where there are several ranks.
    errors : what each wrote to standard error.
    """

    work: Work
    out: Path
    jobs: list[subprocess.Popen[bytes]]
    errors: list[Path]
    mark: str

    @classmethod
    def start(cls, work: Work, out: Path, logs: Path) -> Session:
        """Start all jobs of `work` on the folder `out`; `logs`: where their standard errors are kept."""
        mark, jobs, errors = secrets.token_hex(6), [], []
        allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        logs.mkdir(parents=True, exist_ok=True)
        for number in range(work.jobs):
            errors.append(logs / f"{mark}-{number}.err")
            with errors[-1].open("wb") as file:
                process = subprocess.Popen(
                    work.command(out),
                    env=environment() | allowed | dict(work.variables) | {_MARK: f"{mark}-{number}"},
                    cwd=out.parent, start_new_session=True,
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file,
                )  # fmt: skip
                jobs.append(process)
        return cls(work, out, jobs, errors, mark)

    @property
    def is_over(self) -> bool:
        """Whether all jobs have ended."""
        return all(job.poll() is not None for job in self.jobs)

    def processes(self, job: int | None = None) -> list[tuple[int, list[bytes]]]:
        """All that were started by a job (None: by any) and live, with their command lines."""
        wanted = f"{_MARK}={self.mark}-{'' if job is None else job}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if any(v == wanted or (job is None and v.startswith(wanted)) for v in _words(folder / "environ")):
                    found.append((int(folder.name), _words(folder / "cmdline")))
            except OSError:
                continue
        return sorted(found)

    def ranks(self, job: int | None = None) -> list[int]:
        """Processes that search, launchers left out."""
        return [pid for pid, words in self.processes(job) if b"xtalseek" in words and b"python" in words[0]]

    def rank_number(self, pid: int) -> int:
        """Of a process that searches; 0 where it is alone."""
        try:
            variables = dict(word.partition(b"=")[::2] for word in _words(Path(f"/proc/{pid}/environ")))
        except OSError:
            return 0
        return int(variables.get(b"OMPI_COMM_WORLD_RANK", variables.get(b"PMI_RANK", b"0")))

    def relaxers_workers(self) -> list[int]:
        """Processes that the relaxers ask."""
        return [pid for pid, words in self.processes() if WORKER.encode() in words]

    def kill(self, job: int | None = None) -> int:
        """SIGKILL to all processes of a job (None: of all); how many there were."""
        killed = 0
        while found := self.processes(job):
            killed = max(killed, len(found))
            for pid, _ in found:
                signal_to(pid, signal.SIGKILL)
            for each in self.jobs:
                each.poll()
            time.sleep(0.01)
        return killed

    def wait(self) -> list[int]:
        """Until all jobs and their processes have ended; the jobs' exit statuses.

        Raises
        ------
        TimeoutError : they hang; they are killed.
        """
        if not wait_until(lambda: self.is_over and not self.processes(), PATIENCE):
            left = [b" ".join(words[:4]).decode() for _, words in self.processes()]
            self.kill()
            raise TimeoutError(f"{self.work.name} hangs: {left}")
        return [job.wait() for job in self.jobs]

    def said(self) -> str:
        """What all jobs wrote to standard error."""
        return "\n".join(file.read_text(errors="replace") for file in self.errors)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look again and again; whether it came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def signal_to(pid: int, number: int) -> bool:
    """Send a signal; whether the process was still there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def run_folders(work: Work, out: Path) -> dict[str, Path]:
    """The run folders that there are, by search."""
    folders = {path.name: path for path in sorted((out / "runs").glob("*"))} if work.is_campaign else {"": out}
    return {name: path for name, path in folders.items() if (path / "config.toml").is_file()}


def lines(work: Work, out: Path) -> int:
    """Whole lines in all journals."""
    return sum(file.read_bytes().count(b"\n") for run in run_folders(work, out).values() for file in journal_files(run))


Facts = dict[str, Any]
"""All of a record but seconds and ranks, by the candidate's name."""


@dataclass(frozen=True)
class Found:
    """What the folder of a work holds.

    Attributes
    ----------
    facts : of each candidate. runs : by search.
    written : how often each candidate stands in a journal. torn : lines that cannot be read.
    """

    facts: Facts
    runs: Mapping[str, Run]
    written: Counter[str]
    torn: int


def look(work: Work, out: Path) -> Found:
    """Read all journals of a work; its jobs may run."""
    facts: Facts = {}
    runs, written, torn = {}, Counter[str](), 0
    for search, folder in run_folders(work, out).items():
        run = runs[search] = load_run(folder)
        facts |= {f"{search}:{record.name}": _facts(record) for record in run.records}
        for file in journal_files(folder):
            records = map(read_line, file.read_bytes().splitlines(keepends=True))
            written.update(f"{search}:{record.name}" for record in records if record is not None)
        torn += run.torn_lines
    return Found(facts, runs, written, torn)


def differences(expected: Facts, found: Found, complete: bool) -> Iterator[str]:
    """In what the candidates found differ from those of an unbroken run; `complete`: none may be missing."""
    if complete:
        for name in sorted(expected.keys() - found.facts.keys()):
            yield f"{name} is missing"
    for name in sorted(found.facts.keys() - expected.keys()):
        yield f"{name} is in no unbroken run"
    for name in sorted(expected.keys() & found.facts.keys()):
        if expected[name] != found.facts[name]:
            status = found.facts[name]["relaxation"]["status"], found.facts[name]["relaxation"]["message"]
            yield f"{name} differs from the unbroken run: {status}"


def differences_of_results(found: Found) -> Iterator[str]:
    """In what results.h5 of finished searches differs from their journals."""
    for search, run in found.runs.items():
        try:
            stored = [_facts(record) for record in read_results(run.path / "results.h5")]
        except InputError as error:
            yield f"{search}: {error}"
            continue
        if stored != [_facts(record) for record in run.records]:
            yield f"{search}: results.h5 is not what the journal says"


def _facts(record: Record) -> dict[str, Any]:
    data = record_to_json(record)
    for part, names in _OF_THE_MOMENT.items():
        for name in names:
            del (data[part] if part else data)[name]
    return data


def _words(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\0")
