"""A structure that crashes the process itself: found out on resuming, tried once more alone, put aside."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.io import read
from running import BIN
from scenes import Session, Work, look
from works import search_words

from xtalseek.records import Status
from xtalseek.search.config import resolve
from xtalseek.search.loop import draw
from xtalseek.search.workshop import make_sources

NUM, POISON = 6, 3


@pytest.fixture(scope="module")
def poison() -> Any:
    """The candidate that the potential cannot bear."""
    config = resolve({
        "formula": "NaCl", "num": NUM, "formula_units": "1-2", "volume_per_atom": "10-14", "seed": 3,
    })  # fmt: skip
    return draw(config, make_sources(config), next(a for a in config.assignments() if a.index == POISON))


def session(work: Work, out: Path) -> tuple[int, str]:
    """Exit status and what was said, of one session."""
    begun = Session.start(work, out, out.parent / "logs")
    return begun.wait()[0], begun.said()


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_structure_that_crashes_the_process_is_put_aside_after_two_tries(
    poison: Any, tmp_path: Path, ranks: int
) -> None:
    if ranks > 1 and not (BIN / "mpirun").exists():
        pytest.skip("no mpirun")
    out = tmp_path / "run"
    variables = {"TOY_DEADLY_VOLUME": str(poison.atoms.get_volume())}
    work = Work("poisoned search", search_words("Deadly", NUM), ranks, variables=variables)
    for _ in range(2):
        status, _ = session(work, out)
        assert status != 0
        assert ranks > 1 or status == -signal.SIGSEGV
        assert f":{poison.name}" not in look(work, out).facts
    status, said = session(work, out)
    assert status == 0
    assert f"{poison.name}: crashed the process twice while it was relaxed" in said
    found = look(work, out)
    assert len(found.facts) == NUM
    record = found.facts[f":{poison.name}"]
    assert record["relaxation"]["status"] == Status.ERROR
    assert "quarantine/" in record["relaxation"]["message"]
    assert all(fact["relaxation"]["status"] != "error" for name, fact in found.facts.items() if poison.name not in name)
    kept = read(out / "quarantine" / f"{poison.name}.extxyz")
    assert isinstance(kept, Atoms)
    assert (kept.positions == poison.atoms.positions).all()
    assert (kept.cell.array == poison.atoms.cell.array).all()
    assert "Segmentation fault" in (out / "quarantine" / f"{poison.name}.txt").read_text()
