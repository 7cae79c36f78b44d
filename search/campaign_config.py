"""What a campaign was asked to do: many searches under one folder, their common words and their own."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..formula import pair_key, parse_formula
from .campaign_files import CAMPAIGN_FILE, MAX_CAMPAIGN_BYTES, Asked, Entry, read_campaign_file
from .campaign_words import (
    CAMPAIGN_WORDS,
    COMPOSITION_WORDS,
    DEFAULT_MAX_ATOMS,
    NAMES_COMPOSITION,
    check_words,
    parse_campaign_word,
    shared_words,
    without_budget,
)
from .config import SearchConfig, resolve
from .config import difference as search_difference
from .enumeration import enumerate_formulas, fitting_units, parse_system
from .toml import toml_key, toml_value

_UNIMAT = "unimat"
_SHOWN = 5
_LONGEST_NAME = 200
_LATER_ROUND = re.compile(r".*-round\d+")


@dataclass(frozen=True)
class Campaign:
    """A resolved campaign; construct it with `read_campaign`.

    Attributes
    ----------
    searches : by name, in the order asked for. The name is the target's, with "-10GPa" behind it under pressure; the
        search's `out` is `OUT/runs/NAME`.
    out : the campaign folder.
    rounds : 1: no follow-up.
    follow_up : candidates of each follow-up round over all compositions; None: half of the first round's.
    learn : fine-tune the UniMat checkpoint after each round.
    zero_shot : only compositions that the model never saw.
    max_hours : the whole campaign ends cleanly after so many hours; None: when all is done.
    """

    searches: Mapping[str, SearchConfig]
    out: str
    rounds: int = 1
    follow_up: int | None = None
    learn: bool = False
    zero_shot: bool = False
    max_hours: float | None = None

    @property
    def candidates(self) -> int:
        """Of the first round, over all compositions."""
        return sum(config.num for config in self.searches.values())

    @property
    def follow_up_candidates(self) -> int:
        """Of each follow-up round, over all compositions."""
        return max(1, self.candidates // 2) if self.follow_up is None else self.follow_up

    def in_round(self, number: int, checkpoint: str | None = None) -> dict[str, SearchConfig]:
        """The searches of round `number`, from 1.

        Without `learn`, and in the first round, they are `searches`. With it, a later round's are searches of their
        own, as their model is another: in `OUT/runs/NAME-round2`, of another seed, and with `checkpoint`, a path,
        where unimat is among their sources.
        """
        if number == 1 or not self.learn:
            return dict(self.searches)
        return {name: self._later(name, config, number, checkpoint) for name, config in self.searches.items()}

    def parent_checkpoint(self) -> str:
        """The checkpoint that `learn` starts from, as the searches with unimat name it; empty: xtalseek's own.

        Raises
        ------
        InputError : no search has unimat, or two name different checkpoints.
        """
        with_unimat = [config for config in self.searches.values() if _UNIMAT in config.source]
        named = sorted({checkpoint_of(config) for config in with_unimat})
        if not named:
            raise InputError(
                "learn: no composition has the source unimat, which would learn; give --source random,unimat"
            )
        if len(named) > 1:
            told = " and ".join(repr(path or "xtalseek's own") for path in named[:2])
            raise InputError(f"learn: the compositions name different checkpoints, {told}; give all of them the same")
        return named[0]

    def _later(self, name: str, config: SearchConfig, number: int, checkpoint: str | None) -> SearchConfig:
        options: Mapping[str, Any] = config.source_options
        if checkpoint is not None and _UNIMAT in config.source:
            own = {**config.options_of(_UNIMAT), "checkpoint": checkpoint}
            options = own if config.source == (_UNIMAT,) else {**options, _UNIMAT: own}
        out = f"{_run_folder(self.out, name)}-round{number}"
        return dataclasses.replace(config, out=out, seed=config.seed + number - 1, source_options=options)


def checkpoint_of(config: SearchConfig) -> str:
    """Path of the UniMat checkpoint that a search draws with; empty: the one that comes with xtalseek."""
    return str(config.options_of(_UNIMAT).get("checkpoint", ""))


_WHOLE = tuple(f.name for f in fields(Campaign) if f.name != "searches")


def read_campaign(file: str | None, words: Mapping[str, Any]) -> Campaign:
    """The campaign that a file and the words of the command line ask for.

    A word of the command line wins over all of the file, also over a composition's own; a composition's own word wins
    over the file's common ones. Of common `min_distances` each composition takes the pairs that it has. A formula of
    the chemical system that the file lists keeps what the file says.

    Parameters
    ----------
    file : see `read_campaign_file`; None: the chemical system is all.
    words : as typed, or as in TOML: those of a search that all compositions share, and `CAMPAIGN_WORDS`.

    Raises
    ------
    InputError : a file, word or composition that cannot be used; the compositions are told by their lines, together.
    """
    if file is None:
        return _resolved(Asked(), words, "")
    return _resolved(read_campaign_file(Path(file), COMPOSITION_WORDS), words, Path(file).stem)


def _resolved(asked: Asked, words: Mapping[str, Any], stem: str) -> Campaign:
    check_words(asked.words)
    check_words(words)
    given = {**asked.words, **words}
    own = {name: parse_campaign_word(name, given[name]) for name in CAMPAIGN_WORDS if name in given}
    common, typed = shared_words(asked.words), shared_words(words)
    system = parse_system(own["chemical_system"]) if "chemical_system" in own else ()
    out = str(Path(own.get("out") or f"campaigns/{stem or '-'.join(system)}"))
    searches = _searches(asked.entries, common, typed, out)
    enumerated = _searches(_system_entries(system, own, common | typed, searches), common | typed, {}, out)
    if clash := [name for name in enumerated if name in searches]:
        raise InputError(f"{clash[0]} of the chemical system is also what a seed file is called: rename the file")
    searches |= enumerated
    if not searches:
        raise InputError("no compositions: give a FILE with a formula per line, or --chemical-system Li-Fe-P-O")
    _check_pairs((common | typed).get("min_distances", {}), searches)
    campaign = Campaign(searches, out, **{name: own[name] for name in _WHOLE if name in own and name != "out"})
    if campaign.follow_up is not None and campaign.rounds == 1:
        raise InputError("follow_up: there is one round only; give --rounds 2 or more, or leave follow_up out")
    if campaign.learn:
        campaign.parent_checkpoint()
    return campaign


def read_campaign_folder(folder: str | Path) -> Campaign:
    """The campaign that a folder belongs to, wherever it lies now. No other file is read: seeds' texts stand in it.

    Raises
    ------
    InputError : not a campaign folder, or its campaign.toml is not what `campaign_to_toml` writes.
    """
    file = Path(folder) / CAMPAIGN_FILE
    if not file.is_file():
        raise InputError(
            f"{str(folder)!r} is not a campaign folder (it has no {CAMPAIGN_FILE}): give the --out of a campaign"
        )
    asked = read_campaign_file(file, COMPOSITION_WORDS)
    for entry in asked.entries:
        if entry.words.get("seed_file") and not entry.words.get("seed_text"):
            raise InputError(f"{str(file)!r}: {entry.place} names a seed file and has no seed_text")
    return _resolved(asked, {"out": str(folder)}, "")


def campaign_to_toml(campaign: Campaign, provenance: Mapping[str, Any]) -> str:
    """The campaign as TOML that `read_campaign_folder` turns back into it: what all searches share stands once.

    Raises
    ------
    InputError : too large to be read again, or a plug-in's option that TOML has no form for.
    """
    searches = [_written(config) for config in campaign.searches.values()]
    first = searches[0]
    shared = {
        name: value
        for name, value in first.items()
        if name not in NAMES_COMPOSITION and all(words.get(name) == value for words in searches)
    }
    whole = {name: getattr(campaign, name) for name in _WHOLE}
    lines = [f"{name} = {toml_value(value)}" for name, value in whole.items() if value is not None]
    lines += [f"{name} = {value}" for name, value in shared.items()]
    lines += ["", "[provenance]", *(f"{toml_key(key)} = {toml_value(value)}" for key, value in provenance.items())]
    for words in searches:
        lines += ["", "[[composition]]"]
        lines += [f"{name} = {value}" for name, value in words.items() if name not in shared]
    text = "\n".join(lines) + "\n"
    if (size := len(text.encode())) > MAX_CAMPAIGN_BYTES:
        raise InputError(
            f"the campaign takes {size:,} bytes to write down, {MAX_CAMPAIGN_BYTES:,} are allowed: split it"
        )
    return text


def difference(stored: Campaign, asked: Campaign) -> list[str]:
    """What sets two campaigns apart, a line each, in what has to stay as it was.

    Compositions may come or be left out, and the lengths of the campaign and of its searches may change.
    """
    pairs = {name: (getattr(stored, name), getattr(asked, name)) for name in ("learn", "zero_shot")}
    lines = [
        f"{name}: {toml_value(old)} in the campaign folder, {toml_value(new)} asked for"
        for name, (old, new) in pairs.items()
        if old != new
    ]
    where: dict[str, list[str]] = {}
    for name, config in asked.searches.items():
        for line in search_difference(stored.searches.get(name, config), config):
            where.setdefault(line, []).append(name)
    return lines + [
        f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}: {line}" for line, names in where.items()
    ]


def _run_folder(out: str, name: str) -> str:
    return f"{out}/runs/{name}"


def _written(config: SearchConfig) -> dict[str, str]:
    """Each word of a search as TOML; those that are empty are left out, as reading leaves them at their defaults."""
    return {
        name: toml_value(value)
        for name, value in vars(config).items()
        if name in COMPOSITION_WORDS and value is not None and value != "" and value != {}
    }


def _searches(
    entries: Iterable[Entry], common: Mapping[str, Any], typed: Mapping[str, Any], out: str
) -> dict[str, SearchConfig]:
    """Each entry's search by name; those that cannot be used are told together."""
    searches: dict[str, SearchConfig] = {}
    places: dict[str, str] = {}
    problems: list[tuple[str, str]] = []
    for entry in entries:
        try:
            config = _search(entry.words, common, typed)
            name = _name(config)
            if name in searches:
                raise InputError(f"{name} stands on {places[name]} already: leave one out, or give another pressure")
        except InputError as error:
            problems.append((entry.place, str(error)))
        else:
            places[name] = entry.place
            searches[name] = dataclasses.replace(config, out=_run_folder(out, name))
    if problems:
        raise _all_told(problems)
    return searches


