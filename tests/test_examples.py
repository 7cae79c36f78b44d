"""The examples, run as they are shown."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from running import ROOT, environment

EXAMPLES = ROOT / "examples"


def example(name: str, *words: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *words],
        cwd=cwd, env=environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_search_prints_its_minima_and_goes_on(tmp_path: Path) -> None:
    out = example("search_in_python.py", "MgO", "3", cwd=tmp_path)
    assert out.startswith("3 candidates, ")
    assert out.count("MgO-random-") >= 1
    assert (tmp_path / "runs" / "example" / "results.h5").is_file()
    assert example("search_in_python.py", "MgO", "4", cwd=tmp_path).startswith("4 candidates, ")


def test_own_source_and_relaxer_are_used(tmp_path: Path) -> None:
    out = example("own_source_and_relaxer.py", "4", cwd=tmp_path)
    assert out.startswith("both conform\nCu-lattices-")
    assert "eV/atom" in out


def test_head_to_head_compares_both_sources(tmp_path: Path) -> None:
    out = example("head_to_head.py", "3", cwd=tmp_path)
    assert "random" in out and "substitution" in out
    assert len(list((tmp_path / "runs" / "head-to-head").iterdir())) == 4


@pytest.mark.parametrize("name", ["Lattices", "AseFire"])
def test_a_source_and_a_relaxer_take_under_forty_lines_each(name: str) -> None:
    tree = ast.parse((EXAMPLES / "own_source_and_relaxer.py").read_text())
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    assert found.end_lineno is not None
    assert found.end_lineno - found.lineno + 1 < 40


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text()
    assert all(f'"{path.name}"' in text for path in EXAMPLES.glob("*.py"))
