"""Fixtures that all tests share."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from running import BIN, ROOT, Run, command, environment


@pytest.fixture(autouse=True)
def thread_variables_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command sets them for its own process, which in a test may be this one."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")


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


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone would hold, uncommitted changes included."""
    shown = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if shown.returncode:
        pytest.skip("not a git checkout")
    copy = tmp_path_factory.mktemp("checkout")
    for name in shown.stdout.splitlines():
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    return copy
