"""The desk: every candidate once, whoever works, dies or joins; blocks drawn once; nobody idle while there is work."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Sequence

import numpy as np
import pytest
from ase import Atoms

from xtalseek.records import Candidate
from xtalseek.search.budget import Budget, FixedOrder
from xtalseek.search.desk import Desk
from xtalseek.search.schedule import Assignment
from xtalseek.search.tasks import CLOSE, EVERYTHING, PROPOSE, RELAX, Close, Finished, Propose, Relax, Task, Wait
from xtalseek.search.units import Unit

RELAXING, PROPOSING = frozenset({RELAX}), frozenset({PROPOSE, CLOSE})


class Units:
    """Units in a given order; each search is closed after its last."""

    def __init__(self, units: list[Unit]) -> None:
        self._units = deque(units)
        self._open = Counter(unit.search for unit in units)
        self.ended: list[Unit] = []

    @property
    def left(self) -> int:
        return len(self._units)

    def next(self) -> Unit | None:
        return self._units.popleft() if self._units else None

    def finished(self, unit: Unit) -> bool:
        self.ended.append(unit)
        self._open[unit.search] -= 1
        return not self._open[unit.search]

    def unclosed(self) -> list[str]:
        return []


def unit(search: str, numbers: range, sources: tuple[str, ...] = ("random",), block: int = 0, size: float = 1) -> Unit:
    order = [Assignment(n, sources[n % len(sources)], n // len(sources)) for n in numbers]
    blocks = {"unimat": block} if block else {}
    return Unit(search, Budget(FixedOrder(order), (), 0), size, blocks, left=len(numbers))


def draw(assignment: Assignment) -> Candidate:
    return Candidate(
        "Ar", assignment.source, assignment.index, Atoms("Ar", cell=[assignment.index + 1.0] * 3, pbc=True)
    )


def word_of(task: Relax) -> Finished:
    a = task.assignment
    return Finished(a.number, f"Ar-{a.source}-{a.index:06d}", a.source, a.index, "converged", -1.0, 5.0, 1, 1.0,
                    search=task.search)  # fmt: skip


class Office:
    """Workers that take random turns; each has at most one task in hand."""

    def __init__(
        self, units: Units, roles: dict[int, Collection[str]], seed: int, poisoned: Collection[int] = ()
    ) -> None:
        self._poisoned = poisoned
        self.done: list[tuple[str, str, int]] = []
        self.closed: list[str] = []
        self.blocks: Counter[tuple[str, str, int]] = Counter()
        self.relaxed_by: Counter[int] = Counter()
        self.alive = dict(roles)
        self.desk = Desk(units, lambda f: self.done.append((f.search, f.source, f.index)), roles)
        self._rng = np.random.default_rng(seed)
        self._hands: dict[int, Task] = {}

    def run(self, deaths: int = 0) -> None:
        waiting: set[int] = set()
        while True:
            worker = int(self._rng.choice(list(self.alive)))
            if deaths and len(self.alive) > 1 and self._rng.random() < 0.05:
                deaths -= 1
                del self.alive[worker]
                self._hands.pop(worker, None)
                self.desk.lost(worker)
                waiting.clear()
                continue
            if worker in self._hands:
                waiting.clear()
                in_hand = self._hands.pop(worker)
                if isinstance(in_hand, Relax) and in_hand.assignment.index in self._poisoned:
                    del self.alive[worker]
                    self.desk.lost(worker)
                else:
                    self._finish(worker, in_hand)
                continue
            task = self.desk.next(worker)
            if task is None:
                return
            if isinstance(task, Wait):
                waiting.add(worker)
                assert self._hands or waiting != set(self.alive), "all wait, and nobody works"
                continue
            waiting.clear()
            self._hands[worker] = task

    def _finish(self, worker: int, task: Task) -> None:
        if isinstance(task, Close):
            self.closed.append(task.search)
            self.desk.closed(task, worker)
        elif isinstance(task, Propose):
            first = task.assignments[0]
            self.blocks[task.search, first.source, first.index] += 1
            self.desk.drawn(task, [draw(a) for a in task.assignments], worker)
        else:
            if task.candidate is not None:
                assert (task.candidate.source, task.candidate.index) == (task.assignment.source, task.assignment.index)
            self.relaxed_by[worker] += 1
            self.desk.done(word_of(task), worker)


def everyone(workers: int) -> dict[int, Collection[str]]:
    return dict.fromkeys(range(workers), EVERYTHING)


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_every_candidate_is_relaxed_once_and_every_search_closed_once(workers: int) -> None:
    units = Units([unit("A", range(30), size=4), unit("B", range(11)), unit("B", range(11, 20)), unit("C", range(3))])
    office = Office(units, everyone(workers), seed=workers)
    office.run()
    assert sorted(office.done) == sorted(
        [("A", "random", n) for n in range(30)] + [("B", "random", n) for n in range(20)]
        + [("C", "random", n) for n in range(3)]
    )  # fmt: skip
    assert sorted(office.closed) == ["A", "B", "C"]
    assert len(office.relaxed_by) == workers


def searches_of(desk: Desk, workers: Sequence[int]) -> str:
    tasks = [desk.next(worker) for worker in workers]
    return "".join(task.search for task in tasks if isinstance(task, Relax))


def test_workers_stay_with_a_search_each_while_there_are_several_for_each() -> None:
    units = Units([unit(name, range(3)) for name in "ABCDEFGH"])
    desk = Desk(units, lambda finished: None, everyone(2))
    assert searches_of(desk, [0, 1, 0, 1, 0, 0]) == "ABABAC"


def test_few_searches_are_worked_on_by_all_the_longest_relaxations_first() -> None:
    units = Units([unit("A", range(4), size=9), unit("B", range(9), size=3), unit("C", range(2))])
    desk = Desk(units, lambda finished: None, everyone(3))
    assert searches_of(desk, [0, 1, 2] * 5) == "A" * 4 + "B" * 9 + "C" * 2


def test_of_equal_searches_help_goes_where_each_worker_has_most_left() -> None:
    units = Units([unit("A", range(6)), unit("B", range(60)), *(unit(name, range(1)) for name in "CDEFGHIJ")])
    desk = Desk(units, lambda finished: None, everyone(3))
    assert searches_of(desk, [0, 1]) == "AB"  # there are several for each worker still
    assert searches_of(desk, [2, 2, 0, 0, 0, 0, 0, 0]) == "BBAAAAAB"


@pytest.mark.parametrize("seed", range(5))
def test_a_block_is_drawn_once_and_relaxed_by_all(seed: int) -> None:
    office = Office(Units([unit("A", range(50), ("random", "unimat"), block=10)]), everyone(5), seed)
    office.run()
    assert len(office.done) == len(set(office.done)) == 50
    assert office.blocks == {("A", "unimat", 0): 1, ("A", "unimat", 10): 1, ("A", "unimat", 20): 1}
    assert len(office.relaxed_by) == 5


def test_a_worker_on_its_own_draws_what_it_relaxes() -> None:
    office = Office(Units([unit("A", range(20), ("unimat",), block=10)]), everyone(1), 0)
    office.run()
    assert len(office.done) == 20
    assert not office.blocks


def test_where_roles_differ_nobody_does_anothers_work_and_candidates_lie_ready() -> None:
    roles: dict[int, Collection[str]] = {0: RELAXING, 1: RELAXING, 2: PROPOSING}
    units = Units([unit("A", range(40), ("random", "unimat"), block=8), unit("B", range(12))])
    office = Office(units, roles, 3)
    office.run()
    assert len(office.done) == len(set(office.done)) == 52
    assert set(office.relaxed_by) == {0, 1}
    assert sorted(office.closed) == ["A", "B"]


def test_what_lies_ready_stays_within_bounds() -> None:
    roles: dict[int, Collection[str]] = {0: RELAXING, 1: PROPOSING}
    desk = Desk(Units([unit("A", range(1000))]), lambda finished: None, roles)
    drawn = 0
    while isinstance(task := desk.next(1), Propose):
        desk.drawn(task, [draw(a) for a in task.assignments], 1)
        drawn += len(task.assignments)
    assert 1 <= drawn < 10


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("separate", [False, True])
def test_what_dead_workers_had_is_done_by_others(seed: int, separate: bool) -> None:
    roles = everyone(6)
    if separate:
        roles = {worker: RELAXING if worker < 4 else PROPOSING for worker in range(6)}
    units = Units([unit("A", range(40), ("random", "unimat"), block=7), unit("B", range(12))])
    office = Office(units, roles, seed)
    office.run(deaths=1)
    assert len(office.done) == len(set(office.done)) == 52
    assert sorted(set(office.closed)) == ["A", "B"]


def test_a_candidate_that_kills_whoever_touches_it_kills_two() -> None:
    """Its search is not closed: a resumed run has to look into it."""
    units = Units([unit("A", range(12)), unit("B", range(12, 30))])
    office = Office(units, everyone(5), 1, poisoned={7})
    office.run()
    assert len(office.alive) == 3
    assert sorted(n for _, _, n in office.done) == [n for n in range(30) if n != 7]
    assert office.closed == ["B"]
    assert [ended.search for ended in units.ended] == ["B"]


def test_a_suspect_is_handed_out_to_be_worked_on_alone() -> None:
    suspected = unit("A", range(3))
    suspected.suspects = {("random", 1)}
    desk = Desk(Units([suspected]), lambda finished: None)
    tasks = [desk.next() for _ in range(3)]
    assert [task.assignment.alone for task in tasks if isinstance(task, Relax)] == [False, True, False]
