"""Ending a search cleanly: on Ctrl-C, on a batch system's signal, or when its time is up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = {
    signal.SIGINT: "interrupted (SIGINT)",
    signal.SIGTERM: "told to end (SIGTERM)",
    signal.SIGUSR1: "told to end soon (SIGUSR1)",
    signal.SIGALRM: "the time limit was reached",
}


class StopRequested(BaseException):
    """Leaves a relaxation that nobody will wait for.

    Not an `Exception`, so that no guard takes it for a bad structure.
    """


class Stop:
    """Whether, and why, the search should end.

    A signal is acted on at once only inside `interruptible`; elsewhere, as while the journal is written, it is
    remembered. A second Ctrl-C or SIGTERM falls through to Python's own handling.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._interruptible = self._heard = False

    def request(self, reason: str) -> None:
        """Ask the search to end; what is in hand is dropped."""
        self.reason = self.reason or reason

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Work that a signal may cut short with `StopRequested`.

        What the work returned when a signal came is not to be trusted: raised in the middle of compiled code,
        `StopRequested` may come out as an error of another kind, which a guard takes for a bad structure.
        """
        if self.reason is not None:
            raise StopRequested
        self._interruptible = True
        try:
            yield
        except Exception as error:
            if self.reason is not None:
                raise StopRequested from error
            raise
        finally:
            self._interruptible = False
        if self.reason is not None:
            raise StopRequested

    @contextmanager
    def listening(self, max_hours: float | None = None) -> Iterator[None]:
        """Handle signals and the time limit inside the block; outside the main thread Python allows neither."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        if max_hours is not None:
            signal.setitimer(signal.ITIMER_REAL, max_hours * 3600)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # Not `reason`: another rank may have told this one of the same signal a moment before.
        if self._heard and number in (signal.SIGINT, signal.SIGTERM):
            raise KeyboardInterrupt
        self._heard = True
        self.request(_SIGNALS[signal.Signals(number)])
        if self._interruptible:
            self._interruptible = False
            raise StopRequested
