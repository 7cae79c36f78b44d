"""Under Open MPI with --with-ft ulfm a search outlives a dead rank. XTALSEEK_ULFM_MPIRUN names its mpirun."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from scenes import Session, Work, differences, lines, look, signal_to, wait_until
from trials import unbroken
from works import search_words

MPIRUN = os.environ.get("XTALSEEK_ULFM_MPIRUN")

pytestmark = [
    pytest.mark.skipif(not MPIRUN, reason="XTALSEEK_ULFM_MPIRUN does not name an mpirun of Open MPI"),
    pytest.mark.slow,
]
NUM = 20


def test_a_search_outlives_a_dead_rank_and_hands_its_candidate_out_again(tmp_path: Path) -> None:
    words = search_words("Slow", NUM)
    expected = unbroken(Work("unbroken", words), tmp_path / "unbroken")
    work = Work("search under ULFM", words, ranks=3, mpirun=Path(str(MPIRUN)))
    out = tmp_path / "run"
    session = Session.start(work, out, tmp_path / "logs")
    assert wait_until(lambda: session.is_over or lines(work, out) >= 4, 300)
    (victim,) = (pid for pid in session.ranks() if session.rank_number(pid) == 2)
    assert signal_to(victim, signal.SIGKILL)
    session.wait()
    assert "rank 2 has died: what it had in hand is handed out again" in session.said()
    found = look(work, out)
    assert list(differences(expected.facts, found, complete=True)) == []
    assert max(found.written.values()) == 1
    assert (out / "report.html").is_file()
