from __future__ import annotations

import dataclasses
import re
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtalseek.errors import InputError
from xtalseek.search.campaign_config import (
    Campaign,
    campaign_to_toml,
    difference,
    read_campaign,
    read_campaign_folder,
)
from xtalseek.search.campaign_words import CAMPAIGN_WORDS, parse_campaign_word
from xtalseek.search.config import resolve


def read(folder: Path, name: str, text: str, **words: Any) -> Campaign:
    (folder / name).write_text(text)
    return read_campaign(str(folder / name), words)


def message(folder: Path, name: str, text: str, **words: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, name, text, **words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# A list, a table, TOML


def test_a_list_has_a_formula_per_line_with_comments(tmp_path: Path) -> None:
    text = "# oxides\nMgO\n\n  TiO2   # rutile\r\nCa(OH)2"
    campaign = read(tmp_path, "oxides.txt", text, num="20", relaxer="a:B")
    assert list(campaign.searches) == ["MgO", "TiO2", "CaO2H2"]
    assert campaign.out == "campaigns/oxides"
    assert campaign.searches["TiO2"] == resolve(
        {"formula": "TiO2", "num": 20, "relaxer": "a:B", "out": "campaigns/oxides/runs/TiO2"}
    )
    (tmp_path / "oxides").write_text("\ufeff" + text, encoding="utf-8")
    again = read_campaign(str(tmp_path / "oxides"), {"num": "20", "relaxer": "a:B"})
    assert again == campaign


def test_a_table_gives_compositions_words_of_their_own(tmp_path: Path) -> None:
    text = 'formula,num,pressure_gpa,min_distances,budget\nMgO,,,,"random=2,unimat=3"\nMgO,7,10,"Mg-O=1.8,O-O=2",\n\n'
    campaign = read(tmp_path, "x.csv", text, formula_units="2")
    first, second = campaign.searches.values()
    assert list(campaign.searches) == ["MgO", "MgO-10GPa"]
    assert (first.num, first.source, first.pressure_gpa, first.min_distances) == (5, ("random", "unimat"), 0, {})
    assert (second.num, second.source, second.pressure_gpa) == (7, ("random",), 10)
    assert second.min_distances == {"Mg-O": 1.8, "O-O": 2}
    assert second.out.endswith("/runs/MgO-10GPa")
    assert {config.formula_units for config in campaign.searches.values()} == {(2, 2)}


def test_toml_has_common_words_words_of_the_campaign_and_compositions_in_both_forms(tmp_path: Path) -> None:
    campaign = read(
        tmp_path,
        "a.toml",
        """
        out = "elsewhere/"
        rounds = 3
        follow_up = 50
        learn = true
        max_hours = 2
        budget = { random = 20, unimat = 40 }
        seed = 5
        compositions = ["MgO", { formula = "TiO2", num = 80 }]
        [[composition]]
        formula = "ZnO"
        budget = { random = 9 }
        source_options = { "a b" = [1, true] }
        """,
    )
    assert (campaign.out, campaign.rounds, campaign.follow_up, campaign.learn) == ("elsewhere", 3, 50, True)
    assert campaign.max_hours == 2
    assert [(name, c.num, c.source) for name, c in campaign.searches.items()] == [
        ("MgO", 60, ("random", "unimat")),
        ("TiO2", 80, ("random", "unimat")),
        ("ZnO", 9, ("random",)),
    ]
    # The limit of hours is the whole campaign's, not each search's.
    assert {(c.seed, c.max_hours) for c in campaign.searches.values()} == {(5, None)}
    assert campaign.searches["ZnO"].source_options == {"a b": [1, True]}


def test_the_command_line_wins_over_a_composition_which_wins_over_common_words(tmp_path: Path) -> None:
    text = 'num = 1\nseed = 1\nrounds = 2\ncompositions = [{ formula = "MgO", num = 2 }, "ZnO"]'
    campaign = read(tmp_path, "a.toml", text)
    assert [c.num for c in campaign.searches.values()] == [2, 1]
    campaign = read(tmp_path, "a.toml", text, num="3", rounds="4")
    assert [(c.num, c.seed) for c in campaign.searches.values()] == [(3, 1), (3, 1)]
    assert campaign.rounds == 4


def test_shared_distances_go_to_the_compositions_that_have_the_pair(tmp_path: Path) -> None:
    campaign = read(tmp_path, "a.txt", "MgO\nTiO2\nMgTiO3", min_distances="O-Ti=1.7,Mg-O=1.8")
    assert [dict(c.min_distances) for c in campaign.searches.values()] == [
        {"Mg-O": 1.8}, {"O-Ti": 1.7}, {"O-Ti": 1.7, "Mg-O": 1.8},
    ]  # fmt: skip
    assert "no composition has both elements of Zn-O" in message(tmp_path, "a.txt", "MgO", min_distances="Zn-O=1")
    own = 'compositions = [{ formula = "MgO", min_distances = { Ti-O = 1.7 } }]'
    assert "composition 1: min_distances: Ti in 'O-Ti' is not in MgO" in message(tmp_path, "a.toml", own)


# What is wrong is told in one line, by its place


def test_bad_formulas_of_a_long_list_are_told_together_by_their_lines(tmp_path: Path) -> None:
    lines = ["MgO"] + [f"Zn{n}O" for n in range(1, 2000)]
    for n in (4, 10, 20, 300, 400, 500, 1999):
        lines[n] = f"Qq{n}"
    told = message(tmp_path, "many.txt", "\n".join(lines))
    assert [f"line {n + 1}: " in told for n in (4, 10, 20, 300, 400, 500, 1999)] == [True] * 5 + [False] * 2
    assert told.endswith("; and 2 more")


def test_the_same_name_twice_names_both_lines(tmp_path: Path) -> None:
    told = message(tmp_path, "a.txt", "MgO\nZnO\n#\nMgO")
    assert told == "line 4: MgO stands on line 1 already: leave one out, or give another pressure"


def test_a_wrong_shared_word_is_told_once(tmp_path: Path) -> None:
    assert message(tmp_path, "a.txt", "MgO\nZnO", num="many").startswith("num: cannot use 'many'")
    assert message(tmp_path, "a.txt", "MgO\nZnO", source="random", schedule="unimat=2").count("unimat") == 1


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.txt", "", "no compositions"),
        ("a.txt", "MgO 20", "line 1: formula 'MgO 20' is not a formula"),
        ("a.csv", "formula,nun\nMgO,3", "unknown column in .*'nun'.*did you mean 'num'"),
        ("a.csv", "formula,num,num\nMgO,3,4", "two columns 'num'"),
        ("a.csv", "num\n3", "no column 'formula'"),
        ("a.csv", "formula,out\nMgO,x", "unknown column in .*'out'"),
        ("a.csv", "formula,num\nMgO,3\nZnO,3,4", "line 3: 3 cells under 2 columns"),
        ("a.csv", "formula,num\nMgO,3\nZnO,x", "line 3: num: cannot use 'x'"),
        ("a.csv", "formula,num\nMgO,3\n,4", "line 3: formula: none given"),
        ("a.csv", 'formula\n"MgO', "line 2 is not CSV"),
        ("a.toml", "compositions = 3", "compositions is not a list"),
        ("a.toml", '[composition]\nformula = "MgO"', "composition is not a list"),
        ("a.toml", "compositions = [3]", "composition 1, 3, is neither a formula"),
        ("a.toml", 'compositions = ["MgO"]\nnun = 3', "unknown key 'nun'.*did you mean 'num'"),
        ("a.toml", 'compositions = [{ formula = "MgO", sed = 3 }]', "unknown key in composition 1.*'sed'.*'seed'"),
        ("a.toml", 'compositions = ["MgO", { num = 3 }]', "composition 2: formula: none given"),
        ("a.toml", 'formula = "MgO"', "formula: belongs to one composition"),
        ("a.toml", 'compositions = ["MgO"]\nrounds = 0', "rounds: cannot use 0"),
        ("a.toml", 'compositions = ["MgO"]\nlearn = 1', "learn: cannot use 1"),
        ("a.toml", 'compositions = ["MgO"]\nlearn = true\nrounds = 2', "learn: no composition has the source unimat"),
        ("a.toml", 'compositions = ["MgO"]\nfollow_up = 9', "follow_up: there is one round only"),
        ("a.toml", 'compositions = ["MgO"]\nmax_atoms = 9', "max_atoms: belongs to a chemical system"),
        ("a.toml", 'compositions = ["MgO"]\nbudget = {}', "budget: names no source"),
        ("a.toml", 'compositions = ["MgO"]\nbudget = { random = 0 }', "budget: cannot use"),
        ("a.toml", 'compositions = ["MgO"]\nbudget = { random = 2 }\nnum = 3', "num: follows from the budget"),
        ("a.dat", "MgO", "unknown suffix .*'.dat'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, text: str, expected: str) -> None:
    told = message(tmp_path, name, text)
    assert re.search(expected, told), told


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'Li-Fe-O' cannot be read: .*--chemical-system"):
        read_campaign("Li-Fe-O", {})
    (tmp_path / "a.csv").write_bytes(b"formula\n\xff\xfe")
    with pytest.raises(InputError, match="is not text in UTF-8"):
        read_campaign(str(tmp_path / "a.csv"), {})
    with pytest.raises(InputError, match="no compositions: give a FILE"):
        read_campaign(None, {"num": 3})
    with pytest.raises(InputError, match="is not a campaign folder"):
        read_campaign_folder(tmp_path)


toml_like = st.recursive(
    st.sampled_from(['"MgO"', "-1", "inf", "nan", "true", '""', "1979-05-27", '"é\\u0000"']),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.tuples(st.sampled_from(["formula", "random", "x"]), inner).map(lambda pair: f"{{ {pair[0]} = {pair[1]} }}")
    ),
    max_leaves=4,
)
names = st.sampled_from([*CAMPAIGN_WORDS, "compositions", "composition", "num", "seed_text", "min_distances", "source"])
toml_lines = st.dictionaries(names, toml_like, max_size=3).map(
    lambda words: "\n".join(f"{name} = {value}" for name, value in words.items())
)


@settings(max_examples=100, deadline=None)
@given(suffix=st.sampled_from([".txt", ".csv", ".toml"]), content=st.binary(max_size=60) | st.text().map(str.encode))
def test_no_bytes_end_in_anything_but_a_campaign_or_one_line(suffix: str, content: bytes) -> None:
    read_anything(suffix, content)


@settings(max_examples=100, deadline=None)
@given(text=toml_lines, header=st.lists(st.sampled_from(["formula", "num", "budget", "seed_text"]), min_size=1))
def test_no_values_end_in_anything_but_a_campaign_or_one_line(text: str, header: list[str]) -> None:
    read_anything(".toml", text.encode())
    read_anything(".csv", f"{','.join(header)}\n{text}".encode())


def read_anything(suffix: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"a{suffix}"
        file.write_bytes(content)
        try:
            read_campaign(str(file), {})
        except InputError as error:
            assert "\n" not in str(error)


# Budget


@settings(max_examples=60, deadline=None)
@given(budget=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 60), min_size=1))
def test_a_budget_gives_each_source_exactly_its_candidates(budget: dict[str, int]) -> None:
    words = {"chemical_system": "Mg-O", "max_atoms": 2}
    asked = read_campaign(None, {**words, "budget": budget})
    assert asked == read_campaign(None, {**words, "budget": ",".join(f"{s}={n}" for s, n in budget.items())})
    config = asked.searches["MgO"]
    assert Counter(a.source for a in config.assignments()) == budget
    assert config.num == sum(budget.values())


