"""Writing TOML; the standard library reads it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from .values import encodable


def toml_key(key: str) -> str:
    """A key, quoted where it has to be."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _quoted(key)


def _quoted(text: str) -> str:
    """Text as a basic string: JSON's escapes are TOML's, but for DEL, which TOML wants escaped."""
    try:
        encodable(text)
    except ValueError as error:
        raise InputError(f"{text!r} cannot be written as TOML: use text that can be encoded") from error
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_value(value: Any) -> str:
    """A value on one line, or a text of several lines as such; raises InputError where TOML has none for it."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml_key(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, str) and "\n" in value:
        lines = value.split("\n")
        return '"""\n' + "\n".join(_quoted(line)[1:-1] for line in lines) + '"""'
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int | bool) or (isinstance(value, float) and math.isfinite(value)):
        return json.dumps(value)
    raise InputError(f"{value!r} cannot be written as TOML: use text, finite numbers, true, false, lists and tables")
