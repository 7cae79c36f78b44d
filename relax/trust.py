"""What a file alone may not bring about: that code which it names is imported, or weights are unpickled.

A configuration may be a stranger's: the file given as --config, a campaign's FILE, the config.toml of a run folder. Its
relaxer may be "module:Class", which is imported and called, and its relaxer_options may name a file of weights that the
potential's package unpickles, and unpickling runs code. Either is used only where the user has typed it too.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping
from typing import Any

from ..errors import InputError

READ_NO_FILE = frozenset({"chgnet", "emt", "lj", "morse", "tblite"})
"""Potentials none of whose options can name a file or code."""


def require_typed(relaxer: str, options: Mapping[str, Any], typed: Collection[str], origin: str) -> None:
    """Refuse a relaxer that can run code and that only a file asks for.

    Parameters
    ----------
    relaxer, options : as they will be used.
    typed : the words that stand on the command line, such as "relaxer" and "relaxer_options".
    origin : the file or run folder that says the others.

    Raises
    ------
    InputError : with what to type for a file that is trusted.
    """
    names_code = ":" in relaxer and "relaxer" not in typed
    # Numbers, true and false can name nothing.
    can_name = [name for name, value in options.items() if not isinstance(value, bool | int | float | None)]
    names_file = bool(can_name) and relaxer not in READ_NO_FILE and "relaxer_options" not in typed
    if not (names_code or names_file):
        return
    shown = ",".join(f"{name}={_typed(value)}" for name, value in options.items())
    words = ["--relaxer", relaxer, *(["--relaxer-options", shown] if shown else [])]
    option = "" if names_code else f" with {can_name[0]}={_typed(options[can_name[0]])[:60]}"
    raise InputError(
        f"{origin!r} asks for relaxer {relaxer!r}{option}, which may run code of others: where you trust it, type "
        f"{shlex.join(words)} in this command too"
    )


def _typed(value: Any) -> str:
    """An option's value as it is typed."""
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value, default=str)
