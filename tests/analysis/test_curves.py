"""Convergence curves: a small one by hand, and promises that hold for any."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase.build import bulk

from xtalseek.analysis import convergence
from xtalseek.records import Record, Status
from xtalseek.search.store import Run

MakeRun = Callable[..., Run]
MakeRecord = Callable[..., Record]


CU = bulk("Cu")


def test_small_curve_by_hand(make_run: MakeRun, make_record: MakeRecord) -> None:
    records = [
        make_record(0, None, None, Status.ERROR, force_calls=0, seconds=0.0),
        make_record(1, CU, -3.0, force_calls=7, seconds=1.0),
        make_record(2, CU, -9.0, Status.MAX_STEPS, force_calls=100, seconds=9.0),
        make_record(3, CU, -9.0, Status.SUSPICIOUS, force_calls=3, seconds=1.0),
        make_record(4, CU, -3.5, force_calls=5, seconds=2.0),
        make_record(5, CU, -3.2, force_calls=5, seconds=2.0),
    ]
    # Finished in another order than they are numbered: the curve goes by number.
    (curve,) = convergence(make_run([records[i] for i in (4, 1, 0, 5, 3, 2)], {"formula": "Cu"}))
    assert curve.source == "random"
    np.testing.assert_array_equal(curve.relaxations, [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(curve.force_calls, [0, 7, 107, 110, 115, 120])
    np.testing.assert_allclose(curve.seconds, [0.5, 2.0, 11.5, 13.0, 15.5, 18.0])  # with 0.5 s each to propose
    np.testing.assert_array_equal(curve.lowest, [np.nan, -3.0, -3.0, -3.0, -3.5, -3.5])
    np.testing.assert_array_equal(curve.steps, [1, 4, 5])


def test_curve_never_rises_and_ends_at_the_lowest(make_run: MakeRun, make_record: MakeRecord) -> None:
    rng = np.random.default_rng(3)
    heights = rng.normal(-3, 0.5, size=60)
    records = [
        make_record(n // 2, CU, h, source=("random", "unimat")[n % 2], force_calls=n) for n, h in enumerate(heights)
    ]
    curves = convergence(make_run(records, {"formula": "Cu", "source": "random,unimat"}))
    assert [curve.source for curve in curves] == ["all sources", "random", "unimat"]
    for curve, own in zip(curves, (heights, heights[::2], heights[1::2]), strict=True):
        assert (np.diff(curve.lowest) <= 0).all()
        assert (np.diff(curve.seconds) > 0).all()
        assert curve.lowest[-1] == own.min()
        assert len(curve.relaxations) == len(own)
        # Drawn from its steps alone the curve is the same.
        redrawn = curve.lowest[curve.steps][np.searchsorted(curve.steps, np.arange(len(own)), side="right") - 1]
        np.testing.assert_array_equal(redrawn, curve.lowest)


def test_curve_without_anything_converged(make_run: MakeRun, make_record: MakeRecord) -> None:
    (empty,) = convergence(make_run([], {"formula": "Cu"}))
    assert empty.relaxations.shape == empty.lowest.shape == empty.steps.shape == (0,)
    failed = make_record(0, CU, None, Status.NAN)
    (curve,) = convergence(make_run([failed], {"formula": "Cu"}, folder="failed"))
    assert np.isnan(curve.lowest).all() and len(curve.steps) == 0
