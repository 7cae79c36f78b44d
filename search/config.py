"""What a search was asked to do: one flat set of words, the same in a TOML file, on the command line and in Python."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import InputError, unknown
from ..formats import safe_name
from ..formula import pair_key
from ..records import Target
from ..relax.contract import RelaxSettings
from ..relax.optimisers import DEFAULT, OPTIMISERS
from .completeness import StoppingRule, parse_rule
from .schedule import EQUAL, Assignment, fixed_order, shares
from .toml import toml_key, toml_value
from .values import (
    interval,
    many_lines,
    not_negative,
    one_line,
    one_of,
    option_value,
    positive,
    real,
    several,
    table,
    whole,
)


def _word(parse: Callable[[Any], Any], default: Any, example: str, text: str, short: str = "") -> Any:
    """A field that is also a word of the command line and of TOML: `parse` takes either form of its value."""
    metadata = {"parse": parse, "example": example, "help": text, "short": short}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class SearchConfig:
    """A resolved search. Every field is a word of the command line (`--max-hours`) and of TOML (`max_hours`).

    Construct it with `resolve`, which reads either form of each value and names the field that is wrong.
    """

    formula: str = field(metadata={"parse": one_line, "example": "SrTiO3", "help": "one formula unit", "short": ""})
    num: int = _word(whole(1), 100, "100", "number of candidates in all", short="-n")
    source: tuple[str, ...] = _word(
        several(one_line), ("random",), "random", "ways of proposing: random, unimat, substitution, shake"
    )
    schedule: str = _word(
        one_line, EQUAL, "random=3,unimat=1", "how sources share: equal, adaptive (to what each finds), or weights"
    )
    formula_units: tuple[int, int] = _word(interval(whole(1)), (1, 4), "1-4", "formula units in a cell")
    relaxer: str = _word(
        one_line, "chgnet", "chgnet", "potential by name, such as chgnet, or any ASE calculator as module:Class"
    )
    seed_file: str = _word(
        one_line, "", "X.cell", "an AIRSS seed that takes the place of the formula and its constraints"
    )
    pressure_gpa: float = _word(real, 0.0, "10", "external pressure in GPa")
    seed: int = _word(whole(0), 0, "0", "the same seed draws the same candidates")
    out: str = _word(one_line, "", "RUN", "run folder; the same command on it resumes (default: runs/FORMULA)")
    max_hours: float | None = _word(positive, None, "12", "end cleanly after so many hours (default: no limit)")
    min_distances: Mapping[str, float] = _word(
        table(positive), {}, "Ti-O=1.7,O-O=2.2", "closest distances in Å that are proposed (default: from radii)"
    )
    volume_per_atom: tuple[float, float] | None = _word(
        interval(positive), None, "10-13", "volume in Å^3/atom that is proposed (default: from radii)"
    )
    symmetry_operations: tuple[int, int] = _word(
        interval(whole(1)), (1, 48), "2-4", "symmetry operations of the primitive cell that are proposed"
    )
    space_groups: tuple[int, ...] = _word(
        several(whole(1)), (), "221,225", "space groups that are proposed, by number (default: any)"
    )
    force_tolerance: float = _word(positive, 0.05, "0.05", "converged below this force in eV/Å ...")
    stress_tolerance_gpa: float = _word(positive, 0.1, "0.1", "... and below this stress in GPa")
    max_steps: int = _word(whole(1), 500, "500", "steps of one relaxation at most")
    max_seconds: float = _word(positive, 600.0, "600", "seconds of one relaxation at most")
    optimiser: str = _word(one_of(OPTIMISERS), DEFAULT, DEFAULT, f"how to relax: {', '.join(OPTIMISERS)}")
    until: str = _word(
        one_line,
        "",
        "found-5-times",
        "stop sooner where the lowest was found so often, or little is unseen (unseen<0.05) (default: never)",
    )
    early_stop_window: float | None = _word(
        positive,
        None,
        "0.1",
        "give up relaxations that head for more than this above the best, in eV/atom (default: none)",
    )
    saddle_push: float = _word(
        not_negative, 0.02, "0.02", "push symmetric structures off where they rest by about this, in Å; 0: leave them"
    )
    push_apart: float | None = _word(
        positive, None, "0.7", "push atoms apart first, to this fraction of their covalent radii (default: none)"
    )
    source_options: Mapping[str, Any] = _word(
        table(option_value),
        {},
        "NAME=VALUE",
        "settings of the source, as in stretch=false, or of one of several: random.stretch=false",
    )
    relaxer_options: Mapping[str, Any] = _word(
        table(option_value), {}, "NAME=VALUE", "keyword arguments of the potential, as in sigma=2,epsilon=1"
    )
    seed_text: str = _word(many_lines, "", "#SPECIES=Si", "what stands in the seed file, kept with the run")

    @property
    def label(self) -> str:
        """What candidates are called after: the seed file's name; empty: the formula."""
        return safe_name(Path(self.seed_file).stem) if self.seed_file else ""

    @property
    def target(self) -> Target:
        """What is searched for.

        Raises
        ------
        InputError : naming the field that is wrong.
        """
        words = {f.name for f in fields(Target)}
        return Target(**{name: value for name, value in vars(self).items() if name in words}, label=self.label)

    @property
    def relax_settings(self) -> RelaxSettings:
        """How far each candidate is relaxed."""
        words = {f.name for f in fields(RelaxSettings)}
        return RelaxSettings(**{name: value for name, value in vars(self).items() if name in words})

    @property
    def stopping_rule(self) -> StoppingRule | None:
        """When the search has found enough; None: when all its candidates are done."""
        return parse_rule(self.until) if self.until else None

    def options_of(self, source: str) -> Mapping[str, Any]:
        """What `source_options` say of one of the sources: all of them where it is the only one, else its table."""
        if source not in self.source:
            return {}
        return self.source_options if len(self.source) == 1 else self.source_options.get(source, {})

    def assignments(self, numbers: range | None = None) -> Iterator[Assignment]:
        """The run's candidates in order, or those of some numbers, where the schedule is fixed.

        None depends on `num`, so that a run can be made longer later.
        """
        numbers = range(self.num) if numbers is None else numbers
        return islice(fixed_order(shares(self.schedule, self.source), numbers.start), len(numbers))


