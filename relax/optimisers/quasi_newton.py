"""L-BFGS, plain and preconditioned: one force call a step, no line search.

Sources: Nocedal, Math. Comp. 35, 773 (1980), doi:10.1090/S0025-5718-1980-0572855-7; a model of the stiffness as the
first guess, Packwood et al., J. Chem. Phys. 144, 164109 (2016), doi:10.1063/1.4947024.

In place of a line search each step is kept within a trust radius, which follows how well the enthalpy was foretold.
Where the enthalpy rose too much the step is taken back; its force call is not lost, as it tells of the curvature.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms

from .contract import Move, capped, extent, generalised_force, moved
from .fire import FireState, fire_start, fire_step
from .pair_springs import PairSprings

_STIFFNESS = 20.0
"""eV/Å^2 that plain L-BFGS starts from, about a bond's."""
_ALLOWED_RISE = 1e-3
"""eV/atom by which a step may raise the enthalpy: a small rise is often the way to a much lower valley."""
_NOISE = 1e-5
"""eV/atom below which a difference of two enthalpies says nothing: learned potentials count in single precision."""
_MOST_REJECTED = 3
"""Steps taken back in a row; after that energy and forces contradict each other, and the forces are believed."""
_SMALLEST_RADIUS = 0.02
_PATIENCE = 40
"""Steps without a lower enthalpy or force after which FIRE takes over: the energy is not smooth here."""


@dataclass(frozen=True, eq=False)
class Place:
    """A geometry, its enthalpy (eV) and its generalised force (n_atoms + 3, 3) in eV/Å."""

    atoms: Atoms
    enthalpy: float
    force: np.ndarray


@dataclass(frozen=True, eq=False)
class Pair:
    """A move really made, what it took off the force, and their product: the curvature along it."""

    step: np.ndarray
    change: np.ndarray
    curvature: float


@dataclass(frozen=True, eq=False)
class Progress:
    """The lowest enthalpy per atom and force so far, and the steps since either fell."""

    enthalpy: float = np.inf
    force: float = np.inf
    steps: int = 0

    def after(self, enthalpy: float, force: float) -> Progress:
        """With one more force call; the enthalpy must fall by more than noise, the force by a tenth."""
        if enthalpy < self.enthalpy - _NOISE or force < 0.9 * self.force:
            return Progress(min(enthalpy, self.enthalpy), min(force, self.force))
        return replace(self, steps=self.steps + 1)


@dataclass(frozen=True, eq=False)
class QuasiNewtonState:
    """What L-BFGS remembers between steps.

    Attributes
    ----------
    base : the geometry that steps start from; None before the first force call.
    step : the last one, from `base`; `foretold` is the change of enthalpy (eV) expected of it.
    pairs : the last steps and what they did to the force, oldest first.
    radius : trust radius, as a fraction of the largest move and strain that are allowed.
    rejected : steps taken back in a row.
    springs : the model of the stiffness, and how many steps ago it was made.
    progress : whether it gets anywhere.
    fire : FIRE's state, where it has taken over.
    """

    base: Place | None = None
    step: np.ndarray | None = None
    foretold: float = 0.0
    pairs: tuple[Pair, ...] = ()
    radius: float = 1.0
    rejected: int = 0
    springs: PairSprings | None = None
    springs_age: int = 0
    progress: Progress = Progress()
    fire: FireState | None = None


