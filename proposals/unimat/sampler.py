"""Drawing crystals from the sparse model: space groups shared out, positions placed, then numbers filled in.

The space groups of a composition's draws 0, 1, 2, ... are not left to chance: draw i takes the group whose share of
the draws so far falls shortest of its probability, so that the first draws are the likeliest and later ones reach
ever less likely groups. The first draw in a group also takes likelier positions and numbers than later ones do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...errors import InputError, unknown
from ..random.occupation import FixedLeft, fits
from .orbits import ELECTRONEGATIVITY_ORDER
from .state import Draft, make_state, start_numbers
from .vocabulary import MAX_POSITIONS, Vocabulary

if TYPE_CHECKING:
    from .sparse import SparseModel


MAX_DEAD_ENDS = 100
"""Times that the positions of one structure are begun again before it is an error."""
GROUPS_BY_CHANCE = 30
"""Draws that a space group is taken from at random where earlier attempts failed."""


@dataclass(frozen=True)
class SparseSampling:
    """Settings of the sampler.

    Attributes
    ----------
    group_temperature : above 1 shares the draws more evenly between space groups.
    position_temperature, number_temperature : of the positions, and of the coordinates and cell parameters; the first
        draw in each space group takes `first_temperature` for both.
    nucleus : smallest probability that the bins considered have together (Holtzman et al. 2020, arXiv:1904.09751).
    passes : most network passes for the numbers; where a structure has more, several are filled in at once.
    space_groups : international numbers to draw from; empty: any.
    """

    group_temperature: float = 2.0
    position_temperature: float = 1.0
    number_temperature: float = 0.8
    first_temperature: float = 0.3
    nucleus: float = 0.95
    passes: int = 60
    space_groups: tuple[int, ...] = ()

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> SparseSampling:
        """Settings from options by name.

        Raises
        ------
        InputError : an unknown name, or a value that cannot be used.
        """
        known = [f.name for f in fields(cls)]
        for name in options:
            if name not in known:
                raise unknown("option", name, known)
        values = dict(options)
        if isinstance(values.get("space_groups"), int):
            values["space_groups"] = (values["space_groups"],)
        try:
            return cls(**values)
        except TypeError as error:
            raise InputError(f"options {dict(options)}: {error}") from error

    def __post_init__(self) -> None:
        for name in ("group_temperature", "position_temperature", "number_temperature", "first_temperature"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}: {getattr(self, name)} is not above zero")
        if not 0 < self.nucleus <= 1:
            raise InputError(f"nucleus: {self.nucleus} is not between 0 and 1")
        if not isinstance(self.passes, int) or self.passes < 1:
            raise InputError(f"passes: {self.passes} is not a whole number from 1 up")
        if any(not isinstance(n, int) or not 1 <= n <= 230 for n in self.space_groups):
            raise InputError(f"space_groups: {self.space_groups} are not numbers from 1 to 230")


def draw(
    model: SparseModel,
    compositions: Sequence[Mapping[int, int]],
    draws: Sequence[int],
    settings: SparseSampling,
    generator: torch.Generator,
    attempt: int = 0,
) -> list[Draft]:
    """Complete drafts, one for each composition and number of its draw.

    Parameters
    ----------
    model : in evaluation mode.
    compositions : atoms of each atomic number in the cell.
    draws : which draw of its composition each is, from 0.
    attempt : how many structures of these draws were thrown away before. From the second attempt on, the first draw in
        a space group favours likely positions and numbers no longer; from the third on, the group is drawn by chance.

    Raises
    ------
    InputError : no space group that is allowed can hold a composition.
    """
    tables = model.vocabulary
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    drafts = [_new_draft(counts) for counts in compositions]
    with torch.inference_mode():
        _choose_groups(model, drafts, draws, settings, attempt, rng)
        _place(model, drafts, settings, rng)
        for draft in drafts:
            start_numbers(draft, tables)
        _fill_in(model, drafts, settings, rng)
    return drafts


def _new_draft(counts: Mapping[int, int]) -> Draft:
    order = sorted(counts, key=lambda number: int(ELECTRONEGATIVITY_ORDER[number]))
    return Draft({number: int(counts[number]) for number in order})


def _choose_groups(
    model: SparseModel,
    drafts: list[Draft],
    draws: Sequence[int],
    settings: SparseSampling,
    attempt: int,
    rng: np.random.Generator,
) -> None:
    """Give each draft its space group and visit, by the composition's probabilities and the draw's number."""
    by_composition: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for number, draft in enumerate(drafts):
        by_composition.setdefault(tuple(draft.counts.items()), []).append(number)
    firsts = [numbers[0] for numbers in by_composition.values()]
    state = make_state([drafts[i] for i in firsts], model.vocabulary).to(model.ranges.device)
    logits = model.group_logits(model.encode(state)).cpu()
    for (counts, numbers), row in zip(by_composition.items(), logits.double().numpy(), strict=True):
        highest = max(draws[i] for i in numbers) if attempt < 2 else GROUPS_BY_CHANCE
        sequence = share_out(row[1:], tuple(n for _, n in counts), highest + 1, settings, model.vocabulary)
        for i in numbers:
            drafts[i].group, drafts[i].visit = sequence[draws[i] if attempt < 2 else int(rng.integers(len(sequence)))]
            drafts[i].visit += attempt


def share_out(
    logits: np.ndarray, counts: tuple[int, ...], draws: int, settings: SparseSampling, tables: Vocabulary
) -> list[tuple[int, int]]:
    """The space group and visit of each of the first `draws` draws.

    Each draw goes to the group with the largest probability / (visits + 1), d'Hondt's rule; groups that cannot hold
    the atoms are passed over.
    """
    probability = np.exp((logits - logits.max()) / settings.group_temperature)
    if settings.space_groups:
        probability[[n - 1 for n in range(1, 231) if n not in settings.space_groups]] = 0.0
    visits = np.zeros(len(logits), dtype=int)
    sequence: list[tuple[int, int]] = []
    while len(sequence) < draws:
        group = int(np.argmax(probability / (visits + 1)))
        if probability[group] == 0.0:
            raise InputError(f"space_groups: none of those allowed can hold atoms in the numbers {counts}")
        if visits[group] == 0 and not _can_hold(group + 1, counts, tables):
            probability[group] = 0.0
            continue
        sequence.append((group + 1, int(visits[group])))
        visits[group] += 1
    return sequence


def _can_hold(group: int, counts: tuple[int, ...], tables: Vocabulary) -> bool:
    low, high = tables.start[group], tables.start[group + 1]
    return fits(tuple(sorted(counts)), *_open_positions(tables, low, high, frozenset()))


def _open_positions(
    tables: Vocabulary, low: int, high: int, taken: frozenset[int]
) -> tuple[FixedLeft, tuple[int, ...]]:
    """Of the positions low to high: points not taken yet, counted by multiplicity, and multiplicities of the others."""
    points = Counter(
        int(tables.multiplicity[p]) for p in range(low, high) if not tables.free[p].any() and p not in taken
    )
    lines = {int(tables.multiplicity[p]) for p in range(low, high) if tables.free[p].any()}
    return tuple(sorted(points.items())), tuple(sorted(lines))


@lru_cache(maxsize=100_000)
def _allowed(
    group: int, taken: frozenset[int], floor: int, left: int, others: tuple[int, ...], tables: Vocabulary
) -> np.ndarray:
    """Which positions of a group the next orbit of an element may take, so that all atoms can still be placed.

    Parameters
    ----------
    taken : points that hold an orbit already.
    floor : the element's last position; they are placed in order.
    left, others : atoms without a position, of this element and of each of the others.
    """
    low, high = int(tables.start[group]), int(tables.start[group + 1])
    allowed = np.zeros(MAX_POSITIONS, dtype=bool)
    for p in range(max(low, floor), high):
        size = int(tables.multiplicity[p])
        if size > left or p in taken:
            continue
        now_taken = taken if tables.free[p].any() else taken | {p}
        rest = (left - size,) if left > size else ()
        allowed[p - low] = fits(rest, *_open_positions(tables, p, high, now_taken)) and fits(
            tuple(sorted((*rest, *others))), *_open_positions(tables, low, high, now_taken)
        )
    return allowed


def _place(model: SparseModel, drafts: list[Draft], settings: SparseSampling, rng: np.random.Generator) -> None:
    """Give every atom a position; where the order of positions leads to a dead end, the draft starts again."""
    tables = model.vocabulary
    dead_ends: Counter[int] = Counter()
    while open_drafts := [i for i, draft in enumerate(drafts) if draft.left(tables)]:
        state = make_state([drafts[i] for i in open_drafts], tables).to(model.ranges.device)
        logits = model.position_logits(model.encode(state), state.group).cpu().numpy()
        for row, i in enumerate(open_drafts):
            draft = drafts[i]
            left = draft.left(tables)
            temperature = settings.position_temperature if draft.visit else settings.first_temperature
            choices = []
            for column, element in enumerate(left, start=len(draft.placed)):
                others = tuple(n for e, n in left.items() if e != element)
                taken = frozenset(p for _, p in draft.placed if not tables.free[p].any())
                floor = max((p for e, p in draft.placed if e == element), default=0)
                allowed = _allowed(draft.group, taken, floor, left[element], others, tables)
                if allowed.any():
                    masked = np.where(allowed, logits[row, column], -np.inf)
                    choices.append((_softmax(masked).max(), element, masked))
            if len(choices) < len(left):
                dead_ends[i] += 1
                draft.placed = []
                draft.visit += 1  # the likeliest positions would lead here again
                if dead_ends[i] > MAX_DEAD_ENDS:
                    raise InputError(f"space group {draft.group} could not be filled with atoms {draft.counts}")
                continue
            _, element, masked = max(choices, key=lambda choice: choice[0])
            chosen = int(rng.choice(MAX_POSITIONS, p=_softmax(masked / temperature)))
            draft.placed.append((element, int(tables.start[draft.group]) + chosen))


def _fill_in(model: SparseModel, drafts: list[Draft], settings: SparseSampling, rng: np.random.Generator) -> None:
    """Draw all numbers that symmetry leaves free, the surest first."""
    tables = model.vocabulary
    low, high = model.ranges.cpu().numpy().T
    missing = np.array([(~d.known).sum() + (~d.cell_known).sum() for d in drafts])
    share = -(-missing // settings.passes)
    while True:
        unfinished = [i for i, d in enumerate(drafts) if not (d.known.all() and d.cell_known.all())]
        if not unfinished:
            return
        hidden = model.encode(make_state([drafts[i] for i in unfinished], tables).to(model.ranges.device))
        site_logits, cell_logits = model.site_logits(hidden).cpu().numpy(), model.cell_logits(hidden).cpu().numpy()
        for row, i in enumerate(unfinished):
            draft = drafts[i]
            k = len(draft.placed)
            logits = np.concatenate([site_logits[row, :k].reshape(3 * k, -1), cell_logits[row]]).astype(float)
            unknown = np.flatnonzero(~np.concatenate([draft.known.ravel(), draft.cell_known]))
            temperature = settings.number_temperature if draft.visit else settings.first_temperature
            probability = _softmax(logits[unknown])
            for index in np.argsort(-probability.max(axis=1), kind="stable")[: share[i]]:
                which = unknown[index]
                periodic = which < 3 * k
                value = draw_value(probability[index], temperature, settings.nucleus, periodic, rng)
                if periodic:
                    draft.coordinates.reshape(-1)[which] = value % 1
                    draft.known.reshape(-1)[which] = True
                else:
                    which -= 3 * k
                    draft.cell[which] = low[which] + value * (high[which] - low[which])
                    draft.cell_known[which] = True


def draw_value(
    probability: np.ndarray, temperature: float, nucleus: float, periodic: bool, rng: np.random.Generator
) -> float:
    """A number in [0, 1) from the probabilities of its bins: a bin is drawn, then the mean about it is taken."""
    bins = len(probability)
    sharp = probability ** (1 / temperature)
    sharp /= sharp.sum()
    order = np.argsort(-sharp, kind="stable")
    kept = order[: int(np.searchsorted(np.cumsum(sharp[order]), nucleus)) + 1]
    chosen = int(rng.choice(kept, p=sharp[kept] / sharp[kept].sum()))
    window = np.arange(chosen - 2, chosen + 3)
    if not periodic:
        window = window[(window >= 0) & (window < bins)]
    weights = probability[window % bins]
    return float(((window * weights).sum() / weights.sum() + 0.5) / bins)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
