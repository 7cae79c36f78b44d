"""Packages that can be called: `xtalseek.search` and `xtalseek.relax` are rooms, and public functions too."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class CallablePackage(ModuleType):
    """A package; called, it does what the function of its name in `xtalseek.api` does."""

    def __call__(self, *positional: Any, **words: Any) -> Any:
        from . import api

        return getattr(api, self.__name__.rpartition(".")[2])(*positional, **words)


def make_callable(package: str) -> None:
    """Let the imported package of this name be called."""
    sys.modules[package].__class__ = CallablePackage
