"""Colours and typeset labels that the plots and the report share."""

from __future__ import annotations

import math
import re

from markupsafe import Markup, escape

INK = "#1d2329"
MUTED = "#5b6670"
RULE = "#d5dadf"
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours told apart with any colour vision (Okabe and Ito, jfly.uni-koeln.de/color), without yellow and black."""
DASHES = ("solid", "dash", "dot", "dashdot")
"""Line styles that go with the colours, so that curves are told apart in print without colour too."""
SYMBOLS = (("circle", "o"), ("diamond", "D"), ("square", "s"), ("triangle-up", "^"), ("cross", "P"), ("x", "X"))
"""Marks that go with the colours, as plotly and as matplotlib call them."""

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def formula_text(formula: str) -> str:
    """A formula with its counts lowered: SrTiO₃."""
    return formula.translate(_SUBSCRIPTS)


def space_group_html(symbol: str) -> Markup:
    """A space-group symbol in its printed form: P6_3/mmc and R-3m with a lowered 3 and a 3 with a bar over it."""
    lowered = re.sub(r"_(\d)", r"<sub>\1</sub>", str(escape(symbol)))
    return Markup(re.sub(r"-(\d)", r'<span class="bar" aria-label="minus \1">\1</span>', lowered))


def number(value: float, digits: int) -> str:
    """A number with a minus sign that is one, and none before a zero."""
    return f"{value:z.{digits}f}".replace("-", "−")


def options_html(text: str) -> Markup:
    """Text with the command's options set as code, so that no line breaks inside one."""
    return Markup(re.sub(r"(--[a-z][a-z-]*)", r"<code>\1</code>", str(escape(text))))


def log_ticks(low: float, high: float) -> list[float]:
    """Up to five or so round numbers on a logarithmic axis from `low` to `high` (both above 0)."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        ticks = [digit * 10.0**decade for decade in decades for digit in digits if low <= digit * 10.0**decade <= high]
        if len(ticks) <= 5:
            break
    return ticks


def tick_text(tick: float) -> str:
    """A round number in few letters: 50, 3k, 0.01."""
    return f"{tick:g}" if tick < 1000 else f"{tick / 1000:g}k" if tick < 1e6 else f"{tick / 1e6:g}M"


def colour(place: int) -> str:
    """The colour of the `place`-th source."""
    return OKABE_ITO[place % len(OKABE_ITO)]


def dash(place: int) -> str:
    """The line style of the `place`-th source."""
    return DASHES[place % len(DASHES)]


def see_through(shade: str, opacity: float) -> str:
    """A colour written #rrggbb as plotly wants it with an opacity."""
    channels = ",".join(str(int(shade[place : place + 2], 16)) for place in (1, 3, 5))
    return f"rgba({channels},{opacity:g})"
