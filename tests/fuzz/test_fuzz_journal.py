"""Whatever stands in a journal's files, reading them never fails and never loses a good line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated
from small_runs import CONFIG, good, record

from xtalseek.records import Status
from xtalseek.records_json import record_from_json, record_to_json
from xtalseek.search.store import load_run


def read(data: bytes, folder: Path) -> list[str]:
    """Names of the records in a run folder whose journal has these bytes."""
    (folder / "journal").mkdir(exist_ok=True)
    (folder / "config.toml").write_text(CONFIG)
    (folder / "journal" / "0000-rank0000.jsonl").write_bytes(data)
    run = load_run(folder)
    for made in run.records:
        assert isinstance(made.relaxation.status, Status)
        assert isinstance(made.candidate.index, int)
        for atoms in (made.candidate.atoms, made.relaxation.atoms):
            if atoms is not None:
                assert len(atoms) > 0
                assert np.isfinite(atoms.positions).all()
                assert np.isfinite(atoms.cell.array).all()
        _ = made.relaxation.enthalpy_per_atom, made.seconds, made.name + "x"
    return [made.name for made in run.records]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Three good lines."""
    return good(tmp_path_factory.mktemp("good"), [record(n) for n in range(3)]).splitlines(keepends=True)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_a_damaged_line_costs_only_itself(
    lines: list[bytes], tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    damaged = mutated(lines[1].rstrip(b"\n"), seed, (b"NaN", b"1e999", b"[[[", b'"number":', b"\\ud800")) + b"\n"
    names = read(lines[0] + damaged + lines[2], tmp_path_factory.getbasetemp())
    assert "NaCl-random-000000" in names
    assert "NaCl-random-000002" in names


@settings(max_examples=50, deadline=None, derandomize=True)
@given(before=st.binary(max_size=200), torn=st.binary(max_size=200))
def test_any_bytes_around_good_lines_cost_nothing(
    lines: list[bytes], tmp_path_factory: pytest.TempPathFactory, before: bytes, torn: bytes
) -> None:
    names = read(before + b"\n" + b"".join(lines) + torn.replace(b"\n", b""), tmp_path_factory.getbasetemp())
    assert {f"NaCl-random-{n:06d}" for n in range(3)} <= set(names)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PLACES = [
    *((part,) for part in ("candidate", "relaxation", "finished", "rank", "number")),
    *(("candidate", name) for name in ("target", "source", "index", "atoms", "seconds", "note", "provenance")),
    *(("relaxation", name) for name in vars(record(0).relaxation)),
    *((part, "atoms", name) for part in ("candidate", "relaxation") for name in ("numbers", "cell", "positions")),
]


def replaced(data: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy with another value at a place."""
    name, *inner = place
    return data | {name: replaced(data[name], tuple(inner), value) if inner else value}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(PLACES), JSON)
def test_values_of_another_kind_are_no_record(place: tuple[str, ...], value: Any) -> None:
    """What comes out can be used as the types say; all else raises what the docstring names."""
    data = json.loads(json.dumps(replaced(record_to_json(record(0)), place, value)))
    try:
        made = record_from_json(data)
    except (KeyError, TypeError, ValueError):
        return
    assert json.loads(json.dumps(record_to_json(made))) == json.loads(
        json.dumps(record_to_json(record_from_json(data)))
    )
    candidate, relaxation = made.candidate, made.relaxation
    assert (isinstance(candidate.target, str), isinstance(candidate.source, str)) == (True, True)
    assert 0 <= candidate.index < 2**63
    assert 0 <= made.number < 2**63
    assert np.isfinite([candidate.seconds, relaxation.seconds, made.finished, relaxation.pressure_gpa]).all()
    assert relaxation.energy is None or np.isfinite(relaxation.energy)
    _ = relaxation.enthalpy_per_atom, made.name, dict(candidate.provenance)


def test_nesting_and_digits_are_no_trap(lines: list[bytes], tmp_path: Path) -> None:
    traps = [b"[" * 200_000, b'{"a":' * 100_000, b"9" * 10_000, b"\xff\xfe\x00", b'"\\ud800"', b"\x00" * 1000]
    names = read(lines[0] + b"\n".join([*traps, b""]) + lines[1], tmp_path)
    assert names == ["NaCl-random-000000", "NaCl-random-000001"]
