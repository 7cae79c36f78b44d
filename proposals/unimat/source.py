"""The `unimat` source: candidates from a trained model, held to the target's distances, volume and symmetry."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from ase import Atoms

from ...errors import InfeasibleTarget, InputError
from ...formula import pair_key
from ...records import Candidate, Target
from ..radii import default_volumes, minimum_distances
from ..random.occupation import can_hold
from ..wyckoff import groups_by_operations
from .generate import REDRAWS, Drawn, load_generator
from .repair import keep_apart

BLOCKS_KEPT = 4
"""Blocks that a source remembers: the candidates of one are asked for one by one."""


class UniMatSource:
    """Draws candidates from a checkpoint.

    Candidate i has the (i mod m)-th of the m allowed numbers of formula units, and is draw i // m of that composition:
    the first draws are the likeliest, later ones reach further.

    Parameters
    ----------
    checkpoint : the folder that `xtalseek train --out` wrote; empty: the one that the package carries.
    block : candidates drawn together. Rounding in the network depends on it, so the same block draws the same
        candidates, on any number of ranks.
    redraws : how often a candidate with atoms too close is drawn again before it is given up.
    options : settings of the model's sampler, by name.

    Raises
    ------
    InputError : naming the option, the value and what is allowed.
    """

    def __init__(self, checkpoint: str = "", block: int = 20, redraws: int = REDRAWS, **options: Any) -> None:
        for name, value, least in (("block", block, 1), ("redraws", redraws, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name}: {value!r} is not a whole number from {least} up, such as 20")
        self.block = block
        self.redraws = redraws
        self.options = options
        self.generator = load_generator(checkpoint or None)
        self.generator.model.check({}, options)
        self._blocks: OrderedDict[tuple[Any, ...], list[Drawn]] = OrderedDict()

    def check(self, target: Target) -> None:
        """Raise `InfeasibleTarget` where the model cannot draw the target at all."""
        self._units(target)

    def propose(self, target: Target, index: int, rng: np.random.Generator) -> Candidate:
        """Draw candidate `index`; `rng` is that of its block, so that a block is drawn once for all its candidates.

        Raises
        ------
        InfeasibleTarget : the model cannot draw the target; `check` raises the same before a run.
        """
        units = self._units(target)
        number, place = divmod(index, self.block)
        key = (repr(target), number, str(rng.bit_generator.state))
        if key not in self._blocks:
            self._blocks[key] = self._draw(target, units, range(number * self.block, (number + 1) * self.block), rng)
            while len(self._blocks) > BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        drawn = self._blocks[key][place]
        formula_units = units[index % len(units)]
        left_out = target.formula_units[1] - units[-1]
        provenance = {
            "formula_units": formula_units,
            "draw": index // len(units),
            "redraws": drawn.redraws,
            "repaired": drawn.repaired,
        }
        note = (
            f"cells of more than {units[-1]} formula units are beyond the checkpoint" * (left_out > 0)
            if drawn.atoms is not None
            else (
                f"atoms too close in {drawn.redraws} draws of {formula_units} formula units: "
                "give shorter min_distances, a larger volume_per_atom, or more redraws"
            )
        )
        atoms = None if drawn.atoms is None else drawn.atoms.copy()  # the block's own is kept for the next time
        return Candidate(target.name, "unimat", index, atoms, note=note, provenance=provenance)

    def _draw(self, target: Target, units: list[int], indices: range, rng: np.random.Generator) -> list[Drawn]:
        composition = target.composition
        given = {pair_key(pair): distance for pair, distance in target.min_distances.items()}
        volumes = target.volume_per_atom
        smallest, _ = volumes or default_volumes(composition)
        distances, _ = minimum_distances(composition, given, smallest * sum(composition.values()))

        def accept(atoms: Atoms) -> tuple[Atoms, bool] | None:
            if volumes is not None:
                volume = atoms.get_volume() / len(atoms)
                wanted = min(max(volume, volumes[0]), volumes[1])
                atoms.set_cell(atoms.cell.array * (wanted / volume) ** (1 / 3), scale_atoms=True)
            kept = keep_apart(_in_order(atoms, composition), distances)
            if kept is not None and volumes is not None and kept[0].get_volume() / len(atoms) > volumes[1] * (1 + 1e-9):
                return None
            return kept

        counts = [{symbol: n * units[i % len(units)] for symbol, n in composition.items()} for i in indices]
        draws = [i // len(units) for i in indices]
        return self.generator.draw(counts, draws, rng, self._options(target), accept, self.redraws)

    def _units(self, target: Target) -> list[int]:
        """The numbers of formula units that the model can draw."""
        atoms = sum(target.composition.values())
        most = self.generator.model.max_atoms
        low, high = target.formula_units
        self.generator.model.check(target.composition, self.options)
        units = [n for n in range(low, high + 1) if n * atoms <= most]
        if not units:
            raise InfeasibleTarget(
                f"{target.formula} with {low} formula units has {low * atoms} atoms, the unimat checkpoint was trained "
                f"on cells of at most {most}: give fewer formula_units, or train on larger cells"
            )
        groups = self._options(target).get("space_groups", ())
        if groups:
            counts = [tuple(n * count for count in target.composition.values()) for n in units]
            units = [n for n, held in zip(units, counts, strict=True) if any(can_hold(g, held) for g in groups)]
        if not units:
            raise InfeasibleTarget(
                f"no space group asked for holds {target.formula} with {low}-{high} formula units in a primitive cell: "
                "give other space_groups, symmetry_operations or formula_units"
            )
        return units

    def _options(self, target: Target) -> dict[str, Any]:
        """The sampler's settings, with the target's symmetry."""
        if target.symmetry_operations == (1, 48) and not target.space_groups:
            return dict(self.options)
        if not self.generator.model.knows_symmetry:
            raise InfeasibleTarget(
                f"{self.generator.model.name} knows nothing of symmetry: leave out symmetry_operations and space_groups"
            )
        groups = groups_by_operations(*target.symmetry_operations, target.space_groups)
        allowed = tuple(sorted(n for numbers in groups.values() for n in numbers))
        if not allowed:
            raise InfeasibleTarget("no space group has the symmetry_operations and is among the space_groups asked for")
        return self.options | {"space_groups": allowed}


def _in_order(atoms: Atoms, composition: dict[str, int]) -> Atoms:
    """The same atoms, species in the order of the formula."""
    species = list(composition)
    order = sorted(range(len(atoms)), key=lambda i: species.index(atoms.symbols[i]))
    return atoms[order]
