from __future__ import annotations

import os
import signal
import threading

import pytest

from xtalseek.search.stop import Stop, StopRequested


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_cuts_short_what_may_be_cut_short(number: signal.Signals) -> None:
    stop = Stop()
    with stop.listening(), pytest.raises(StopRequested), stop.interruptible():
        os.kill(os.getpid(), number)
        signal.pause()
    assert stop.reason is not None
    assert number.name in stop.reason


def test_elsewhere_a_signal_is_remembered_and_nothing_is_cut() -> None:
    stop, written = Stop(), []
    with stop.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        written.append("record")
        with pytest.raises(StopRequested), stop.interruptible():
            written.append("never begun")
    assert written == ["record"]


def test_the_time_limit_ends_a_relaxation() -> None:
    stop = Stop()
    with stop.listening(max_hours=0.02 / 3600), pytest.raises(StopRequested), stop.interruptible():
        threading.Event().wait(60)
    assert stop.reason == "the time limit was reached"


@pytest.mark.parametrize("swallowed", [True, False])
def test_what_compiled_code_makes_of_a_signal_is_no_result(swallowed: bool) -> None:
    """Numba turns it into SystemError, NumPy into TypeError; a guard around either takes it for a bad structure."""
    stop, reached = Stop(), []
    with stop.listening(), pytest.raises(StopRequested), stop.interruptible():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        except StopRequested as error:
            reached.append("guard")
            if not swallowed:
                raise SystemError("returned a result with an exception set") from error
    assert reached == ["guard"]


def test_an_error_of_the_work_itself_stays_what_it_is() -> None:
    stop = Stop()
    with stop.listening(), pytest.raises(ValueError, match="own"), stop.interruptible():
        raise ValueError("its own")


def test_a_second_interrupt_is_python_s_own() -> None:
    stop = Stop()
    with stop.listening(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_what_another_rank_told_is_no_first_interrupt() -> None:
    """A launcher passes a signal on to all ranks: one may hear of it from another before its own comes."""
    stop = Stop()
    with stop.listening():
        stop.request("told to end (SIGTERM)")
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Stop().listening(max_hours=1):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
