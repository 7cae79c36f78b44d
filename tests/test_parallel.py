"""Work on several processes gives what one process gives, in the same order."""

from __future__ import annotations

import os

import pytest

from xtalseek.parallel import cores, parallel_map


def square(number: int) -> int:
    if number < 0:
        raise ValueError("negative")
    return number * number


def process(_: int) -> int:
    return os.getpid()


@pytest.mark.parametrize("fewest", [1, 10**6])
def test_results_come_in_order_with_their_progress(fewest: int) -> None:
    told: list[tuple[int, int]] = []
    wanted = [n * n for n in range(500)]
    assert parallel_map(square, range(500), fewest=fewest, progress=lambda *now: told.append(now)) == wanted
    assert told[-1] == (500, 500)
    assert told == sorted(told)
    assert len(told) <= 251


def test_an_error_in_a_worker_is_ours() -> None:
    with pytest.raises(ValueError, match="negative"):
        parallel_map(square, [1] * 50 + [-1] + [1] * 50, fewest=1)


def test_few_items_stay_in_this_process_and_many_do_not() -> None:
    assert set(parallel_map(process, range(5))) == {os.getpid()}
    if cores() > 1:
        assert os.getpid() not in parallel_map(process, range(500))
    assert parallel_map(square, []) == []
