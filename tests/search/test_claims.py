"""Sharing work between jobs: one owner for each unit, whoever dies, stops, or has a wrong clock."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from xtalseek.errors import StorageError
from xtalseek.search.claims import PATIENCE, Claims, Heartbeat, Process

UNIT = "02-TiO2-10GPa-0003"
RARELY = 1e6

NO_PID = asdict(replace(Process.this(), pid=2**70))

TAKE_ALL = """
import sys
from pathlib import Path
from xtalseek.search.claims import Claims
folder, job, units = Path(sys.argv[1]), sys.argv[2], sys.argv[3].split()
claims = Claims(folder, job)
print("ready", flush=True)
sys.stdin.readline()
print(*[unit for unit in units if claims.take(unit)])
"""

HOLD = """
import sys
from pathlib import Path
from xtalseek.search.claims import Claims, Heartbeat
with Heartbeat(Path(sys.argv[1]), every=0.01) as heart:
    print(heart.job, Claims(Path(sys.argv[1]), heart.job).take(sys.argv[2]), flush=True)
    sys.stdin.readline()
"""


class Clock:
    """Monotonic seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Observer:
    """Claims with a clock of their own, that look again every ten seconds."""

    def __init__(self, folder: Path, job: str = "observer") -> None:
        self._clock = Clock()
        self.claims = Claims(folder, job, clock=self._clock)

    def state_after(self, seconds: float, unit: str = UNIT) -> str:
        for _ in range(round(seconds / 10)):
            self._clock.now += 10
            self.claims.refresh()
        return self.claims.state(unit)

    def sleep(self, seconds: float) -> str:
        """Time goes by without a look, then there is one."""
        self._clock.now += seconds
        self.claims.refresh()
        return self.claims.state(UNIT)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Heartbeat]:
    """The heart of a job on another host that holds UNIT; it beats when told."""
    process = replace(Process.this(), host="node17.cluster", machine="another boot")
    with Heartbeat(tmp_path, process, every=RARELY) as heart:
        assert Claims(tmp_path, heart.job).take(UNIT)
        yield heart


