"""A search of a campaign whose closing was cut short, or whose results were damaged, is closed on resuming."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from random import Random

import pytest
from faults import damage_the_end
from scenes import Work, differences_of_results, look

from xtalseek.mpi_jobs.campaign import CampaignCalls, run_campaign
from xtalseek.mpi_jobs.world import World
from xtalseek.search.campaign_config import read_campaign
from xtalseek.search.run import log_file
from xtalseek.search.store import Run

WORDS = {
    "num": "2", "relaxer": "toy_potentials:Pairs", "volume_per_atom": "10-14", "max_steps": "80", "seed": "3",
    "formula_units": "1",
}  # fmt: skip


def test_a_search_is_closed_until_it_has_been_closed_whole(tmp_path: Path) -> None:
    file, out, closed = tmp_path / "list.txt", tmp_path / "campaign", list[str]()
    file.write_text("NaCl\nMgO\n")
    campaign = read_campaign(str(file), WORDS | {"out": str(out)})
    full: set[str] = set()

    def close(run: Run) -> None:
        if run.path.name in full:
            raise OSError(errno.ENOSPC, "No space left on device")
        closed.append(run.path.name)

    def session() -> list[str]:
        closed.clear()
        calls = CampaignCalls(close, lambda campaign, number, checkpoint: checkpoint, lambda done, refused: None)
        run_campaign(campaign, World(), calls)
        return sorted(closed)

    full.add("MgO")
    assert session() == ["NaCl"]
    full.clear()
    assert session() == ["MgO"]
    assert session() == []
    for seed in range(6):
        damage_the_end(out / "runs" / "NaCl" / "results.h5", Random(seed))
        assert session() == ["NaCl"]
        assert list(differences_of_results(look(Work("campaign", ("campaign",)), out))) == []


def test_a_log_without_room_is_no_trouble(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The journal tells of a full disk; /dev/full is one."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / f"search-{os.getpid()}.log").symlink_to("/dev/full")
    with log_file(tmp_path):
        logging.getLogger("xtalseek").warning("a line")
    assert "Logging error" not in capfd.readouterr().err
