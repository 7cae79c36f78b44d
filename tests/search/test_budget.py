from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from ase.build import bulk

from xtalseek.errors import InputError
from xtalseek.search.budget import PARENTS, AdaptiveOrder, Budget, FixedOrder
from xtalseek.search.completeness import parse_rule
from xtalseek.search.found import SAME_ENTHALPY, Found
from xtalseek.search.schedule import Assignment, fixed_order, shares
from xtalseek.search.tasks import Finished


def finished(
    assignment: Assignment, enthalpy: float | None, seconds: float = 1.0, volume: float = 10.0, atoms: bool = False
) -> Finished:
    name = f"Ar-{assignment.source}-{assignment.index:06d}"
    structure = bulk("Ar", "fcc", a=5.0) if atoms else None
    return Finished(
        assignment.number,
        name,
        assignment.source,
        assignment.index,
        "converged",
        enthalpy,
        volume,
        1,
        seconds,
        structure,
    )


def test_equal_shares_take_turns() -> None:
    order = islice(fixed_order(shares("equal", ("a", "b", "c"))), 7)
    assert [(a.number, a.source, a.index) for a in order] == [
        (0, "a", 0), (1, "b", 0), (2, "c", 0), (3, "a", 1), (4, "b", 1), (5, "c", 1), (6, "a", 2),
    ]  # fmt: skip


