"""The report of a comparison: one HTML file that opens anywhere without a network."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup, escape

from ..files import write_atomic
from ..search.config import SearchConfig, read_run_config
from ..search.schedule import EQUAL
from ..search.store import CONFIG_FILE
from .citations import Citation, cite
from .comparison import Comparison
from .comparison_cells import (
    UNKNOWN,
    Cell,
    between,
    cost_cell,
    p_value_cell,
    percent_cell,
    ratio_cell,
    rounded,
    share_cell,
    whole_cell,
)
from .comparison_figures import AXES, KS, PairFigures, SourceFigures, TargetRow
from .comparison_plots import AXIS_WORDS, ratio_plot, source_places, success_plot, target_plot
from .page import provenance, render
from .statistics.intervals import FEWEST_TARGETS, Estimate
from .style import colour, dash, formula_text, number

_NOT_SHARED = ("command", "formula", "source", "seed", "out")
"""Settings that stand in the table of the runs, or differ in every run."""
_STROKES = {"solid": "", "dash": "7 4", "dot": "2 4", "dashdot": "8 3 2 3"}


def write_comparison_report(comparison: Comparison, path: Path) -> Path:
    """Write the page and return its path. The settings are read from the run folders again.

    Raises
    ------
    InputError : a run folder has no readable config.toml any more.
    OSError : the file cannot be written.
    """
    write_atomic(path, _html(comparison))
    return path


def claims(pairs: Sequence[PairFigures]) -> tuple[list[str], list[str]]:
    """What the intervals allow to say of each pair, and what they do not, a sentence each."""
    claimed, not_claimed = [], []
    for pair in pairs:
        if pair.verdict in ("faster", "slower"):
            claimed.append(_claim(pair))
        elif pair.verdict == "not told apart":
            interval = between(pair.ratio)
            not_claimed.append(
                f"{pair.source} and {pair.baseline} are not told apart on {_count(pair.targets, 'target')}: "
                f"the ratio of relaxations lies between {interval}, and may be 1."
            )
        else:
            not_claimed.append(
                f"Which of {pair.source} and {pair.baseline} is faster is not known: fewer than {FEWEST_TARGETS} "
                f"of {_count(pair.targets, 'target')} were hit by either."
            )
    return claimed, not_claimed


def _claim(pair: PairFigures) -> str:
    on = f"on {_count(pair.targets, 'target')}"
    if pair.ratio.value == 0:
        return f"{pair.source} is faster than {pair.baseline}, which hit nothing, {on}."
    if pair.ratio.value is None:
        return f"{pair.source} is slower than {pair.baseline}: it hit nothing {on}."
    return (
        f"{pair.source} is {pair.verdict} than {pair.baseline}: for the same success it needs {pair.ratio.value:.2g} "
        f"times the relaxations (between {between(pair.ratio)}), {on}."
    )


def _html(comparison: Comparison) -> str:
    places = source_places(comparison)
    claimed, not_claimed = claims(comparison.pairs)
    if not comparison.pairs:
        not_claimed = ["There is nothing to compare with: no second source on the same targets."]
    configs = [read_run_config(Path(run) / CONFIG_FILE) for run in comparison.runs]
    texts = [(Path(run) / CONFIG_FILE).read_text(encoding="utf-8") for run in comparison.runs]
    cited, uncited = _cited(configs)
    targets = list(comparison.references)
    ks = [k for k in KS if any(s.hits[k] is not None for s in comparison.sources)]
    return render(
        "comparison.html",
        comparison=comparison,
        compared=_compared(comparison, configs[0].relaxer),
        claimed=claimed,
        not_claimed=not_claimed,
        relaxations=_relaxations(comparison),
        names={source: _name(source, place) for source, place in places.items()},
        success=[
            (kind, axis, AXIS_WORDS[axis], success_plot(comparison, axis, as_run=kind == "run"))
            for kind in ("mean", "run")
            for axis in AXES
        ],
        no_curve=[s.source for s in comparison.sources if s.success["relaxations"] is None],
        as_run=[s.source for s in comparison.sources if not s.exchangeable],
        axes=[(axis, AXIS_WORDS[axis]) for axis in AXES],
        hit_columns=ks,
        levels=list(comparison.sources[0].within),
        overview=[(s, *_overview(s, ks)) for s in comparison.sources],
        ratios=ratio_plot(comparison.pairs, places),
        pairs=[(p, _pair(p), _formation(p)) for p in comparison.pairs],
        targets=[(n, formula_text(str(target))) for n, target in enumerate(targets, start=1)],
        convergence=[
            (n, formula_text(str(target)), axis, AXIS_WORDS[axis], target_plot(comparison, target, axis))
            for n, target in enumerate(targets, start=1)
            for axis in AXES
        ],
        columns=_ROW_COLUMNS,
        rows=[(row, formula_text(_target(row)), _row(row)) for row in comparison.rows],
        assumptions=_assumptions(comparison),
        settings=_settings([dict(provenance(text)) for text in texts]),
        runs=[
            (run, formula_text(config.target.name), _sources_of(config), config.num, config.seed)
            for run, config in zip(comparison.runs, configs, strict=True)
        ],
        cited=cited,
        uncited=uncited,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _compared(comparison: Comparison, relaxer: str) -> str:
    names = [s.source for s in comparison.sources]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return (
        f"{_count(len(names), 'source')}, {listed}, on {_count(len(comparison.references), 'target')}: "
        f"{_count(_relaxations(comparison), 'relaxation')} in {_count(len(comparison.runs), 'run')}, relaxed with "
        f"{relaxer}. A hit lies no higher than {comparison.within_mev:g}\u00a0meV/atom above the reference."
    )


def _relaxations(comparison: Comparison) -> int:
    """Of all runs; those of a mixture count once, and not again for its parts."""
    longest: dict[str, int] = {}
    for series in (s for outcome in comparison.outcomes for s in outcome.series):
        longest[series.run] = max(longest.get(series.run, 0), len(series.enthalpies))
    return sum(longest.values())


def _overview(s: SourceFigures, ks: Sequence[int]) -> tuple[list[Cell], list[Cell], list[Cell]]:
    """Of a source: how its relaxations ended, its success (hit@k for these k), and what half of the targets cost."""
    ended = [whole_cell(s.targets), whole_cell(s.relaxations), percent_cell(s.converged), percent_cell(s.any_converged)]
    success = [*(percent_cell(s.hits[k]) for k in ks), *(percent_cell(e) for e in s.within.values())]
    cost = [*(cost_cell(s.median[axis]) for axis in AXES), cost_cell(s.as_run["relaxations"].median)]
    return ended, [*success, share_cell(s.area), whole_cell(s.depth)], cost


def _pair(pair: PairFigures) -> list[Cell]:
    return [
        whole_cell(pair.targets),
        ratio_cell(pair.ratio),
        ratio_cell(pair.chance_ratio),
        p_value_cell(pair.outcome.p_value),
        p_value_cell(pair.log_rank),
    ]


def _formation(pair: PairFigures) -> list[Cell]:
    """How low the two got: compositions, mean difference, and where the source was the lower one."""
    found, share = pair.formation, pair.formation.lower
    difference = Cell(UNKNOWN)
    if found.difference is not None:
        known = found.low is not None and found.high is not None
        ends = [number(1000 * (end or 0) + 0.0, 1) for end in (found.low, found.high)]
        difference = Cell(
            number(1000 * found.difference + 0.0, 1), " to ".join(ends) if known else "", found.difference
        )
    lower = percent_cell(Estimate(share.value, share.low, share.high, "") if share.total else None)
    return [whole_cell(found.compositions), difference, lower]


_ROW_COLUMNS = (
    ("Target", "", ""),
    ("Source", "", ""),
    ("Relaxed", "", "n"),
    ("Converged", "", "n"),
    ("Hits", "", "n"),
    ("Hits", "% of relaxed", "n"),
    ("First hit", "relaxation", "n"),
    ("First hit", "force calls", "n"),
    ("First hit", "seconds", "n"),
    ("Lowest", "meV/atom", "n"),
)
"""Headings of the table by target in two lines, and the class of their cells."""


def _row(row: TargetRow) -> list[Cell]:
    lowest = row.above_reference_mev
    return [
        whole_cell(row.relaxations),
        whole_cell(row.converged),
        whole_cell(row.hits),
        percent_cell(Estimate(row.hit_share, row.hit_share_low, row.hit_share_high, "")),
        *(
            Cell(UNKNOWN) if cost is None else Cell(rounded(cost), key=cost)
            for cost in (row.first_relaxations, row.first_force_calls, row.first_seconds)
        ),
        Cell(UNKNOWN) if lowest is None else Cell(number(round(lowest, 1) + 0.0, 1), key=lowest),
    ]


def _target(row: TargetRow) -> str:
    return row.target + (f" at {row.pressure_gpa:g} GPa" if row.pressure_gpa else "")


def _assumptions(comparison: Comparison) -> list[tuple[str, str]]:
    """What each kind of figure takes for granted, by the sources of which it is so."""
    said: dict[tuple[str, str], list[str]] = {}
    for s in comparison.sources:
        curve = s.success["relaxations"]
        figures = {
            "Share of relaxations converged": s.converged.assumptions,
            "Targets with any converged": s.any_converged.assumptions,
            "Success, averaged over orders, and hit@k": curve.assumptions if curve else "",
            "Success as run": s.as_run["relaxations"].assumptions,
        }
        for figure, words in figures.items():
            said.setdefault((figure, words), []).append(s.source)
    for pair in comparison.pairs:
        said.setdefault(("Ratio of relaxations", pair.ratio.assumptions), []).append(pair.source)
        if pair.chance_ratio is not None:
            said.setdefault(("Relaxations per hit", pair.chance_ratio.assumptions), []).append(pair.source)
    return [(f"{figure}: {', '.join(of)}", words) for (figure, words), of in sorted(said.items()) if words]


def _settings(runs: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    """Settings, versions and hardware of all runs; where runs differ, with how many have which."""
    terms = [term for term in dict.fromkeys(term for run in runs for term in run) if term not in _NOT_SHARED]
    told = []
    for term in terms:
        texts = Counter(run[term] for run in runs if term in run)
        if list(texts.values()) == [len(runs)]:
            told.append((term, next(iter(texts))))
        else:
            told.append((term, "; ".join(f"{text} ({_count(number, 'run')})" for text, number in texts.items())))
    return told


def _sources_of(config: SearchConfig) -> str:
    return "+".join(config.source) + ("" if config.schedule == EQUAL else f" ({config.schedule})")


def _cited(configs: Sequence[SearchConfig]) -> tuple[list[Citation], list[str]]:
    """The publications behind any of the runs, each once, and the parts for which none is known."""
    cited: dict[str, Citation] = {}
    uncited: dict[str, None] = {}
    for config in configs:
        known, unknown = cite(config)
        cited = {citation.key: citation for citation in known} | cited
        uncited |= dict.fromkeys(unknown)
    return list(cited.values()), list(uncited)


def _name(source: str, place: int) -> Markup:
    """A source with its line as it is drawn in the plots; a long name may break where its parts meet."""
    line = Markup(
        '<svg class="line" viewBox="0 0 28 8" aria-hidden="true">'
        '<line x1="0" y1="4" x2="28" y2="4" stroke="{}" stroke-width="2.5" stroke-dasharray="{}"/></svg>'
    ).format(colour(place), _STROKES[dash(place)])
    return line + Markup(re.sub(r"([+\[=,])", r"\1<wbr>", str(escape(source))))


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
