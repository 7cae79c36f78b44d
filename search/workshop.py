"""What one worker works with: sources, relaxers and journals of the searches that it has a hand in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..proposals import Source, make_source
from ..relax import BatchRelaxer, Relaxer, check_name, in_flight, make_relaxer
from ..relax.contract import UnderWay
from .config import SearchConfig
from .store import Journal

OPEN_JOURNALS = 16
"""Journals that a worker keeps open; it goes on with the others' files when it comes back to them."""


@dataclass(eq=False)
class Workshop:
    """Tools made when they are first needed, and kept for all searches that need the same.

    Attributes
    ----------
    configs : the searches by name; a run on its own has one, called "".
    rank : the worker's number, for its journals' names.
    """

    configs: Mapping[str, SearchConfig]
    rank: int = 0
    _sources: dict[str, Source] = field(default_factory=dict)
    _relaxers: dict[str, Relaxer] = field(default_factory=dict)
    _under_way: dict[str, UnderWay] = field(default_factory=dict)
    _journals: dict[str, Journal] = field(default_factory=dict)

    def sources(self, search: str) -> dict[str, Source]:
        """The sources of a search by name.

        Raises
        ------
        InputError : unknown source or option, or only sources that start from what others found.
        """
        config = self.configs[search]
        made = {}
        for name in config.source:
            options = config.options_of(name)
            key = f"{name} {_key(options)}"
            if key not in self._sources:
                self._sources[key] = make_source(name, options)
            made[name] = self._sources[key]
            if config.seed_text and not getattr(made[name], "reads_seeds", False):
                raise InputError(f"source {name!r} does not read AIRSS seeds: use --source random, or give a formula")
        if all(getattr(source, "needs_parent", False) for source in made.values()):
            raise InputError(
                f"source {config.source[0]!r} starts from structures that others found: name another with it, such as "
                f"--source random,{config.source[0]}"
            )
        return made

    def noted_as(self, search: str) -> str:
        """What a search is called where it is noted what workers have in hand: its run folder, of which a round of a
        campaign that learns has one of its own."""
        return Path(self.configs[search].out).name if search else ""

    def needs_parent(self, search: str) -> frozenset[str]:
        """Sources of a search whose candidates start from relaxed structures."""
        return frozenset(
            name for name, source in self.sources(search).items() if getattr(source, "needs_parent", False)
        )

    def blocks(self, search: str) -> dict[str, int]:
        """How many candidates each source of a search draws together, where that is more than one."""
        blocks = {name: int(getattr(source, "block", 1)) for name, source in self.sources(search).items()}
        return {name: size for name, size in blocks.items() if size > 1}

    def relaxer(self, search: str) -> Relaxer:
        """The relaxer of a search.

        Raises
        ------
        InputError : unknown names or options, elements that the potential does not know.
        """
        config = self.configs[search]
        key, symbols = _relaxer_key(config), config.target.composition
        if key not in self._relaxers:
            check_name(config.relaxer)
            made = make_relaxer(config.relaxer, config.relax_settings, config.relaxer_options, symbols)
            self._relaxers[key] = made
        elif isinstance(kept := self._relaxers[key], BatchRelaxer):
            kept.potential.require_elements(symbols)
        return self._relaxers[key]

    def under_way(self, search: str) -> UnderWay:
        """Where its relaxations join those of others with the same relaxer, unless each search has its own best."""
        config = self.configs[search]
        key = _relaxer_key(config) + (search if config.early_stop_window is not None else "")
        if key not in self._under_way:
            self._under_way[key] = in_flight(self.relaxer(search))
        return self._under_way[key]

    def check(self, search: str) -> None:
        """Make the tools of a search, so that what is wrong with it shows before anything is written.

        Raises
        ------
        InputError : see `sources` and `relaxer`.
        InfeasibleTarget : a source can never draw a candidate for the target.
        """
        config = self.configs[search]
        if not self._relaxers:
            check_name(config.relaxer)  # a misspelt name is told at once, before any potential is loaded
        for source in self.sources(search).values():
            source.check(config.target)
        self.relaxer(search)

    def journal(self, search: str) -> Journal:
        """This worker's journal of a search."""
        journal = self._journals.pop(search, None)
        if journal is None:
            journal = Journal(Path(self.configs[search].out), self.rank)
        self._journals[search] = journal  # the last that was used stands last
        for name in list(self._journals)[:-OPEN_JOURNALS]:
            self._journals[name].rest()
        return journal

    def all_under_way(self) -> Iterable[UnderWay]:
        """Wherever relaxations may be under way."""
        return self._under_way.values()

    def rest(self) -> None:
        """Close the journals' files until something is written again."""
        for journal in self._journals.values():
            journal.rest()

    def turn_to(self, configs: Mapping[str, SearchConfig]) -> None:
        """Go on with other searches; sources and relaxers are kept."""
        self.rest()
        self.configs = configs
        self._journals = {}


def make_sources(config: SearchConfig) -> dict[str, Source]:
    """The sources that `config` names, checked against its target; see `Workshop` for what is raised."""
    sources = Workshop({"": config}).sources("")
    for source in sources.values():
        source.check(config.target)
    return sources


def _key(options: Mapping[str, Any]) -> str:
    return json.dumps(dict(options), sort_keys=True, default=repr)


def _relaxer_key(config: SearchConfig) -> str:
    return f"{config.relaxer} {config.relax_settings} {_key(config.relaxer_options)}"
