"""Whole searches in this process, with a quick potential."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk

import xtalseek.proposals
from xtalseek.analysis import find_minima
from xtalseek.errors import InfeasibleTarget, InputError
from xtalseek.proposals import candidate_rng
from xtalseek.records import Candidate, Parent, Record, Status, Target
from xtalseek.search.budget import Budget, FixedOrder
from xtalseek.search.config import SearchConfig, resolve, to_toml
from xtalseek.search.desk import Desk, SharedDesk
from xtalseek.search.found import found_in
from xtalseek.search.in_hand import InHand
from xtalseek.search.loop import draw, work_through
from xtalseek.search.results import read_results
from xtalseek.search.run import search
from xtalseek.search.schedule import Assignment
from xtalseek.search.stop import Stop
from xtalseek.search.store import load_run
from xtalseek.search.tasks import Finished
from xtalseek.search.units import OneUnit, Unit
from xtalseek.search.workshop import Workshop, make_sources


def words(out: Path, **changes: Any) -> dict[str, Any]:
    known = {"formula": "NaCl", "num": 6, "formula_units": "1-2", "relaxer": "toy_potentials:Pairs", "max_steps": 60}
    return known | {"volume_per_atom": "10-14", "seed": 3, "out": str(out)} | changes


def facts(record: Record) -> tuple[Any, ...]:
    relaxation = record.relaxation
    return record.name, relaxation.status, relaxation.energy, relaxation.steps


class Lattice:
    """A source of thirty lines' kind: fcc, a little stretched."""

    def check(self, target: Target) -> None:
        pass

    def propose(self, target: Target, index: int, rng: np.random.Generator) -> Candidate:
        if index == 1:
            raise ValueError("no candidate\nnumber one")
        return Candidate(target.name, "lattice", index, bulk("Ar", "fcc", float(rng.uniform(3.4, 3.9))))


@pytest.fixture
def lattice_source(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = types.ModuleType("plugged_in")
    module.Lattice = Lattice  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "plugged_in", module)
    paths: Mapping[str, str] = {**xtalseek.proposals.sources.paths(), "lattice": "plugged_in:Lattice"}
    monkeypatch.setattr(xtalseek.proposals.sources, "_builtin", dict(paths))
    yield


def test_a_search_ends_with_every_candidate_and_a_results_file(tmp_path: Path) -> None:
    run = search(resolve(words(tmp_path / "run")))
    assert [r.name for r in run.records] == [f"NaCl-random-{i:06d}" for i in range(6)]
    assert [facts(r) for r in read_results(run.path / "results.h5")] == [facts(r) for r in run.records]
    minima = find_minima(run)
    assert minima[0].enthalpy_per_atom == min(
        r.relaxation.enthalpy_per_atom or 0.0 for r in run.records if r.relaxation.status == Status.CONVERGED
    )


def test_the_same_command_on_a_finished_run_does_nothing_more(tmp_path: Path) -> None:
    config = resolve(words(tmp_path / "run"))
    first = search(config)
    files = sorted(p.name for p in (first.path / "journal").iterdir())
    again = search(config)
    assert sorted(p.name for p in (first.path / "journal").iterdir()) == files
    assert [r.finished for r in again.records] == [r.finished for r in first.records]


def test_a_longer_run_keeps_what_is_there_and_draws_on(tmp_path: Path) -> None:
    short = search(resolve(words(tmp_path / "run", num=3)))
    long = search(resolve(words(tmp_path / "run", num=6)))
    whole = search(resolve(words(tmp_path / "whole", num=6)))
    assert [facts(r) for r in long.records] == [facts(r) for r in whole.records]
    assert [r.finished for r in long.records[:3]] == [r.finished for r in short.records]
    assert load_run(tmp_path / "run").config.num == 6
    assert len(search(resolve(words(tmp_path / "run", num=2))).records) == 6
    assert load_run(tmp_path / "run").config.num == 6


def test_another_configuration_is_refused_with_the_difference(tmp_path: Path) -> None:
    search(resolve(words(tmp_path / "run", num=1)))
    before = (tmp_path / "run" / "config.toml").read_bytes()
    with pytest.raises(InputError, match=r"belongs to another search \(seed: 3 in the run folder, 4 asked for\)"):
        search(resolve(words(tmp_path / "run", num=1, seed=4)))
    assert (tmp_path / "run" / "config.toml").read_bytes() == before


