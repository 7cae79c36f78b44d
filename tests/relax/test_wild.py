"""Absurd structures end with a status each: none raises, none hangs, memory stays bounded.

The whole trial, 1,000 structures of 30 steps: `python tests/support/wild.py 0 1000 30`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from ase.data import chemical_symbols, covalent_radii
from running import SUPPORT, environment
from wild import KINDS, wild_structure

from xtalseek.records import Status
from xtalseek.relax.guards import start_fault, suspicion

STEPS = 4
SAMPLE = 2 * len(KINDS)
ELEMENTS = frozenset(chemical_symbols[1:95])
ALWAYS_REFUSED = {
    "coincident": {Status.OVERLAP},
    "not finite": {Status.NAN},
    "flat": {Status.OVERLAP},
    "huge": {Status.OVERLAP, Status.EXPLODED, Status.NAN},
    "nothing": {Status.ERROR},
}
"""Kinds of which no potential may see one, and how they end."""


@pytest.fixture(scope="module")
def sample() -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Relaxed in a process of its own, whose peak memory nothing else has raised."""
    words = [sys.executable, str(SUPPORT / "wild.py"), "0", str(SAMPLE), str(STEPS)]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return lines[:-1], lines[-1]


def test_each_ends_with_a_status_and_a_message(sample: tuple[list[dict[str, Any]], dict[str, float]]) -> None:
    lines, _ = sample
    assert [line["number"] for line in lines] == list(range(SAMPLE))
    for line in lines:
        status = Status(line["status"])
        assert status == Status.CONVERGED or status.advice in line["message"], line
        assert status in ALWAYS_REFUSED.get(line["kind"], set(Status)), line
    assert {Status.OVERLAP, Status.NAN, Status.ERROR, Status.EXPLODED, Status.MAX_STEPS} <= {
        line["status"] for line in lines
    }


def test_no_error_but_for_elements_that_the_potential_does_not_know(
    sample: tuple[list[dict[str, Any]], dict[str, float]],
) -> None:
    """An `error` that a guard could have told is a guard that is missing."""
    told = [line["message"] for line in sample[0] if line["status"] == Status.ERROR]
    assert told
    for message in told:
        assert "not made for" in message or "no element" in message or "no atoms" in message


def test_none_takes_more_force_calls_than_it_may(sample: tuple[list[dict[str, Any]], dict[str, float]]) -> None:
    lines, _ = sample
    assert max(line["force_calls"] for line in lines) == STEPS + 1
    for line in lines:
        if line["kind"] in ALWAYS_REFUSED:
            assert line["force_calls"] == 0, line


def test_memory_stays_bounded(sample: tuple[list[dict[str, Any]], dict[str, float]]) -> None:
    _, memory = sample
    assert memory["peak_mb"] < memory["sound_peak_mb"] + 2500


def test_a_thousand_are_judged_before_anything_is_computed() -> None:
    """The first guard alone, over all the numbers of the whole trial: it never raises, and refuses what it must."""
    refused = dict.fromkeys(KINDS, 0)
    with np.errstate(all="raise", under="ignore"):
        for number in range(1000):
            kind, atoms = wild_structure(number)
            fault = start_fault(atoms, covalent_radii, ELEMENTS)
            refused[kind] += fault is not None
            if kind in ALWAYS_REFUSED:
                assert fault is not None, (number, kind)
                assert fault[0] in ALWAYS_REFUSED[kind], (number, kind, fault)
    assert refused["dense hydrogen"] > 30
    assert refused["slab"] == refused["left-handed"] == 0


def test_wild_structures_are_the_same_each_time() -> None:
    for number in range(len(KINDS)):
        (kind, atoms), (again, other) = wild_structure(number), wild_structure(number)
        assert kind == again
        np.testing.assert_array_equal(atoms.numbers, other.numbers)
        np.testing.assert_array_equal(atoms.positions, other.positions)
    assert len({wild_structure(number)[0] for number in range(len(KINDS))}) == len(KINDS) >= 16


@pytest.mark.parametrize("kind", ["slab", "isolated"])
def test_what_vacuum_makes_look_converged_is_not_believed(kind: str) -> None:
    for number in range(list(KINDS).index(kind), 10 * len(KINDS), len(KINDS)):
        assert "in vacuum" in (suspicion(wild_structure(number)[1], 0.0, covalent_radii, None) or "")