def test_after_any_number_every_source_has_its_share_to_within_one() -> None:
    weights = shares("a=3, c=0.5", ("a", "b", "c"))
    assert weights == {"a": 3.0, "b": 1.0, "c": 0.5}
    drawn: Counter[str] = Counter()
    for assignment in islice(fixed_order(weights), 500):
        assert assignment.index == drawn[assignment.source]
        drawn[assignment.source] += 1
        assert all(abs(drawn[s] - (assignment.number + 1) * w / 4.5) < 1 for s, w in weights.items())


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ("fair", "allowed are equal, adaptive, or weights such as random=3,unimat=1"),
        ("random=0", "'0' of random is not a number above zero"),
        ("unmat=2", "unknown source in schedule 'unmat'*did you mean 'unimat'"),
    ],
)
def test_a_schedule_that_cannot_be_used_is_told(schedule: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        shares(schedule, ("random", "unimat"))
    assert all(part in str(error.value) for part in told.split("*"))


@pytest.mark.parametrize(
    "weights", [{"a": 1.0, "b": 1.0}, {"a": 3.0, "b": 1.0, "c": 2.0}, {"a": 0.7, "b": 1.9}, {"a": 0.5}]
)
def test_the_order_can_be_entered_anywhere(weights: dict[str, float]) -> None:
    order = [(a.number, a.source, a.index) for a in islice(fixed_order(weights), 60)]
    for start in range(50):
        assert [(a.number, a.source, a.index) for a in islice(fixed_order(weights, start), 10)] == order[
            start : start + 10
        ]


def test_found_minima_are_told_apart_by_enthalpy_and_volume() -> None:
    found, at = Found(), Assignment(0, "a", 0)
    assert found.add(finished(at, -1.0))
    assert not found.add(finished(at, -1.0 - 0.5 * SAME_ENTHALPY))
    assert found.lowest == -1.0 - 0.5 * SAME_ENTHALPY
    assert found.add(finished(at, -1.0, volume=10.5))
    assert found.add(finished(at, -2.0))
    assert not found.add(finished(at, None))
    assert found.times == [1, 2, 1]
    assert found.relaxations == 5


def simulate(rates: dict[str, float], num: int, seed: int) -> Counter[str]:
    """A search whose relaxations take a second each and end in a new low minimum with the source's own probability."""
    rng = np.random.default_rng(seed)
    budget = Budget(AdaptiveOrder(tuple(rates), num, seed), (), seed)
    drawn: Counter[str] = Counter()
    while (assignment := budget.next()) is not None:
        drawn[assignment.source] += 1
        new = rng.random() < rates[assignment.source]
        # A new minimum has a volume that nothing else has; all else is the same structure far above.
        budget.done(finished(assignment, -1.0 if new else 5.0, volume=10.0 * 1.05**assignment.number if new else 1.0))
    assert drawn.total() == num
    return drawn


def test_an_adaptive_budget_goes_to_the_source_that_finds_more() -> None:
    """The mean over 20 searches of the better source's share; it would be 1/2 without learning, 1 with foresight."""
    better = [simulate({"poor": 0.02, "good": 0.5}, 60, seed)["good"] / 60 for seed in range(20)]
    assert np.mean(better) > 0.75
    equal = [simulate({"one": 0.2, "other": 0.2}, 60, seed)["one"] / 60 for seed in range(20)]
    assert 0.3 < np.mean(equal) < 0.7


def test_an_adaptive_budget_weighs_what_relaxations_cost() -> None:
    shares_of_cheap = []
    for seed in range(20):
        budget = Budget(AdaptiveOrder(("dear", "cheap"), 60, seed), (), seed)
        drawn: Counter[str] = Counter()
        while (assignment := budget.next()) is not None:
            drawn[assignment.source] += 1
            seconds = 10.0 if assignment.source == "dear" else 1.0
            budget.done(finished(assignment, -1.0, seconds, volume=10.0 * 1.05**assignment.number))
        shares_of_cheap.append(drawn["cheap"] / 60)
    assert np.mean(shares_of_cheap) > 0.75


def test_an_adaptive_budget_that_is_gone_on_with_draws_what_is_missing_and_nothing_twice() -> None:
    taken = {"a": (0, 2, 3), "b": (0,)}
    budget = Budget(AdaptiveOrder(("a", "b"), 24, seed=1), (), seed=1)
    names = [(source, index) for source, indices in taken.items() for index in indices]
    for number, (source, index) in zip((0, 3, 5, 1), names, strict=True):
        budget.resume(finished(Assignment(number, source, index), -1.0))
    drawn = list(iter(budget.next, None))
    assert [assignment.number for assignment in drawn] == list(range(6, 26))
    for source, before in taken.items():
        indices = [assignment.index for assignment in drawn if assignment.source == source]
        assert sorted({*indices, *before}) == list(range(len(indices) + len(before)))


def test_candidates_that_need_a_parent_wait_for_one() -> None:
    order = FixedOrder(islice(fixed_order(shares("equal", ("random", "shake"))), 6))
    budget = Budget(order, ("shake",), seed=0)
    first, second = budget.next(), budget.next()
    assert first is not None and second is not None
    assert (first.source, second.source) == ("random", "random")
    budget.done(finished(first, -1.0, atoms=True))
    third = budget.next()
    assert third is not None and third.parent is not None
    assert (third.source, third.index, third.parent.name) == ("shake", 0, "Ar-random-000000")


def test_without_any_minimum_they_come_last_and_without_one() -> None:
    budget = Budget(FixedOrder(islice(fixed_order(shares("equal", ("random", "shake"))), 4)), ("shake",), seed=0)
    drawn = list(iter(budget.next, None))
    assert [a.source for a in drawn] == ["random", "random", "shake", "shake"]
    assert all(a.parent is None for a in drawn)


def test_parents_are_the_lowest_minima_and_the_choice_is_the_candidate_s_own() -> None:
    def chosen(hand_out_first: int) -> list[str]:
        budget = Budget(FixedOrder([Assignment(n, "shake", n) for n in range(hand_out_first, 200)]), ("shake",), seed=4)
        for n in range(2 * PARENTS):
            budget.done(finished(Assignment(n, "random", n), -1.0 - n, atoms=True))
        return [a.parent.name for a in iter(budget.next, None) if a.parent is not None]

    names = chosen(0)
    assert set(names) == {f"Ar-random-{n:06d}" for n in range(PARENTS, 2 * PARENTS)}
    assert chosen(50) == names[50:]


def test_a_search_ends_when_it_is_enough() -> None:
    order = FixedOrder(islice(fixed_order(shares("equal", ("a",))), 100))
    budget = Budget(order, (), 0, parse_rule("found-3-times"))
    heights = iter([0.0, -1.0, 1.0, -1.0, 2.0, 3.0, -1.0, 4.0])
    drawn = 0
    while (assignment := budget.next()) is not None:
        drawn += 1
        budget.done(finished(assignment, next(heights)))
    assert drawn == 7
