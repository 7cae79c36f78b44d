"""A comparison as text, as plain values and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from .columns import aligned
from .comparison_figures import AXES, KS, PairFigures, SourceFigures, TargetRow
from .generated import FormationComparison
from .statistics.intervals import Estimate

if TYPE_CHECKING:
    from .comparison import Comparison

WIDTH = 80
MOST_ROWS = 40
"""Targets times sources up to which the table has a line for each."""


def comparison_lines(comparison: Comparison) -> list[str]:
    """The tables, then what they mean and assume."""
    sources, within = comparison.sources, f"{comparison.within_mev:g} meV/atom"
    targets = len(comparison.references)
    shown = [
        f"{_count(len(comparison.runs), 'run')}, {_count(targets, 'target')}; a hit is within {within} of the reference"
    ]
    shown += wrap(comparison.reference_words, WIDTH)
    shown += ["", *_overview(sources), "", *_hits(sources), "", *_near(sources), "", *_medians(sources)]
    if comparison.pairs:
        shown += ["", *_pairs(comparison.pairs)]
    if len(comparison.rows) <= MOST_ROWS:
        shown += ["", *_targets(comparison.rows)]
    return [*shown, "", *_words(comparison)]


def _overview(sources: Sequence[SourceFigures]) -> list[str]:
    rows = [
        [s.source, str(s.targets), str(s.relaxations), _percent(s.converged), _percent(s.any_converged)]
        for s in sources
    ]
    return _aligned(["source", "targets", "relaxed", "converged %", "targets with any converged %"], rows)


def _hits(sources: Sequence[SourceFigures]) -> list[str]:
    ks = [k for k in KS if any(s.hits[k] is not None for s in sources)]
    rows = [[s.source, *(_percent(s.hits[k]) for k in ks), str(s.depth)] for s in sources]
    return _aligned(["source", *(f"hit@{k} %" for k in ks), "K"], rows)


def _near(sources: Sequence[SourceFigures]) -> list[str]:
    levels = list(sources[0].within)
    rows = [[s.source, _figure(s.area), *(_percent(s.within[mev]) for mev in levels)] for s in sources]
    return _aligned(["source", "area", *(f"<{mev:g} meV %" for mev in levels)], rows)


def _medians(sources: Sequence[SourceFigures]) -> list[str]:
    rows = [
        [s.source, *(_cost(s.median[axis]) for axis in AXES), _cost(s.as_run["relaxations"].median)] for s in sources
    ]
    return _aligned(["half of the targets", "relaxations", "force calls", "seconds", "as run"], rows)


def _pairs(pairs: Sequence[PairFigures]) -> list[str]:
    ratios = [[p.source, str(p.targets), _ratio(p.ratio), _ratio(p.chance_ratio), p.verdict] for p in pairs]
    tests = [
        [
            p.source,
            f"{p.outcome.wins}/{p.outcome.ties}/{p.outcome.losses}",
            _p_value(p.outcome.p_value),
            _p_value(p.log_rank),
        ]
        for p in pairs
    ]
    formation = [
        [p.source, str(p.formation.compositions), _difference(p.formation), _percent(_lower(p.formation))]
        for p in pairs
    ]
    return [
        f"Against {pairs[0].baseline}:",
        *_aligned(["source", "targets", "ratio", "per hit", "verdict"], ratios, left=(0, 4)),
        "",
        *_aligned(["source", "win/tie/loss", "p sign", "p log-rank"], tests),
        "",
        *_aligned(["formation energy", "targets", "mean difference, meV/atom", "lower %"], formation),
    ]


def _targets(rows: Sequence[TargetRow]) -> list[str]:
    head = ["target", "source", "relaxed", "converged", "hits", "% of relaxed", "first hit", "lowest, meV"]
    cells = []
    for r in rows:
        share = Estimate(r.hit_share, r.hit_share_low, r.hit_share_high, "")
        cells.append(
            [
                r.target + (f" {r.pressure_gpa:g} GPa" if r.pressure_gpa else ""),
                r.source,
                str(r.relaxations),
                str(r.converged),
                str(r.hits),
                _percent(share),
                "-" if r.first_relaxations is None else f"{r.first_relaxations:.0f}",
                "-" if r.above_reference_mev is None else f"{r.above_reference_mev:.1f}",
            ]
        )
    return _aligned(head, cells, left=(0, 1))


def _words(comparison: Comparison) -> list[str]:
    """What the tables mean and take for granted; the same words are in the JSON beside each figure."""
    sources = comparison.sources
    as_run = [s.source for s in sources if not s.exchangeable]
    told = [
        "In brackets: 95 % intervals. Shares are means over targets, which count as independent draws from the targets "
        "one asks about; bootstrap over targets with one more at the worst value, exact for shares of targets.",
        "hit@k: targets hit within k relaxations. K: relaxations that every target has. area: under hit@k against "
        "log k, k = 1 to K; 1 is a hit at the first relaxation. < meV: targets with a relaxation so near the "
        "reference, per atom, after K.",
        "Half of the targets: what it costs until half of them are hit; inf: not reached with what was spent. "
        "Relaxations count as exchangeable, averaged over all orders. As run: relaxations by Kaplan-Meier in the order "
        "run, log-log bands from 5 targets on; it assumes no exchange, only independent targets, and knows less.",
    ]
    if as_run:
        told.append(f"{', '.join(as_run)}: the order matters (ranked, listed or learned); all figures are as run.")
    if comparison.pairs:
        told.append(
            f"ratio: relaxations that a source needs, {comparison.pairs[0].baseline} = 1, for half the success that "
            "the weaker of both reaches; percentile bootstrap over targets. per hit: geometric mean over targets of "
            "that for one hit; a target hit by one source only counts half a hit for the other. win/tie/loss: targets "
            "by area. p: exact sign test; log-rank test, which takes the two as unrelated. A verdict stands only where "
            "the interval of the ratio leaves out 1, and 5 targets were hit by either; each is at 95 %, however many "
            "sources are compared. Formation energy: of the lowest structure each found, source minus "
            f"{comparison.pairs[0].baseline}, mean over targets (bootstrap), and the share of targets where it is "
            "lower among those where it differs."
        )
    if len(comparison.rows) <= MOST_ROWS:
        told.append(
            "By target: % of relaxed are hits, with the exact interval of the chance per relaxation; first hit: which "
            "relaxation in the order run; lowest: above the reference, per atom."
        )
    else:
        told.append(f"{len(comparison.rows)} rows by target and source: --csv FILE")
    told += [f"note: {note}" for note in comparison.notes]
    return [line for text in told for line in wrap(text, WIDTH)]


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Plain values; NaN and infinity become None."""
    plain: dict[str, Any] = _plain(
        {
            "within_mev": comparison.within_mev,
            "reference": comparison.reference_words,
            "runs": comparison.runs,
            "sources": [_fields(s) for s in comparison.sources],
            "pairs": [_fields(p) for p in comparison.pairs],
            "targets": [asdict(row) for row in comparison.rows],
            "notes": comparison.notes,
        }
    )
    return plain


