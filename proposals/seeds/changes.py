"""What a seed wants done to a structure at last: each directive becomes a field of `Edits`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..recipe import Edits
from .atoms import Entry, element
from .composition import MAX_ATOMS
from .keys import Keys
from .text import Directive
from .values import is_number, number, whole_range


def edits(keys: Keys, adatoms: Sequence[Entry], entries: Sequence[Entry]) -> Edits:
    """What PERMUTE, VACANCIES, HOLE, SPIN, BREAKAMP, VACUUM and adatoms ask for; raises `InputError` for bad values."""
    species = tuple(dict.fromkeys(symbol for entry in (*entries, *adatoms) for symbol in entry.symbols))
    given: dict[str, Any] = {
        "permute_fraction": keys.real("PERMFRAC", 1.0, 0.0, 1.0),
        "hole": max(0.0, keys.real("HOLE", 0.0)),
        "break_amplitude": max(0.0, keys.real("BREAKAMP", 0.0)),
        "vacuum": keys.real("VACUUM", 0.0, 0.0),
    }
    permute, vacancies, spin = keys.get("PERMUTE"), keys.get("VACANCIES"), keys.get("SPIN")
    if permute is not None:
        given["permute"] = _species(permute, permute.value.replace(",", " ").split(), species) or species
    if vacancies is not None:
        count, at, symbol = vacancies.value.partition("@")
        if not at:
            keys.warnings.append(
                vacancies.place.note("VACANCIES without @El makes buildcell run for ever; any atoms go")
            )
        chosen = _species(vacancies, [symbol], species)[0] if at else ""
        given["vacancies"] = whole_range(count, "VACANCIES", vacancies.place, 0, MAX_ATOMS)[0], chosen
    moments = None
    if spin is not None:
        words = spin.value.split()
        values = [word for word in words if is_number(word)]
        if len(values) != 2 or words[:2] != values:
            raise spin.place.error(f"SPIN={spin.value[:30]!r}: write the total and the size, such as 4 2, then species")
        moments = (number(words[0], "SPIN", spin.place), number(words[1], "SPIN", spin.place))
        given["spin_species"] = _species(spin, words[2:], species)
    units = tuple(entry.unit(None) for entry in adatoms for _ in range((entry.tags.num or (1, 1))[0]))
    return Edits(adatoms=units, spin=moments, **given)


def _species(directive: Directive, words: Sequence[str], listed: Sequence[str]) -> tuple[str, ...]:
    found = tuple(element(word, directive.place) for word in words)
    absent = [symbol for symbol in found if symbol not in listed]
    if absent:
        raise directive.place.error(
            f"{directive.key}: {absent[0]} is not among the listed atoms ({', '.join(listed[:8])})"
        )
    return found
