"""Faults: what can happen to a search while it runs, and to its files between two sessions."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from disks import SmallDisk
from scenes import Session, Work, run_folders, signal_to, wait_until

from xtalseek.search.claims import BEAT, PATIENCE


@dataclass(eq=False)
class Scene:
    """Where a fault strikes.

    Attributes
    ----------
    work, out : what is searched for, and the folder. disk : that the folder lies on, where that can be broken.
    session : the jobs; None between two sessions.
    """

    work: Work
    out: Path
    disk: SmallDisk | None = None
    session: Session | None = None


Inject = Callable[[Scene, Random], str | None]
"""Does the harm and says what exactly was done; None where there was nothing to do it to."""


@dataclass(frozen=True)
class Fault:
    """One way to break a search.

    Attributes
    ----------
    name : for the log. inject : does it.
    between : strikes between two sessions, not while one runs.
    ends : the session ends with it, at least of the job that it struck.
    needs_disk : on a disk that can be broken. needs_worker : with a relaxer that asks another process.
    needs_jobs : with several jobs at once. needs_campaign : in a campaign.
    """

    name: str
    inject: Inject
    between: bool = False
    ends: bool = False
    needs_disk: bool = False
    needs_worker: bool = False
    needs_jobs: bool = False
    needs_campaign: bool = False

    def fits(self, work: Work, on_disk: bool) -> bool:
        """Whether there is what it needs; `on_disk`: the work lies on a disk that can be broken."""
        has_worker = any("WithWorker" in word for word in work.words)
        return (
            (on_disk or not self.needs_disk)
            and (has_worker or not self.needs_worker)
            and (work.jobs > 1 or not self.needs_jobs)
            and (work.is_campaign or not self.needs_campaign)
        )


def _session(scene: Scene) -> Session:
    assert scene.session is not None
    return scene.session


def kill_a_rank(scene: Scene, rng: Random) -> str | None:
    session = _session(scene)
    ranks = session.ranks()
    starting = scene.work.mpirun is not None and not session.said().strip()  # then Open MPI's others wait for ever
    if not ranks or starting:
        return None
    pid = rng.choice(ranks)
    number = session.rank_number(pid)
    return f"rank {number} of {len(ranks)}" if signal_to(pid, signal.SIGKILL) else None


def kill_everything(scene: Scene, rng: Random) -> str | None:
    killed = _session(scene).kill()
    return f"{killed} processes" if killed else None


def kill_a_job(scene: Scene, rng: Random) -> str | None:
    session = _session(scene)
    running = [number for number, job in enumerate(session.jobs) if job.poll() is None]
    if not running:
        return None
    number = rng.choice(running)
    return f"job {number}: {session.kill(number)} processes"


def tell_to_end(scene: Scene, rng: Random) -> str | None:
    running = [job for job in _session(scene).jobs if job.poll() is None]
    for job in running:
        job.send_signal(signal.SIGTERM)
    return f"{len(running)} jobs" if running else None


def stop_a_rank(scene: Scene, rng: Random) -> str | None:
    ranks = _session(scene).ranks()
    if not ranks:
        return None
    pid, seconds = rng.choice(ranks), rng.uniform(0.2, 4)
    number = _session(scene).rank_number(pid)
    if not signal_to(pid, signal.SIGSTOP):
        return None
    time.sleep(seconds)
    return f"rank {number} for {seconds:.1f} s" if signal_to(pid, signal.SIGCONT) else None


def stop_a_job(scene: Scene, rng: Random) -> str | None:
    """For so long that others take it for dead, and take over what it holds."""
    session = _session(scene)
    running = [number for number, job in enumerate(session.jobs) if job.poll() is None]
    if len(running) < 2:
        return None
    number, seconds = rng.choice(running), 2 * BEAT + PATIENCE
    stopped = [pid for pid, _ in session.processes(number) if signal_to(pid, signal.SIGSTOP)]
    wait_until(lambda: all(session.jobs[other].poll() is not None for other in running if other != number), seconds)
    for pid in stopped:
        signal_to(pid, signal.SIGCONT)
    return f"job {number}, until the other was done or for {seconds:.0f} s" if stopped else None


def take_a_worker(scene: Scene, rng: Random) -> str | None:
    workers = _session(scene).relaxers_workers()
    return "SIGKILL" if workers and signal_to(rng.choice(workers), signal.SIGKILL) else None


def fill_the_disk(scene: Scene, rng: Random) -> str | None:
    assert scene.disk is not None
    return None if _session(scene).is_over else scene.disk.fill(rng)


def disk_fails(scene: Scene, rng: Random) -> str | None:
    assert scene.disk is not None
    return None if _session(scene).is_over else scene.disk.fail()


def damage_the_end(file: Path, rng: Random) -> str:
    """Cut the end of a file off, or change bytes near it."""
    content = bytearray(file.read_bytes())
    near = rng.randrange(1, min(len(content), 200) + 1)
    if rng.random() < 0.5:
        del content[-near:]
        done = f"cut by {near} bytes"
    else:
        for place in {rng.randrange(len(content) - near, len(content)) for _ in range(rng.randint(1, 4))}:
            content[place] ^= rng.randint(1, 255)
        done = f"changed within the last {near} bytes"
    file.write_bytes(content)
    return f"{file.name} {done}"


def _damage_one_of(files: list[Path], rng: Random) -> str | None:
    files = sorted(file for file in files if file.is_file() and file.stat().st_size)
    return damage_the_end(rng.choice(files), rng) if files else None


def damage_a_journal(scene: Scene, rng: Random) -> str | None:
    runs = run_folders(scene.work, scene.out).values()
    return _damage_one_of([file for run in runs for file in run.glob("journal/*.jsonl")], rng)


def damage_results(scene: Scene, rng: Random) -> str | None:
    return _damage_one_of([run / "results.h5" for run in run_folders(scene.work, scene.out).values()], rng)


def damage_a_note(scene: Scene, rng: Random) -> str | None:
    return _damage_one_of([*scene.out.glob("in_hand/*")], rng)


def damage_a_claim(scene: Scene, rng: Random) -> str | None:
    return _damage_one_of([*scene.out.glob("claims/*"), *scene.out.glob("jobs/*")], rng)


FAULTS = (
    Fault("kill a rank", kill_a_rank, ends=True),
    Fault("kill everything", kill_everything, ends=True),
    Fault("kill a job", kill_a_job, ends=True, needs_jobs=True),
    Fault("SIGTERM", tell_to_end, ends=True),
    Fault("stop a rank", stop_a_rank),
    Fault("stop a job", stop_a_job, needs_jobs=True),
    Fault("take a worker", take_a_worker, needs_worker=True),
    Fault("disk full", fill_the_disk, ends=True, needs_disk=True),
    Fault("disk read-only", disk_fails, ends=True, needs_disk=True),
    Fault("damage a journal", damage_a_journal, between=True),
    Fault("damage results.h5", damage_results, between=True),
    Fault("damage a note of what is in hand", damage_a_note, between=True),
    Fault("damage a claim", damage_a_claim, between=True, needs_campaign=True),
)
