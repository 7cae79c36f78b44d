"""Why trials were rejected: the budget of a batch of candidates, by cause and by space group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..records import Candidate
from .wyckoff import group_symbol


def explain(candidates: Sequence[Candidate]) -> list[str]:
    """Lines for a person: trials, what rejected them, and how the space groups asked for fared.

    Candidates whose source does not count its trials are left out.
    """
    counted = [c for c in candidates if "attempts" in c.provenance]
    if not counted:
        return ["no trials were counted: the source does not say"]
    drawn = [c for c in counted if c.atoms is not None]
    trials = sum(c.provenance["attempts"] for c in counted)
    rejects: Counter[str] = Counter()
    for c in counted:
        rejects.update(c.provenance["rejects"])
    lines = [f"{len(drawn)} of {len(counted)} candidates in {trials} trials, {trials / len(counted):.1f} each"]
    lines += ["", "rejected because of      trials   share"]
    lines += [f"  {cause:<22} {n:7d}  {n / trials:6.1%}" for cause, n in rejects.most_common()]
    if not rejects:
        lines += ["  nothing"]
    asked: Counter[int] = Counter(c.provenance["space_group_requested"] for c in counted)
    got: Counter[int] = Counter(c.provenance["space_group_requested"] for c in drawn)
    lines += ["", "space group at last    asked  drawn"]
    lines += [f"  {f'{group_symbol(g)} ({g})':<20} {n:5d}  {got[g]:5d}" for g, n in asked.most_common(10)]
    if len(asked) > 10:
        lines += [f"  and {len(asked) - 10} others"]
    return lines
