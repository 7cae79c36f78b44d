"""Relaxers: what turns a proposed structure into a relaxed one, found by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import InputError, unknown
from ..registry import Registry
from .ase_relaxer import AseRelaxer
from .contract import Relaxer, RelaxSettings
from .potentials import load_potential, potentials

__all__ = ["AseRelaxer", "RelaxSettings", "Relaxer", "load_potential", "make_relaxer", "potentials", "relaxers"]

relaxers = Registry("relaxer", {}, group="xtalseek.relaxers")
"""Whole engines that do their own minimising; called as `engine(settings, **options)`."""


def make_relaxer(
    name: str, settings: RelaxSettings, options: Mapping[str, Any] | None = None, symbols: Iterable[str] = ()
) -> Relaxer:
    """The relaxer called `name`: a whole engine, or a potential that ASE's optimiser drives.

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
    return AseRelaxer(potential, settings)


def check_name(name: str) -> None:
    """Raise `InputError`, with the nearest name, where no relaxer or potential is called `name`; imports nothing."""
    known = {*relaxers.names(), *potentials.names()}
    if name not in known and ":" not in name:
        raise unknown("relaxer", name, {*known, "module:Class"})
