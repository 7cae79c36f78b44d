"""Whether a source keeps the promises of `Source`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from ase.neighborlist import neighbor_list

from ..errors import InfeasibleTarget
from ..formula import pair_key
from ..proposals import Source, propose
from ..records import Candidate, Parent, Record, Relaxation, Status, Target
from ..records_json import record_to_json, to_json
from .structures import one_line, require, same

DISTANCE_TOLERANCE = 1e-4
"""Å by which a pair may be closer than the target's minimum distance."""
VOLUME_TOLERANCE = 1e-6
"""Relative; by which a volume may lie outside the target's range."""


def check_source(
    make: Callable[[], Source],
    target: Target,
    *,
    name: str,
    count: int = 6,
    seed: int = 0,
    parent: Parent | None = None,
    impossible: Target | None = None,
) -> None:
    """Check that a source draws what a search relies on.

    Candidate i has to be the same whatever was drawn before, in whatever order and by whichever process; has to obey
    the target's composition, formula units, minimum distances and volume; and may be missing, with a reason, but never
    be an exception.

    Parameters
    ----------
    make : makes the source anew, as its class does; called a few times.
    target : one for which it can draw something.
    name : as it is registered; its candidates have to carry it.
    count : candidates to draw; a source with a `block` draws some around the end of the first block, too.
    seed : of the random numbers.
    parent : for a source with `needs_parent`.
    impossible : a target for which `check` has to raise `InfeasibleTarget`; None: not tried.

    Raises
    ------
    AssertionError : one line that says which promise is broken.
    """
    source = make()
    block = getattr(source, "block", 1)
    require(isinstance(block, int) and block >= 1, f"`block` is {block!r}, not a whole number from 1 up")
    if getattr(source, "needs_parent", False):
        require(parent is not None, "the source has `needs_parent`: give a parent to start from")
    indices = sorted({*range(count)} | ({block - 1, block, block + 1} if block > 1 else set()))
    _check_feasible(source, target)

    def draw(by: Source, index: int) -> Candidate:
        try:
            return propose(by, name, target, index, seed, parent)
        except Exception as error:
            raise AssertionError(f"candidate {index}: propose raised {type(error).__name__}: {error}") from error

    before = None if parent is None else parent.atoms.copy()
    drawn = {index: draw(source, index) for index in indices}
    found = sum(candidate.atoms is not None for candidate in drawn.values())
    require(found > 0, f"none of {len(drawn)} candidates has a structure, which shows nothing: give another target")
    for index, candidate in drawn.items():
        _check_candidate(candidate, target, name, index, free_volume=parent is not None)
    if parent is not None:
        require(same(before, parent.atoms), "the parent's structure was changed")

    kept = {index: None if c.atoms is None else c.atoms.copy() for index, c in drawn.items()}
    for candidate in drawn.values():
        if candidate.atoms is not None:
            candidate.atoms.positions += 1.0  # what becomes of a candidate must not come back with the next
    for index in reversed(indices):
        require(same(kept[index], draw(source, index).atoms), f"candidate {index} changes with what was drawn before")
    other = make()
    for index in reversed(indices):
        message = f"candidate {index} is another where a new source draws in another order"
        require(same(kept[index], draw(other, index).atoms), message)
    last = indices[-1]
    require(same(kept[last], draw(make(), last).atoms), f"candidate {last} is another where it is drawn alone")
    if impossible is not None:
        _check_impossible(make(), impossible)


def _check_feasible(source: Source, target: Target) -> None:
    try:
        source.check(target)
    except Exception as error:
        raise AssertionError(f"check raised {type(error).__name__} for {target.formula}: {error}") from error


def _check_impossible(source: Source, target: Target) -> None:
    try:
        source.check(target)
    except InfeasibleTarget as error:
        require(one_line(str(error)), "check raised InfeasibleTarget without the reason in one line")
        return
    except Exception as error:
        raise AssertionError(f"check raised {type(error).__name__}, not InfeasibleTarget: {error}") from error
    raise AssertionError("check raised nothing for a target that no structure can satisfy")


def _check_candidate(candidate: Candidate, target: Target, name: str, index: int, free_volume: bool) -> None:
    require(isinstance(candidate, Candidate), f"candidate {index} is a {type(candidate).__name__}, no Candidate")
    called = candidate.target, candidate.source, candidate.index
    expected = target.name, name, index
    require(called == expected, f"candidate {index} is called {called}, not (target, source, index) = {expected}")
    require("\n" not in candidate.note, f"candidate {index}: its note has more than one line")
    blank = Relaxation(None, Status.ERROR)
    try:
        to_json(record_to_json(Record(candidate, blank)))
    except Exception as error:
        raise AssertionError(f"candidate {index} cannot be written to a journal: {error}") from error
    atoms = candidate.atoms
    if atoms is None:
        require(one_line(candidate.note), f"candidate {index} has no structure, and no note that says why")
        return
    finite = bool(np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all())
    require(finite, f"candidate {index} has a cell or positions that are not finite")
    require(bool(atoms.pbc.all()), f"candidate {index} is not periodic in all directions")
    volume = abs(float(np.linalg.det(atoms.cell.array))) / max(1, len(atoms))
    require(volume > 0, f"candidate {index} has a cell without volume")
    if target.seed_text:
        return  # the seed says what it holds, not the formula
    _check_composition(candidate, target)
    if target.volume_per_atom is not None and not free_volume:
        low, high = target.volume_per_atom
        inside = low * (1 - VOLUME_TOLERANCE) <= volume <= high * (1 + VOLUME_TOLERANCE)
        require(inside, f"candidate {index} has {volume:.4f} Å^3/atom, outside {low:g}-{high:g}")
    _check_distances(candidate, target)


def _check_composition(candidate: Candidate, target: Target) -> None:
    assert candidate.atoms is not None
    counts, wanted = Counter(candidate.atoms.get_chemical_symbols()), target.composition
    units = sum(counts.values()) // sum(wanted.values())
    exact = dict(counts) == {symbol: units * n for symbol, n in wanted.items()}
    shown = candidate.atoms.get_chemical_formula()
    require(exact, f"candidate {candidate.index} is {shown}, not so many whole {target.formula}")
    low, high = target.formula_units
    require(low <= units <= high, f"candidate {candidate.index} has {units} formula units, outside {low}-{high}")


def _check_distances(candidate: Candidate, target: Target) -> None:
    assert candidate.atoms is not None
    limits = {pair_key(pair): distance for pair, distance in target.min_distances.items()}
    if not limits:
        return
    symbols = candidate.atoms.get_chemical_symbols()
    first, second, lengths = neighbor_list("ijd", candidate.atoms, max(limits.values()))
    for i, j, length in zip(first, second, lengths, strict=True):
        pair = min(symbols[i], symbols[j]), max(symbols[i], symbols[j])
        if length < limits.get(pair, 0.0) - DISTANCE_TOLERANCE:
            told = f"{'-'.join(pair)} at {length:.4f} Å, closer than {limits[pair]:g}"
            raise AssertionError(f"candidate {candidate.index} has {told}")