def _search(own: Mapping[str, Any], common: Mapping[str, Any], typed: Mapping[str, Any]) -> SearchConfig:
    words = {**common, **without_budget(own), **typed}
    pairs = typed.get("min_distances", {} if "min_distances" in own else common.get("min_distances"))
    if pairs and isinstance(words.get("formula"), str):  # its own pairs, other than shared ones, must all fit
        present = parse_formula(words["formula"].strip())
        words["min_distances"] = {p: d for p, d in pairs.items() if all(s in present for s in pair_key(p))}
    return resolve(words)


def _name(config: SearchConfig) -> str:
    """What a search is called in its campaign; raises InputError where its run folder could not be called so."""
    target = config.target
    name = target.name + (f"-{target.pressure_gpa:g}GPa" if target.pressure_gpa else "")
    if _LATER_ROUND.fullmatch(name):
        raise InputError(f"seed_file: runs/{name} is where a later round of another would lie: rename the file")
    if len(name) > _LONGEST_NAME:
        raise InputError(f"{name[:30]}... is too long for the name of a run folder: at most {_LONGEST_NAME} characters")
    return name


def _all_told(problems: Sequence[tuple[str, str]]) -> InputError:
    texts = {text for _, text in problems}
    if len(texts) == 1 and len(problems) > 1:
        return InputError(f"{problems[0][0]} and {len(problems) - 1} more: {problems[0][1]}")
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return InputError("; ".join(f"{place}: {text}" for place, text in problems[:_SHOWN]) + more)


