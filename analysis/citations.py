"""What a run owes its results to: references for the methods that it used, and for no others, as BibTeX.

The entries stand in templates/references.bib. A source or relaxer that is not listed here (a plug-in, an ASE calculator
of the user's) has no reference that xtalseek knows of; `cite` names it, so that nobody takes the list for whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..search.config import SearchConfig

_FILE = Path(__file__).parent / "templates" / "references.bib"
_SOURCES = {
    "random": ("pickard2011airss",),
    "seeds": (),
    "shake": ("pickard2011airss",),
    "substitution": ("glawe2016pettifor",),
    "unimat": ("yang2024unimat",),
}
_RELAXERS = {
    "chgnet": ("deng2023chgnet",),
    "emt": ("jacobsen1996emt",),
    "lj": ("jones1924",),
    "mace": ("batatia2022mace", "batatia2023macemp"),
    "matgl": ("ko2025matgl",),
    "mattersim": ("yang2024mattersim",),
    "morse": ("morse1929",),
    "orb": ("rhodes2025orb",),
    "sevennet": ("park2024sevennet",),
    "tblite": (),
    "torch-sim": ("cohen2025torchsim",),
}
_REPELLED = ("chgnet", "mace", "matgl", "mattersim", "orb", "sevennet", "torch-sim")
"""Learned potentials, which are given a repulsion unless the user says otherwise."""
_TBLITE = {"GFN1-xTB": "grimme2017gfn1", "GFN2-xTB": "bannwarth2019gfn2"}
_OPTIMISERS = {
    "fire": ("bitzek2006fire",),
    "lbfgs": ("nocedal1980",),
    "preconditioned-lbfgs": ("nocedal1980", "packwood2016"),
    "two-point": ("barzilai1988",),
}
_ALWAYS = {
    "larsen2017ase": "structures",
    "ong2013pymatgen": "matching of structures",
    "widdowson2022amd": "matching of structures",
    "togo2024spglib": "space groups",
}


@dataclass(frozen=True)
class Citation:
    """A publication that a run rests on.

    Attributes
    ----------
    key : of the BibTeX entry.
    used_for : in a few words.
    bibtex : the entry as it stands in a .bib file.
    """

    key: str
    used_for: str
    bibtex: str


def cite(config: SearchConfig, estimated: bool = False) -> tuple[list[Citation], list[str]]:
    """The publications behind a run, each once, and the parts of it for which none is known.

    Parameters
    ----------
    config : of the run.
    estimated : whether Good and Turing's estimate of unseen minima is told of it.
    """
    wanted: dict[str, str] = {}
    unknown = []
    for source in config.source:
        keys, words = _SOURCES.get(source), f"source {source}"
        own = config.source_options if len(config.source) == 1 else config.source_options.get(source, {})
        if source == "substitution" and not own.get("prototypes"):
            wanted["mehl2017aflow"] = "prototypes of the source substitution"
        if keys is None:
            unknown.append(words)
        wanted |= {key: words for key in keys or () if key not in wanted}
    if config.schedule == "adaptive":
        wanted["thompson1933"] = "adaptive schedule"
    keys = _RELAXERS.get(config.relaxer)
    if config.relaxer == "tblite":
        method = str(config.relaxer_options.get("method", "GFN1-xTB"))
        keys = (_TBLITE[method],) if method in _TBLITE else None
    if keys is None:
        unknown.append(f"relaxer {config.relaxer}")
    wanted |= dict.fromkeys(keys or (), f"relaxer {config.relaxer}")
    repulsion = config.relaxer_options.get("repulsion")
    if repulsion or (repulsion is None and config.relaxer in _REPELLED):
        wanted["ziegler1985zbl"] = "repulsion of atoms that almost touch"
    if keys is not None or ":" in config.relaxer:  # a whole engine that someone registered has its own optimiser
        wanted |= dict.fromkeys(_OPTIMISERS.get(config.optimiser, ()), f"optimiser {config.optimiser}")
    wanted |= _ALWAYS
    if estimated:
        wanted["good1953"] = "estimate of unseen minima"
    entries = _entries()
    return [Citation(key, words, entries[key]) for key, words in wanted.items()], unknown


def _entries() -> dict[str, str]:
    """The entries of the file by key; blank lines part them."""
    entries = {}
    for text in _FILE.read_text(encoding="utf-8").strip().split("\n\n"):
        found = re.match(r"@\w+\{([^,]+),", text)
        assert found is not None, text
        entries[found[1]] = text
    return entries
