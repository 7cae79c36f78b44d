"""GPAW itself, where it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from ase.build import bulk

from xtalseek.records import Status
from xtalseek.relax.dft.contract import EngineOptions
from xtalseek.relax.dft.gpaw import GpawEngine
from xtalseek.relax.dft.levels import Level
from xtalseek.relax.dft.relaxation import DftSettings, relax_with_dft

COARSE = Level("coarse", 250.0, 1.0, 0.1, 0.05, 0.5, 1e-4)


@pytest.fixture
def engine() -> GpawEngine:
    if find_spec("gpaw") is None:
        pytest.skip("GPAW is not installed: docs/dft.md has the steps")
    return GpawEngine(EngineOptions())


def test_silicon_relaxes_to_its_pbe_lattice(engine: GpawEngine, tmp_path: Path) -> None:
    ended = relax_with_dft(bulk("Si", a=5.40), engine, DftSettings(COARSE), tmp_path / "log.txt")
    assert ended.status is Status.CONVERGED, ended.message
    assert ended.atoms is not None
    # PBE: 5.47 Å, Haas, Tran and Blaha, Phys. Rev. B 79, 085104 (2009), doi:10.1103/PhysRevB.79.085104.
    assert (4 * ended.atoms.get_volume()) ** (1 / 3) == pytest.approx(5.47, abs=0.05)
    assert "PBE" in (tmp_path / "log.txt").read_text()


def test_electrons_without_time_to_settle_are_a_status(
    engine: GpawEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xtalseek.relax.dft.gpaw.MAX_SCF_STEPS", 2)
    ended = relax_with_dft(bulk("Si", a=5.43), engine, DftSettings(COARSE, static=True), tmp_path / "log.txt")
    assert ended.status is Status.SCF


def test_its_version_is_part_of_the_settings(engine: GpawEngine) -> None:
    assert set(engine.settings(["Si"])) == {"gpaw", "paw_sets"}