def test_a_follow_up_round_has_half_the_candidates_unless_told(tmp_path: Path) -> None:
    campaign = read(tmp_path, "a.txt", "MgO\nZnO", num=15, rounds=2)
    assert (campaign.candidates, campaign.follow_up_candidates) == (30, 15)
    assert read(tmp_path, "a.txt", "MgO\nZnO", num=15, rounds=2, follow_up=4).follow_up_candidates == 4


# Chemical systems


def test_cells_of_a_chemical_system_hold_no_more_atoms_than_allowed() -> None:
    campaign = read_campaign(None, {"chemical_system": "Li-Fe-O", "max_atoms": "12", "num": 3, "subsystems": True})
    assert campaign.out == "campaigns/Li-Fe-O"
    units = {name: config.formula_units for name, config in campaign.searches.items()}
    assert units["FeO"] == (1, 6)
    assert units["LiFeO2"] == (1, 3)
    assert units["Li5FeO4"] == (1, 1)
    assert next(iter(campaign.searches)) in ("FeO", "Li2O")
    larger = read_campaign(None, {"chemical_system": "Li-Fe-O", "max_atoms": 12, "formula_units": "2-3"})
    assert {c.formula_units for c in larger.searches.values()} == {(2, 3), (2, 2)}
    for config in larger.searches.values():
        assert config.formula_units[1] * sum(config.target.composition.values()) <= 12


