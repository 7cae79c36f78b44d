"""Errors that a user can mend, each told in one line: what was given, what is allowed, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something the user gave cannot be used. The command ends with exit status 2 and writes nothing."""


class InfeasibleTarget(InputError):
    """The target is well formed, but no structure can satisfy its constraints (exit status 3)."""


class StorageError(RuntimeError):
    """The run folder cannot be written any more (exit status 1); what was written before is safe."""


def unknown(kind: str, given: str, allowed: Iterable[str], allowed_text: str = "") -> InputError:
    """The error for a name that is not one of those allowed, with the nearest one suggested.

    Parameters
    ----------
    kind : what the name stands for, as the user knows it ("source", "option", ...).
    given : the name as it was written.
    allowed : the names that would have been right.
    allowed_text : words for them where there are too many to list.
    """
    choices = sorted(allowed)
    near = difflib.get_close_matches(given, choices, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return InputError(f"unknown {kind} {given!r}: allowed are {allowed_text or ', '.join(choices)}{hint}")
