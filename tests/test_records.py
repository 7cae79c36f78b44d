from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.units import GPa

from xtalseek.errors import InputError
from xtalseek.records import Candidate, Record, Relaxation, Status, Target
from xtalseek.records_json import record_from_json, record_to_json


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("formula_units", (0, 2)),
        ("formula_units", (4, 1)),
        ("pressure_gpa", float("nan")),
        ("min_distances", {"Ti-O": -1.0}),
        ("min_distances", {"Sr-O": 1.0}),
        ("min_distances", {"TiO": 1.0}),
        ("volume_per_atom", (0.0, 10.0)),
        ("volume_per_atom", (12.0, 10.0)),
        ("symmetry_operations", (1, 49)),
        ("symmetry_operations", (4, 2)),
        ("space_groups", (0,)),
        ("space_groups", (225, 231)),
    ],
)
def test_a_bad_target_names_the_field(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=field) as caught:
        Target("TiO2", **{field: value})
    assert "\n" not in str(caught.value)


def test_names_are_fit_for_files() -> None:
    assert Target("Ca(OH)2").name == "CaO2H2"
    assert Candidate("CaO2H2", "random", 17, None).name == "CaO2H2-random-000017"


def test_enthalpy_counts_the_pressure() -> None:
    atoms = Atoms("Cu", cell=[2.0, 3.0, 4.0], pbc=True)
    relaxation = Relaxation(atoms, Status.CONVERGED, energy=-3.5, pressure_gpa=10.0)
    assert relaxation.enthalpy == pytest.approx(-3.5 + 10.0 * GPa * 24.0)
    assert Relaxation(None, Status.ERROR).enthalpy is None


def test_a_record_survives_json_to_the_last_digit() -> None:
    rng = np.random.default_rng(0)
    atoms = Atoms("NaCl", cell=rng.normal(size=(3, 3)) * 5, positions=rng.normal(size=(2, 3)) * 1e3, pbc=True)
    relaxed = Atoms("NaCl", cell=rng.normal(size=(3, 3)) / 3, positions=rng.normal(size=(2, 3)) / 7, pbc=True)
    record = Record(
        Candidate("NaCl", "random", 3, atoms, 0.1, "a note", {"formula_units": 1}),
        Relaxation(relaxed, Status.MAX_STEPS, "why", 1 / 3, 2.0, 0.1, 0.2, 7, 8, 9.9),
        finished=1.5e9,
        rank=3,
    )
    back = record_from_json(json.loads(json.dumps(record_to_json(record))))
    assert back.name == record.name
    for before, after in ((atoms, back.candidate.atoms), (relaxed, back.relaxation.atoms)):
        assert after is not None
        assert np.array_equal(before.positions, after.positions)
        assert np.array_equal(before.cell.array, after.cell.array)
        assert np.array_equal(before.numbers, after.numbers)
        assert after.pbc.all()
    plain = [vars(r.relaxation) | {"atoms": 0} for r in (record, back)]
    assert plain[0] == plain[1]
    assert back.candidate.provenance == {"formula_units": 1}
    assert (back.finished, back.rank) == (1.5e9, 3)


def test_every_status_has_advice() -> None:
    assert all(status.advice and "\n" not in status.advice for status in Status)