def hold(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """A process that holds UNIT, and its job."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), UNIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    job, taken = process.stdout.readline().split()
    assert taken == "True"
    return process, job


def wait_for_a_beat(folder: Path, process: subprocess.Popen[str], job: str) -> None:
    path = folder / "jobs" / job
    before, latest = path.stat().st_size, time.monotonic() + 60
    while path.stat().st_size == before:
        assert process.poll() is None and time.monotonic() < latest
        os.sched_yield()


def race(folder: Path, units: list[str], jobs: int = 8) -> list[list[str]]:
    """What each of some processes got that all try for the same units in orders of their own."""
    with ExitStack() as stack:
        processes = []
        for number in range(jobs):
            order = random.Random(number).sample(units, len(units)) if number % 2 else units
            processes.append(
                stack.enter_context(
                    subprocess.Popen(
                        [sys.executable, "-c", TAKE_ALL, str(folder), f"job{number}", " ".join(order)],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        text=True,
                    )
                )
            )
        for process in processes:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [process.communicate()[0].split() for process in processes]


def test_eight_processes_share_300_units_each_with_one_owner(tmp_path: Path) -> None:
    units = [f"01-Si-{number:04d}" for number in range(300)]
    taken = race(tmp_path, units)
    assert sorted(unit for share in taken for unit in share) == units
    assert sum(bool(share) for share in taken) > 1  # otherwise nothing was raced for
    for number, share in enumerate(taken):
        for unit in share:
            assert json.loads((tmp_path / "claims" / f"{unit}.g001").read_text()) == {"job": f"job{number}"}


def test_a_dead_owner_has_one_heir(tmp_path: Path) -> None:
    """The dead one ended in order, so that all see it dead at their first look."""
    units = [f"01-Si-{number:04d}" for number in range(100)]
    with Heartbeat(tmp_path, every=RARELY) as heart:
        claims = Claims(tmp_path, heart.job)
        assert all(claims.take(unit) for unit in units)
        assert not any(race(tmp_path, units, jobs=2))
    heirs = Counter(unit for share in race(tmp_path, units) for unit in share)
    assert heirs == Counter(units)
    assert {path.name for path in (tmp_path / "claims").iterdir()} == {f"{u}.g00{n}" for u in units for n in (1, 2)}


def test_the_life_of_a_unit(tmp_path: Path) -> None:
    with Heartbeat(tmp_path, every=RARELY) as one, Heartbeat(tmp_path, every=RARELY) as two:
        mine, other = Claims(tmp_path, one.job), Claims(tmp_path, two.job)
        assert (mine.state(UNIT), other.state(UNIT)) == ("free", "free")
        assert mine.take(UNIT) and mine.take(UNIT)
        assert not other.take(UNIT)  # which has not looked since
        other.refresh()
        assert (mine.state(UNIT), other.state(UNIT)) == ("mine", "held")
        mine.finished(UNIT)
        other.refresh()
        assert (mine.state(UNIT), other.state(UNIT)) == ("done", "done")
        assert not mine.take(UNIT) and not other.take(UNIT)


def test_a_killed_owner_on_this_host_is_known_at_once(tmp_path: Path) -> None:
    process, _ = hold(tmp_path)
    observer = Observer(tmp_path)
    assert observer.state_after(0) == "held"
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie still has its PID
    observer.claims.refresh()
    assert observer.claims.state(UNIT) == "dead"
    process.communicate()
    assert observer.claims.take(UNIT)
    assert observer.claims.state(UNIT) == "mine"


def test_another_process_with_the_pid_of_the_dead_is_not_the_owner(tmp_path: Path) -> None:
    """As after many processes, or a reboot, whose boot is another one: then only patience tells."""
    this = Process.this()
    assert not this.is_gone()
    assert replace(this, started="1").is_gone()
    assert not replace(this, started="1", machine="before the reboot").is_gone()
    with Heartbeat(tmp_path, replace(this, started="1"), every=RARELY) as heart:
        Claims(tmp_path, heart.job).take(UNIT)
        assert Observer(tmp_path).state_after(0) == "dead"


def test_an_owner_elsewhere_is_dead_only_after_patience(tmp_path: Path, elsewhere: Heartbeat) -> None:
    observer = Observer(tmp_path)
    assert observer.state_after(PATIENCE - 10) == "held"
    elsewhere.beat()
    assert observer.state_after(PATIENCE) == "held"
    assert observer.state_after(10) == "dead"
    assert observer.claims.take(UNIT)


@pytest.mark.parametrize("skew", [-3e8, -3600, 3600, 3e8])
def test_clocks_of_hosts_need_not_agree(tmp_path: Path, elsewhere: Heartbeat, skew: float) -> None:
    """Its file is dated years before or after; also where each beat leaves the same date."""
    path, observer = tmp_path / "jobs" / elsewhere.job, Observer(tmp_path)
    for _ in range(3):
        elsewhere.beat()
        os.utime(path, (1.7e9 + skew, 1.7e9 + skew))
        assert observer.state_after(PATIENCE - 10) == "held"
    assert observer.state_after(20) == "dead"


def test_a_job_that_ends_in_order_leaves_its_unit_at_once(tmp_path: Path) -> None:
    process = replace(Process.this(), machine="another boot")
    with Heartbeat(tmp_path, process, every=RARELY) as heart:
        Claims(tmp_path, heart.job).take(UNIT)
        observer = Observer(tmp_path)
        assert observer.state_after(0) == "held"
    assert observer.state_after(10) == "dead"


def test_a_stopped_owner_that_comes_back(tmp_path: Path) -> None:
    """Stopped, it is taken for dead; back, it is alive; both may finish the unit, and it is done once."""
    process, job = hold(tmp_path)
    observer = Observer(tmp_path)
    wait_for_a_beat(tmp_path, process, job)
    os.kill(process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    assert observer.state_after(10) == "held"
    assert observer.state_after(PATIENCE) == "dead"
    os.kill(process.pid, signal.SIGCONT)
    wait_for_a_beat(tmp_path, process, job)
    assert observer.state_after(10) == "held"
    process.communicate("\n")
    assert observer.state_after(10) == "dead"  # it ended without finishing
    assert observer.claims.take(UNIT)
    former = Claims(tmp_path, job)
    assert former.state(UNIT) != "mine" and not former.take(UNIT)
    former.finished(UNIT)
    observer.claims.finished(UNIT)
    assert observer.state_after(10) == "done"


def test_a_unit_that_its_owner_finished_after_all_is_not_taken_over(tmp_path: Path, elsewhere: Heartbeat) -> None:
    observer = Observer(tmp_path)
    assert observer.state_after(PATIENCE + 10) == "dead"
    Claims(tmp_path, elsewhere.job).finished(UNIT)
    assert not observer.claims.take(UNIT)
    assert observer.claims.state(UNIT) == "done"


def test_an_observer_that_was_stopped_itself_kills_nobody(tmp_path: Path, elsewhere: Heartbeat) -> None:
    """A batch system that stops all jobs for an hour: on return none has beaten yet."""
    observer = Observer(tmp_path)
    assert observer.state_after(10) == "held"
    assert observer.sleep(3600) == "held"
    assert observer.sleep(3600) == "dead"


def test_a_resumed_job_sees_what_it_finished_and_takes_up_what_it_did_not(tmp_path: Path) -> None:
    process, job = hold(tmp_path)
    Claims(tmp_path, job).finished("01-Si-0000")
    process.kill()
    process.communicate()
    with Heartbeat(tmp_path, every=RARELY) as heart:
        assert heart.job != job
        resumed = Claims(tmp_path, heart.job)
        assert [resumed.state(unit) for unit in ("01-Si-0000", UNIT, "01-Si-0002")] == ["done", "dead", "free"]
        assert resumed.take(UNIT)


@pytest.mark.parametrize(
    "content", [b"", b'{"job": "no', b'{"job": "a"}', b"[[1]]\n", b'{"job": "../x"}\n', b"[" * 4096, b"\xff\n"]
)
def test_a_torn_or_strange_claim_is_its_owner_s_until_patience_ends(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / f"{UNIT}.g001").write_bytes(content)
    observer = Observer(tmp_path)
    assert observer.state_after(PATIENCE - 10) == "held"
    assert observer.state_after(10) == "dead"
    assert observer.claims.take(UNIT)


def test_a_claim_whose_line_comes_late_is_its_owner_s(tmp_path: Path) -> None:
    claim = tmp_path / "claims" / f"{UNIT}.g001"
    claim.parent.mkdir()
    claim.touch()
    observer = Observer(tmp_path)
    with Heartbeat(tmp_path, every=RARELY) as heart:
        observer.state_after(PATIENCE - 10)
        claim.write_text(json.dumps({"job": heart.job}) + "\n")
        assert observer.state_after(20) == "held"


@pytest.mark.parametrize(
    "line",
    [
        '{"host": 3, "machine": [], "pid": -1, "started": 0}',
        '{"pid": 1e400}',
        json.dumps(NO_PID),
        "[]",
        "null",
        "{",
    ],
    ids=["strange types", "no whole number", "no PID", "a list", "nothing", "torn"],
)
def test_a_strange_job_is_alive_while_its_file_changes(tmp_path: Path, line: str) -> None:
    (tmp_path / "jobs").mkdir()
    job = tmp_path / "jobs" / "stranger"
    job.write_text(line + "\n")
    assert Claims(tmp_path, "stranger").take(UNIT)
    observer = Observer(tmp_path)
    assert observer.state_after(PATIENCE - 10) == "held"
    job.write_text(line + "\n.")
    assert observer.state_after(PATIENCE - 10) == "held"
    assert observer.state_after(20) == "dead"


def test_units_with_dots_and_files_that_are_none(tmp_path: Path) -> None:
    claims = Claims(tmp_path, "me")
    for unit in ("a", "a.done", "a.g001", "a.g001.done"):
        assert claims.state(unit) == "free"
    claims.take("a.done")
    claims.finished("a.g001")
    for name in (".nfs0001", "a.tmp", "README"):
        (tmp_path / "claims" / name).touch()
    again = Claims(tmp_path, "me")
    assert [again.state(unit) for unit in ("a", "a.done", "a.g001", "README")] == ["free", "mine", "done", "free"]
    for unit in ("my seeds (2).res", "a\nb", "Ξ"):
        assert claims.take(unit)
        assert Claims(tmp_path, "me").state(unit) == "mine"
    for unit in ("", "../a", "a/b", ".a", "a\0", "a" * 300):
        with pytest.raises(ValueError, match="allowed is a file name"):
            claims.take(unit)


def test_a_thousand_takeovers_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "claims").mkdir()
    for generation in (1, 2, 999, 1000):
        owner = "dead" if generation < 1000 else "me"
        (tmp_path / "claims" / f"{UNIT}.g{generation:03d}").write_text(json.dumps({"job": owner}) + "\n")
    assert Claims(tmp_path, "me").state(UNIT) == "mine"


@contextmanager
def no_room() -> Iterator[None]:
    """Files can be created, and nothing can be written to them: as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_in_one_line_and_loses_no_unit(tmp_path: Path) -> None:
    with Heartbeat(tmp_path, every=RARELY) as heart:
        claims = Claims(tmp_path, heart.job)
        with pytest.raises(StorageError, match="make room") as told, no_room():
            claims.take(UNIT)
        assert "\n" not in str(told.value)
        with no_room():
            heart.beat()  # is not the one to complain
    observer = Observer(tmp_path)
    assert observer.state_after(PATIENCE - 10) == "held"
    assert observer.state_after(10) == "dead" and observer.claims.take(UNIT)


def test_a_folder_that_cannot_be_used_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    claims = Claims(tmp_path / "campaign", "me")
    (tmp_path / "campaign" / "claims").rmdir()
    broken: list[Callable[[], object]] = [
        lambda: Claims(tmp_path / "file", "me"),
        lambda: Heartbeat(tmp_path / "file").__enter__(),
        claims.refresh,
        lambda: claims.take(UNIT),
        lambda: claims.finished(UNIT),
    ]
    for attempt in broken:
        with pytest.raises(StorageError, match="give the same command again") as told:
            attempt()
        assert "\n" not in str(told.value)
