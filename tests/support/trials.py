"""A trial: a search broken again and again at random instants, resumed each time, and compared with an unbroken one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from disks import small_disk
from faults import FAULTS, Fault, Scene
from scenes import Facts, Session, Work, differences, differences_of_results, lines, look, wait_until

from xtalseek.analysis.summary import summarise

Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Unbroken:
    """What a work finds when nothing happens to it, how long its journals are then, and in how many seconds."""

    facts: Facts
    lines: int
    seconds: float


def unbroken(work: Work, folder: Path) -> Unbroken:
    """Do a work once, in a new folder."""
    folder.mkdir(parents=True)
    start = time.monotonic()
    session = Session.start(work, folder / "run", folder / "logs")
    statuses = session.wait()
    if any(statuses):
        raise RuntimeError(f"{work.name}: {statuses}: {session.said()[-2000:]}")
    found = look(work, folder / "run")
    return Unbroken(found.facts, lines(work, folder / "run"), time.monotonic() - start)


def trial(
    work: Work, expected: Unbroken, faults: Sequence[Fault], folder: Path, rng: Random, tell: Tell, on_disk: bool
) -> list[str]:
    """Strike a work with all of `faults` that there is something to strike, and resume it after each; what went wrong.

    Parameters
    ----------
    folder : a new one; removed where nothing went wrong. tell : hears of each fault and session.
    on_disk : work on a small disk of its own, which can be broken.
    """
    troubles: list[str] = []
    workers_taken = 0
    left = list(faults)
    with ExitStack() as stack:
        folder.mkdir(parents=True)
        disk = stack.enter_context(small_disk(folder)) if on_disk else None
        scene = Scene(work, (disk.folder if disk else folder) / "run", disk)
        try:
            while True:
                struck: list[str] = []
                while left and left[0].between:
                    struck += _strike(left.pop(0), scene, rng, tell)
                scene.session = session = Session.start(work, scene.out, folder / "logs")
                mend = False
                while left and not left[0].between:
                    fault = left.pop(0)
                    _wait_for_an_instant(scene, expected, rng)
                    done = _strike(fault, scene, rng, tell)
                    struck += done
                    workers_taken += fault.needs_worker and bool(done)
                    mend = mend or (fault.needs_disk and bool(done))
                    if fault.ends:
                        break
                statuses = session.wait()
                scene.session = None
                if mend:
                    scene.disk.mend()  # type: ignore[union-attr]
                found = look(work, scene.out)
                new = list(_not_allowed(expected.facts, found, workers_taken, complete=False))
                new += _untidy(work, session, struck)
                tell({
                    "event": "session", "work": work.name, "struck": struck, "statuses": statuses,
                    "done": len(found.facts), "of": len(expected.facts), "unreadable lines": found.torn,
                    "troubles": new,
                })  # fmt: skip
                troubles += new
                if not left and not any(statuses) and len(found.facts) == len(expected.facts) and not mend:
                    break
                if not left and not struck:
                    troubles.append(f"an undisturbed session ended with {statuses}: {session.said()[-1500:]}")
                    break
            troubles += _final(work, expected, scene, workers_taken)
        except TimeoutError as error:
            troubles.append(str(error))
    if not troubles:
        shutil.rmtree(folder)
    return troubles


def _strike(fault: Fault, scene: Scene, rng: Random, tell: Tell) -> list[str]:
    before = lines(scene.work, scene.out)
    what = fault.inject(scene, rng)
    if what is None:
        tell({"event": "missed", "work": scene.work.name, "fault": fault.name})
        return []
    tell({"event": "fault", "work": scene.work.name, "fault": fault.name, "what": what, "lines": before})
    return [fault.name]


def _wait_for_an_instant(scene: Scene, expected: Unbroken, rng: Random) -> None:
    """At any second of an unbroken session; or once a few more candidates are done, for that is soon over."""
    assert scene.session is not None
    session = scene.session
    if rng.random() < 0.3:
        end = time.monotonic() + rng.uniform(0, expected.seconds)
        wait_until(lambda: session.is_over or time.monotonic() > end, expected.seconds + 1)
        return
    more = lines(scene.work, scene.out) + rng.randint(1, max(1, expected.lines // 6))
    wait_until(lambda: session.is_over or lines(scene.work, scene.out) >= min(more, expected.lines), 600)
    end = time.monotonic() + rng.uniform(0, 0.3)
    wait_until(lambda: time.monotonic() > end, 1)


_WITHOUT_WORKER = ("('error', 'RuntimeError: the worker is gone", "('converged', '')")


def _not_allowed(expected: Facts, found: Any, workers_taken: int, complete: bool) -> Iterator[str]:
    """Differences; but a relaxation whose worker was taken may have ended with an error that says so, or where it came
    to rest before it was pushed off a symmetric place."""
    for difference in differences(expected, found, complete):
        if workers_taken and any(end in difference for end in _WITHOUT_WORKER):
            workers_taken -= 1
        else:
            yield difference


def _untidy(work: Work, session: Session, struck: Collection[str]) -> Iterator[str]:
    """What a person should not have had to read."""
    said = session.said()
    if "Traceback" in said and not (work.mpirun and "kill a rank" in struck):
        yield f"a traceback after {list(struck)}: {said[said.index('Traceback') :][-1500:]}"
    if ("Logging error" in said) and "Traceback" not in said:
        yield f"logging failed after {list(struck)}"


def _final(work: Work, expected: Unbroken, scene: Scene, workers_taken: int) -> Iterator[str]:
    """What is wrong with a work that was resumed to its end."""
    found = look(work, scene.out)
    yield from _not_allowed(expected.facts, found, workers_taken, complete=True)
    yield from differences_of_results(found)
    twice = [name for name, times in found.written.items() if times > 1]
    if twice and work.jobs == 1:
        yield f"relaxed more than once: {twice}"
    told = "\n".join("\n".join(summarise(run).lines()) for run in found.runs.values())
    if found.torn and "unreadable" not in told:
        yield f"{found.torn} unreadable lines are not told of"


def choose_faults(work: Work, rng: Random, number: int, on_disk: bool) -> list[Fault]:
    """At least `number` faults for a trial of `work`, in the order in which they strike."""
    fitting = [fault for fault in FAULTS if fault.fits(work, on_disk)]
    chosen: list[Fault] = []
    while len(chosen) < number:
        chosen.append(rng.choice([fault for fault in fitting if not fault.between]))
        if chosen[-1].ends and rng.random() < 0.7:
            chosen.append(rng.choice([fault for fault in fitting if fault.between]))
    return chosen
