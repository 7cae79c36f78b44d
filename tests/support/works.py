"""Small searches and campaigns with quick potentials, as words of a command."""

from __future__ import annotations

from pathlib import Path

FORMULAS = ("NaCl", "MgO", "LiF")
_SMALL = ("--formula-units", "1-2", "--volume-per-atom", "10-14", "--max-steps", "80", "--seed", "3")


def search_words(potential: str, num: int) -> tuple[str, ...]:
    """Of a search, with a potential of `toy_potentials`."""
    return ("search", FORMULAS[0], "-n", str(num), "--relaxer", f"toy_potentials:{potential}", *_SMALL)


def campaign_words(file: Path, potential: str, num: int) -> tuple[str, ...]:
    """Of a campaign over the formulas in `file`, `num` candidates each."""
    return ("campaign", str(file), "-n", str(num), "--relaxer", f"toy_potentials:{potential}", "--no-hull", *_SMALL)
