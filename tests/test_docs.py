"""The pages: every link leads somewhere, the menu lists every page, and commands run as they are written."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from browser import CHROMIUM, browser
from running import BIN, ROOT, environment

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TUTORIAL = DOCS / "tutorial.md"
HOW_TO = sorted((DOCS / "how-to").glob("*.md"))
_BLOCK = re.compile(r"(<!-- not run\b[^\n]*-->\n)?^```(\w+)\n(.*?)^```$", flags=re.S | re.M)
_NAMED = re.compile(r"#+ (\S+\.(?:py|toml|cell))\n")
_LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]*)(?:#[^)]*)?\)")


def run_commands(page: Path, folder: Path) -> None:
    """Save the files that the page shows, and give its commands, in the order of the page.

    A block is a file where its first line is a comment with a name. `<!-- not run: why -->` before a block skips it.
    """
    settings = environment() | {"PATH": f"{folder / 'bin'}:{BIN}:/usr/bin:/bin"}
    for skipped, language, text in _BLOCK.findall(page.read_text()):
        if skipped:
            continue
        if named := _NAMED.match(text):
            (folder / named[1]).write_text(text)
        commands = [line[2:] for line in text.splitlines() if line.startswith("$ ")] if language == "console" else []
        for command in commands:
            done = subprocess.run(
                command, shell=True, cwd=folder, env=settings, capture_output=True, text=True, timeout=600, check=False
            )
            assert done.returncode == 0, f"{page.name}: {command}\n{done.stdout}\n{done.stderr}"


def empty_folder(folder: Path) -> Path:
    """A folder in which `xtalseek` and `python` are those of this test, whatever else is installed beside it."""
    (folder / "bin").mkdir(parents=True)
    for name, words in (("xtalseek", "-m xtalseek"), ("python", "")):
        (folder / "bin" / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (folder / "bin" / name).chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def after_tutorial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of someone who went through the tutorial, which the how-to pages start from."""
    folder = empty_folder(tmp_path_factory.mktemp("pages") / "tutorial")
    run_commands(TUTORIAL, folder)
    return folder


@pytest.mark.slow
def test_the_tutorial_s_commands_run(after_tutorial: Path) -> None:
    assert (after_tutorial / "runs" / "MgO" / "report.html").stat().st_size > 10_000
    assert len(list((after_tutorial / "minima").glob("*.cif"))) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_the_commands_of_how_to_pages_run(page: Path, after_tutorial: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(after_tutorial, folder)
    run_commands(page, folder)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_link_between_pages_leads_to_a_file(page: Path) -> None:
    """And to one of the site: what lies outside of docs/ is named, not linked."""
    targets = {link: (page.parent / link).resolve() for link in _LINK.findall(page.read_text()) if link}
    assert not [link for link, file in targets.items() if not (file.exists() and file.is_relative_to(DOCS))]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_every_file_of_the_repository_that_a_page_names_exists(page: Path) -> None:
    """Those written as a path from a folder that the repository has: `relax/contract.py`."""
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"runs", "docs"}
    named = re.findall(r"`([a-z_]+(?:/[\w.-]+)+\.(?:py|md|yaml))`", page.read_text())
    missing = [name for name in named if name.split("/")[0] in rooms and not (ROOT / name).exists()]
    assert not missing


def test_the_menu_lists_every_page_once() -> None:
    menu = (ROOT / "mkdocs.yml").read_text().split("\nnav:\n")[1]
    listed = re.findall(r"(?:: |- )(\S+\.md)$", menu, flags=re.M)
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in PAGES)


def test_the_reference_names_modules_that_exist() -> None:
    """The site is built without importing the package; a misspelt name would only show there."""
    named = [name for page in PAGES for name in re.findall(r"^::: xtalseek\.(\S+)$", page.read_text(), flags=re.M)]
    assert len(named) >= 5
    for name in named:
        path = ROOT / Path(*name.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), name


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as they are published, built with warnings as errors."""
    for package in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(package, reason="pip install 'xtalseek[docs]'")
    built = tmp_path_factory.mktemp("built") / "site"
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(built)]
    done = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return built


@pytest.mark.slow
def test_the_site_builds_without_warnings_and_asks_no_other_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        fetched = re.findall(r"<(?:script|img|link)\b[^>]*(?:src|href)=\"?(?:https?:)?//[^>]*>", page.read_text())
        assert not [tag for tag in fetched if "canonical" not in tag], page.name


@pytest.mark.slow
def test_the_reference_has_words_as_descriptions_and_types_from_annotations(site: Path) -> None:
    """Where words stood as types they were also read as code: "Å^3" as a product of names, "Å ^ 3.0"."""
    text = " ".join(re.sub(r"<[^>]+>", " ", (site / "reference" / "api.html").read_text()).split())
    assert "formula str | None one formula unit; None: the seed_file says it." in text
    assert "volume_per_formula_unit float Å^3." in text


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
def test_on_a_phone_no_page_scrolls_sideways_and_keys_open_the_menu(site: Path, tmp_path: Path) -> None:
    with browser(tmp_path) as tab:
        for page in site.rglob("*.html"):
            tab.open(page, width=390, height=844)
            assert tab.evaluate("document.documentElement.scrollWidth") <= 390, page.name
        tab.open(site / "index.html", width=390, height=844)
        tab.evaluate("document.querySelector('.md-header label[for=__drawer]').focus()")
        tab.press("Enter")
        tab.wait_for("document.activeElement.closest('.md-sidebar--primary') !== null")
