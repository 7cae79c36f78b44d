"""The README's commands, run as they are written, one after the other, in a fresh checkout."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from running import BIN, ROOT, environment

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def commands() -> list[str]:
    return [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]


def test_the_readme_opens_with_the_two_commands() -> None:
    assert commands()[:2] == ["make run", "make test"]
    assert README.index("$ make run") < 40


def test_continuous_integration_runs_the_readme_s_test_command() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()


@pytest.mark.slow
@pytest.mark.usefixtures("needs_mpirun")
def test_every_command_works_as_written(checkout: Path) -> None:
    """`make test` is left out: it is what runs this. The environment is the one that runs this, not a new one."""
    if not (Path(sys.prefix) / ".installed").exists():
        pytest.skip("this environment was not made by `make setup`, and `make run` would install into it")
    (checkout / ".venv").symlink_to(sys.prefix)
    settings = environment() | {"PATH": f"{BIN}:/usr/bin:/bin"}
    settings.pop("OMP_NUM_THREADS")
    settings["XDG_CACHE_HOME"] = str(checkout / "cache")
    toml = next(block for block in blocks("toml") if block.startswith("# mgsio3.toml"))
    (checkout / "mgsio3.toml").write_text(toml)
    assert len(commands()) >= 9
    drawn = "xtalseek propose --config mgsio3.toml -n 2 --out drawn.res"
    for command in [*(c for c in commands() if c != "make test"), drawn]:
        if command.startswith("make "):  # never installs, however old the environment is
            command = command.replace("make ", "make -o .venv/.installed ")
        done = subprocess.run(
            command, shell=True, cwd=checkout, env=settings, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        if command.endswith(" run"):
            assert "report: runs/SrTiO3/report.html" in done.stdout
    for block in blocks("python"):
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=checkout, env=settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "MgO-random-" in done.stdout