def test_a_listed_formula_of_the_chemical_system_keeps_its_own_words(tmp_path: Path) -> None:
    text = 'chemical_system = "Mg-O"\nmax_atoms = 4\nnum = 3\ncompositions = [{ formula = "OMg", num = 80 }]'
    campaign = read(tmp_path, "a.toml", text)
    assert {name: c.num for name, c in campaign.searches.items()} == {"OMg": 80, "MgO2": 3, "Mg2O": 3, "Mg3O": 3,
                                                                      "MgO3": 3}  # fmt: skip
    text = text.replace("num = 80", "pressure_gpa = 5")
    assert {"OMg-5GPa", "MgO"} <= read(tmp_path, "a.toml", text).searches.keys()


# Seeds

SEED = "#SPECIES=Si\n#NATOM=2-4\n#MINSEP=2.0\n#TARGVOL=20\n"


def test_a_seed_file_takes_the_place_of_a_formula_and_is_kept(tmp_path: Path) -> None:
    (tmp_path / "Si small.cell").write_text(SEED)
    campaign = read(tmp_path, "a.csv", f"formula,seed_file\n,{tmp_path / 'Si small.cell'}\nMgO,")
    name = next(iter(campaign.searches))
    assert " " not in name
    assert "/" not in name
    folder = tmp_path / "campaign"
    folder.mkdir()
    (folder / "campaign.toml").write_text(campaign_to_toml(campaign, {}))
    (tmp_path / "Si small.cell").unlink()
    again = read_campaign_folder(folder)
    assert again.searches[name].seed_text == SEED
    assert difference(campaign, again) == []


