"""The page of a comparison: it claims no more than the intervals allow, holds every figure, works in a browser."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from browser import CHROMIUM, Browser, browser

from xtalseek.analysis.comparison import Comparison, compare_runs
from xtalseek.analysis.comparison_plots import success_plot, target_plot, write_comparison_figures
from xtalseek.analysis.comparison_report import claims, write_comparison_report
from xtalseek.arguments import parse
from xtalseek.compare import run_comparison
from xtalseek.errors import InputError
from xtalseek.files import write_atomic
from xtalseek.records import Candidate, Record, Relaxation, Status
from xtalseek.search.config import resolve, to_toml
from xtalseek.search.store import Run

Heights = Sequence[float | None]
Searched = Callable[..., Run]

SALT = bulk("NaCl", "rocksalt", a=5.64)
FORMULAS = ("LiF", "LiCl", "LiBr", "NaF", "NaCl", "NaBr")
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def records(heights: Heights, formula: str, source: str) -> list[Record]:
    """From enthalpies in eV/atom; None: not converged."""
    made = []
    for n, h in enumerate(heights):
        status = Status.MAX_STEPS if h is None else Status.CONVERGED
        energy = None if h is None else h * len(SALT)
        relaxation = Relaxation(SALT, status, energy=energy, force_calls=10 * (n + 1), seconds=1.5)
        made.append(Record(Candidate(formula, source, n, SALT, seconds=0.5), relaxation, finished=float(n)))
    return made


def search(folder: Path, heights: Heights, formula: str = "NaCl", source: str = "random") -> Run:
    """A run whose settings are on the disk, where the page reads them, and whose journal is not."""
    config = resolve({"formula": formula, "source": source, "num": len(heights), "out": str(folder)})
    write_atomic(folder / "config.toml", to_toml(config, {"xtalseek": "0.1.0", "processor": "made by hand"}))
    return Run(folder, config, tuple(records(heights, formula, source)))


@pytest.fixture
def searched(tmp_path: Path) -> Searched:
    numbers = count()
    return lambda *what: search(tmp_path / f"run{next(numbers)}", *what)


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Six targets of 30 relaxations: unimat hits ten times as often as random, torch about as often."""
    rng, runs = np.random.default_rng(0), []
    for source, chance in (("random", 0.03), ("unimat", 0.3), ("torch", 0.04)):
        for formula in FORMULAS:
            others = np.round(-3.99 + 0.5 * rng.random(30), 4)
            heights: Heights = [float(h) for h in np.where(rng.random(30) < chance, -4.0, others)]
            cut = [None if n % 7 == 6 else h for n, h in enumerate(heights)]
            runs.append(search(tmp_path_factory.mktemp("run"), cut, formula, source))
    return compare_runs(runs, baseline="random")


def text_of(path: Path) -> str:
    """What is read on the page: no scripts, no styles, no tags."""
    html = re.sub(r"<(script|style)\b.*?</\1>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", re.sub(r"</?(wbr|code)>", "", html)))


def test_only_a_verdict_is_claimed(comparison: Comparison) -> None:
    unimat, other = comparison.pairs
    assert (unimat.verdict, other.verdict) == ("faster", "not told apart")
    claimed, not_claimed = claims(comparison.pairs)
    assert len(claimed) == len(not_claimed) == 1
    assert claimed[0].startswith("unimat is faster than random") and "on 6 targets" in claimed[0]
    assert f"{unimat.ratio.high:.2g}" in claimed[0]
    assert not_claimed[0].startswith("torch and random are not told apart")
    few = [replace(pair, verdict="too few") for pair in comparison.pairs]
    claimed, not_claimed = claims(few)
    assert claimed == [] and len(not_claimed) == 2
    assert not any(re.search("unimat is|times the relaxations", sentence) for sentence in not_claimed)


def test_a_source_without_any_hit_is_told_in_words(searched: Searched, tmp_path: Path) -> None:
    runs = [searched([-4.0, -3.0], f) for f in FORMULAS] + [searched([-3.0, -3.0], f, "unimat") for f in FORMULAS]
    comparison = compare_runs(runs)
    assert claims(comparison.pairs)[0] == ["unimat is slower than random: it hit nothing on 6 targets."]
    reverse = compare_runs(runs, baseline="unimat")
    assert claims(reverse.pairs)[0] == ["random is faster than unimat, which hit nothing, on 6 targets."]
    for number, found in enumerate((comparison, reverse)):
        text = text_of(write_comparison_report(found, tmp_path / f"{number}.html"))
        assert "for no hit: unimat" in text and not re.search(r"\b(inf|nan|None)\b", text)


