"""`xtalseek init`: what it writes reads back as the defaults, has every word, and its examples can be used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xtalseek.cli import main
from xtalseek.command_words import CAMPAIGN_SEARCH_WORDS, SEARCH_WORDS
from xtalseek.errors import InputError
from xtalseek.proposals import make_source
from xtalseek.search.campaign_config import read_campaign
from xtalseek.search.campaign_words import CAMPAIGN_WORDS
from xtalseek.search.config import read_toml, resolve
from xtalseek.starter import campaign_starter, search_starter, write_starter

EXAMPLE = re.compile(r"^#(?=[a-z_]+ = )", flags=re.M)


def in_force(text: str, *without: str) -> str:
    """The text with all its examples in force but those of some words."""
    kept = [line for line in text.splitlines() if line.lstrip("#").partition(" = ")[0] not in without]
    return EXAMPLE.sub("", "\n".join(kept))


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_search_reads_back_with_its_defaults_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "Ca(OH)2"]) == 0
    told = capsys.readouterr().out
    (written,) = Path().glob("*.toml")
    assert resolve(read_toml(written)) == resolve({"formula": "Ca(OH)2"})
    assert f"xtalseek search --config {written}" in told


def test_a_campaign_reads_back_with_its_defaults_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "MgO", "--campaign", "--out", "oxides.toml"]) == 0
    assert "xtalseek campaign oxides.toml" in capsys.readouterr().out
    Path("oxides.txt").write_text("MgO\n")
    assert read_campaign("oxides.toml", {}) == read_campaign("oxides.txt", {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (search_starter(), {"formula", *SEARCH_WORDS}),
        (campaign_starter(), {"compositions", *CAMPAIGN_SEARCH_WORDS, *CAMPAIGN_WORDS}),
    ],
)
def test_every_word_of_the_command_line_stands_in_it_once_below_its_comment(text: str, words: set[str]) -> None:
    lines = text.splitlines()
    places = {match[1]: place for place, line in enumerate(lines) if (match := re.match(r"#?([a-z_]+) = ", line))}
    assert places.keys() == words
    assert len(places) == len(re.findall(r"^#?[a-z_]+ = ", text, flags=re.M))
    assert all(lines[place - 1].startswith("# ") for place in places.values())
    assert max(len(line) for line in lines if line.startswith("# ")) <= 80


@pytest.mark.parametrize("formula", ["SrTiO3", "Si", "MgSiO3"])
def test_every_example_of_a_search_can_be_put_in_force(formula: str, tmp_path: Path) -> None:
    text = search_starter(formula)
    file = tmp_path / "all.toml"
    file.write_text(in_force(text, "seed_file"))
    config = resolve(read_toml(file))
    assert config.source == ("random", "unimat")
    assert config.pressure_gpa == 10
    make_source("random", config.source_options["random"])
    file.write_text(in_force(text, "formula", "formula_units", "min_distances", "volume_per_atom",
                             "symmetry_operations", "space_groups"))  # fmt: skip
    (tmp_path / "X.cell").write_text("#SPECIES=Si%NUM=1\n#NFORM=2\n#MINSEP=2\n")
    assert resolve(read_toml(file)).formula == "Si"


@pytest.mark.parametrize("others", [("budget",), ("num", "source", "schedule", "source_options")])
def test_every_example_of_a_campaign_can_be_put_in_force(others: tuple[str, ...], tmp_path: Path) -> None:
    """The example's chemical system has other pairs than its composition; both are of the campaign."""
    file = tmp_path / "all.toml"
    file.write_text(in_force(campaign_starter("LiFePO4"), *others))
    campaign = read_campaign(str(file), {})
    assert (campaign.rounds, campaign.learn, campaign.zero_shot) == (3, True, True)
    assert "LiFePO4-10GPa" in campaign.searches
    assert len(campaign.searches) > 1


@pytest.mark.parametrize("word", sorted({*SEARCH_WORDS} - {"seed_file", "schedule", "source_options"}))
def test_each_example_of_a_search_works_alone(word: str, tmp_path: Path) -> None:
    file = tmp_path / "one.toml"
    file.write_text(re.sub(rf"^#(?={word} = )", "", search_starter(), flags=re.M))
    words = read_toml(file)
    assert set(words) == {"formula", word}
    resolve(words)


def test_no_file_is_ever_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    Path("search.toml").write_text("mine")
    assert main(["init"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert Path("search.toml").read_text() == "mine"
    assert main(["init", "--campaign"]) == 0
    assert sorted(path.name for path in Path().iterdir()) == ["campaign.toml", "search.toml"]


@pytest.mark.parametrize(
    ("formula", "out", "told"),
    [
        ("Xx2O", None, "did you mean"),
        ("Si", "x.yaml", "has to end in .toml"),
        ("Si", "nowhere/x.toml", "cannot be written"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(formula: str, out: str | None, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        write_starter(formula, out, campaign=False)
    assert "\n" not in str(caught.value)
    assert not list(Path().iterdir())
