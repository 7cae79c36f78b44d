"""Pages that open anywhere without a network: templates filled in, and what is said of the runs behind them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from ..search.progress import duration
from .style import formula_text, number, options_html, space_group_html

_HARDWARE = (
    ("processor", "{}"),
    ("cores", "cores: {}"),
    ("ranks", "MPI ranks: {}"),
    ("threads_per_rank", "threads of each: {}"),
    ("platform", "{}"),
)


def render(template: str, **values: Any) -> str:
    """A template of the folder templates/ filled in; what stands in `values` is text, never markup unless it says so.

    Filters of the templates: `number`, `formula`, `space_group`, `options`, `duration`, and `plot` and `json` for what
    goes into script elements. `plotly_js` is there where a template asks for it.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "formula": formula_text,
        "space_group": space_group_html,
        "options": options_html,
        "duration": duration,
        "plot": lambda figure: _json(json.loads(figure.to_json())),
        "json": _json,
    }
    return environment.get_template(template).render(plotly_js=Markup(get_plotlyjs()), **values)


def provenance(config_text: str) -> list[tuple[str, str]]:
    """What a run was made with and its settings, as they stand in its config.toml: terms and texts."""
    settings = tomllib.loads(config_text)
    made_with = settings.pop("provenance", {})
    command = made_with.pop("command", "")
    hardware = [words.format(made_with.pop(name)) for name, words in _HARDWARE if name in made_with]
    versions = [f"{name} {version}" for name, version in made_with.items()]
    said = [("command", command), ("versions", ", ".join(versions)), ("hardware", ", ".join(hardware))]
    said += [(name.replace("_", " "), _plain(value)) for name, value in settings.items() if name != "seed_text"]
    return [(term, text) for term, text in said if text]


def _plain(value: Any) -> str:
    """A value of the configuration as a person writes it."""
    if isinstance(value, dict):
        return ", ".join(f"{name}={_plain(item)}" for name, item in value.items())
    return ", ".join(_plain(item) for item in value) or "any" if isinstance(value, list) else str(value)


def _json(value: Any) -> Markup:
    """JSON that can stand inside a script element: nothing in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