def test_the_page_holds_every_figure_and_where_it_is_from(comparison: Comparison, tmp_path: Path) -> None:
    path = write_comparison_report(comparison, tmp_path / "page.html")
    text, html = text_of(path), path.read_text(encoding="utf-8")
    assert "3 sources, random, unimat and torch, on 6 targets: 540 relaxations in 18 runs" in text
    assert "Can be claimed unimat is faster" in text and "Cannot be claimed torch and random" in text
    for source in comparison.sources:
        for estimate in (source.hits[5], source.within[10], source.converged):
            assert estimate is not None and estimate.value is not None
            shown = f" {100 * estimate.value:.0f} {100 * (estimate.low or 0):.0f} to {100 * (estimate.high or 0):.0f}"
            assert shown in text
    assert html.count('<td class="source">') == 3 * 3 + 2 * 2 + 18
    for table in re.findall(r"<table.*?</table>", html, flags=re.DOTALL):
        heading, *rows = re.split(r"<tr\b", table)[1:]
        assert rows and all(row.count("<td") == heading.count("<th ") for row in rows)
    assert comparison.reference_words in text
    assert "independent draws" in text and "Kaplan and Meier" in text
    for run in comparison.runs:
        assert run in text
    assert "made by hand" in text
    assert "pickard2011airss" in text and "yang2024unimat" in text and "source torch" in text
    assert text.count("@article{deng2023chgnet") == 1


def test_the_page_loads_nothing_and_text_cannot_run(searched: Searched, tmp_path: Path) -> None:
    runs = [searched([-4.0, -3.0]), searched([-3.0, -4.0], "NaCl", EVIL)]
    path = write_comparison_report(compare_runs(runs), tmp_path / "page.html")
    html = path.read_text(encoding="utf-8")
    assert EVIL not in html and not re.search(
        r"<img|<[^>]+ (src|href|onerror)=", re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    )
    assert "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:" in html
    figures = re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    assert len(figures) == 6 + 1 + 3  # success, ratios, the target
    for figure in figures:
        assert "<img" not in json.dumps(json.loads(figure))
    assert html.count('class="plot"') == len(re.findall(r'class="plot"[^>]* aria-label="[^"]+"', html))
    assert len(html) < 6e6


@pytest.mark.parametrize("axis", ["relaxations", "force_calls", "seconds"])
def test_curves_are_those_of_the_comparison(comparison: Comparison, axis: str) -> None:
    """Points between corners are left out: what is drawn is the same at every budget."""
    lines = {t.name: t for t in success_plot(comparison, axis).data if t.line.width == 2.5}
    for source in comparison.sources:
        curve = source.success[axis]
        assert curve is not None
        drawn = lines[source.source]
        last = np.searchsorted(np.array(drawn.x) * (1 - 1e-3), curve.budget, side="right") - 1
        np.testing.assert_allclose(np.array(drawn.y)[last], 100 * curve.share, rtol=1e-3)
    target = next(iter(comparison.references))
    medians = {t.name: t for t in target_plot(comparison, target, axis).data if t.line.width == 2.5}
    for source in comparison.sources:
        band = comparison.bands[target, source.source, axis]
        known = np.isfinite(band.median)
        drawn = medians[source.source]
        last = np.searchsorted(np.array(drawn.x) * (1 - 1e-3), band.budget[known], side="right") - 1
        np.testing.assert_allclose(np.array(drawn.customdata)[last], 1000 * band.median[known], rtol=1e-3, atol=1e-9)
        assert min(drawn.y) >= comparison.within_mev  # a hit is drawn at the height of one
    assert len({t.line.color for t in lines.values()}) == len({t.line.dash for t in lines.values()}) == 3


def test_figures_for_papers(comparison: Comparison, tmp_path: Path) -> None:
    paths = write_comparison_figures(comparison, tmp_path / "figures")
    names = {"success.png", "success.svg", "success-as-run.png", "success-as-run.svg"}
    assert {path.name for path in paths} == names == {p.name for p in (tmp_path / "figures").iterdir()}
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG" if path.suffix == ".png" else b"<?xml")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"figures '.*file' cannot be written"):
        write_comparison_figures(comparison, tmp_path / "file")


def words(runs: Sequence[Run], *more: str) -> argparse.Namespace:
    return parse(["compare", *(str(run.path) for run in runs), *more])


