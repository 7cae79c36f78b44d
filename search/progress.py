"""Telling a person how a search goes: a bar on a terminal, plain lines elsewhere; both, or nothing, behind one call."""

from __future__ import annotations

import logging
import math
import sys
import time
from typing import Protocol

from tqdm import tqdm

from .tasks import Finished

log = logging.getLogger("xtalseek")

LINE_EVERY_SECONDS = 10.0


class Progress(Protocol):
    """Told of every finished candidate, from one thread at a time."""

    def update(self, finished: Finished) -> None:
        """Show that one more candidate is done."""

    def close(self) -> None:
        """Nothing more will come."""


class _Best:
    """The lowest enthalpy so far."""

    def __init__(self, lowest: float | None) -> None:
        self.enthalpy = math.inf if lowest is None else lowest

    def improves(self, finished: Finished) -> bool:
        lower = finished.enthalpy_per_atom is not None and finished.enthalpy_per_atom < self.enthalpy
        if lower and finished.enthalpy_per_atom is not None:
            self.enthalpy = finished.enthalpy_per_atom
        return lower

    def __str__(self) -> str:
        return f"{self.enthalpy:.4f} eV/atom" if math.isfinite(self.enthalpy) else "none yet"


class _Bar:
    def __init__(self, total: int, done: int, lowest: float | None) -> None:
        self._best = _Best(lowest)
        self._bar = tqdm(total=total, initial=done, unit="candidate", dynamic_ncols=True, file=sys.stderr)
        self._bar.set_postfix_str(f"best {self._best}")

    def update(self, finished: Finished) -> None:
        if self._best.improves(finished):
            self._bar.set_postfix_str(f"best {self._best}", refresh=False)
        self._bar.update()

    def close(self) -> None:
        self._bar.close()


class _Lines:
    def __init__(self, total: int, done: int, lowest: float | None) -> None:
        self._total, self._done, self._before = total, done, done
        self._best = _Best(lowest)
        self._start = self._last = time.monotonic()

    def update(self, finished: Finished) -> None:
        self._done += 1
        news = self._best.improves(finished)
        now = time.monotonic()
        if not news and now - self._last < LINE_EVERY_SECONDS and self._done < self._total:
            return
        self._last = now
        rate = (self._done - self._before) / max(now - self._start, 1e-9)
        left = (self._total - self._done) / rate
        log.info(
            "%d/%d candidates, best %s%s, %.0f/hour, %s left",
            self._done, self._total, self._best, f" ({finished.name})" if news else "", rate * 3600, duration(left),
        )  # fmt: skip

    def close(self) -> None:
        pass


class CampaignProgress:
    """A line every `LINE_EVERY_SECONDS`: candidates of all searches together.

    Parameters
    ----------
    total : candidates of the searches. done : those finished before. searches : how many. number : of the round.
    """

    def __init__(self, total: int, done: int, searches: int, number: int) -> None:
        self._total, self._done, self._before = total, done, done
        self._searches, self._number = searches, number
        self._start = self._last = time.monotonic()

    def update(self, finished: Finished) -> None:
        """See `Progress`."""
        self._done += 1
        now = time.monotonic()
        if now - self._last >= LINE_EVERY_SECONDS or self._done == self._total:
            self._last = now
            rate = (self._done - self._before) / max(now - self._start, 1e-9)
            left = duration(max(self._total - self._done, 0) / rate)
            log.info(
                "round %d, %d compositions: %d/%d candidates, at %s, %.0f/hour, %s left",
                self._number, self._searches, self._done, self._total, finished.search, rate * 3600, left,
            )  # fmt: skip

    def close(self) -> None:
        """See `Progress`."""


def progress(total: int, done: int, lowest: float | None) -> Progress:
    """A bar where standard error is a terminal, log lines otherwise.

    Parameters
    ----------
    total : candidates of the run. done : those finished before. lowest : their lowest enthalpy, eV/atom.
    """
    return _Bar(total, done, lowest) if sys.stderr.isatty() else _Lines(total, done, lowest)


def duration(seconds: float) -> str:
    """Seconds as a person says them: "45 s", "12 min", "3.4 h", "2.1 days"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
