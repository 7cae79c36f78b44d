"""`xtalseek init`: a commented configuration to start from, made from the fields that read it.

Each word has a comment, `# text`, and below it an example that a `#` without a space keeps out of force. A file as it
is written means what the command means without options; every example can be put in force by taking its `#` away.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from .command_words import CAMPAIGN_SEARCH_WORDS, SEARCH_WORDS, default_words
from .errors import InputError
from .formats import safe_name
from .formula import parse_formula
from .proposals.radii import default_volumes, radius_distances
from .search.campaign_words import CAMPAIGN_WORDS, parse_campaign_word
from .search.config import SearchConfig, parse_word, resolve
from .search.toml import toml_value

EXAMPLE_FORMULA = "SrTiO3"
_SECTIONS = {
    "What is searched for": (
        *("formula_units", "pressure_gpa", "min_distances", "volume_per_atom", "symmetry_operations", "space_groups"),
        "seed_file",
    ),
    "Where candidates come from": ("num", "source", "schedule", "source_options", "seed"),
    "How they are relaxed": (
        *("relaxer", "relaxer_options", "optimiser", "force_tolerance", "stress_tolerance_gpa", "max_steps"),
        *("max_seconds", "early_stop_window", "saddle_push", "push_apart"),
    ),
    "When it ends, and where it lies": ("until", "max_hours", "out"),
}
"""A word that is in none of them comes last."""
_EXAMPLES = {
    "source": ("random", "unimat"),  # which the schedule's example, random=3,unimat=1, takes
    "symmetry_operations": (2, 48),  # which the example of space groups has
    "source_options": {"random": {"stretch": False}},
    "relaxer_options": {"repulsion": True},
}
"""Where the configuration's own example is a form to fill in, or does not go with the other words' examples."""
_NOTES = {
    "seed_file": "leave those out then",
    "schedule": "weights are for the sources that are named",
    "source_options": "in this file a table for each of several, as here; of one alone { stretch = false }",
    "chemical_system": "besides the compositions above, or in their place",
    "follow_up": "where there are rounds",
    "learn": "where unimat is among the sources",
}
"""Of words that others must make room for, or that need others."""


def search_starter(formula: str | None = None) -> str:
    """The TOML text of a search for `formula`, which `resolve` reads as that search with all words at their defaults.

    Raises
    ------
    InputError : the formula cannot be searched.
    """
    chosen = resolve({"formula": formula or EXAMPLE_FORMULA}).formula
    head = [
        "# A search with xtalseek. In force is what has no # before it; take the # from",
        "# an example to use it. To start the search, or go on with it:",
        "#     xtalseek search --config FILE.toml               (this file for FILE.toml)",
        "#     mpirun -n 2 xtalseek search --config FILE.toml   (on two ranks)",
        "",
        "# One formula unit." + ("" if formula else " Write yours."),
        f"formula = {toml_value(chosen)}",
    ]
    return _text(head, _search_sections(SEARCH_WORDS, chosen))


def campaign_starter(formula: str | None = None) -> str:
    """The TOML text of a campaign with one composition, which `read_campaign` reads with all words at their defaults.

    Raises
    ------
    InputError : the formula cannot be searched.
    """
    chosen = resolve({"formula": formula or EXAMPLE_FORMULA}).formula
    head = [
        "# A campaign with xtalseek: many compositions under one folder. In force is what",
        "# has no # before it; take the # from an example to use it. To start the",
        "# campaign, or go on with it (this file for FILE.toml):",
        "#     mpirun -n 2 xtalseek campaign FILE.toml",
        "",
        "# The compositions. Each can have words of its own, as in",
        '# ["MgO", { formula = "TiO2", num = 80 }, { seed_file = "X.cell" }].',
        f"compositions = [{toml_value(chosen)}]",
    ]
    examples = {"out": f"campaigns/{safe_name(chosen)}"}
    sections = {"The campaign as a whole": [_campaign_entry(name, examples) for name in CAMPAIGN_WORDS]}
    return _text(head, sections | _search_sections(CAMPAIGN_SEARCH_WORDS, chosen))


def write_starter(formula: str | None, out: str | None, campaign: bool) -> str:
    """Write a configuration where no file is; return what to print.

    Parameters
    ----------
    out : path of the file; default: FORMULA.toml, search.toml or campaign.toml in the current folder.

    Raises
    ------
    InputError : the formula cannot be searched, the file exists, has another suffix, or cannot be written.
    """
    text = campaign_starter(formula) if campaign else search_starter(formula)
    path = Path(out or f"{safe_name(formula) if formula else 'campaign' if campaign else 'search'}.toml")
    if path.suffix.lower() != ".toml":
        raise InputError(f"--out: {str(path)!r} is TOML and has to end in .toml, such as {path.stem or 'search'}.toml")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise InputError(f"--out: {str(path)!r} exists already and was left as it is: give another name") from error
    except OSError as error:
        raise InputError(f"--out: {str(path)!r} cannot be written ({error.strerror})") from error
    return f"written: {path}\nstart it: xtalseek {'campaign' if campaign else 'search --config'} {path}"


def _text(head: Iterable[str], sections: Mapping[str, Iterable[str]]) -> str:
    lines = list(head)
    for title, entries in sections.items():
        lines += ["", f"# {title} {'-' * (76 - len(title))}"]
        for entry in entries:
            lines += ["", entry]
    return "\n".join(lines) + "\n"


def _search_sections(words: Iterable[str], formula: str) -> dict[str, list[str]]:
    """Each section's entries, of those of `words` that are fields of the configuration."""
    wanted = [field.name for field in fields(SearchConfig) if field.name in set(words)]
    grouped = {name for names in _SECTIONS.values() for name in names}
    sections = dict(_SECTIONS) | {"Further": tuple(name for name in wanted if name not in grouped)}
    examples = _EXAMPLES | _of_formula(formula)
    found = {title: [_entry(name, examples) for name in names if name in wanted] for title, names in sections.items()}
    return {title: entries for title, entries in found.items() if entries}


def _of_formula(formula: str) -> dict[str, Any]:
    """Examples that depend on the formula: for distances and volume, what the search takes by default."""
    composition = parse_formula(formula)
    return {
        "min_distances": {"-".join(pair): round(d, 2) for pair, d in radius_distances(composition).items()},
        "volume_per_atom": tuple(round(volume, 1) for volume in default_volumes(composition)),
        "out": f"runs/{safe_name(formula)}",
    }


def _entry(name: str, examples: Mapping[str, Any]) -> str:
    """A word's comment and its example."""
    about = next(field for field in fields(SearchConfig) if field.name == name).metadata
    value = examples[name] if name in examples else parse_word(name, about["example"])
    default = default_words([name])[name]
    text = about["help"].strip(". ")
    if "default" not in text and default not in (None, "", (), {}):
        text += f" (default: {f'{default:g}' if isinstance(default, float) else toml_value(default)})"
    return _commented(name, text, value)


def _campaign_entry(name: str, examples: Mapping[str, Any]) -> str:
    word = CAMPAIGN_WORDS[name]
    value = examples[name] if name in examples else parse_campaign_word(name, word.example)
    return _commented(name, word.help, value)


def _commented(name: str, text: str, value: Any) -> str:
    more = f"; {_NOTES[name]}" if name in _NOTES else ""
    comment = textwrap.fill(
        f"{text[0].upper()}{text[1:]}{more}.",
        80, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False, break_long_words=False,
    )  # fmt: skip
    return f"{comment}\n#{name} = {toml_value(value)}"