def rows_csv(rows: Sequence[TargetRow]) -> str:
    """One line per target and source under the names of `TargetRow`; what is not known is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(TargetRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def _fields(value: Any) -> dict[str, Any]:
    return {f.name: getattr(value, f.name) for f in fields(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {f"{key:g}" if isinstance(key, float) else str(key): _plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _plain(_fields(value)) if hasattr(value, "__dataclass_fields__") else value


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> list[str]:
    return aligned([head, *rows], left)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _percent(share: Estimate | None) -> str:
    if share is None or share.value is None:
        return "-"
    if share.low is None or share.high is None:
        return f"{100 * share.value:.0f}"
    return f"{100 * share.value:.0f} ({100 * share.low:.0f}-{100 * share.high:.0f})"


def _figure(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "-"
    return f"{estimate.value:.2f} ({estimate.low:.2f}-{estimate.high:.2f})"


def _cost(estimate: Estimate) -> str:
    """A budget; "inf" stands for what was not reached."""
    value, low, high = ("inf" if v is None else _rounded(v) for v in (estimate.value, estimate.low, estimate.high))
    # No interval, with too few targets, and one that is open on both sides look alike: neither says anything.
    return value if estimate.low is None else f"{value} ({low}-{high})"


def _rounded(cost: float) -> str:
    return f"{cost:.3g}" if cost < 1000 else f"{cost:.0f}"


def _ratio(estimate: Estimate | None) -> str:
    if estimate is None or (estimate.value is None and estimate.low is None):
        return "-"
    value = "-" if estimate.value is None else f"{estimate.value:.2g}"
    if estimate.low is None:
        return value
    return f"{value} ({estimate.low:.2g}-{'inf' if estimate.high is None else f'{estimate.high:.2g}'})"


def _difference(formation: FormationComparison) -> str:
    if formation.difference is None:
        return "-"
    value = f"{1000 * formation.difference:+.1f}"
    if formation.low is None or formation.high is None:
        return value
    return f"{value} ({1000 * formation.low:+.1f} to {1000 * formation.high:+.1f})"


def _lower(formation: FormationComparison) -> Estimate | None:
    share = formation.lower
    return Estimate(share.value, share.low, share.high, "") if share.total else None


def _p_value(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if value >= 0.001 else "<0.001"
