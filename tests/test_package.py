"""The package as it is installed: the list of its parts, an sdist and a wheel that hold them, clean style."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import venv
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from running import ROOT, SUPPORT, environment, toy_search

import xtalseek

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONDA_NAMES = {"matplotlib": "matplotlib-base", "torch": "pytorch"}


def run(*words: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=cwd, env=environment() | more, capture_output=True, text=True, timeout=600, check=False
    )


def recipe() -> dict[str, Any]:
    return yaml.safe_load(jinja2.Template((ROOT / "recipe" / "meta.yaml").read_text()).render(PYTHON="python"))


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
    assert {"mpich", "dev", "docs", "metrics", "tblite"} <= set(listed.split(","))
    tested = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {re.split(r"[\[>]", name)[0].lower() for name in installed} <= tested
    assert "torch==2.13.0\n" in (ROOT / "constraints.txt").read_text()


def test_the_conda_recipe_requires_what_the_package_requires() -> None:
    required = [re.match(r"([\w-]+)(>=.+)", name) for name in PROJECT["project"]["dependencies"]]
    wanted = {f"{CONDA_NAMES.get(found[1], found[1])} {found[2]}" for found in required if found}
    assert len(wanted) == len(required)
    assert set(recipe()["requirements"]["run"]) == wanted | {f"python {PROJECT['project']['requires-python']}"}
    (script,) = recipe()["build"]["entry_points"]
    assert script == f"xtalseek = {PROJECT['project']['scripts']['xtalseek']}"


def test_one_version_and_one_licence_stand_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"^## \[.*?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.M)
    assert newest
    assert {citation["version"], recipe()["package"]["version"], newest[1]} == {xtalseek.__version__}
    assert {citation["license"], recipe()["about"]["license"]} == {PROJECT["project"]["license"]}


@pytest.mark.slow
def test_the_sdist_holds_the_clone_and_its_wheel_works_outside_of_it(checkout: Path, tmp_path: Path) -> None:
    clone = {str(p.relative_to(checkout)) for p in checkout.rglob("*") if p.is_file()}
    build = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    packed = run(sys.executable, "-c", build, str(tmp_path), cwd=checkout)
    assert packed.returncode == 0, packed.stderr
    (sdist,) = tmp_path.glob("xtalseek-*.tar.gz")
    with tarfile.open(sdist) as held:
        assert clone - {name.partition("/")[2] for name in held.getnames()} == {".ci/run", ".gitignore"}

    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    made = run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(sdist), cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    (wheel,) = tmp_path.glob("xtalseek-*.whl")
    assert wheel.stat().st_size < 25e6
    venv.create(tmp_path / "venv")
    (site,) = (tmp_path / "venv").glob("lib/python3*/site-packages")
    assert run(*pip, "install", "--no-deps", "--target", str(site), str(wheel), cwd=tmp_path).returncode == 0
    assert sorted(p.name for p in site.iterdir() if not p.name.endswith(".dist-info")) == ["bin", "xtalseek"]
    installed = {str(p.relative_to(site / "xtalseek")) for p in (site / "xtalseek").rglob("*") if p.suffix != ".pyc"}
    rooms = {name.split(".")[1] for name in PROJECT["tool"]["setuptools"]["packages"] if "." in name}
    modules = {name for name in clone if "/" not in name and Path(name).suffix in {".py", ".typed"}}
    assert modules | {name for name in clone if name.split("/")[0] in rooms} <= installed
    assert not installed & {"tests", "benchmarks", "docs", "examples", "recipe"}

    only_site = {"PYTHONPATH": f"{site}:{SUPPORT}"}
    where = run(sys.executable, "-c", "import xtalseek; print(xtalseek.__file__)", cwd=tmp_path, **only_site)
    assert Path(where.stdout.strip()).is_relative_to(site)
    searched = run(str(site / "bin" / "xtalseek"), *toy_search("run", num=2), cwd=tmp_path, **only_site)
    assert searched.returncode == 0, searched.stderr
    assert (tmp_path / "run" / "report.html").stat().st_size > 1000
    module = run(sys.executable, "-m", "xtalseek", "--version", cwd=tmp_path, **only_site)
    assert module.stdout.startswith("xtalseek ")

    (tmp_path / "user.py").write_text('import xtalseek\n\nreveal_type(xtalseek.search("MgO", num=3))\n')
    python = ("--python-executable", str(tmp_path / "venv" / "bin" / "python"))
    typed = run(sys.executable, "-m", "mypy", *python, "user.py", cwd=tmp_path, PYTHONPATH="")
    assert 'Revealed type is "xtalseek.search.store.Run"' in typed.stdout, typed.stdout + typed.stderr


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["ruff check .", "ruff format --check .", "mypy"])
def test_a_bare_checkout_is_clean(checkout: Path, tool: str) -> None:
    found = run(sys.executable, "-m", *tool.split(), cwd=checkout)
    assert found.returncode == 0, found.stdout + found.stderr
