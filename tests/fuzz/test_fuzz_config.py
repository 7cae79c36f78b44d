"""Any TOML text is a configuration or one clear line, at once; what is a configuration is written and read back."""

from __future__ import annotations

import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import EXTREMES, mutated

from xtalseek.arguments import parse
from xtalseek.errors import InputError
from xtalseek.search.config import SearchConfig, parse_word, read_run_config, read_toml, resolve, to_toml

EXAMPLES = (
    b'formula = "SrTiO3"\nnum = 6\nformula_units = "1-2"\nsource = ["random", "unimat"]\nschedule = "random=3"\n'
    b'relaxer = "lj"\nmin_distances = { "Ti-O" = 1.7 }\nvolume_per_atom = [10, 14.5]\nspace_groups = [221, 225]\n'
    b'until = "found-5-times"\n[relaxer_options]\nsigma = 2.5\nname = "x"\n[provenance]\npython = "3.11"\n',
    b'seed_file = "Si.cell"\nseed_text = """\n#SPECIES=Si%NUM=2\n#VARVOL=40\n"""\nformula = "Si"\nlabel = "x"\n'
    b'symmetry_operations = "2-4"\nmax_hours = 1.5\nearly_stop_window = 0.1\npush_apart = 0.7\nseed = 3\n',
)
WORDS = tuple(f.name.encode() for f in fields(SearchConfig))


def read(data: bytes, folder: Path) -> SearchConfig | None:
    """What a file with these bytes is read as; None: one line told what is wrong."""
    (folder / "config.toml").write_bytes(data)
    try:
        return read_run_config(folder / "config.toml")
    except InputError as error:
        assert "\n" not in str(error)
        return None


def returns(config: SearchConfig, folder: Path) -> bool:
    """Whether it is the same after it was written and read; options that TOML does not know are told."""
    try:
        text = to_toml(config, {"command": "x"})
    except InputError:
        return True
    (folder / "again.toml").write_text(text, encoding="utf-8")
    return resolve(read_toml(folder / "again.toml")) == config


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(EXAMPLES), st.integers(0, 2**32))
def test_damaged_files_are_told_in_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes, seed: int) -> None:
    folder = tmp_path_factory.getbasetemp()
    config = read(mutated(data, seed, WORDS), folder)
    assert config is None or returns(config, folder)


TEXTS = st.text(max_size=12) | st.sampled_from([text.decode(errors="replace") for text in EXTREMES])
NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.booleans()
VALUES = st.recursive(
    NUMBERS | TEXTS | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(f.name for f in fields(SearchConfig) if f.name != "seed_file")), VALUES)
def test_any_value_of_any_word_is_taken_or_told(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: Any
) -> None:
    try:
        config = resolve({"formula": "NaCl", name: value})
    except InputError as error:
        assert len(str(error)) < 2000 + 2 * len(repr(value))
        return
    assert returns(config, tmp_path_factory.getbasetemp())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(["search", "-n", "--config", "--out", "--seed", "--help-me", "-", "--"]) | TEXTS))
def test_any_command_line_is_parsed_or_told(words: list[str]) -> None:
    try:
        parse(words)
    except InputError:
        pass
    except SystemExit as end:  # --help and --version
        assert end.code == 0


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(f.name for f in fields(SearchConfig))), TEXTS)
def test_any_text_of_any_option_is_taken_or_told(name: str, text: str) -> None:
    try:
        parse_word(name, text)
    except InputError as error:
        assert name in str(error)


@pytest.mark.parametrize(
    "words",
    [
        {"formula": "Si99999999999"},
        {"formula": "Si" + "9" * 5000},
        {"formula": "(" * 5000},
        {"formula": "".join(["(" * 50, "Si9", ")99999" * 50])},
        {"formula": "Si", "formula_units": "1-999999999"},
        {"formula": "Si", "num": 10**18},
        {"formula": "Si", "num": "1e300"},
        {"formula": "Si", "space_groups": [1] * 100_000},
        {"formula": "Si", "seed_text": "#SPECIES=Si%NUM=1-999999999\n", "seed_file": "Si.cell"},
    ],
    ids=lambda words: ",".join(words),
)
def test_huge_demands_are_answered_at_once(words: dict[str, Any]) -> None:
    """Processor time, not the clock: others may keep the machine busy."""
    start = time.process_time()
    try:
        _ = resolve(words).target
    except InputError as error:
        assert len(str(error)) < 1000
    assert time.process_time() - start < 5


def test_a_nested_file_is_told(tmp_path: Path) -> None:
    assert read(b"formula = " + b"[" * 50_000, tmp_path) is None
    start = time.process_time()
    assert read(b"a" + b".a" * 50_000 + b" = 1", tmp_path) is None
    assert time.process_time() - start < 5


def test_a_run_folders_config_reads_no_other_file(tmp_path: Path) -> None:
    """A seed's text stands in it; its seed_file is only a name."""
    (tmp_path / "secret.cell").write_text("#SPECIES=Si%NUM=2\n#VARVOL=40\n")
    assert read(f'seed_file = "{tmp_path / "secret.cell"}"\n'.encode(), tmp_path) is None