def test_a_stored_campaign_reads_no_seed_file(tmp_path: Path) -> None:
    (tmp_path / "Si.cell").write_text(SEED)
    (tmp_path / "campaign.toml").write_text(f'compositions = [{{ seed_file = "{tmp_path / "Si.cell"}" }}]')
    assert len(read_campaign(str(tmp_path / "campaign.toml"), {}).searches) == 1
    with pytest.raises(InputError, match="has no seed_text"):
        read_campaign_folder(tmp_path)


def test_names_that_would_mix_up_run_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "Si-round2.cell").write_text(SEED)
    told = message(tmp_path, "a.csv", f"seed_file\n{tmp_path / 'Si-round2.cell'}")
    assert "line 2: seed_file: runs/Si-round2 is where a later round" in told
    (tmp_path / "MgO.cell").write_text(SEED)
    told = message(tmp_path, "b.csv", f"seed_file\n{tmp_path / 'MgO.cell'}", chemical_system="Mg-O", max_atoms=3)
    assert "MgO of the chemical system is also what a seed file is called" in told


# Storing and resuming

pairs = st.fixed_dictionaries({}, optional={"O-O": st.floats(0.5, 3), "H-O": st.floats(0.5, 3)})
plain = st.text(max_size=8) | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False)
options = st.dictionaries(st.text(min_size=1, max_size=5), plain | st.lists(plain, max_size=2), max_size=2)
own_words = st.fixed_dictionaries(
    {},
    optional={
        "num": st.integers(1, 9),
        "formula_units": st.tuples(st.integers(1, 2), st.integers(2, 4)),
        "pressure_gpa": st.sampled_from([0, 2.5, -1, 1e-5]),
        "min_distances": pairs,
        "volume_per_atom": st.sampled_from([(8, 9.5), "10"]),
        "space_groups": st.lists(st.integers(1, 230), max_size=2),
        "until": st.sampled_from(["found-5-times", "unseen<0.05"]),
        "push_apart": st.floats(0.1, 1),
        "source_options": st.fixed_dictionaries({}, optional={"random": options, "unimat": options}),
        "relaxer_options": options,
        "seed": st.integers(0, 3),
    },
)
whole_words = st.fixed_dictionaries(
    {"rounds": st.integers(2, 4), "source": st.just(["random", "unimat"])},
    optional={
        "follow_up": st.integers(1, 99),
        "learn": st.booleans(),
        "zero_shot": st.booleans(),
        "max_hours": st.floats(0.1, 9),
        "num": st.integers(1, 9),
        "seed": st.integers(0, 3),
        "relaxer_options": options,
        "volume_per_atom": st.just((5, 6)),
    },
)
formulas = ["H2O", "Ca(OH)2", "HO", "H2O2", "NaOH"]