def test_a_folder_of_something_else_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="is not a run folder"):
        search(resolve(words(tmp_path)))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "randm"},
        {"relaxer": "chgnt"},
        {"relaxer": "emt"},
        {"source_options": {"max_atempts": 3}},
        {"relaxer": "lj", "relaxer_options": {"sgma": 1}},
    ],
)
def test_nothing_is_written_for_what_cannot_be_used(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        search(resolve(words(tmp_path / "run", **changes)))
    assert not (tmp_path / "run").exists()


def test_an_infeasible_target_says_why_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InfeasibleTarget, match="min_distances Na-Na 8"):
        search(resolve(words(tmp_path / "run", min_distances={"Na-Na": 8.0}, volume_per_atom=[5, 6])))
    assert not (tmp_path / "run").exists()


def test_candidates_are_pure_functions_of_their_number(tmp_path: Path) -> None:
    config = resolve(words(tmp_path / "run", num=8))
    sources = make_sources(config)
    assignments = list(config.assignments())
    in_order = [draw(config, sources, assignment).atoms for assignment in assignments]
    backwards = [draw(config, make_sources(config), assignment).atoms for assignment in reversed(assignments)]
    assert in_order == backwards[::-1]
    other_seed = resolve(words(tmp_path / "run", seed=4))
    assert draw(other_seed, sources, assignments[0]).atoms != in_order[0]


def test_sources_with_one_seed_draw_different_numbers() -> None:
    assert candidate_rng(0, "random", 0).random() != candidate_rng(0, "unimat", 0).random()
    assert candidate_rng(0, "random", 0).random() != candidate_rng(0, "random", 1).random()


def test_sources_share_a_search_and_one_that_fails_costs_only_its_candidate(
    tmp_path: Path, lattice_source: None
) -> None:
    run = search(resolve(words(tmp_path / "run", formula="Ar", source="random,lattice", num=6)))
    names = [r.name for r in run.records]
    assert names[:4] == ["Ar-random-000000", "Ar-lattice-000000", "Ar-random-000001", "Ar-lattice-000001"]
    failed = run.records[3]
    assert failed.relaxation.status == Status.ERROR
    assert failed.relaxation.message == "ValueError: no candidate number one"
    assert run.records[1].relaxation.status == Status.CONVERGED


def test_bad_structures_do_not_stop_a_search(tmp_path: Path) -> None:
    config = resolve(
        words(tmp_path / "run", formula="Ar", formula_units="1-4", relaxer="toy_potentials:Poisoned", num=12)
    )
    run = search(config)
    statuses = {r.relaxation.status for r in run.records}
    assert len(run.records) == 12
    assert {Status.ERROR, Status.NAN} < statuses


def work_until_three_are_done(config: SearchConfig) -> None:
    """Of a search that is told to stop then."""
    folder = Path(config.out)
    folder.mkdir()
    stop, done = Stop(), []

    def count(finished: Finished) -> None:
        done.append(finished)
        if len(done) == 3:
            stop.request("enough")

    unit = Unit("", Budget(FixedOrder(config.assignments()), (), config.seed))
    with InHand(folder) as in_hand:
        work_through(Workshop({"": config}), SharedDesk(Desk(OneUnit(unit), count), stop), stop, in_hand)


def test_a_stopped_search_resumes_to_the_same_set_as_an_unbroken_one(tmp_path: Path) -> None:
    config = resolve(words(tmp_path / "broken"))
    work_until_three_are_done(config)
    (tmp_path / "broken" / "config.toml").write_text(
        'formula="NaCl"\nnum=6\nformula_units="1-2"\nrelaxer="toy_potentials:Pairs"\nmax_steps=60\n'
        f'volume_per_atom="10-14"\nseed=3\nout="{tmp_path / "broken"}"\n'
    )
    assert [r.number for r in load_run(tmp_path / "broken").records] == [0, 1, 2]
    resumed = search(config)
    unbroken = search(resolve(words(tmp_path / "unbroken")))
    assert [facts(r) for r in resumed.records] == [facts(r) for r in unbroken.records]


def test_a_search_in_batches_finds_what_one_by_one_finds(tmp_path: Path) -> None:
    together = search(resolve(words(tmp_path / "together", num=12, relaxer="toy_potentials:together")))
    alone = search(resolve(words(tmp_path / "alone", num=12)))
    by_name = {r.name: facts(r) for r in together.records}
    assert len(together.records) == 12
    assert by_name == {r.name: facts(r) for r in alone.records}
    # Relaxed at the same time, they do not end in the order in which they were drawn.
    assert [r.name for r in sorted(together.records, key=lambda r: r.finished)] != sorted(by_name)


