"""The examples, run as they are shown."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat  # this and nbclient: of the extra `dev`
import pytest
from nbclient import NotebookClient
from running import ROOT, environment

import xtalseek
from xtalseek import api
from xtalseek.analysis.cells import draw_cell

EXAMPLES = ROOT / "examples"
NOTEBOOK = EXAMPLES / "tio2.ipynb"


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


@dataclass(frozen=True)
class Executed:
    """The notebook after all its cells: what each code cell showed, by the cell's id."""

    cells: list[Any]
    outputs: dict[str, list[Any]]
    run: api.Run

    def shown(self, cell: str, kind: str) -> str:
        """The one output of that MIME type of a cell."""
        (found,) = (o["data"][kind] for o in self.outputs[cell] if kind in o.get("data", {}))
        return str(found)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(folder)}})
    # A cell that fails is told with its code and traceback.
    client.execute(env=environment() | {"IPYTHONDIR": str(folder / "ipython")})
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = {cell.id: cell.outputs for cell in cells}
    return Executed(cells, outputs, xtalseek.load_run(folder / "runs" / "notebook-TiO2"))


def test_every_cell_of_the_notebook_runs_without_a_complaint(executed: Executed) -> None:
    assert [cell.execution_count for cell in executed.cells] == list(range(1, len(executed.cells) + 1))
    outputs = [output for shown in executed.outputs.values() for output in shown]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    ended = [record.relaxation.status for record in executed.run.records]
    assert len(ended) == 16 and ended.count(api.Status.CONVERGED) >= 14  # all of them where this was written


@pytest.mark.parametrize("cell", ["convergence", "energy-volume"])
def test_the_plots_of_the_notebook_are_pictures(executed: Executed, cell: str) -> None:
    assert len(executed.shown(cell, "image/png")) > 10_000


def test_the_notebook_finds_what_it_says(executed: Executed) -> None:
    """Anatase: CHGNet's lowest of the known ones, found among the minima of the table."""
    assert "I4_1/amd" in executed.shown("minima", "text/html")
    assert executed.shown("sketches", "text/html").count("<svg") >= 2
    known = "".join(output.text for output in executed.outputs["known"])
    (rutile, anatase) = (float(line.split()[1]) for line in known.splitlines())
    assert abs(anatase) < 1 < rutile
    assert "too few" in executed.outputs["verdict"][0].text
    assert all(source in executed.shown("comparison", "text/html") for source in ("random", "substitution"))


def test_the_notebook_s_cell_can_be_turned_without_a_network(executed: Executed) -> None:
    """A sphere for each atom that the conventional cell shows; plotly's own code in the output, once."""
    page = executed.shown("cell", "text/html")
    assert "<script src" not in page and page.count("Plotly.newPlot(") >= 1
    start = page.index("[", page.rindex("Plotly.newPlot("))
    traces, _ = json.JSONDecoder().raw_decode(page[start:])
    drawing = draw_cell(xtalseek.find_minima(executed.run)[0].atoms)
    spheres = {trace["name"]: len(set(trace["text"])) for trace in traces if trace["name"] in drawing.species}
    assert spheres == {s: int((drawing.kinds == kind).sum()) for kind, s in enumerate(drawing.species)}
    assert sum("newPlot" in text for shown in executed.outputs.values() for text in map(str, shown)) == 1


def test_the_notebook_is_kept_clean() -> None:
    """Without outputs, which would go stale, and nothing that the last to save it left behind."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    nbformat.validate(notebook)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert notebook["metadata"] == {"kernelspec": kernel, "language_info": {"name": "python"}}
    for cell in notebook["cells"]:
        assert cell["metadata"] == {} and not cell.get("outputs") and cell.get("execution_count") is None, cell["id"]


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text()
    assert all(f'"{path.name}"' in text for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb"))