@settings(max_examples=100, deadline=None)
@given(whole=whole_words, owns=st.lists(own_words, min_size=1, max_size=len(formulas)))
def test_a_stored_campaign_reads_back_the_same(whole: dict[str, Any], owns: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "campaign.toml"
        # What the strategies draw goes in as a campaign made by hand, and has to come out of its file again.
        configs = {}
        common = {k: v for k, v in whole.items() if k not in CAMPAIGN_WORDS}
        for formula, own in zip(formulas, owns, strict=False):
            config = resolve({**common, **own, "formula": formula})
            pressure = f"-{config.pressure_gpa:g}GPa" if config.pressure_gpa else ""
            name = config.target.name + pressure
            configs[name] = dataclasses.replace(config, out=f"{folder}/runs/{name}")
        campaign = Campaign(configs, folder, **{k: v for k, v in whole.items() if k in CAMPAIGN_WORDS})
        file.write_text(campaign_to_toml(campaign, {"xtalseek": "0.1", 'strange "key"': 'and "value" \\'}))
        again = read_campaign_folder(folder)
        assert again == campaign
        assert list(again.searches) == list(campaign.searches)
        assert read_campaign(str(file), {}) == campaign
        assert difference(campaign, again) == []


def test_a_moved_folder_keeps_its_campaign(tmp_path: Path) -> None:
    campaign = read(tmp_path, "a.txt", "MgO\nZnO", out="here/", seed=3)
    (tmp_path / "campaign.toml").write_text(campaign_to_toml(campaign, {}))
    moved = read_campaign_folder(tmp_path)
    assert moved.out == str(tmp_path)
    assert moved.searches["ZnO"].out == f"{tmp_path}/runs/ZnO"
    assert difference(campaign, moved) == []


def test_a_campaign_too_large_to_be_read_again_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = read(tmp_path, "a.txt", "MgO\nZnO")
    size = len(campaign_to_toml(campaign, {}))
    monkeypatch.setattr("xtalseek.search.campaign_config.MAX_CAMPAIGN_BYTES", size - 1)
    with pytest.raises(InputError, match=f"takes {size} bytes to write down, {size - 1} are allowed: split it"):
        campaign_to_toml(campaign, {})


def test_difference_lets_a_campaign_grow_and_nothing_else(tmp_path: Path) -> None:
    stored = read(tmp_path, "a.txt", "MgO\nZnO\nCaO", num=10, source="random,unimat")
    longer = read(
        tmp_path, "a.txt", "MgO\nTiO2\nZnO", num=20, source="random,unimat", rounds=3, follow_up=5, max_hours=1,
        until="found-5-times", out="moved",
    )  # fmt: skip
    assert difference(stored, longer) == []
    other = read(tmp_path, "a.txt", "MgO\nZnO\nCaO", num=10, source="random,unimat", seed=1, learn=True, zero_shot=True)
    assert difference(stored, other) == [
        "learn: false in the campaign folder, true asked for",
        "zero_shot: false in the campaign folder, true asked for",
        "MgO and 2 more: seed: 0 in the run folder, 1 asked for",
    ]


# Rounds with learning


def test_learning_starts_from_the_one_checkpoint_that_all_compositions_name(tmp_path: Path) -> None:
    alone = '{ formula = "MgO", source = "unimat", source_options = { checkpoint = "own" } }'
    mixed = '{ formula = "CaO", source = "random,unimat", source_options = { unimat = { checkpoint = "own" } } }'
    without = '{ formula = "ZnO", source = "random" }'
    text = "learn = true\nrounds = 2\ncompositions = [{}]"
    assert read(tmp_path, "a.toml", text.format(", ".join((alone, mixed, without)))).parent_checkpoint() == "own"
    other = '{ formula = "SrO", source = "unimat" }'
    with pytest.raises(InputError, match="learn: the compositions name different checkpoints"):
        read(tmp_path, "a.toml", text.format(", ".join((alone, other))))
    with pytest.raises(InputError, match="learn: no composition has the source unimat"):
        read(tmp_path, "a.toml", text.format(without))


def test_a_later_round_that_learned_searches_anew_with_the_new_model(tmp_path: Path) -> None:
    text = """
        out = "C"
        learn = true
        rounds = 3
        seed = 7
        compositions = [
            { formula = "MgO", source = "random" },
            { formula = "ZnO", source = "unimat", source_options = { guidance = 2 } },
            { formula = "CaO", source = "random,unimat", source_options = { unimat = { guidance = 2 } } },
            { formula = "SrO", source = "random,unimat" },
        ]"""
    campaign = read(tmp_path, "a.toml", text)
    assert campaign.in_round(1, "C/models/round-01") == campaign.searches
    third = campaign.in_round(3, "C/models/round-03")
    assert list(third) == list(campaign.searches)
    assert {c.seed for c in third.values()} == {9}
    assert third["MgO"].out == "C/runs/MgO-round3"
    model = {"checkpoint": "C/models/round-03"}
    assert [c.source_options for c in third.values()] == [
        {}, {"guidance": 2, **model}, {"unimat": {"guidance": 2, **model}}, {"unimat": model},
    ]  # fmt: skip
    assert campaign.searches["CaO"].source_options == {"unimat": {"guidance": 2}}
    assert campaign.parent_checkpoint() == ""
    without = read(tmp_path, "a.toml", text, learn="false")
    assert without.in_round(3, "C/models/round-03") == without.searches


def test_the_examples_that_help_shows_can_be_typed() -> None:
    for name, word in CAMPAIGN_WORDS.items():
        assert parse_campaign_word(name, "x" if name == "out" else word.example) is not None


def test_ten_thousand_compositions_are_read_and_stored_in_seconds(tmp_path: Path) -> None:
    lines = [f"Mg{i}Ti{j}O{k}" for i in range(1, 26) for j in range(1, 21) for k in range(1, 21)]
    start = time.process_time()
    campaign = read(tmp_path, "a.txt", "\n".join(lines), num=10)
    (tmp_path / "campaign.toml").write_text(campaign_to_toml(campaign, {}))
    again = read_campaign_folder(tmp_path)
    assert list(again.searches) == list(campaign.searches)
    assert len(campaign.searches) == 10_000
    assert time.process_time() - start < 20  # 4 s where it was written
