"""The run folders of a campaign, one composition at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..search.store import Run, load_run

RUNS_FOLDER = "runs"
_ROUND = re.compile(r"(?P<name>.+)-round(?P<number>\d+)")
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)
"""What readers raise on files that somebody cut short or wrote into."""


@dataclass(frozen=True, eq=False)
class Searched:
    """A composition with what was read of it.

    Attributes
    ----------
    name : of the composition.
    runs : one per round, the first first; empty where none could be read.
    reason : why a folder could not be read; empty where all could.
    """

    name: str
    runs: list[Run]
    reason: str = ""


def campaign_runs(folder: Path) -> Iterator[Searched]:
    """Every composition that has a folder below FOLDER/runs, by name; only one is held in memory.

    A folder that cannot be read is told by its reason, and never stops the others from being read.
    """
    rounds: dict[str, list[tuple[int, Path]]] = {}
    below = folder / RUNS_FOLDER
    for path in sorted(below.iterdir()) if below.is_dir() else []:
        if path.is_dir() and not path.name.startswith("."):
            later = _ROUND.fullmatch(path.name)
            name, number = (later["name"], int(later["number"])) if later else (path.name, 1)
            rounds.setdefault(name, []).append((number, path))
    for name, paths in rounds.items():
        runs, reasons = [], []
        for _, path in sorted(paths):
            try:
                runs.append(load_run(path))
            except UNREADABLE as error:
                reasons.append(f"{path.name}: {error}")
        yield Searched(name, runs, "; ".join(reasons))
