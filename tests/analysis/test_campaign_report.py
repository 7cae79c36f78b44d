"""The page of a campaign in a browser: it opens, sorts, narrows down, leads to the searches, also when ten thousand."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, Browser, browser

from xtalseek.analysis.campaign_report import write_campaign_report, write_campaign_summary
from xtalseek.analysis.campaign_summary import CampaignRow, CampaignSummary, idle_row
from xtalseek.analysis.findings import SourceRow
from xtalseek.files import write_atomic
from xtalseek.search.config import resolve, to_toml

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def row(name: str, lowest: float | None, **more: Any) -> CampaignRow:
    hits = {"random": 1, "unimat": 0} if name != "SrTiO3" else {"random": 1, "unimat": 2}
    sources = tuple(SourceRow(source, 25, 20, 9, 4, hits[source], lowest, 100.0) for source in hits)
    words: dict[str, Any] = {"state": "finished", "folder": f"runs/{name}", "sources": sources, "times_found": 3}
    words |= {"rounds": 1, "done": 50, "num": 50, "converged": 40, "minima": 17, "unseen": 0.2, "missed_lower": 0.125}
    words |= {"lowest_name": f"{name}-random-000012", "force_calls": 3000, "seconds": 200.0}
    return CampaignRow(name, name, 5, 0.0, **({"lowest": lowest, "space_group": "P6_3/mmc"} | words | more))


@pytest.fixture
def summary(tmp_path: Path) -> CampaignSummary:
    rows = (
        row(
            "SrTiO3", -8.9, formation=-3.4, above_hull=0.0, reference=-8.8, below_reference=2, seen=False, novelty="new"
        ),
        row(
            "OsSi", -10.2, formation=-0.1, above_hull=0.05, reference=-10.3, below_reference=0, seen=True, novelty="old"
        ),
        row("Li2O", -4.5, formation=-2.0, above_hull=0.0, state="running", space_group="R-3m"),
        idle_row("KCl", "KCl", num=50),
        idle_row(EVIL, state="refused", reason=EVIL),
    )
    folder = tmp_path / "bright ideas"
    config = resolve({"formula": "SrTiO3", "source": ["random", "unimat"], "out": str(folder / "runs/SrTiO3")})
    write_atomic(folder / "runs/SrTiO3/config.toml", to_toml(config, {"xtalseek": "0.1.0", "processor": "by hand"}))
    write_atomic(folder / "runs/SrTiO3/report.html", "<title>the search</title>")
    return CampaignSummary(folder, rows, "All by emt.", ("a note, see --reference",))


def test_files_beside_the_page(summary: CampaignSummary) -> None:
    table, values = write_campaign_summary(summary, summary.path)
    assert table == summary.path / "summary.csv" and table.read_text() == summary.to_csv()
    assert values == summary.path / "summary.json" and "SrTiO3" in values.read_text()


def test_settings_of_the_campaign_are_told_and_not_those_of_one_composition(summary: CampaignSummary) -> None:
    toml = 'relaxer = "emt"\nrounds = 2\n[provenance]\nxtalseek = "0.1.0"\n[[composition]]\nformula = "Unobtainium"\n'
    write_atomic(summary.path / "campaign.toml", toml)
    html = write_campaign_report(summary, summary.path).read_text()
    assert "xtalseek 0.1.0" in html and "<dt>rounds</dt><dd>2</dd>" in html and "Unobtainium" not in html
    write_atomic(summary.path / "campaign.toml", "not = [toml")
    assert "cannot be read any more" in write_campaign_report(summary, summary.path).read_text()


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


NAMES = "[...document.querySelectorAll('#long tbody tr')].map((line) => line.cells[0].textContent)"
HEADINGS = "[...document.querySelectorAll('#long th')]"


def type_in(tab: Browser, words: str) -> list[str]:
    script = "words.value = {!r}; words.dispatchEvent(new Event('input', {{ bubbles: true }})); {}"
    names: list[str] = tab.evaluate(script.format(words, NAMES))
    return names


@needs_browser
def test_page_sorts_narrows_down_and_leads_on(tab: Browser, summary: CampaignSummary) -> None:
    page = write_campaign_report(summary, summary.path, [{"SrTiO3": 50, "OsSi": 50}, {"SrTiO3": 30, "OsSi": 0}])
    before = len(tab.requests)
    tab.open(page)
    assert tab.requests[before:] == [page.as_uri()]
    names = ["SrTiO₃", "OsSi", "Li₂O", "KCl", tab.evaluate(NAMES)[4]]
    assert tab.evaluate(NAMES) == names  # in the campaign's order
    assert "onerror=alert" in names[4] and tab.evaluate("document.images.length") == 0

    # Sorting without a mouse; what is not known is last both ways.
    tab.evaluate(f"{HEADINGS}.find((h) => h.textContent.startsWith('Lowest')).querySelector('button').focus()")
    for order in (["OsSi", "SrTiO₃", "Li₂O"], ["Li₂O", "SrTiO₃", "OsSi"]):
        tab.press("Enter")
        assert tab.evaluate(NAMES) == [*order, *names[3:]]
    assert tab.evaluate(f"{HEADINGS}.filter((h) => h.ariaSort).map((h) => h.ariaSort)") == ["descending"]

    # By element, by words, by flags.
    assert type_in(tab, "O") == ["Li₂O", "SrTiO₃"]
    assert type_in(tab, "Si, Os") == ["OsSi"]
    assert type_in(tab, "srtio3") == ["SrTiO₃"]
    assert type_in(tab, "R-3m") == ["Li₂O"]
    assert type_in(tab, "not begun") == ["KCl"]
    assert len(type_in(tab, "")) == 5
    for flag, found in (("stable", ["Li₂O", "SrTiO₃"]), ("below", ["SrTiO₃"]), ("open", ["Li₂O"])):
        box = f"document.querySelector('.filters input[value={flag}]')"
        tab.evaluate(f"{box}.focus()")
        tab.evaluate(f"{box}.click()")
        assert [name for name in tab.evaluate(NAMES) if name in names[:3]] == found
        assert tab.evaluate("document.getElementById('shown').textContent").endswith("of 5")
        tab.evaluate(f"{box}.click()")

    # Space groups in print, a link where there is a report.
    group = tab.evaluate("[...document.querySelectorAll('#long tbody tr')].map((line) => line.cells[4].innerHTML)")
    assert "P6<sub>3</sub>/mmc" in group and 'R<span class="bar" aria-label="minus 3">3</span>m' in group
    links = tab.evaluate("[...document.querySelectorAll('#long a')].map((a) => a.href)")
    assert links == [(summary.path / "runs/SrTiO3/report.html").as_uri()]

    # Plots: of three compositions with a hull, and the chances of three.
    assert tab.evaluate("document.querySelectorAll('#stability ~ figure .scatterlayer path.point').length") == 3
    bars = (
        "[...document.querySelectorAll('#completeness ~ figure .plot')][0].data.map((d) => d.y.reduce((a, b) => a + b))"
    )
    assert tab.evaluate(bars) == [0, 3, 0]
    rounds = tab.evaluate("[...document.querySelectorAll('#rounds ~ div tbody tr')].map((line) => line.innerText)")
    assert rounds == ["1\t2\t100\tOsSi 50, SrTiO₃ 50", "2\t1\t30\tSrTiO₃ 30"]
    sources = tab.evaluate("[...document.querySelectorAll('#sources ~ div tbody tr')].map((line) => line.innerText)")
    assert [line.split("\t")[:4] for line in sources] == [["random", "3", "75", "3"], ["unimat", "3", "75", "1"]]
    assert tab.troubles == []


@needs_browser
def test_phone_and_paper(tab: Browser, summary: CampaignSummary) -> None:
    tab.open(write_campaign_report(summary, summary.path, [{"SrTiO3": 50}]), width=400)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    assert tab.paper().startswith(b"%PDF")
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.evaluate("getComputedStyle(document.querySelector('.filters')).display") == "none"
    tab.call("Emulation.setEmulatedMedia", media="")
    assert tab.troubles == []


@needs_browser
def test_ten_thousand_compositions(tab: Browser, tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = [row(f"Li{n}O", -rng.random(), unseen=None) for n in range(1, 10_001)]
    page = write_campaign_report(CampaignSummary(tmp_path, tuple(rows)), tmp_path)
    assert page.stat().st_size < 10e6
    tab.open(page)
    assert len(tab.evaluate(NAMES)) == 250
    tab.evaluate("document.getElementById('more').click()")
    assert len(tab.evaluate(NAMES)) == 500
    tab.evaluate(f"{HEADINGS}.find((h) => h.textContent.startsWith('Lowest')).querySelector('button').click()")
    lowest = min(rows, key=lambda one: one.lowest or 0.0).name
    assert tab.evaluate(f"{NAMES}[0]").translate(str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")) == lowest
    assert type_in(tab, "li77o") == ["Li₇₇O"]
    assert tab.evaluate("document.getElementById('more').hidden") and tab.troubles == []


@needs_browser
def test_page_of_a_campaign_that_has_not_begun(tab: Browser, tmp_path: Path) -> None:
    for number, rows in enumerate([(), (idle_row("KCl", "KCl", num=50),)]):
        folder = tmp_path / str(number)
        tab.open(write_campaign_report(CampaignSummary(folder, rows), folder))
        assert f"{len(rows)} composition" in tab.evaluate("document.body.innerText")
        assert tab.troubles == []
