"""Sources: the ways of proposing structures, found by name."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ..errors import InputError
from ..records import Candidate, Parent, Target
from ..registry import Registry


class Source(Protocol):
    """A way of proposing structures.

    Candidate `index` must be a pure function of the source's settings, the target, `index` and `rng`: never of earlier
    calls, so that any number of ranks, and a resumed run, draw the same candidates.

    A source that is faster drawing several at once has an attribute `block`, their number: `rng` is then the same for
    all indices with the same index // block, and the source may keep what it drew for the others.

    A source with an attribute `reads_seeds` that is true obeys the AIRSS seed of a target that has one.

    A source with an attribute `needs_parent` that is true starts from a relaxed structure: its `propose` takes a
    `Parent` as fourth argument, and candidate `index` is a pure function of that, too.
    """

    def check(self, target: Target) -> None:
        """Raise `InfeasibleTarget` with the reason where no candidate can ever be drawn for `target`."""

    def propose(self, target: Target, index: int, rng: np.random.Generator) -> Candidate:
        """Draw candidate `index`; where bounded attempts find none, its `atoms` is None and `note` says why."""


sources = Registry(
    "source",
    {
        "random": "xtalseek.proposals.random:RandomSource",
        "shake": "xtalseek.proposals.shake:ShakeSource",
        "substitution": "xtalseek.proposals.substitution:SubstitutionSource",
        "unimat": "xtalseek.proposals.unimat.source:UniMatSource",
    },
    group="xtalseek.sources",
)
"""Ways of proposing structures; called as `source(**options)`."""


def make_source(name: str, options: Mapping[str, Any] | None = None) -> Source:
    """The source called `name`, made with `options` as keyword arguments.

    Raises
    ------
    InputError : unknown name, or options that the source does not take.
    """
    factory = sources.get(name)
    try:
        source: Source = factory(**dict(options or {}))
    except TypeError as error:
        raise InputError(f"source {name!r}: {error}") from error
    return source


def candidate_rng(seed: int, source: str, index: int) -> np.random.Generator:
    """The random numbers of one candidate: the same for any order of drawing and any number of ranks.

    The source's name enters as its CRC-32, so that two sources with one seed draw independent numbers.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(zlib.crc32(source.encode()), index)))


def propose(
    source: Source, name: str, target: Target, index: int, seed: int, parent: Parent | None = None
) -> Candidate:
    """Candidate `index` of the source called `name`, with the random numbers that are its own or its block's."""
    block = getattr(source, "block", 1)
    rng = candidate_rng(seed, name, index // block * block)
    if parent is not None:
        return source.propose(target, index, rng, parent)  # type: ignore[call-arg]
    return source.propose(target, index, rng)
