"""Relaxers: what turns a proposed structure into a relaxed one, found by name."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from ase import Atoms

from ..callable_package import make_callable
from ..errors import InputError, unknown
from ..records import Relaxation
from ..registry import Registry
from .contract import Relaxer, RelaxSettings, UnderWay
from .engine import BatchRelaxer, as_they_end
from .potentials import load_potential, potentials

__all__ = [
    "BatchRelaxer",
    "RelaxSettings",
    "Relaxer",
    "as_they_end",
    "in_flight",
    "load_potential",
    "make_relaxer",
    "potentials",
    "relaxers",
]

make_callable(__name__)

relaxers = Registry("relaxer", {}, group="xtalseek.relaxers")
"""Whole engines that do their own minimising; called as `engine(settings, **options)`."""


def make_relaxer(
    name: str, settings: RelaxSettings, options: Mapping[str, Any] | None = None, symbols: Iterable[str] = ()
) -> Relaxer:
    """The relaxer called `name`: a whole engine, or a potential that `BatchRelaxer` drives.

    Parameters
    ----------
    name : a registered relaxer, a registered potential, or an ASE calculator as "module:Class".
    settings : how far to relax.
    options : keyword arguments of the engine or the potential.
    symbols : elements it will meet.

    Raises
    ------
    InputError : unknown name, missing package, options that it does not take, elements it was not made for.
    """
    if name in relaxers:
        try:
            engine: Relaxer = relaxers.get(name)(settings, **dict(options or {}))
        except TypeError as error:
            raise InputError(f"relaxer {name!r}: {error}") from error
        return engine
    check_name(name)
    potential = load_potential(name, options or {})
    potential.require_elements(symbols)
    return BatchRelaxer(potential, settings)


def check_name(name: str) -> None:
    """Raise `InputError`, with the nearest name, where no relaxer or potential is called `name`; imports nothing."""
    known = {*relaxers.names(), *potentials.names()}
    if name not in known and ":" not in name:
        raise unknown("relaxer", name, {*known, "module:Class"})


def in_flight(relaxer: Relaxer) -> UnderWay:
    """The relaxer's own way to take on structures while others are under way, or one by one where it has none."""
    own = getattr(relaxer, "in_flight", None)
    under_way: UnderWay = own() if own is not None else _OneByOne(relaxer)
    return under_way


class _OneByOne:
    """A relaxer that only knows `relax`, one structure after the other."""

    lowest: float | None = None

    def __init__(self, relaxer: Relaxer) -> None:
        self._relaxer = relaxer
        self._waiting: deque[tuple[int, Atoms]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def has_room(self) -> bool:
        return not self._waiting

    def add(self, key: int, structure: Atoms) -> None:
        self._waiting.append((key, structure))

    def advance(self) -> list[tuple[int, Relaxation]]:
        key, structure = self._waiting.popleft()
        return [(key, self._relaxer.relax([structure])[0])]
