"""What the cell of one candidate holds: NUM, NATOM, FOCUS, OCTET and NFORM settled by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from pymatgen.core import Element

from ...errors import InfeasibleTarget

Counts: TypeAlias = tuple[int, ...]

MAX_ATOMS = 1000
"""In a cell, and in its supercell."""
ATTEMPTS = 1000
"""Draws before a composition counts as impossible."""


@dataclass(frozen=True)
class Content:
    """What the listed units may become.

    Attributes
    ----------
    species : symbols of each unit.
    copies : smallest and largest number of each unit in a formula unit; None: NATOM shares the atoms out.
    atoms : smallest and largest number of atoms in a formula unit; None: as the copies make it.
    focus : number of different species; 0: any.
    octet : the number of valence electrons must be a multiple of eight.
    """

    species: tuple[tuple[str, ...], ...]
    copies: tuple[tuple[int, int] | None, ...]
    atoms: tuple[int, int] | None
    focus: int
    octet: bool

    @property
    def fixed(self) -> Counts | None:
        """The copies where nothing is left to chance."""
        if all(c is not None and c[0] == c[1] for c in self.copies):
            return tuple(c[0] for c in self.copies if c is not None)
        return None

    def draw(self, rng: np.random.Generator) -> Counts:
        """Copies of each unit in one formula unit.

        Raises
        ------
        InfeasibleTarget : none of 1,000 draws obeys NATOM, FOCUS and OCTET.
        """
        if self.fixed is not None:
            if self._wrong(self.fixed):
                raise InfeasibleTarget(self._reason())
            return self.fixed
        for _ in range(ATTEMPTS):
            counts = self._attempt(rng)
            if counts is not None and not self._wrong(counts):
                return counts
        raise InfeasibleTarget(f"{self._reason()} (none of {ATTEMPTS} draws)")

    def _attempt(self, rng: np.random.Generator) -> Counts | None:
        counts = [0 if c is None else _between(rng, c) for c in self.copies]
        open_units = [i for i, c in enumerate(self.copies) if c is None]
        if open_units and self.atoms is not None:
            taken = sum(n * len(s) for n, s in zip(counts, self.species, strict=True))
            left = _between(rng, self.atoms) - taken
            if left < 0:
                return None
            if self.focus:
                present = {symbol for n, s in zip(counts, self.species, strict=True) if n for symbol in s}
                more = self.focus - len(present)
                if not 0 <= more <= min(len(open_units), left):
                    return None
                open_units = sorted(rng.choice(open_units, size=more, replace=False).tolist()) if more else []
                if not open_units:
                    return None if left else tuple(counts)
                left -= len(open_units)
            for i, share in zip(open_units, _shares(rng, left, len(open_units)), strict=True):
                counts[i] = share + (1 if self.focus else 0)
        return tuple(counts)

    def _wrong(self, counts: Counts) -> bool:
        atoms = sum(n * len(s) for n, s in zip(counts, self.species, strict=True))
        low, high = self.atoms or (1, MAX_ATOMS)
        if not low <= atoms <= high:
            return True
        present = [symbol for n, s in zip(counts, self.species, strict=True) for symbol in s if n]
        if self.focus and len(set(present)) != self.focus:
            return True
        if not self.octet:
            return False
        pairs = zip(counts, self.species, strict=True)
        return sum(n * valence_electrons(symbol) for n, s in pairs for symbol in s) % 8 != 0

    def _reason(self) -> str:
        asked = [f"NATOM={self.atoms[0]}-{self.atoms[1]}"] if self.atoms else []
        asked += [f"FOCUS={self.focus}"] if self.focus else []
        asked += ["OCTET"] if self.octet else []
        return f"no composition of the listed atoms obeys {', '.join(asked) or f'at most {MAX_ATOMS} atoms'}"


@lru_cache(maxsize=200)
def valence_electrons(symbol: str) -> int:
    """Electrons that count for OCTET: the group's number, less ten from group 13 on; three for f elements."""
    element = Element(symbol)
    if symbol == "He":
        return 2
    if element.is_lanthanoid or element.is_actinoid:
        return 3
    group = int(element.group)
    return group if group <= 12 else group - 10


def _between(rng: np.random.Generator, span: tuple[int, int]) -> int:
    return span[0] if span[0] == span[1] else int(rng.integers(span[0], span[1] + 1))


def _shares(rng: np.random.Generator, total: int, parts: int) -> Sequence[int]:
    """Whole numbers from 0 up that sum to `total`, every such list alike (stars and bars)."""
    bars = (
        np.sort(rng.choice(total + parts - 1, size=parts - 1, replace=False)) if parts > 1 else np.array([], dtype=int)
    )
    edges = np.concatenate([[-1], bars, [total + parts - 1]])
    return [int(n) for n in np.diff(edges) - 1]