_WORDS = {f.name: f for f in fields(SearchConfig)}
_MAY_CHANGE = ("num", "max_hours", "until", "out", "seed_file")
_IN_A_SEED = ("formula", "formula_units", "min_distances", "volume_per_atom", "symmetry_operations", "space_groups")


def resolve(words: Mapping[str, Any]) -> SearchConfig:
    """A checked configuration from words in their TOML or command-line form.

    Raises
    ------
    InputError : an unknown word, a missing formula, or a value that cannot be read: one line that names it.
    """
    known = _WORDS
    for name in words:
        if name not in known:
            raise unknown("key", name, known)
    if words.get("seed_file") and not words.get("seed_text"):
        words = _with_seed(words)
    if "formula" not in words:
        raise InputError(
            "formula: none given; write it on the command line, give a --seed-file, "
            'or formula = "SrTiO3" in the TOML file'
        )
    values = {name: parse_word(name, given) for name, given in words.items()}
    if "min_distances" in values:
        values["min_distances"] = {"-".join(pair_key(pair)): d for pair, d in values["min_distances"].items()}
    config = SearchConfig(**values)
    repeated = {name for name in config.source if config.source.count(name) > 1}
    if repeated:
        raise InputError(f"source: {sorted(repeated)[0]!r} is named twice; name each source once")
    config = dataclasses.replace(config, source_options=_by_source(config.source_options, config.source))
    shares(config.schedule, config.source)
    if config.until:
        parse_rule(config.until)
    target = config.target
    return config if config.out else dataclasses.replace(config, out=f"runs/{target.name}")


def _by_source(options: Mapping[str, Any], sources: Sequence[str]) -> dict[str, Any]:
    """The options of the only source, or a table for each of several; `random.stretch` is an option of random."""
    tables: dict[str, dict[str, Any]] = {}
    for name, value in options.items():
        source, dot, option = name.partition(".")
        if dot and source in sources:
            tables.setdefault(source, {})[option] = value
        elif len(sources) == 1:
            tables.setdefault(sources[0], {})[name] = value
        elif name in sources and isinstance(value, Mapping):
            tables.setdefault(name, {}).update(value)
        else:
            shown = value if isinstance(value, str) else toml_value(value)
            raise InputError(
                f"source_options: {name!r} says an option of none of the sources {', '.join(sources)}: write "
                f"SOURCE.OPTION=VALUE, such as {sources[0]}.{option or name}={shown}"
            )
    return tables.get(sources[0], {}) if len(sources) == 1 else tables


