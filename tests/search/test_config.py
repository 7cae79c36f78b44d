from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from xtalseek.errors import InputError
from xtalseek.search.config import difference, read_toml, resolve, to_toml


def test_command_line_and_toml_forms_mean_the_same() -> None:
    typed = resolve(
        {
            "formula": "TiO2",
            "num": "60",
            "source": "random",
            "formula_units": "1-4",
            "pressure_gpa": "-2.5",
            "min_distances": "Ti-O=1.7,O-O=2.2",
            "volume_per_atom": "10-12.5",
            "space_groups": "136,141",
            "relaxer_options": "sigma=2,name=abc,flag=true",
            "max_hours": "0.5",
        }
    )
    written = tomllib.loads(
        """
        formula = "TiO2"
        num = 60
        source = ["random"]
        formula_units = [1, 4]
        pressure_gpa = -2.5
        min_distances = { "O-Ti" = 1.7, "O-O" = 2.2 }
        volume_per_atom = [10, 12.5]
        space_groups = [136, 141]
        max_hours = 0.5
        [relaxer_options]
        sigma = 2
        name = "abc"
        flag = true
        """
    )
    assert typed == resolve(written)
    assert typed.relaxer_options == {"sigma": 2, "name": "abc", "flag": True}


def test_a_written_configuration_reads_back(tmp_path: Path) -> None:
    words: dict[str, Any] = {"formula": "Ca(OH)2", "min_distances": "O-H=0.9", "relaxer_options": {"a b": [1, 'x"y']}}
    config = resolve(words)
    file = tmp_path / "config.toml"
    file.write_text(to_toml(config, {"xtalseek": "0.1", "processor": 'strange "name" \\ here'}))
    assert resolve(read_toml(file)) == config
    assert difference(resolve(read_toml(file)), config) == []
    assert tomllib.loads(file.read_text())["provenance"]["processor"] == 'strange "name" \\ here'


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("num", "0"),
        ("num", "many"),
        ("num", 1.5),
        ("num", True),
        ("seed", "-1"),
        ("formula_units", "1-2-3"),
        ("formula_units", "x"),
        ("formula_units", {"a": 1}),
        ("max_hours", "0"),
        ("max_hours", "nan"),
        ("pressure_gpa", "inf"),
        ("min_distances", "Ti-O"),
        ("min_distances", {"Ti-O": "far"}),
        ("relaxer", ""),
        ("relaxer", 3),
        ("source", [1]),
        ("source", "random,random"),
        ("space_groups", "P1"),
        ("relaxer_options", "sigma"),
    ],
)
def test_a_bad_value_names_its_word_in_one_line(word: str, value: Any) -> None:
    with pytest.raises(InputError, match=word) as caught:
        resolve({"formula": "TiO2", word: value})
    assert "\n" not in str(caught.value)


def test_an_unknown_key_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown key 'formula_unit'.*did you mean 'formula_units'"):
        resolve({"formula": "TiO2", "formula_unit": 2})


def test_sources_take_turns_and_a_longer_run_draws_the_same() -> None:
    short, long = (resolve({"formula": "Si", "source": "a,b,c", "num": n}) for n in (4, 400))
    order = [(a.source, a.index) for a in long.assignments()]
    assert order[:4] == [("a", 0), ("b", 0), ("c", 0), ("a", 1)]
    assert [(a.source, a.index) for a in short.assignments()] == order[: short.num]


def test_difference_shows_what_differs_but_not_what_may_change() -> None:
    one = resolve({"formula": "Si", "num": 10, "out": "a", "seed": 1})
    two = resolve({"formula": "Si", "num": 20, "out": "b", "seed": 2, "max_hours": 1})
    assert difference(one, two) == ["seed: 1 in the run folder, 2 asked for"]


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("formula = ")
    with pytest.raises(InputError, match=r"bad\.toml.*is not TOML"):
        read_toml(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_toml(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("source", "given", "meant"),
    [
        ("random", {"stretch": False}, {"stretch": False}),
        ("random", "random.stretch=false", {"stretch": False}),
        ("random,unimat", "unimat.checkpoint=own,random.stretch=false,unimat.block=5",
         {"unimat": {"checkpoint": "own", "block": 5}, "random": {"stretch": False}}),
        ("random,unimat", {"unimat": {"block": 5}, "unimat.checkpoint": "own"},
         {"unimat": {"block": 5, "checkpoint": "own"}}),
    ],
)  # fmt: skip
def test_an_option_goes_to_its_source(source: str, given: Any, meant: dict[str, Any], tmp_path: Path) -> None:
    config = resolve({"formula": "MgO", "source": source, "source_options": given})
    assert config.source_options == meant
    assert config.options_of("unimat") == meant.get("unimat", {})
    file = tmp_path / "config.toml"
    file.write_text(to_toml(config, {}))
    assert resolve(read_toml(file)) == config


@pytest.mark.parametrize("given", ["checkpoint=own", "shake.steps=3", {"shake": {"steps": 3}}, "unimat=own"])
def test_an_option_of_none_of_several_sources_is_refused(given: Any) -> None:
    with pytest.raises(InputError, match=r"source_options: .*sources random, unimat: write SOURCE\.OPTION=VALUE"):
        resolve({"formula": "MgO", "source": "random,unimat", "source_options": given})