@dataclass(frozen=True)
class QuasiNewton:
    """See the module.

    Attributes
    ----------
    preconditioned : start from springs between near atoms (`PairSprings`) rather than from one stiffness for all.
    memory : steps remembered.
    refresh : steps after which the springs are made anew.
    """

    preconditioned: bool = False
    memory: int = 10
    refresh: int = 5

    def start(self, atoms: Atoms) -> QuasiNewtonState:
        """Nothing known."""
        return QuasiNewtonState()

    def step(
        self,
        state: QuasiNewtonState,
        atoms: Atoms,
        energy: float,
        forces: np.ndarray,
        stress: np.ndarray,
        pressure: float,
    ) -> tuple[QuasiNewtonState, Move]:
        """See `Optimiser`."""
        volume, n_atoms = float(atoms.get_volume()), len(atoms)
        force = generalised_force(forces, stress, pressure, volume)
        force[:n_atoms] -= force[:n_atoms].mean(axis=0)
        copy = Atoms(numbers=atoms.numbers, cell=atoms.cell, positions=atoms.positions, pbc=True)
        here = Place(copy, energy + pressure * volume, force)
        state = replace(state, progress=state.progress.after(here.enthalpy / n_atoms, float(np.abs(force).max())))
        if state.progress.steps >= _PATIENCE or state.fire is not None:
            fire, step = fire_step(state.fire or fire_start(n_atoms), force)
            return QuasiNewtonState(fire=fire, progress=state.progress), moved(copy, capped(step))
        state = self._with_springs(self._judged(state, here))
        assert state.base is not None
        direction = self._direction(state, state.base.force)
        step = capped(direction, state.radius)
        fraction = extent(step) / max(extent(direction), 1e-30)
        slope = -float(np.vdot(state.base.force, step))
        return replace(state, step=step, foretold=slope * (1 - fraction / 2)), moved(state.base.atoms, step)

    def _judged(self, state: QuasiNewtonState, here: Place) -> QuasiNewtonState:
        """Learn from the last step, and take it back where it led too far uphill."""
        if state.base is None or state.step is None:
            return replace(state, base=here)
        base, step, n_atoms = state.base, state.step, len(here.atoms)
        change = base.force - here.force
        curvature = float(np.vdot(step, change))
        # Where the slope grew downhill there is no minimum to aim at: such a step teaches nothing about one.
        if curvature > 1e-6 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            state = replace(state, pairs=(*state.pairs, Pair(step, change, curvature))[-self.memory :])
        rise, size = here.enthalpy - base.enthalpy, extent(step)
        if rise > _ALLOWED_RISE * n_atoms and state.rejected < _MOST_REJECTED:
            return replace(state, radius=max(size / 4, 1e-3), rejected=state.rejected + 1)
        radius = state.radius
        believable = abs(rise) > _NOISE * n_atoms and state.foretold < 0
        if believable and rise / state.foretold < 0.25:
            radius = max(size / 2, _SMALLEST_RADIUS)
        elif not believable or rise / state.foretold > 0.5:
            radius = min(1.0, max(radius, 2 * size))
        return replace(state, base=here, radius=radius, rejected=0, springs_age=state.springs_age + 1)

    def _with_springs(self, state: QuasiNewtonState) -> QuasiNewtonState:
        if not self.preconditioned or (state.springs is not None and state.springs_age < self.refresh):
            return state
        assert state.base is not None
        return replace(state, springs=PairSprings.of(state.base.atoms), springs_age=0)

    def _direction(self, state: QuasiNewtonState, force: np.ndarray) -> np.ndarray:
        """Nocedal's two loops."""
        weights = []
        for pair in reversed(state.pairs):
            weights.append(float(np.vdot(pair.step, force)) / pair.curvature)
            force = force - weights[-1] * pair.change
        step = _softened(state, force)
        for pair, weight in zip(state.pairs, reversed(weights), strict=True):
            step = step + pair.step * (weight - float(np.vdot(pair.change, step)) / pair.curvature)
        return step


def _softened(state: QuasiNewtonState, force: np.ndarray) -> np.ndarray:
    """The force divided by the model's stiffness, scaled as a whole to suit the last step."""
    if not state.pairs:
        return _divided(state, force)
    last = state.pairs[-1]
    scale = last.curvature / float(np.vdot(last.change, _divided(state, last.change)))
    return scale * _divided(state, force)


def _divided(state: QuasiNewtonState, force: np.ndarray) -> np.ndarray:
    return force / _STIFFNESS if state.springs is None else state.springs.solve(force)
