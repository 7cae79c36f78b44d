"""Fixtures that all tests share."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from running import BIN, Run, command, environment


@pytest.fixture
def xtalseek(tmp_path: Path) -> Run:
    """Runs `xtalseek WORDS` in an empty folder and returns the finished process."""

    def run(*words: str, ranks: int = 1, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*words, ranks=ranks),
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def needs_mpirun() -> None:
    """Skip where no launcher stands beside this Python."""
    if not (BIN / "mpirun").exists():
        pytest.skip("no mpirun in this environment: pip install mpich")
