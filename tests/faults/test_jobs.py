"""Several independent jobs share a campaign folder, and any may die."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenes import Session, Work, differences_of_results, look, wait_until
from works import FORMULAS, campaign_words


@pytest.mark.slow
def test_a_job_takes_over_what_a_killed_one_held(tmp_path: Path) -> None:
    """At once, for a dead process of the same machine is seen to be gone; then every candidate is there, once."""
    file = tmp_path / "list.txt"
    file.write_text("\n".join(FORMULAS) + "\n")
    work = Work("campaign of two jobs", campaign_words(file, "Slow", 5), jobs=2)
    out = tmp_path / "campaign"
    session = Session.start(work, out, tmp_path / "logs")
    # Both hold a unit.
    assert wait_until(lambda: session.is_over or len(list(out.glob("claims/*.g001"))) >= 2, 300)
    victim = 0
    assert session.kill(victim) > 0
    killed, other = session.wait()
    assert killed < 0
    assert other == 0, session.said()
    found = look(work, out)
    assert sorted(found.runs) == sorted(FORMULAS)
    assert all([r.number for r in run.records] == list(range(5)) for run in found.runs.values())
    assert list(differences_of_results(found)) == []
    assert (out / "report.html").is_file()
    taken_over = list(out.glob("claims/*.g002"))
    assert len(taken_over) == 1
