"""Damaged input for fuzzing: real files with bytes flipped, parts moved, and numbers made extreme."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

EXTREMES = (
    b"0", b"-1", b"1e308", b"-1e-308", b"1e999", b"nan", b"inf", b"-inf", b"9" * 20, b"9" * 5000, b"0.1", b"1/0",
    b"1-999999999", b"", b"\x00", b"\xff\xfe", b"../../x", b"/etc/passwd", "é".encode(), b"\n", b"\r", b"[" * 3000,
    b"{", b"}", b"=", b"#", b"%", b"'", b'"', b'"""', b"true", b"null", b"1_0", "٣".encode(), b"<script>",
)  # fmt: skip
_NUMBER = re.compile(rb"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")


def mutated(data: bytes, seed: int, words: Sequence[bytes] = ()) -> bytes:
    """`data` with one to six kinds of damage, the same for the same seed; `words` are put in, too."""
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 6)):
        data = rng.choice(_DAMAGES)(data, rng, words)[:100_000]
    return data


def _flipped(data: bytes, rng: random.Random, words: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + bytes(byte ^ (1 << rng.randrange(8)) for byte in data[at : at + 1]) + data[at + 1 :]


def _cut(data: bytes, rng: random.Random, words: Sequence[bytes]) -> bytes:
    first, last = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:first] + data[min(last, first + rng.choice((1, 5, 50, 10**6))) :]


def _repeated(data: bytes, rng: random.Random, words: Sequence[bytes]) -> bytes:
    lines = data.split(b"\n")
    line = rng.choice(lines)
    at = rng.randrange(len(lines) + 1)
    return b"\n".join(lines[:at] + [line] * rng.choice((1, 2, 100)) + lines[at:])


def _swapped(data: bytes, rng: random.Random, words: Sequence[bytes]) -> bytes:
    lines = data.split(b"\n")
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"\n".join(lines)


def _inserted(data: bytes, rng: random.Random, words: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice([*EXTREMES, *words]) + data[at:]


def _renumbered(data: bytes, rng: random.Random, words: Sequence[bytes]) -> bytes:
    numbers = list(_NUMBER.finditer(data))
    if not numbers:
        return data
    found = rng.choice(numbers)
    return data[: found.start()] + rng.choice(EXTREMES) + data[found.end() :]


_DAMAGES = (_flipped, _cut, _repeated, _swapped, _inserted, _renumbered, _renumbered)
