"""Whether a relaxer keeps the promises of `Relaxer`, and of `UnderWay` where it has `in_flight`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import GPa

from ..records import Relaxation, Status
from ..relax.contract import Evaluation, Relaxer, RelaxSettings
from ..relax.potentials import Potential
from .structures import bad_structures, one_line, require, same

SAME_ENERGY = 1e-3
"""eV/atom by which one structure may end apart from itself, relaxed in other company."""
ENERGY_RISE = 1e-5
"""eV/atom by which the enthalpy may lie above that of the start."""
REPORTED_ENERGY = 1e-4
"""eV/atom by which a relaxation's energy may differ from the potential's for its structure."""
OVER_TOLERANCE = 1e-6
"""Relative; by which a converged relaxation may exceed the tolerances."""
REMAINING_FORCE = 1e-3
"""eV/Å and GPa, besides: by which the potential, asked anew, may."""
MOST_ADVANCES = 100_000
"""Calls of `advance` without an end."""


def check_relaxer(
    relaxer: Relaxer,
    structures: Sequence[Atoms],
    settings: RelaxSettings,
    *,
    potential: Potential | None = None,
    same_energy: float = SAME_ENERGY,
) -> None:
    """Check that a relaxer returns what a search relies on, from sound structures and from bad ones.

    Parameters
    ----------
    relaxer : made with `settings`.
    structures : sound ones, at least one of which it can bring to rest; bad ones are made from the first.
    settings : tolerances and pressure.
    potential : what it relaxes with; energies and forces are then computed anew. None: only what it says is checked.
    same_energy : see `SAME_ENERGY`.

    Raises
    ------
    AssertionError : one line that says which promise is broken.
    """
    require(len(structures) > 0, "no structures were given")
    bad = bad_structures(structures[0])
    mixed, names = _mixed(structures, bad)
    before = [atoms.copy() for atoms in mixed]
    require(_relax(relaxer, []) == [], "no structures gave relaxations")
    results = _relax(relaxer, mixed)
    untouched = all(same(old, new) for old, new in zip(before, mixed, strict=True))
    require(untouched, "relaxing changed the structures that were handed in")
    for atoms, name, result in zip(mixed, names, results, strict=True):
        _check_result(result, atoms, name, settings)
        if name in bad:
            converged = result.status is Status.CONVERGED
            require(not converged, f"{name}: converged, which such a structure cannot")
        else:
            _check_energy(result, atoms, name, settings, potential)
    sound = {name: result for name, result in zip(names, results, strict=True) if name not in bad}
    at_rest = any(result.status is Status.CONVERGED for result in sound.values())
    require(at_rest, "none of the sound structures converged, which shows nothing: give others, or more steps")
    _require_same(dict(zip(names[::-1], _relax(relaxer, mixed[::-1]), strict=True)), sound, "reversed", same_energy)
    alone = {name: _relax(relaxer, [mixed[names.index(name)]])[0] for name in sound}
    _require_same(alone, sound, "alone", same_energy)
    if hasattr(relaxer, "in_flight"):
        _check_in_flight(relaxer, mixed, names, sound, same_energy)


def _mixed(structures: Sequence[Atoms], bad: Mapping[str, Atoms]) -> tuple[list[Atoms], list[str]]:
    """Sound ones and bad ones in turn, and what to call each."""
    named = [(f"structure {place}", atoms) for place, atoms in enumerate(structures)]
    rest = list(bad.items())
    mixed: list[tuple[str, Atoms]] = []
    while named or rest:
        mixed += named[:1] + rest[:1]
        named, rest = named[1:], rest[1:]
    return [atoms for _, atoms in mixed], [name for name, _ in mixed]


def _relax(relaxer: Relaxer, structures: Sequence[Atoms]) -> list[Relaxation]:
    try:
        results = list(relaxer.relax(structures))
    except Exception as error:
        raise AssertionError(f"relax raised {type(error).__name__}: {error}") from error
    require(len(results) == len(structures), f"{len(results)} relaxations of {len(structures)} structures")
    return results


def _check_result(result: Relaxation, atoms: Atoms, name: str, settings: RelaxSettings) -> None:
    require(isinstance(result, Relaxation), f"{name}: a {type(result).__name__}, no Relaxation")
    require(isinstance(result.status, Status), f"{name}: its status is {result.status!r}, no Status")
    converged = result.status is Status.CONVERGED
    told = one_line(result.message) or (converged and not result.message)
    require(told, f"{name}: {result.status} without a message of one line")
    known = result.pressure_gpa == settings.pressure_gpa
    require(known, f"{name}: pressure {result.pressure_gpa} GPa, asked for {settings.pressure_gpa}")
    require(min(result.seconds, result.steps, result.force_calls) >= 0, f"{name}: a negative count or time")
    if result.atoms is not None:
        require(bool(result.atoms.pbc.all()), f"{name}: its structure is not periodic")
        ordered = np.array_equal(result.atoms.numbers, atoms.numbers)
        require(ordered, f"{name}: other atoms, or in another order, than were handed in")
    if not converged:
        return
    require(result.atoms is not None and result.energy is not None, f"{name}: converged without structure or energy")
    assert result.atoms is not None and result.energy is not None
    finite = np.isfinite(result.energy) and np.isfinite(result.atoms.positions).all()
    require(bool(finite and np.isfinite(result.atoms.cell.array).all()), f"{name}: converged to what is not finite")
    for what, found, allowed in (
        ("force", result.max_force, settings.force_tolerance),
        ("stress", result.max_stress_gpa, settings.stress_tolerance_gpa),
    ):
        kept = found is None or found <= allowed * (1 + OVER_TOLERANCE)
        require(kept, f"{name}: converged with a {what} of {found}, more than {allowed}")


def _check_energy(
    result: Relaxation, atoms: Atoms, name: str, settings: RelaxSettings, potential: Potential | None
) -> None:
    """What the potential itself says of the start and the end."""
    if potential is None or result.atoms is None or result.energy is None:
        return
    pressure = settings.pressure_gpa * GPa
    start, end = _evaluate(potential, atoms, name), _evaluate(potential, result.atoms, name)
    error = abs(result.energy - end.energy) / len(atoms)
    require(error <= REPORTED_ENERGY, f"{name}: its energy is {error:.2g} eV/atom off what the potential says of it")
    after = end.energy + pressure * result.atoms.get_volume()
    rise = (after - start.energy - pressure * atoms.get_volume()) / len(atoms)
    require(rise <= ENERGY_RISE, f"{name}: the enthalpy rose by {rise:.2g} eV/atom")
    if result.status is Status.CONVERGED and not atoms.constraints:
        force = float(np.linalg.norm(end.forces, axis=1).max())
        stress = float(np.abs(end.stress / GPa + settings.pressure_gpa * np.eye(3)).max())
        for what, found, allowed in (
            ("force", force, settings.force_tolerance),
            ("stress", stress, settings.stress_tolerance_gpa),
        ):
            kept = found <= allowed + REMAINING_FORCE
            require(kept, f"{name}: converged, but the potential gives a {what} of {found:.4g}, more than {allowed}")


def _evaluate(potential: Potential, atoms: Atoms, name: str) -> Evaluation:
    plain = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    (found,) = potential.evaluator.evaluate([plain], [None])
    if isinstance(found, Exception):
        raise AssertionError(f"{name}: the potential fails on it: {found}") from found
    return found


def _require_same(
    found: Mapping[str, Relaxation], expected: Mapping[str, Relaxation], how: str, same_energy: float
) -> None:
    for name, first in expected.items():
        second = found[name]
        require(first.status is second.status, f"{name}: {first.status} in a batch, {second.status} {how}")
        one, two = first.enthalpy_per_atom, second.enthalpy_per_atom
        if first.status is Status.CONVERGED and one is not None and two is not None:
            near = abs(one - two) <= same_energy
            require(near, f"{name}: {one:.6f} eV/atom in a batch, {two:.6f} {how}")


def _check_in_flight(
    relaxer: Any, mixed: Sequence[Atoms], names: Sequence[str], sound: Mapping[str, Relaxation], same_energy: float
) -> None:
    """Hand in while there is room, take out what is done, and go on after all are done."""
    under_way = relaxer.in_flight()
    require(len(under_way) == 0, "in_flight: not empty at first")
    for shift in (0, 1000):  # twice, for what is empty again takes more
        waiting = {shift + 7 * place: atoms for place, atoms in enumerate(mixed)}
        order = list(waiting)
        done: dict[int, Relaxation] = {}
        for _ in range(MOST_ADVANCES):
            while order and under_way.has_room:
                key = order.pop(0)
                _call(under_way.add, key, waiting[key])
            inside = len(under_way)
            require(inside == len(waiting) - len(order) - len(done), f"in_flight: its length is {inside}, a wrong one")
            if not inside:
                break
            for key, result in _call(under_way.advance):
                require(key in waiting and key not in done, f"in_flight: key {key!r} was not given, or came twice")
                done[key] = result
        missing = sorted(set(waiting) - set(done))
        require(not missing, f"in_flight: keys {missing} never came out; has it no room when it is empty?")
        by_name = {names[(key - shift) // 7]: result for key, result in done.items()}
        _require_same(by_name, sound, "in flight", same_energy)


def _call(method: Any, *arguments: Any) -> Any:
    try:
        return method(*arguments)
    except Exception as error:
        raise AssertionError(f"in_flight: {method.__name__} raised {type(error).__name__}: {error}") from error
