"""The report: one file, nothing loaded from elsewhere, nothing a name or message says can run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import plotly.graph_objects as go
import pytest
from ase import Atoms
from ase.io import read

from xtalseek.analysis import find_minima, write_best, write_report
from xtalseek.records import Record, Status
from xtalseek.search.store import Run

MakeRun = Callable[..., Run]
MakeRecord = Callable[..., Record]


EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """Elements with their attributes, the text outside scripts, and the JSON of the figures and of the structures."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.figures: list[dict] = []
        self.structures: list[dict] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        self._inside = str(attributes.get("id", "json")) if attributes.get("type") == "application/json" else tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "json":
            self.figures.append(json.loads(data))
        elif self._inside == "structures":
            self.structures = json.loads(data)
        elif self._inside not in ("script", "style"):
            self.text += data


def page_of(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_report_shows_what_was_found(make_run: MakeRun, disguises: list[Record]) -> None:
    run = make_run(disguises)
    path = write_report(run)
    assert path == run.path / "report.html"
    page = page_of(path)
    minima = find_minima(run)
    for minimum in minima:
        assert minimum.name in page.text
    for words in ("TiO₂", "2 distinct minima", "found 5 times", "8 of 10 relaxations converged", "atoms too close"):
        assert words in page.text
    assert Status.MAX_STEPS.advice in page.text
    assert '"made by hand"' in page.text  # provenance
    assert "ltol=0.1" in page.text
    assert len(page.figures) == 4  # convergence against three costs, energy against volume
    assert {trace["type"] for figure in page.figures for trace in figure["data"]} == {"scatter"}
    assert [structure["species"] for structure in page.structures] == [["Ti", "O"]] * len(minima[:-1])
    assert ["Name", minima[0].name] in page.structures[0]["facts"]
    assert "Good and Turing" not in page.text  # eight relaxations are too few
    assert "pickard2011airss" in page.text and "10.1038/s42256-023-00716-3" in page.text
    assert "yang2024unimat" not in page.text  # a method that was not used


def test_every_listed_minimum_can_be_chosen_and_sorted_by_keyboard(make_run: MakeRun, disguises: list[Record]) -> None:
    page = page_of(write_report(make_run(disguises)))
    rows = [a["data-row"] for tag, a in page.elements if tag == "button" and a.get("class") == "pick"]
    assert rows == [str(row) for row in range(len(page.structures))]
    headings = [n for n, (tag, _) in enumerate(page.elements) if tag == "th" and page.elements[n + 1][0] == "button"]
    assert len(headings) == 9
    assert [page.elements[n][1].get("aria-sort") for n in headings] == ["ascending"] + [None] * 8


def test_points_lead_to_their_minimum(make_run: MakeRun, disguises: list[Record]) -> None:
    run = make_run(disguises)
    (trace,) = page_of(write_report(run)).figures[3]["data"]
    minima = find_minima(run)
    assert len(trace["customdata"]) == 8
    for name, row in zip(trace["text"], trace["customdata"], strict=True):
        assert name in minima[row].members


def test_a_hull_is_shown_where_one_is_given(make_run: MakeRun, disguises: list[Record]) -> None:
    run = make_run(disguises)
    best = find_minima(run)[0].name
    plot = go.Figure(go.Scatter(x=[0, 0.3, 1], y=[0, -1, 0], name="the hull"))
    page = page_of(write_report(run, hull=plot, above_hull={best: 0.0123}))
    assert page.figures[-1]["data"][0]["name"] == "the hull"
    assert "Above hull" in page.text and "12.3 meV/atom" in page.text
    assert "Above hull" not in page_of(write_report(run)).text


def test_sources_of_a_mixture_are_told_apart(
    make_run: MakeRun, make_record: MakeRecord, rutile: Atoms, anatase: Atoms
) -> None:
    records = [
        make_record(0, rutile, -8.9, source="random"),
        make_record(0, anatase, -8.8, source="seeds"),
        make_record(1, anatase, -8.8, source="random"),
        make_record(1, rutile, -8.9, source="seeds"),
    ]
    page = page_of(write_report(make_run(records, {"source": ["random", "seeds"]})))
    assert "found first by it" in page.text and "random 1, seeds 1" in page.text
    names = [{trace["name"] for trace in figure["data"]} for figure in page.figures]
    assert names[0] >= {"all sources", "random", "seeds"}
    assert names[3] == {"random", "seeds"}


def test_report_is_one_file_that_loads_nothing(make_run: MakeRun, disguises: list[Record]) -> None:
    path = write_report(make_run(disguises))
    assert path.stat().st_size < 6e6
    page = page_of(path)
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "data", "poster", "action"):
            assert name not in attributes, (tag, attributes)
        assert "url(" not in (attributes.get("style") or "")
    assert "@import" not in path.read_text(encoding="utf-8").split("<script>")[0]
    policy = next(a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in (policy or "") and "http" not in (policy or "")
    plots = [attributes for _, attributes in page.elements if "plot" in (attributes.get("class") or "").split()]
    assert len(plots) == len(page.figures) and all(plot.get("aria-label") for plot in plots)


@pytest.mark.parametrize("records", ["none", "failed"])
def test_report_without_anything_converged(
    make_run: MakeRun, make_record: MakeRecord, records: str, rutile: Atoms
) -> None:
    failed = [make_record(0, rutile, None, Status.NAN, message="energy is not a number")]
    path = write_report(make_run([] if records == "none" else failed), png=True)
    page = page_of(path)
    assert page.figures == []
    assert path.stat().st_size < 50_000  # no plot, no plotly
    words = "No candidate has been relaxed yet" if records == "none" else "energy is not a number"
    assert words in page.text
    assert (path.parent / "plots" / "convergence.png").is_file()


def test_hostile_text_is_only_text(make_run: MakeRun, make_record: MakeRecord, rutile: Atoms, anatase: Atoms) -> None:
    words = {"source": [EVIL], "relaxer": EVIL}
    records = [
        make_record(0, rutile, -8.9, source=EVIL, target=EVIL),
        make_record(1, anatase, -8.8, source=EVIL, target=EVIL),
        make_record(2, rutile, None, Status.ERROR, source=EVIL, message=EVIL),
        make_record(3, rutile, -20.0, Status.SUSPICIOUS, source=EVIL, message=EVIL),
    ]
    path = write_report(make_run(records, words))
    page = page_of(path)
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert EVIL in page.text
    html = path.read_text(encoding="utf-8")
    assert EVIL not in html
    # Plotly reads a few tags in labels: there too they must be text.
    labels = re.findall(r"<img|onerror=alert\(2\)>", json.dumps(page.figures))
    assert labels == []


def test_lowest_found_once_is_told(make_run: MakeRun, make_record: MakeRecord, rutile: Atoms) -> None:
    once = page_of(write_report(make_run([make_record(0, rutile)])))
    assert "found only once" in once.text
    often = page_of(write_report(make_run([make_record(0, rutile), make_record(1, rutile)], folder="often")))
    assert "found only once" not in often.text


def test_best_folder_holds_the_lowest_and_is_replaced(
    make_run: MakeRun, make_record: MakeRecord, rutile: Atoms, anatase: Atoms
) -> None:
    first = make_run([make_record(0, rutile, -8.9), make_record(1, anatase, -8.8)])
    folder = write_best(first)
    names = ["01-TiO2-random-000000", "02-TiO2-random-000001"]
    assert sorted(p.name for p in folder.iterdir()) == [f"{n}{s}" for n in names for s in (".cif", ".res")]
    (folder / "notes.txt").write_text("mine")
    write_best(first, top=1)
    assert sorted(p.name for p in folder.iterdir()) == [f"{names[0]}.cif", f"{names[0]}.res", "notes.txt"]
    atoms = read(folder / f"{names[0]}.res", format="res")
    assert isinstance(atoms, Atoms)
    assert atoms.get_potential_energy() == pytest.approx(-8.9 * 6)
    assert (atoms.info["name"], atoms.info["spacegroup"]) == ("TiO2-random-000000", "P4_2/mnm")