def _system_entries(
    system: Sequence[str], own: Mapping[str, Any], common: Mapping[str, Any], listed: Mapping[str, SearchConfig]
) -> list[Entry]:
    """The formulas of the chemical system that no composition of the file is already."""
    if not system:
        for name in ("max_atoms", "subsystems", "limit"):
            if name in own:
                raise InputError(f"{name}: belongs to a chemical system; give --chemical-system Li-Fe-P-O with it")
        return []
    max_atoms, units = own.get("max_atoms", DEFAULT_MAX_ATOMS), common.get("formula_units")
    formulas = enumerate_formulas(
        system,
        max_atoms // (units[0] if units else 1),
        subsystems=own.get("subsystems", False),
        limit=own.get("limit"),
    )
    pressure = common.get("pressure_gpa", 0.0)
    taken = {_reduced(config.formula) for config in listed.values() if config.pressure_gpa == pressure}
    return [
        Entry(f"{f.formula} of the system", {"formula": f.formula, "formula_units": fitting})
        for f in formulas
        if (fitting := fitting_units(units, f.atoms, max_atoms)) and (not taken or _reduced(f.formula) not in taken)
    ]


def _reduced(formula: str) -> frozenset[tuple[str, int]]:
    """The same for every way of writing a composition."""
    counts = parse_formula(formula)
    divisor = math.gcd(*counts.values())
    return frozenset((symbol, n // divisor) for symbol, n in counts.items())


def _check_pairs(min_distances: Mapping[str, float], searches: Mapping[str, SearchConfig]) -> None:
    """Raise InputError for a pair that no composition has: a slip that would otherwise do nothing."""
    for pair in min_distances:
        key = "-".join(pair_key(pair))
        if not any(key in config.min_distances for config in searches.values()):
            raise InputError(f"min_distances: no composition has both elements of {pair}; leave it out")
