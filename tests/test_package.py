"""The package as it is installed: the list of its parts, a wheel that works outside the clone, clean style."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from running import ROOT, SUPPORT, environment, toy_search

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def run(*words: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=cwd, env=environment() | more, capture_output=True, text=True, timeout=600, check=False
    )


def test_the_list_of_packages_is_that_of_the_folders() -> None:
    left_out = {"tests", "benchmarks", "docs", "build", "dist"}
    folders = [
        p.parent.relative_to(ROOT)
        for p in ROOT.rglob("__init__.py")
        if not any(part in left_out or part.startswith(".") for part in p.relative_to(ROOT).parts)
    ]
    found = {".".join(["xtalseek", *folder.parts]) for folder in folders}
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])


def test_no_dependency_is_pinned_from_above_and_all_that_are_installed_have_tested_versions() -> None:
    """Extras that `make setup` leaves out have no line in constraints.txt: no one environment could hold them all."""
    extras: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
    required = PROJECT["project"]["dependencies"]
    wanted = [*required, *(name for extra in extras.values() for name in extra)]
    assert all(">=" in name and "<" not in name and "==" not in name for name in wanted)
    (listed,) = re.findall(r'-c constraints\.txt -e "\.\[(.*?)\]"', (ROOT / "Makefile").read_text())
    installed = [*required, *(name for extra in listed.split(",") for name in extras[extra])]
    assert {"mpich", "dev", "metrics", "tblite"} <= set(listed.split(","))
    tested = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {name.partition(">=")[0].lower() for name in installed} <= tested
    assert "torch==2.13.0\n" in (ROOT / "constraints.txt").read_text()


@pytest.mark.slow
def test_a_wheel_works_outside_the_clone(checkout: Path, tmp_path: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    made = run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(checkout), cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    (wheel,) = tmp_path.glob("xtalseek-*.whl")
    assert wheel.stat().st_size < 25e6
    site = tmp_path / "site"
    assert run(*pip, "install", "--no-deps", "--target", str(site), str(wheel), cwd=tmp_path).returncode == 0
    assert sorted(p.name for p in site.iterdir() if not p.name.endswith(".dist-info")) == ["bin", "xtalseek"]
    assert (site / "xtalseek" / "py.typed").is_file()
    only_site = {"PYTHONPATH": f"{site}:{SUPPORT}"}
    where = run(sys.executable, "-c", "import xtalseek; print(xtalseek.__file__)", cwd=tmp_path, **only_site)
    assert Path(where.stdout.strip()).is_relative_to(site)
    searched = run(str(site / "bin" / "xtalseek"), *toy_search("run", num=2), cwd=tmp_path, **only_site)
    assert searched.returncode == 0, searched.stderr
    assert (tmp_path / "run" / "report.html").stat().st_size > 1000
    module = run(sys.executable, "-m", "xtalseek", "--version", cwd=tmp_path, **only_site)
    assert module.stdout.startswith("xtalseek ")


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["ruff check .", "ruff format --check .", "mypy"])
def test_a_bare_checkout_is_clean(checkout: Path, tool: str) -> None:
    found = run(sys.executable, "-m", *tool.split(), cwd=checkout)
    assert found.returncode == 0, found.stdout + found.stderr
