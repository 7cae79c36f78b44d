"""The text of a seed taken apart: choices in braces, directives, blocks, and what is not for the generator.

`##` starts a comment, also a directive switched off. `#KEY=VALUE` is a directive wherever the line stands; other lines
and blocks are CASTEP's own. Choices `{a,b}` are textual: one option takes the braces' place before anything is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ...errors import InputError
from .values import Place

MAX_CHARACTERS = 200_000
MAX_CHOICES = 500
"""Braces in one seed."""
MAX_DEPTH = 10
"""Braces within braces."""

OWN_BLOCKS = ("LATTICE_CART", "LATTICE_ABC", "POSITIONS_FRAC", "POSITIONS_ABS")
"""Blocks that the generator reads; all others pass through."""

_INNERMOST = re.compile(r"\{([^{}]*)\}")
_BLOCK = re.compile(r"%\s*(BLOCK|ENDBLOCK)\s*(\w*)", re.IGNORECASE)


@dataclass(frozen=True)
class Line:
    """A line's content without its comment."""

    text: str
    place: Place


@dataclass(frozen=True)
class Directive:
    """`#KEY=VALUE`: the key in capitals; block: the block it stands in, "" for none."""

    key: str
    value: str
    place: Place
    block: str


@dataclass(frozen=True)
class Parts:
    """A seed taken apart.

    Attributes
    ----------
    directives : in the order written.
    blocks : lines of each of `OWN_BLOCKS` that is there, directives taken out.
    pressure : lines of the block EXTERNAL_PRESSURE.
    passed_through : CASTEP's blocks and keywords as they were written.
    keywords : first words of the lines passed through that stand in no block.
    """

    directives: tuple[Directive, ...]
    blocks: dict[str, tuple[Line, ...]]
    pressure: tuple[Line, ...]
    passed_through: str
    keywords: tuple[Line, ...]


def choose(text: str, name: str, pick: Callable[[int, int], int]) -> tuple[str, list[str]]:
    """The text with every `{a,b}` replaced by one of its options, and a line per choice that says which.

    Comments and CASTEP's own blocks stay as they are, for pseudopotential strings may hold braces too.

    Parameters
    ----------
    pick : called with the number of the choice (from 0, always in the same order) and how many options it has.

    Raises
    ------
    InputError : braces without their partner, too many or too deep ones, or too long a text.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"{name}: {len(text)} characters; a seed has at most {MAX_CHARACTERS}")
    if "{" not in text and "}" not in text:
        return text, []
    lines, taken, count, foreign = text.splitlines(), list[str](), 0, False
    for index, line in enumerate(lines):
        match = _BLOCK.match(line.strip())
        if match:
            foreign = match[1].upper() == "BLOCK" and match[2].upper() not in OWN_BLOCKS
            continue
        end_of_text = _comment_start(line)
        bare, comment = line[:end_of_text], line[end_of_text:]
        if foreign or ("{" not in bare and "}" not in bare):
            continue
        place = Place(name, index + 1)
        for _ in range(MAX_DEPTH):
            pieces, end = list[str](), 0
            for found in _INNERMOST.finditer(bare):
                options = found[1].split(",")
                option = options[pick(count, len(options))].strip()
                count += 1
                if count > MAX_CHOICES:
                    raise place.error(f"more than {MAX_CHOICES} choices in braces")
                if len(options) > 1:
                    taken.append(place.note(f"{found[0]} gave {option or 'nothing'}"))
                pieces += [bare[end : found.start()], option]
                end = found.end()
            bare = "".join(pieces) + bare[end:]
            if not pieces:
                break
        if "{" in bare or "}" in bare:
            raise place.error(f"a brace without its partner, or braces more than {MAX_DEPTH} deep: write {{a,b}}")
        lines[index] = bare + comment
    return "\n".join(lines), taken


def _comment_start(line: str) -> int:
    """Where the first `##` outside of braces stands; the line's length where there is none."""
    depth = 0
    for index, character in enumerate(line):
        depth += (character == "{") - (character == "}")
        if depth <= 0 and line.startswith("##", index):
            return index
    return len(line)


def take_apart(text: str, name: str) -> Parts:
    """The parts of a seed whose choices have been made.

    Raises
    ------
    InputError : a block that is not closed, closed twice, or given twice.
    """
    directives: list[Directive] = []
    blocks: dict[str, tuple[Line, ...]] = {}
    passed: list[str] = []
    keywords: list[Line] = []
    pressure: tuple[Line, ...] = ()
    block, opened, content = "", Place(name, 0), list[Line]()
    for index, raw in enumerate(text.splitlines()):
        place, line = Place(name, index + 1), raw.partition("##")[0].strip()
        match = _BLOCK.match(line)
        if match:
            kind, label = match[1].upper(), match[2].upper()
            if kind == "BLOCK":
                if block or not label:
                    raise place.error(f"%BLOCK {label} inside %BLOCK {block}" if block else "%BLOCK needs a name")
                if label in blocks or (label in OWN_BLOCKS and any(b[:4] == label[:4] for b in blocks)):
                    raise place.error(f"a second %BLOCK {label}: keep one")
                block, opened, content = label, place, []
            elif label != block or not block:
                raise place.error(f"%ENDBLOCK {label} closes no %BLOCK {label}")
            elif block in OWN_BLOCKS:
                blocks[block], block = tuple(content), ""
                continue
            else:
                pressure = tuple(content) if block == "EXTERNAL_PRESSURE" else pressure
                block = ""
                passed.append(raw)
                continue
        if block and block not in OWN_BLOCKS:
            passed.append(raw)
            if not match:
                content.append(Line(line, place))
        elif match or not line:
            continue
        elif line.startswith("#"):
            found = _directive(line[1:].strip(), place, block)
            if found.key:
                directives.append(found)
        elif block:
            before, hashes, after = line.partition("#")
            if block.startswith("LATTICE") and hashes:
                directives.append(_directive(after.strip(), place, block))
                line = before.strip()
            if line and not line.startswith("!"):
                content.append(Line(line, place))
        else:
            passed.append(raw)
            keywords.append(Line(line, place))
    if block:
        raise opened.error(f"%BLOCK {block} has no %ENDBLOCK {block}")
    return Parts(tuple(directives), blocks, pressure, "\n".join(passed), tuple(keywords))


def _directive(line: str, place: Place, block: str) -> Directive:
    """The directive of what follows the hash: KEY=VALUE, KEY : VALUE, KEY VALUE or KEY."""
    line = line.partition("!")[0].strip()
    match = re.match(r"([^\s=:]*)\s*[=:]?\s*(.*)", line, re.DOTALL)
    assert match is not None
    return Directive(match[1].upper(), match[2].strip(), place, block)
