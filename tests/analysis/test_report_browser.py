"""The report in a real browser: it opens without an error, draws, sorts, and fits a phone and a sheet of paper."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np
import plotly.graph_objects as go
import pytest
from ase import Atoms
from browser import CHROMIUM, Browser, browser
from matplotlib.image import imread

from xtalseek.analysis import find_minima, write_report
from xtalseek.records import Record, Status
from xtalseek.search.store import Run

MakeRun = Callable[..., Run]
MakeRecord = Callable[..., Record]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def run(make_run: MakeRun, make_record: MakeRecord, disguises: list[Record], rutile: Atoms, anatase: Atoms) -> Run:
    """Four minima whose order by volume is not that by energy, from two sources; a failure."""
    large = anatase.copy()
    large.set_cell(1.05 * large.cell.array, scale_atoms=True)
    more = [make_record(n, a, e, source="seeds") for n, (a, e) in enumerate([(large, -8.85), (rutile, -8.5)])]
    failed = make_record(2, rutile, None, Status.NAN, source="seeds", message="<b>not</b> a number")
    return make_run([*disguises, *more, failed], {"source": ["random", "seeds"], "num": 13})


def test_page_draws_and_answers_without_an_error(tab: Browser, run: Run) -> None:
    names = [m.name for m in find_minima(run) if not m.suspicious]
    tab.open(write_report(run))
    assert tab.requests == [(run.path / "report.html").as_uri()]

    # The curves: of the whole run and of each source, median and as it went.
    assert tab.evaluate("document.querySelectorAll('#cost-1 .scatterlayer path.js-line').length") >= 6
    assert tab.evaluate("document.querySelectorAll('#landscape ~ figure .scatterlayer path.point').length") == 10

    # The structure: titanium is grey, oxygen is red, and both are there in their shades.
    lowest = drawing(tab)
    assert np.count_nonzero(reddish(lowest)) > 500

    # Another one is chosen without a mouse.
    focus = "[...document.querySelectorAll('.pick')].find((b) => b.textContent === '{}').focus()"
    tab.evaluate(focus.format(names[2]))
    tab.press("Enter")
    tab.wait_for("document.getElementById('drawing').dataset.shown === '2'")
    assert names[2] in tab.evaluate("document.getElementById('facts').textContent")
    pressed = "[...document.querySelectorAll('.pick[aria-pressed=true]')].map((b) => b.textContent)"
    assert tab.evaluate(pressed) == [names[2]]
    assert np.abs(drawing(tab) - lowest).max() > 0.2
    before = drawing(tab)
    tab.evaluate("document.getElementById('drawing').focus()")
    tab.press("ArrowLeft")
    tab.wait_for("Math.abs(document.getElementById('drawing').layout.scene.camera.eye.x - 0.98) > 0.05")
    assert np.abs(drawing(tab) - before).max() > 0.2

    # Sorting, also without a mouse: up, then down, and what is chosen stays chosen.
    column = "[...document.querySelectorAll('#ranking tbody tr')].map((line) => Number(line.children[5].textContent))"
    heading = "document.querySelectorAll('#ranking th')[5]"
    assert "Volume" in tab.evaluate(f"{heading}.textContent")
    tab.evaluate(f"{heading}.querySelector('button').focus()")
    for order in ("ascending", "descending"):
        tab.press("Enter")
        volumes = tab.evaluate(column)
        assert volumes == sorted(volumes, reverse=order == "descending") and len(set(volumes)) > 1
        assert tab.evaluate("[...document.querySelectorAll('[aria-sort]')].map((h) => h.ariaSort)") == [order]
    assert tab.evaluate(pressed) == [names[2]]

    # Another cost: its plot takes the place of the first.
    tab.evaluate("document.querySelector('.costs input[value=cost-2]').click()")
    tab.wait_for("document.querySelectorAll('#cost-2 .scatterlayer path.js-line').length > 0")
    assert tab.evaluate("document.getElementById('cost-1').hidden")
    assert tab.troubles == []


def test_phone_and_paper(tab: Browser, run: Run) -> None:
    hull = go.Figure(go.Scatter(x=[0, 0.3, 1], y=[0, -1, 0]))
    tab.open(write_report(run, hull=hull), width=400)
    assert tab.evaluate("document.querySelectorAll('#hull ~ figure path.js-line').length") == 1
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    paper = tab.paper()
    assert paper.startswith(b"%PDF")
    tab.call("Emulation.setEmulatedMedia", media="print")
    shown = "getComputedStyle(document.querySelector('{}')).display !== 'none'"
    assert tab.evaluate(shown.format(".thumbs svg")) and not tab.evaluate(shown.format("#panel"))
    assert tab.evaluate("[...document.querySelectorAll('details')].every((part) => part.open)")
    tab.call("Emulation.setDeviceMetricsOverride", width=717, height=1000, deviceScaleFactor=1, mobile=False)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 717  # A4; else all of it is printed smaller
    tab.call("Emulation.setEmulatedMedia", media="")
    assert tab.troubles == []


def test_page_of_a_run_that_found_nothing(
    tab: Browser, make_run: MakeRun, make_record: MakeRecord, rutile: Atoms
) -> None:
    tab.open(write_report(make_run([make_record(0, rutile, None, Status.NAN, message="energy is not a number")])))
    assert "energy is not a number" in tab.evaluate("document.body.innerText")
    assert tab.troubles == []


def drawing(tab: Browser) -> np.ndarray:
    """What the structure's box shows, (height, width, 3) from 0 to 1."""
    tab.evaluate("document.getElementById('drawing').scrollIntoView({ block: 'center', behavior: 'instant' })")
    tab.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    box = tab.evaluate("(({ x, y, width, height }) => [x, y, width, height])(drawing.getBoundingClientRect())")
    x, y, width, height = (round(v) for v in box)
    return np.asarray(imread(io.BytesIO(tab.picture())))[y : y + height, x : x + width, :3]


def reddish(image: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(image, -1, 0)
    found: np.ndarray = (red > 0.5) & (red > 2 * green) & (red > 2 * blue)
    return found
