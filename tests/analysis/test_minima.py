"""Duplicates are one minimum whatever their order, cell and setting; polymorphs and suspicious structures are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from xtalseek.analysis import MatchTolerances, find_minima, space_group
from xtalseek.records import Record
from xtalseek.search.store import Run

MakeRun = Callable[..., Run]
MakeRecord = Callable[..., Record]


def test_duplicates_are_united_and_polymorphs_are_not(
    make_run: MakeRun, rutile: Atoms, disguises: list[Record]
) -> None:
    minima = find_minima(make_run(disguises))
    assert [(m.space_group_number, m.times_found, bool(m.suspicious)) for m in minima] == [
        (136, 5, False),
        (141, 3, False),
        (136, 1, True),
    ]
    first = minima[0]
    assert first.formula == "TiO2"
    assert first.name == first.members[0]
    assert first.volume_per_formula_unit == pytest.approx(rutile.get_volume() / 2, rel=1e-6)
    assert first.formula_units == len(first.atoms) // 3
    assert first.enthalpy_per_formula_unit == pytest.approx(3 * first.enthalpy_per_atom)


def test_result_does_not_depend_on_the_order_of_records(make_run: MakeRun, disguises: list[Record]) -> None:
    run = make_run(disguises)
    expected = [(m.members, m.space_group) for m in find_minima(run)]
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(len(run.records))
        shuffled = type(run)(run.path, run.config, tuple(run.records[i] for i in order))
        assert [(m.members, m.space_group) for m in find_minima(shuffled)] == expected


def test_close_packings_differ(make_run: MakeRun, make_record: MakeRecord) -> None:
    """fcc and hcp have the same volume and neighbours; only the stacking sets them apart."""
    fcc = bulk("Al", "fcc", a=4.05)
    hcp = bulk("Al", "hcp", a=4.05 / np.sqrt(2), c=4.05 / np.sqrt(2) * np.sqrt(8 / 3))
    records = [make_record(n, atoms, -3.74, target="Al") for n, atoms in enumerate([fcc, hcp, fcc.repeat(2), hcp])]
    minima = find_minima(make_run(records, {"formula": "Al"}))
    assert sorted((m.space_group_number, m.times_found) for m in minima) == [(194, 2), (225, 2)]


def test_energy_and_volume_windows_split_equal_shapes(
    make_run: MakeRun, make_record: MakeRecord, rutile: Atoms
) -> None:
    grown = rutile.copy()
    grown.set_cell(rutile.cell.array * 1.03, scale_atoms=True)  # 9 % more volume
    records = [make_record(0, rutile, -8.9), make_record(1, rutile, -8.88), make_record(2, grown, -8.9)]
    assert len(find_minima(make_run(records))) == 3
    loose = MatchTolerances(energy_per_atom=0.05, volume=0.2)
    assert [m.times_found for m in find_minima(make_run(records, folder="loose"), loose)] == [3]


def test_mirror_images_are_one(make_run: MakeRun, make_record: MakeRecord) -> None:
    quartz = crystal(
        ["Si", "O"],
        [(0.47, 0, 1 / 3), (0.413, 0.267, 0.119 + 1 / 3)],
        spacegroup=152,
        cellpar=[4.916, 4.916, 5.405, 90, 90, 120],
    )
    mirrored = quartz.copy()
    mirrored.set_cell(quartz.cell.array * [1, 1, -1], scale_atoms=True)
    assert (space_group(quartz)[1], space_group(mirrored)[1]) == (152, 154)
    records = [make_record(0, quartz, -7.0), make_record(1, mirrored, -7.0)]
    assert [m.times_found for m in find_minima(make_run(records, {"formula": "SiO2"}))] == [2]


def test_absurdly_low_energy_is_never_first(
    make_run: MakeRun, make_record: MakeRecord, rutile: Atoms, anatase: Atoms
) -> None:
    records = [make_record(n, rutile, -8.9 + 0.1 * n) for n in range(4)] + [make_record(4, anatase, -12.2)]
    minima = find_minima(make_run(records))
    assert [bool(m.suspicious) for m in minima] == [False] * 4 + [True]
    assert minima[-1].name == "TiO2-random-000004"
    assert "below the median of 5 converged" in minima[-1].suspicious


def test_too_few_relaxations_say_nothing_about_the_median(
    make_run: MakeRun, make_record: MakeRecord, rutile: Atoms, anatase: Atoms
) -> None:
    records = [make_record(n, rutile, -8.9 + 0.1 * n) for n in range(3)] + [make_record(3, anatase, -12.2)]
    minima = find_minima(make_run(records))
    assert minima[0].name == "TiO2-random-000003"
    assert not any(m.suspicious for m in minima)


def test_enthalpy_decides_under_pressure(
    make_run: MakeRun, make_record: MakeRecord, rutile: Atoms, anatase: Atoms
) -> None:
    """Anatase is lower by 10 meV/atom without pressure, but larger: at 10 GPa rutile wins."""
    records = [
        make_record(0, rutile, -8.90, pressure_gpa=10.0),
        make_record(1, anatase, -8.91, pressure_gpa=10.0),
    ]
    minima = find_minima(make_run(records, {"pressure_gpa": 10}))
    assert [m.space_group_number for m in minima] == [136, 141]


def test_formula_follows_the_target(make_run: MakeRun, make_record: MakeRecord, rutile: Atoms) -> None:
    oxygen_first = rutile[[2, 3, 4, 5, 0, 1]]
    minimum = find_minima(make_run([make_record(0, oxygen_first)]))[0]
    assert (minimum.formula, minimum.formula_units, minimum.frame.space_group) == ("TiO2", 2, "P4_2/mnm")


def test_space_group_of_nonsense_is_not_available() -> None:
    assert space_group(Atoms("H2", positions=[(0, 0, 0), (0, 0, 0)], cell=[1, 1, 1], pbc=True)) == ("n/a", 0)
