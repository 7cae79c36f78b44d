"""Which job works on what, where several share a campaign folder and any of them may die.

A **unit** is a stretch of work, named by a short text. A job claims it by creating CAMPAIGN/claims/UNIT.g001 with
O_EXCL, which the file system grants to one alone, and ends it by creating UNIT.done. Whoever finds the owner dead takes
the unit over by creating UNIT.g002, and so on: the owner is who wrote the highest generation. No file is ever changed
or removed by another than its writer, so that nothing can go stale that a dead job would have to clean up.

A job shows that it lives in CAMPAIGN/jobs/JOB, to which it appends a byte every 15 s. The clocks of two hosts need not
agree: an observer watches whether the file changes, by its own clock. 120 s of patience outlast what NFS keeps in its
caches (60 s at most by default; opening the file, as is done here, asks the server).

A job that was stopped and comes back may find its unit with another. It may finish all the same: what both relaxed is
merged by candidate when it is read, and nothing is lost but time.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple

from ..errors import StorageError

CLAIMS_FOLDER = "claims"
JOBS_FOLDER = "jobs"

BEAT = 15.0
"""Seconds between two signs of life."""

PATIENCE = 120.0
"""Seconds of watching an unchanged file, after which its writer counts as dead."""

State = Literal["free", "mine", "held", "dead", "done"]

_JOB = re.compile(r"[A-Za-z0-9-]{1,200}")
_UNIT = re.compile(r"[^./\0][^/\0]{0,199}")
_FILE = re.compile(r"(?P<unit>.+)\.(?:done|g(?P<generation>\d{3,9}))", re.DOTALL)
_ENDED = b"ended\n"
_MOST = 4096
"""Bytes that are read of a file: a damaged one may be of any length."""


@dataclass(frozen=True)
class Process:
    """A process, so that another one of the same machine can tell whether it is still there.

    Attributes
    ----------
    host : its name.
    machine : boot and PID namespace, within which a PID means one thing; "" where they are not known.
    pid : its number. started : its start in clock ticks since boot, as numbers are used again; "": not known.
    """

    host: str
    machine: str
    pid: int
    started: str

    @classmethod
    def this(cls) -> Process:
        """The one that asks."""
        return cls(socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()))

    @classmethod
    def of(cls, found: dict[str, object]) -> Process | None:
        """As read from a file; None for anything else."""
        pid = found.get("pid")
        if not isinstance(pid, int) or not 0 < pid < 2**31:
            return None
        return cls(str(found.get("host")), str(found.get("machine")), pid, str(found.get("started")))

    def is_gone(self) -> bool:
        """Whether it surely runs no more; False where that cannot be known from here."""
        if not self.machine or self.machine != _machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False  # another user's; it is watched like one of another machine
        return _started(self.pid) not in ("", self.started)


class Heartbeat:
    """A job's sign of life while the block runs; a job that ends in order says so, and one that is killed falls silent.

    Parameters
    ----------
    campaign : the folder. process : that the job ends with; by default this one. every : seconds between beats.

    Attributes
    ----------
    job : its name, not used by any other job before or after.

    Raises
    ------
    StorageError : at the start of the block, the folder cannot be written. Later beats fail in silence: whoever works
        on will be told by the file that he writes his results to.
    """

    def __init__(self, campaign: Path, process: Process | None = None, every: float = BEAT) -> None:
        self._process = process or Process.this()
        host = re.sub(r"[^A-Za-z0-9]", "-", self._process.host).strip("-")[:60] or "host"
        self.job = f"{host}-{self._process.pid}-{secrets.token_hex(4)}"
        self._path = campaign / JOBS_FOLDER / self.job
        self._every = every
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        with _writing(self._path.parent):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("xb") as file:
                file.write(json.dumps(asdict(self._process)).encode() + b"\n")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        self._append(_ENDED)

    def beat(self) -> None:
        """Show that the job lives."""
        self._append(b".")

    def _beat_on(self) -> None:
        while not self._end.wait(self._every):
            self.beat()

    def _append(self, text: bytes) -> None:
        # Opened anew each time: closing makes NFS send the byte, and a handle that went stale is not kept.
        with suppress(OSError), self._path.open("ab") as file:
            file.write(text)


class _Look(NamedTuple):
    """What a file is like: (size, time of change) or None where it is missing, and its first and last bytes."""

    stamp: tuple[int, int] | None
    start: bytes
    end: bytes


@dataclass
class _Watched:
    """A file whose writer is watched: as it was when looked at last, and for how many seconds it has not changed."""

    stamp: tuple[int, int] | None
    looked: float
    silent: float = 0.0


class Claims:
    """The units of a campaign as one job sees them, as of its last `refresh`.

    Parameters
    ----------
    campaign : the folder.
    job : name of this job, whose `Heartbeat` runs.
    patience : seconds of watching after which a silent job counts as dead.
    clock : monotonic, s.

    Raises
    ------
    StorageError : from every method but `state`, where the folder cannot be read or written.
    """

    def __init__(
        self, campaign: Path, job: str, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._claims, self._jobs, self._job = campaign / CLAIMS_FOLDER, campaign / JOBS_FOLDER, job
        self._patience, self._clock = patience, clock
        self._generation: dict[str, int] = {}
        self._done: set[str] = set()
        self._names: set[str] = set()
        self._owner: dict[tuple[str, int], str] = {}
        self._watched: dict[Path, _Watched] = {}
        self._over: set[Path] = set()
        self._dead: set[str] = set()
        with _writing(self._claims):
            self._claims.mkdir(parents=True, exist_ok=True)
        self.refresh()

    def refresh(self) -> None:
        """Look again: one listing of the folder, and one look at each other job that holds a unit.

        A dead job of this machine is known at once, as is one that ended in order; another one after `patience`, and
        three looks at least. So call this every few seconds while waiting, and as seldom as you like otherwise.
        """
        with _writing(self._claims):
            with os.scandir(self._claims) as entries:
                names = {entry.name for entry in entries}
            for name in names - self._names:
                self._note(name)
            self._names |= names
            held = [unit for unit in self._generation if unit not in self._done]
            alive: dict[Path, bool] = {}
            self._dead = set()
            for unit in held:
                owner = self._owner_of(unit)
                if owner == self._job:
                    continue
                # A claim without an owner died between its creation and its line: the file itself is watched.
                path = self._jobs / owner if owner else self._path(unit, self._generation[unit])
                if path not in alive:
                    alive[path] = self._is_alive(path)
                if not alive[path]:
                    self._dead.add(unit)

    def state(self, unit: str) -> State:
        """Of a unit: nobody's yet, this job's, another's who lives, another's who is dead, or finished by anyone."""
        if unit in self._done:
            return "done"
        if unit not in self._generation:
            return "free"
        if self._owner.get((unit, self._generation[unit])) == self._job:
            return "mine"
        return "dead" if unit in self._dead else "held"

    def take(self, unit: str) -> bool:
        """Claim a unit that is free, or whose owner is dead; whether it is this job's now.

        Raises
        ------
        ValueError : a unit whose name cannot be that of a file.
        """
        if not _UNIT.fullmatch(unit):
            raise ValueError(
                f"unit {unit!r}: allowed is a file name of 1 to 200 letters that does not begin with a dot"
            )
        state = self.state(unit)
        if state not in ("free", "dead"):
            return state == "mine"
        generation = self._generation.get(unit, 0) + 1
        with _writing(self._claims):
            self._generation[unit] = generation
            self._dead.discard(unit)
            try:
                with self._path(unit, generation).open("xb") as file:
                    file.write(json.dumps({"job": self._job}).encode() + b"\n")
            except FileExistsError:
                return False
            self._owner[unit, generation] = self._job
            # The owner may have come back and finished since the last look.
            if self._mark(unit).exists():
                self._done.add(unit)
                return False
        return True

    def finished(self, unit: str) -> None:
        """Mark a unit of this job's as finished, once its results are in the journal."""
        with _writing(self._claims), suppress(FileExistsError), self._mark(unit).open("xb"):
            pass
        self._done.add(unit)

    def _mark(self, unit: str) -> Path:
        return self._claims / f"{unit}.done"

    def _path(self, unit: str, generation: int) -> Path:
        return self._claims / f"{unit}.g{generation:03d}"

    def _note(self, name: str) -> None:
        parts = _FILE.fullmatch(name)
        if parts is None:
            return
        unit = parts["unit"]
        if parts["generation"] is None:
            self._done.add(unit)
        else:
            self._generation[unit] = max(self._generation.get(unit, 0), int(parts["generation"]))

    def _owner_of(self, unit: str) -> str | None:
        """The job that holds a unit; None while its claim is empty or torn."""
        key = (unit, self._generation[unit])
        if key not in self._owner:
            owner = _json_line(_look(self._path(*key)).start).get("job")
            if not isinstance(owner, str) or not _JOB.fullmatch(owner):
                return None
            self._owner[key] = owner
        return self._owner[key]

    def _is_alive(self, path: Path) -> bool:
        if path in self._over:
            return False
        look = _look(path)
        process = Process.of(_json_line(look.start))
        if look.end == _ENDED or (process is not None and process.is_gone()):
            self._over.add(path)
            return False
        now, watched = self._clock(), self._watched.get(path)
        if watched is None or watched.stamp != look.stamp:
            self._watched[path] = _Watched(look.stamp, now)
            return True
        # One gap between looks counts for half at most: an observer that was itself stopped, perhaps with all the
        # others, does not take them for dead on coming back.
        watched.silent += min(now - watched.looked, self._patience / 2)
        watched.looked = now
        return watched.silent < self._patience


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot share work through {str(folder)!r} ({error.strerror}): all results so far are safe; make room or "
            "make it writable, and give the same command again"
        ) from error


def _look(path: Path) -> _Look:
    """Opened, for on NFS a mere `stat` may be answered from a cache."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            start = file.read(_MOST)
            file.seek(max(0, found.st_size - len(_ENDED)))
            return _Look((found.st_size, found.st_mtime_ns), start, file.read(len(_ENDED)))
    except FileNotFoundError:
        return _Look(None, b"", b"")


def _json_line(text: bytes) -> dict[str, object]:
    """The object on the first line; empty where that is torn or something else."""
    line, newline, _ = text.partition(b"\n")
    try:
        found = json.loads(line) if newline else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot; "gone" for a zombie, "" where it is not shown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the name in parentheses may hold anything
    return "gone" if fields[0] in "ZX" else fields[19]
