"""Plug-ins by name: sources, relaxers and potentials, ours and those that entry points add."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from .errors import InputError, unknown

PYPI_NAMES = {"mace": "mace-torch", "orb_models": "orb-models", "torch_sim": "torch-sim-atomistic"}
"""Packages that pip knows by another name than Python: name to import -> name to install."""


def not_installed(what: str, error: ModuleNotFoundError, extra: str | None = None) -> InputError:
    """The error for a package that `what` needs and that is missing, with the command that installs it.

    Parameters
    ----------
    extra : the extra of xtalseek that brings all that `what` needs; default: there is none, the package is named.
    """
    missing = (error.name or str(error)).partition(".")[0]
    package = PYPI_NAMES.get(missing, missing)
    install = package if extra is None else f"'xtalseek[{extra}]'"
    return InputError(f"{what} needs the Python package {package!r}, which is not installed: pip install {install}")


def load_attribute(path: str, what: str) -> Any:
    """Import `module:attribute`.

    Raises
    ------
    InputError : the module or the attribute does not exist; the line names the package to install where known.
    """
    module_name, _, attribute = path.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), attribute)):
        raise InputError(f"{what}: {path!r} is not written as module:attribute, such as ase.calculators.emt:EMT")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise not_installed(what, error) from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise InputError(f"{what}: module {module_name!r} has no attribute {attribute!r}") from error


class Registry:
    """Names to things that are imported only when asked for, so that an uninstalled optional package costs nothing.

    Parameters
    ----------
    kind : what it holds, as error messages call it ("source", "potential", ...).
    builtin : name -> "module:attribute" of what xtalseek brings.
    group : the entry-point group through which other packages add to it.
    """

    def __init__(self, kind: str, builtin: Mapping[str, str], group: str) -> None:
        self.kind = kind
        self.group = group
        self._builtin = dict(builtin)
        self._added: dict[str, Any] = {}

    def add(self, name: str, thing: Any) -> None:
        """Let `name` stand for `thing` in this process; a second `add` of a plug-in's name replaces the first.

        Every process that uses the name has to add it: the ranks of an `mpirun` that run one script do.

        Parameters
        ----------
        name : letters, digits, "-" and "_", as it is given in words and options.
        thing : what an entry point of this name would lead to: for a source, its class.

        Raises
        ------
        InputError : a name of xtalseek's own, or one that cannot be written in a word.
        """
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise InputError(f"{self.kind} {name!r}: a name consists of letters, digits, '-' and '_', such as my-own")
        if name in self._builtin:
            raise InputError(f"{self.kind} {name!r} is one of xtalseek's own: choose another name")
        self._added[name] = thing

    def paths(self) -> dict[str, str]:
        """Every name of ours or of an entry point with its "module:attribute"; ours wins over a plug-in's."""
        plugged = {point.name: point.value for point in entry_points(group=self.group)}
        return plugged | self._builtin

    def names(self) -> list[str]:
        """The known names, sorted."""
        return sorted({*self.paths(), *self._added})

    def __contains__(self, name: str) -> bool:
        return name in self._added or name in self.paths()

    def get(self, name: str) -> Any:
        """Import and return what `name` stands for.

        Raises
        ------
        InputError : an unknown name (the nearest is suggested), or a package that is not installed.
        """
        if name in self._added:
            return self._added[name]
        paths = self.paths()
        if name not in paths:
            raise unknown(self.kind, name, self.names())
        return load_attribute(paths[name], f"{self.kind} {name!r}")
