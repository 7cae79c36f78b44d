"""compositions.txt.gz: the compositions a checkpoint was trained on, so that novelty is told where the data are not.

A reduced formula to a line, sorted. The file is text: reading it runs nothing, whoever wrote it.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ase import Atoms
from ase.data import atomic_numbers

from ...errors import InputError
from ...formula import parse_formula, reduced_formula
from .orbits import ELECTRONEGATIVITY_ORDER

FILE = "compositions.txt.gz"
DEFAULT = Path(__file__).with_name("default")
"""The checkpoint that the package carries."""
MOST_BYTES = 50_000_000
"""Of text, a few million compositions: a small file must not unpack to what fills the memory."""
LONGEST = 200
"""Characters of one formula."""


def compositions_of(structures: Iterable[Atoms]) -> frozenset[str]:
    """Reduced formulas, elements by rising electronegativity ("SrTiO3")."""
    counted = {tuple(sorted(Counter(atoms.numbers.tolist()).items())) for atoms in structures}
    symbols = list(atomic_numbers)
    return frozenset(
        reduced_formula({symbols[number]: n for number, n in sorted(counts, key=_electronegativity)})[0]
        for counts in counted
    )


def _electronegativity(item: tuple[int, int]) -> int:
    return int(ELECTRONEGATIVITY_ORDER[item[0]])


def pack_compositions(compositions: Iterable[str]) -> bytes:
    """The file's content, the same bytes for the same compositions."""
    return gzip.compress("".join(f"{name}\n" for name in sorted(compositions)).encode(), mtime=0)


def read_compositions(folder: Path) -> frozenset[str] | None:
    """What the checkpoint in `folder` was trained on; None where it does not say.

    Raises
    ------
    InputError : the file is damaged, far too large, or holds a line that is not a formula.
    """
    path = folder / FILE
    advice = f"copy it again, or remove it to go without {FILE}"
    try:
        packed = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    try:
        if not packed:
            raise EOFError("it is empty")  # which gzip takes for a file of nothing
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
            content = stream.read(MOST_BYTES + 1)
        text = content.decode("ascii")
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise InputError(f"{str(path)!r} is damaged or not gzip ({error}): {advice}") from error
    if len(content) > MOST_BYTES:
        raise InputError(f"{str(path)!r} unpacks to more than {MOST_BYTES} bytes, which no training writes: {advice}")
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if len(line) > LONGEST:
            raise InputError(f"{str(path)!r}, line {number}: {line[:20]!r}... is too long for a formula: {advice}")
        try:
            parse_formula(line)
        except InputError as error:
            raise InputError(f"{str(path)!r}, line {number}: {error}") from error
    return frozenset(lines)