def _with_seed(words: Mapping[str, Any]) -> dict[str, Any]:
    """The words with those that the seed file stands for."""
    # Reading a seed takes pymatgen: `--help`, which imports this module, must answer at once.
    from ..proposals.seeds import read_seed

    for name in _IN_A_SEED:
        if name in words:
            raise InputError(f"{name}: the seed file says so itself; write it there, or leave out --seed-file")
    seed = read_seed(str(words["seed_file"]))
    from_seed: dict[str, Any] = {"formula": seed.formula, "seed_text": seed.text}
    if seed.pressure_gpa is not None:
        from_seed["pressure_gpa"] = seed.pressure_gpa
    if seed.random_seed is not None:
        from_seed["seed"] = seed.random_seed
    return from_seed | dict(words)


def parse_word(name: str, given: Any) -> Any:
    """The value of one word from its TOML or command-line form.

    Raises
    ------
    InputError : the value cannot be read as what the word stands for.
    """
    word = _WORDS[name]
    try:
        return word.metadata["parse"](given)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        # Our own parsers say in the error what is allowed; Python's say what could not be converted.
        reason = "" if "conver" in str(error) or isinstance(error, TypeError) else f"{error}, "
        raise InputError(
            f"{name}: cannot use {given!r}: allowed is {reason}for example {word.metadata['example']}"
        ) from error


MAX_BYTES = 1_000_000
"""Of a configuration; a seed of the largest size fits."""
MAX_DOTS = 1000
"""On one line: tomllib takes time with the square of a dotted key's length."""


def read_toml(path: Path, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The words in a TOML file, without the `[provenance]` that a run folder's own config.toml carries.

    Raises
    ------
    InputError : the file is missing or is not TOML.
    """
    try:
        if path.stat().st_size > max_bytes:
            raise InputError(f"config {str(path)!r} is too large: at most {max_bytes} bytes")
        text = path.read_text(encoding="utf-8")
        if any(line.count(".") > MAX_DOTS for line in text.splitlines()):
            raise InputError(f"config {str(path)!r} has a line with more than {MAX_DOTS} dots")
        words = tomllib.loads(text)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"config {str(path)!r} cannot be read: {error.strerror}") from error
    # Also what is no text, has a number of thousands of digits, or is nested too deep.
    except (ValueError, RecursionError) as error:
        raise InputError(f"config {str(path)!r} is not TOML: {' '.join(str(error).split())}") from error
    words.pop("provenance", None)
    return words


def read_run_config(path: Path) -> SearchConfig:
    """The configuration in a run folder's config.toml. No other file is read: a seed's text stands in it.

    Raises
    ------
    InputError : the file is missing, or is not what a search writes.
    """
    words = read_toml(path)
    if words.get("seed_file") and not words.get("seed_text"):
        raise InputError(f"config {str(path)!r} names a seed file and has no seed_text: a search writes both")
    return resolve(words)


def to_toml(config: SearchConfig, provenance: Mapping[str, Any]) -> str:
    """The resolved configuration as TOML that `read_toml` and `resolve` turn back into it."""
    plain = {
        name: value
        for name, value in vars(config).items()
        if not isinstance(value, Mapping) and value is not None and value != ""
    }
    tables = {name: value for name, value in vars(config).items() if isinstance(value, Mapping) and value}
    lines = [f"{name} = {toml_value(value)}" for name, value in plain.items()]
    for name, content in (tables | {"provenance": provenance}).items():
        lines += ["", f"[{name}]", *(f"{toml_key(key)} = {toml_value(value)}" for key, value in content.items())]
    return "\n".join(lines) + "\n"


def difference(stored: SearchConfig, asked: SearchConfig) -> list[str]:
    """What sets two configurations apart, a line each; the length of a run and the name of its folder may change."""
    pairs = [(f.name, getattr(stored, f.name), getattr(asked, f.name)) for f in fields(SearchConfig)]
    return [
        f"{name}: {_shown(old)} in the run folder, {_shown(new)} asked for"
        for name, old, new in pairs
        if name not in _MAY_CHANGE and old != new
    ]


def _shown(value: Any) -> str:
    return "none" if value is None else toml_value(value)
