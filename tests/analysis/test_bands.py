"""Bands of "lowest so far" of a run and its sources."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms

from xtalseek.analysis import convergence
from xtalseek.analysis.bands import convergence_bands
from xtalseek.records import Record, Status
from xtalseek.search.store import Run

MakeRun = Callable[..., Run]
MakeRecord = Callable[..., Record]


@pytest.mark.parametrize("cost", ["relaxations", "force_calls", "seconds"])
def test_bands_end_where_the_curves_end_and_are_reproducible(
    make_run: MakeRun, disguises: list[Record], cost: str
) -> None:
    run = make_run(disguises)
    (band,), (curve,) = convergence_bands(run, cost), convergence(run)
    assert band.source == curve.source
    assert band.cost[-1] == pytest.approx(getattr(curve, cost)[-1])
    assert band.lower[-1] == band.median[-1] == band.upper[-1] == curve.lowest[-1]
    assert (np.diff(band.median[np.isfinite(band.median)]) <= 0).all()
    assert (band.lower <= band.median).all() and (band.median <= band.upper).all()
    again = convergence_bands(run, cost)[0]
    assert (again.median == band.median).all()


def test_one_band_per_source_and_none_where_nothing_converged(
    make_run: MakeRun, make_record: MakeRecord, rutile: Atoms
) -> None:
    records = [
        make_record(0, rutile, -8.0, source="random"),
        make_record(0, rutile, None, Status.NAN, source="seeds"),
    ]
    bands = convergence_bands(make_run(records, {"source": ["random", "seeds"]}), "relaxations")
    assert [(band.source, len(band.cost)) for band in bands] == [("all sources", 2), ("random", 1), ("seeds", 0)]
