"""References: whole BibTeX entries, for what a run used and for nothing else."""

from __future__ import annotations

import re

import pytest

from xtalseek.analysis import citations
from xtalseek.analysis.citations import cite
from xtalseek.relax import potentials
from xtalseek.relax.optimisers import OPTIMISERS
from xtalseek.search.config import resolve

ALWAYS = {"larsen2017ase", "ong2013pymatgen", "widdowson2022amd", "togo2024spglib"}
DEFAULT = {"nocedal1980", "packwood2016"}


def keys(**words: object) -> set[str]:
    return {citation.key for citation in cite(resolve({"formula": "TiO2", **words}))[0]}


def test_what_was_used_and_nothing_else() -> None:
    assert keys() == ALWAYS | DEFAULT | {"pickard2011airss", "deng2023chgnet", "ziegler1985zbl"}
    assert keys(source=["unimat"], relaxer="emt", optimiser="fire") == ALWAYS | {
        "yang2024unimat", "jacobsen1996emt", "bitzek2006fire"
    }  # fmt: skip
    assert "ziegler1985zbl" not in keys(relaxer_options={"repulsion": False})
    assert "bannwarth2019gfn2" in keys(relaxer="tblite", relaxer_options={"method": "GFN2-xTB"})
    assert "good1953" in {c.key for c in cite(resolve({"formula": "TiO2"}), estimated=True)[0]}


def test_a_mixture_and_its_prototypes() -> None:
    words: dict[str, object] = {"source": ["random", "substitution"], "schedule": "adaptive"}
    assert keys(**words) >= {"pickard2011airss", "mehl2017aflow", "glawe2016pettifor", "thompson1933"}
    own = {"substitution": {"prototypes": "mine.csv"}}
    assert "mehl2017aflow" not in keys(**words, source_options=own)


def test_parts_without_a_reference_are_named() -> None:
    cited, unknown = cite(resolve({"formula": "Cu", "source": ["mine"], "relaxer": "my.code:Engine"}))
    assert unknown == ["source mine", "relaxer my.code:Engine"]
    assert {citation.key for citation in cited} == ALWAYS | DEFAULT


@pytest.mark.parametrize("kind", ["relaxers", "optimisers"])
def test_everything_that_comes_along_has_an_answer(kind: str) -> None:
    """What is added to the package must be given a reference, or be said to have none."""
    known = {"relaxers": citations._RELAXERS, "optimisers": citations._OPTIMISERS}[kind]
    assert set(known) == set(potentials.names() if kind == "relaxers" else OPTIMISERS)


def test_entries_are_whole() -> None:
    entries = citations._entries()
    used = [citations._SOURCES, citations._RELAXERS, citations._OPTIMISERS]
    wanted = {key for table in used for names in table.values() for key in names} | set(citations._TBLITE.values())
    wanted |= set(citations._ALWAYS) | {"mehl2017aflow", "thompson1933", "ziegler1985zbl", "good1953"}
    assert wanted == set(entries)
    for key, text in entries.items():
        assert text.count("{") == text.count("}"), key
        fields = dict(re.findall(r"^  (\w+) *= \{(.*)\},$", text, flags=re.MULTILINE))
        assert {"author", "title", "year"} <= set(fields), key
        assert re.fullmatch(r"10\.\d{4,}/\S+", fields.get("doi", "")) or re.fullmatch(
            r"\d{4}\.\d{5}", fields.get("eprint", "")
        ), key
        assert fields["year"] in key or key in {"nocedal1980", "packwood2016"}, key
