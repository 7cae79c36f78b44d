"""What verbs print: the same for a person and, as JSON, for a script."""

from __future__ import annotations

import json
import shlex
import sys
from typing import Any, Protocol

from .records_json import to_json


class Result(Protocol):
    """What the verbs of analysis give: the same for a script and for a person."""

    def to_json(self) -> Any: ...

    def lines(self) -> list[str]: ...


def tell(result: Result, as_json: bool) -> None:
    """Print a result."""
    if as_json:
        print_json(result.to_json())
    else:
        print_text("\n".join(result.lines()))


def print_json(value: Any) -> None:
    """As every JSON reader takes it: what is not finite is null, and not NaN."""
    print_text(json.dumps(json.loads(to_json(value)), indent=1))


def print_text(text: str) -> None:
    """At once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def command_line() -> str:
    """The command of this process, as it would be typed."""
    return shlex.join(["xtalseek", *sys.argv[1:]])
