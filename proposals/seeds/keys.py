"""The global directives of a seed by name, with warnings of those that are unknown, repeated or without effect."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from .directives import GLOBAL_NAMES, LATTICE, NO_EFFECT, ROWS
from .text import Directive, Line
from .values import number, real_range

_IN_LATTICE = frozenset(row.name for row in ROWS if row.where == LATTICE)
_FLAGS = frozenset(row.name for row in ROWS if not row.form)


class Keys:
    """Directives by name; of those given twice the last holds, of MINSEP all."""

    def __init__(self, directives: Sequence[Directive], keywords: Sequence[Line]) -> None:
        self._found: dict[str, Directive] = {}
        self.distances: list[Directive] = []
        self.warnings: list[str] = []
        for directive in directives:
            key, place = directive.key, directive.place
            if key in NO_EFFECT and key in GLOBAL_NAMES:
                self.warnings.append(place.note(f"{key} has no effect here: {NO_EFFECT[key]}"))
                continue
            if key not in GLOBAL_NAMES:
                near = difflib.get_close_matches(key, sorted(GLOBAL_NAMES), n=1, cutoff=0.7)
                hint = f"did you mean {near[0]}?" if near else "start a comment with ##"
                self.warnings.append(place.note(f"{key[:40]!r} is no directive and has no effect; {hint}"))
                continue
            if key == "MINSEP":
                self.distances.append(directive)
            elif key in self._found:
                self.warnings.append(
                    place.note(f"{key} stands in line {self._found[key].place.line} too; this one holds")
                )
            if key in _IN_LATTICE and not directive.block.startswith("LATTICE"):
                self.warnings.append(
                    place.note(f"{key} belongs inside the LATTICE block; it is read as if it stood there")
                )
            if key in _FLAGS and directive.value:
                value = directive.value.lower()
                if value in ("false", "f", "0", "no", "off"):
                    self.warnings.append(
                        place.note(f"{key} is a flag: leave it out, or write ##{key}, to switch it off")
                    )
                    continue
                if value not in ("true", "t", "1", "yes", "on"):
                    raise place.error(f"{key} is a flag and takes no value; given {directive.value[:40]!r}")
            self._found[key] = directive
        for line in keywords:
            word = line.text.replace("=", " ").replace(":", " ").split()
            if word and word[0].upper() in GLOBAL_NAMES:
                self.warnings.append(line.place.note(f"{word[0][:40]} has no # before it, so it has no effect"))
            after = line.text.partition("#")[2].replace("=", " ").split()
            if after and after[0].upper() in GLOBAL_NAMES:
                self.warnings.append(
                    line.place.note(f"#{after[0][:40]} has no effect behind a keyword: give it a line")
                )

    def get(self, key: str) -> Directive | None:
        """The directive, or None."""
        return self._found.get(key)

    def has(self, key: str) -> bool:
        """Whether it is given."""
        return key in self._found

    def real(self, key: str, default: float, low: float = -1e6, high: float = 1e6) -> float:
        """Its number; raises `InputError` for anything else."""
        directive = self._found.get(key)
        return default if directive is None else number(directive.value, key, directive.place, low, high)

    def span(self, key: str, low: float = 0.0, high: float = 1e6) -> tuple[float, float] | None:
        """Its number or range; raises `InputError` for anything else."""
        directive = self._found.get(key)
        return None if directive is None else real_range(directive.value, key, directive.place, low, high)

    def without_effect(self, key: str, why: str) -> None:
        """Warn, where the directive is given, that it has no effect, and why."""
        directive = self._found.get(key)
        if directive is not None:
            self.warnings.append(directive.place.note(f"{key} has no effect: {why}"))