def test_the_words_of_the_command(make_run: Searched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [
        make_run(records([-4.0, -3.0], "NaCl", source), {"formula": "NaCl", "source": source}, folder=source)
        for source in ("random", "unimat")
    ]
    run_comparison(words(runs, "--report", "new/page.html", "--figures", "drawn"))
    assert Path("new/page.html").is_file() and Path("drawn/success.svg").is_file()
    for suffix in ("page.pdf", "page"):
        with pytest.raises(InputError, match=r"unknown suffix of --report .*allowed are \.htm, \.html") as told:
            run_comparison(words(runs, "--report", suffix))
        assert "\n" not in str(told.value)
    Path("folder.html").mkdir()
    for path in ("folder.html", "drawn/success.svg/page.html"):
        with pytest.raises(InputError, match=f"--report: '{path}' cannot be written") as told:
            run_comparison(words(runs, "--report", path))
        assert "\n" not in str(told.value)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
def test_page_draws_and_answers_without_an_error(tab: Browser, comparison: Comparison, tmp_path: Path) -> None:
    path = write_comparison_report(comparison, tmp_path / "page.html")
    tab.open(path)
    assert tab.requests == [path.as_uri()]
    lines = "document.querySelectorAll('#{} .scatterlayer path.js-line').length"
    assert tab.evaluate(lines.format("success-mean-relaxations")) >= 3
    assert tab.evaluate(lines.format("target-1-relaxations")) >= 3

    # Another order and cost: one plot takes the place of the other.
    shown = "[...document.querySelectorAll('.cost')].filter((f) => !f.hidden).map((f) => f.id)"
    tab.evaluate("document.querySelector('input[value=success-run]').click()")
    tab.evaluate("document.querySelector('input[name=success-cost][value=seconds]').click()")
    tab.wait_for(lines.format("success-run-seconds") + " >= 3")
    assert tab.evaluate(shown) == ["success-run-seconds", "target-1-relaxations"]

    # A curve is hidden by its name, and another target is chosen, without a mouse.
    name = "document.querySelector('#success-run-seconds .legendtoggle')"
    curves = tab.evaluate(lines.format("success-run-seconds"))
    tab.evaluate(f"{name}.focus()")
    tab.press("Enter")
    tab.wait_for(f"{name}.getAttribute('aria-pressed') === 'false'")
    assert tab.evaluate(lines.format("success-run-seconds")) < curves
    tab.evaluate("document.querySelector('select').focus()")
    tab.press("ArrowDown")
    tab.wait_for(lines.format("target-2-relaxations") + " >= 3")
    tab.evaluate("document.querySelector('input[name=target-cost][value=force_calls]').click()")
    tab.wait_for(lines.format("target-2-force_calls") + " >= 3")
    assert tab.evaluate(shown) == ["success-run-seconds", "target-2-force_calls"]

    # Sorting, also without a mouse: up, then down; what was never hit is sorted as the highest.
    heading = "document.querySelectorAll('#rows th')[6]"
    column = "[...document.querySelectorAll('#rows tbody tr')].map((line) => line.children[6].textContent)"
    assert "First hit" in tab.evaluate(f"{heading}.textContent")
    tab.evaluate(f"{heading}.querySelector('button').focus()")
    for order in ("ascending", "descending"):
        tab.press("Enter")
        firsts = [np.inf if text == "–" else float(text) for text in tab.evaluate(column)]
        assert firsts == sorted(firsts, reverse=order == "descending") and len(set(firsts)) > 3 and np.inf in firsts
        assert tab.evaluate("[...document.querySelectorAll('[aria-sort]')].map((h) => h.ariaSort)") == [order]
    assert tab.troubles == []


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
def test_phone_and_paper(tab: Browser, comparison: Comparison, tmp_path: Path) -> None:
    tab.open(write_comparison_report(comparison, tmp_path / "page.html"), width=400)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    assert tab.paper().startswith(b"%PDF")
    tab.call("Emulation.setEmulatedMedia", media="print")
    shown = "getComputedStyle(document.querySelector('{}')).display !== 'none'"
    assert tab.evaluate(shown.format(".cost .plot")) and not tab.evaluate(shown.format(".costs"))
    assert tab.evaluate("[...document.querySelectorAll('details')].every((part) => part.open)")
    tab.call("Emulation.setDeviceMetricsOverride", width=717, height=1000, deviceScaleFactor=1, mobile=False)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 717  # A4; else all of it is printed smaller
    tab.call("Emulation.setEmulatedMedia", media="")
    assert tab.troubles == []
