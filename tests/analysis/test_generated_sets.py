"""What sources generated, against the phases known before."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ase import Atoms

from xtalseek.analysis.generated_sets import generated_lines, generated_sets
from xtalseek.analysis.stability import Phase
from xtalseek.records import Record, Status
from xtalseek.search.store import Run

MakeRun = Callable[..., Run]
MakeRecord = Callable[..., Record]


def test_every_relaxation_counts_for_its_source_against_what_was_known(
    make_run: MakeRun, make_record: MakeRecord, rutile: Atoms
) -> None:
    """Elements at 0, known rutile at -3 eV/atom: the hull at its composition."""
    known = [Phase("Ti", {"Ti": 1}, 0.0), Phase("O", {"O": 1}, 0.0), Phase("TiO2", {"Ti": 1, "O": 2}, -3.0)]
    records = [
        make_record(0, rutile, -3.1, source="random"),
        make_record(1, rutile, -2.99, source="random"),
        make_record(2, rutile, -2.95, source="random"),
        make_record(3, rutile, None, Status.NAN, source="random"),
        make_record(0, rutile, -2.0, source="seeds"),
    ]
    sets = generated_sets([make_run(records, {"source": ["random", "seeds"]})], known, training=[rutile])
    random = sets["random"]
    assert (random.stable.count, random.stable.total) == (1, 4)
    assert [share.count for share in random.metastable] == [2, 3]
    assert random.without_energy == 1
    assert random.unique.count == 1
    assert random.novel is not None and random.novel.count == 0
    assert sets["seeds"].metastable[-1].count == 0
    assert any(line.startswith("random") and "25 (1-81)" in line for line in generated_lines(sets))


def test_without_known_structures_nothing_is_called_novel(
    make_run: MakeRun, make_record: MakeRecord, rutile: Atoms
) -> None:
    known = [Phase("Ti", {"Ti": 1}, 0.0), Phase("O", {"O": 1}, 0.0)]
    sets = generated_sets([make_run([make_record(0, rutile, -3.0)])], known)
    assert [found.novel for found in sets.values()] == [None]
    assert sets["random"].stable.value == pytest.approx(1.0)
