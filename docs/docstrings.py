"""For the reference: items of our docstrings are `name : what it is`, and their types stand in the signature.

numpydoc takes what follows the colon for a type. Here it becomes the description, so that the type comes from the
annotation; likewise what a function returns, which is a sentence. `mkdocs.yml` names this file.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_SECTION = re.compile(r"^(Attributes|Parameters|Raises|Returns)\n-+\n((?:(?!^\w+\n-+$).*(?:\n|\Z))*)", flags=re.M)
_NAMES = r"[A-Za-z_]\w*(?:, [A-Za-z_]\w*)*"
_ITEM = re.compile(rf"^({_NAMES}) : +", flags=re.M)
_SECOND = re.compile(rf"(?<=[.)\]]) (?={_NAMES} : )")  # `low : one end. high : the other.`


def numpydoc(text: str, returned: str | None) -> str:
    """A docstring with descriptions where numpydoc has them; `returned`: the annotation of what comes back."""

    def rewritten(section: re.Match[str]) -> str:
        title, body = section.groups()
        if title == "Returns" and returned:
            words = "\n".join(f"    {line}" if line else "" for line in body.rstrip().splitlines())
            return f"Returns\n-------\n{returned}\n{words}\n\n"
        body = _ITEM.sub(r"\1\n    ", _SECOND.sub("\n", body))
        return f"{title}\n{'-' * len(title)}\n{body}"

    return _SECTION.sub(rewritten, text)


class Docstrings(griffe.Extension):
    """Rewrites every docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called by griffe for each module, class, function and attribute."""
        if obj.docstring:
            returned = getattr(obj, "returns", None) or (obj.annotation if isinstance(obj, griffe.Attribute) else None)
            obj.docstring.value = numpydoc(obj.docstring.value, str(returned) if returned else None)