def test_a_stopped_batch_is_drawn_again(tmp_path: Path) -> None:
    config = resolve(words(tmp_path / "broken", num=12, relaxer="toy_potentials:together"))
    work_until_three_are_done(config)
    (tmp_path / "broken" / "config.toml").write_text(to_toml(config, {}))
    assert 0 < len(load_run(tmp_path / "broken").records) < 12
    unbroken = search(resolve(words(tmp_path / "unbroken", num=12, relaxer="toy_potentials:together")))
    assert {facts(r) for r in search(config).records} == {facts(r) for r in unbroken.records}


def test_losers_that_were_given_up_are_told_apart_in_the_journal(tmp_path: Path) -> None:
    more = {"formula": "Ar", "formula_units": "2-4", "symmetry_operations": "1", "num": 30, "force_tolerance": 1e-4}
    full = search(resolve(words(tmp_path / "full", **more)))
    short = search(resolve(words(tmp_path / "short", early_stop_window=0.05, **more)))
    given_up = [r for r in short.records if r.relaxation.status == Status.GIVEN_UP]
    assert given_up
    assert all("heading for" in r.relaxation.message for r in given_up)
    assert sum(r.relaxation.force_calls for r in short.records) < sum(r.relaxation.force_calls for r in full.records)
    # The best is the same, and none of those given up would have been better.
    converged = {r.name: r.relaxation.enthalpy_per_atom or 0.0 for r in full.records if facts(r)[1] == "converged"}
    assert all(converged.get(r.name, 0.0) > min(converged.values()) - 1e-6 for r in given_up)
    assert min(r.relaxation.enthalpy_per_atom or 0.0 for r in short.records) < min(converged.values()) + 1e-6
    assert "early_stop_window = 0.05" in (tmp_path / "short" / "config.toml").read_text()


def test_an_adaptive_search_shakes_what_it_found_and_can_be_gone_on_with(tmp_path: Path) -> None:
    more = {"formula": "Ar", "formula_units": "2-4", "source": "random,shake", "schedule": "adaptive"}
    more |= {"volume_per_atom": "14-20"}
    first = search(resolve(words(tmp_path / "run", num=7, **more)))
    run = search(resolve(words(tmp_path / "run", num=14, **more)))
    assert [r.number for r in run.records] == list(range(14))
    assert [r.finished for r in run.records[:7]] == [r.finished for r in first.records]
    by_name = {r.name: r for r in run.records}
    assert len(by_name) == 14
    shaken = [r for r in run.records if r.candidate.source == "shake"]
    assert len(shaken) >= 3
    sources = make_sources(run.config)
    for record in shaken:
        # What the journal holds is enough to draw the candidate again.
        parent = by_name[record.candidate.provenance["parent"]]
        assert parent.finished < record.finished and parent.relaxation.atoms is not None
        again = Assignment(record.number, "shake", record.candidate.index, Parent(parent.name, parent.relaxation.atoms))
        drawn = draw(run.config, sources, again).atoms
        assert drawn is not None and record.candidate.atoms is not None
        np.testing.assert_allclose(drawn.positions, record.candidate.atoms.positions, atol=1e-12)


def test_shake_alone_has_nothing_to_start_from(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--source random,shake"):
        search(resolve(words(tmp_path / "run", source="shake")))
    assert not (tmp_path / "run").exists()


def test_a_search_stops_once_it_has_found_enough(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    more = {"formula": "Ar", "formula_units": "1", "volume_per_atom": "14-20", "num": 40}
    with caplog.at_level("INFO", logger="xtalseek"):
        run = search(resolve(words(tmp_path / "run", until="found-3-times", **more)))
    assert len(run.records) < 40
    assert found_in(run.records).times[0] == 3
    assert not found_in(run.records[:-1]).enough(run.config.stopping_rule)
    assert "enough was found (found-3-times)" in caplog.text
    assert len(search(resolve(words(tmp_path / "run", until="found-3-times", **more))).records) == len(run.records)
    longer = search(resolve(words(tmp_path / "run", until="found-4-times", **more)))
    assert len(longer.records) > len(run.records)
    with pytest.raises(InputError, match="allowed are found-N-times"):
        resolve(words(tmp_path / "other", until="bored"))
