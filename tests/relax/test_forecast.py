from __future__ import annotations

import math

import numpy as np
import pytest

from xtalseek.relax.forecast import FIRST_STEPS, SAFETY, forecast


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
def test_an_exponential_approach_is_credited_with_what_is_left_of_it_times_the_safety(rate: float) -> None:
    path = -1.0 + 2.0 * np.exp(-rate * np.arange(200))
    for n in (30, 60, 120):
        now, left = path[n - 1], path[n - 1] + 1.0
        assert forecast(list(path[:n])) == pytest.approx(now - SAFETY * left, abs=1e-9)


def test_nothing_is_said_of_a_path_that_has_just_begun_or_still_gathers_speed() -> None:
    assert forecast([0.0] * FIRST_STEPS) == -math.inf
    assert forecast(list(-(np.arange(30.0) ** 2))) == -math.inf
    assert forecast([0.0] * 25 + [-0.1] * 5) == -math.inf


def test_a_path_at_rest_is_forecast_to_stay_there() -> None:
    assert forecast([1.0, *([0.5] * 29)]) == 0.5
