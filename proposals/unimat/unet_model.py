"""`unimat-unet`: the paper's model, a U-Net over the whole grid, as a `UniMatModel`.

Yang et al., "Scalable Diffusion for Materials Generation", ICLR 2024, arXiv:2311.09235. Every site of the grid is
denoised, the empty ones too; six cell parameters are denoised with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from ase import Atoms
from ase.data import atomic_numbers

from ...errors import InputError
from .cell_parameters import cell_features, cell_from_features, describe
from .diffusion import Denoiser, Fields, alpha_sigma, epsilon_losses, guided, sample
from .grid import NULL, Table, assign_slots, atom_score, decode, element_counts, formula_mask, types_mask, wrap
from .model import Arrays, Batch, UniMatModel
from .unet import UNet
from .unet_config import SampleOptions, UNetConfig

CELL_BOUND = 6.0
"""Sampled cell parameters keep within this many standard deviations of the mean: 5 of mp/train's 95,178 lie beyond."""


class UNetModel(UniMatModel):
    """A 3D U-Net over the grid of all sites."""

    name: ClassVar[str] = "unimat-unet"
    config: UNetConfig

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.net = UNet(
            self.table.shape,
            config.slots,
            3 + (config.condition != "none"),
            channels=config.channels,
            multipliers=config.multipliers,
            blocks=config.blocks,
            head_dim=config.head_dim,
            dropout=config.dropout,
            extra=2 + (config.condition != "none") * self.table.shape[0] * self.table.shape[1],
        )

    @cached_property
    def table(self) -> Table:
        """The table of the grid."""
        return Table(self.config.elements)

    @property
    def max_atoms(self) -> int:
        """Atoms of the largest cell that it was made for."""
        return self.config.max_atoms

    def check(self, composition: Mapping[str, int], options: Mapping[str, Any]) -> None:
        """As `UniMatModel.check`; `options` are those of `SampleOptions`."""
        SampleOptions.of(options)
        self.table.check(composition, self.config.slots)

    def prepare(self, structures: Sequence[Atoms], energies: Sequence[float]) -> tuple[Arrays, list[tuple[int, str]]]:
        """Arrays: numbers (n, A) padded with 0, fractional (n, A, 3), cell (n, 6) and energies (n,), both in standard
        deviations from the mean, and the most atoms of an element (n,).
        """
        kept: list[tuple[np.ndarray, np.ndarray, np.ndarray, float, int]] = []
        refused: list[tuple[int, str]] = []
        for index, (atoms, energy) in enumerate(zip(structures, energies, strict=True)):
            try:
                if len(atoms) > self.config.max_atoms:
                    raise InputError(f"{len(atoms)} atoms, more than max_atoms ({self.config.max_atoms})")
                self.table.check(counts := element_counts(atoms.numbers), self.config.slots)
                cell, fractional = describe(atoms, self.config.reduce_cell)
            except InputError as error:
                refused.append((index, str(error)))
                continue
            kept.append((atoms.numbers, fractional, cell_features(cell, len(atoms)), energy, max(counts.values())))
        size = max((len(numbers) for numbers, *_ in kept), default=0)
        arrays: Arrays = {
            "numbers": np.zeros((len(kept), size), dtype=np.int16),
            "fractional": np.zeros((len(kept), size, 3), dtype=np.float32),
        }
        for row, (numbers, fractional, *_) in enumerate(kept):
            arrays["numbers"][row, : len(numbers)] = numbers
            arrays["fractional"][row, : len(numbers)] = fractional
        cells = np.array([item[2] for item in kept]).reshape(-1, 6)
        arrays["cell"] = ((cells - self.config.cell_mean) / self.config.cell_std).astype(np.float32)
        arrays["energies"] = self._scaled_energy(np.array([item[3] for item in kept]))
        arrays["slots"] = np.array([item[4] for item in kept], dtype=np.int64)
        return arrays, refused

    def sizes(self, arrays: Arrays) -> np.ndarray:
        """Sites of the grid that each structure needs (n,)."""
        slots = (
            arrays["slots"] if self.config.condition == "formula" else np.full_like(arrays["slots"], self.config.slots)
        )
        sites: np.ndarray = slots * self.table.shape[0] * self.table.shape[1]
        return sites

    def collate(self, arrays: Arrays, rows: np.ndarray, rng: np.random.Generator) -> Batch:
        """coordinates (B, L, H, W, 3) and cell (B, 6), both scaled; mask (B, L, H, W) where there is a condition;
        energy (B, 2) as value and whether it is told. Shuffled, shifted, some energies hidden.

        With the formula known L is the most that the batch needs, since slots beyond a formula hold nothing to learn.
        Without it L says how many atoms there may be, and is always the largest.
        """
        numbers = arrays["numbers"][rows]
        conditioned = self.config.condition == "formula"
        slots = int(arrays["slots"][rows].max()) if conditioned else self.config.slots
        fractional = arrays["fractional"][rows]
        if self.config.shift:
            fractional = wrap(fractional + rng.random((len(rows), 1, 3)))
        height, width = self.table.shape
        grid = np.full((len(rows), slots, height * width, 3), NULL, dtype=np.float32)
        structure, atom = np.nonzero(numbers)
        place = self.table.site[numbers[structure, atom]], assign_slots(numbers, rng)[structure, atom]
        grid[structure, place[1], place[0]] = fractional[structure, atom]
        batch = {
            "coordinates": torch.from_numpy(self._scaled(grid).reshape(len(rows), slots, height, width, 3)),
            "cell": torch.from_numpy(arrays["cell"][rows]),
        }
        mask = np.zeros(grid.shape[:-1], dtype=np.float32)
        if self.config.condition == "types":
            mask.transpose(0, 2, 1)[structure, place[0]] = 1
        else:
            mask[structure, place[1], place[0]] = 1
        if self.config.condition != "none":
            batch["mask"] = torch.from_numpy(mask.reshape(len(rows), slots, height, width))
        energies = arrays["energies"][rows]
        told = np.isfinite(energies) & (rng.random(len(rows)) >= self.config.energy_dropout)
        batch["energy"] = torch.from_numpy(np.stack([np.where(told, energies, 0), told], axis=1).astype(np.float32))
        return batch

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Squared errors of the noise: "coordinates" and "cell", and "loss", their weighted sum."""
        data = {"coordinates": batch["coordinates"], "cell": batch["cell"]}
        mask, weights = batch.get("mask"), {}
        if mask is not None:
            # Almost all sites are ruled out by the condition; a plain mean would hardly count the atoms.
            inside, outside = mask, 1 - mask
            weight = inside / inside.mean(dim=(1, 2, 3), keepdim=True)
            weight = weight + self.config.null_weight * outside / outside.mean(dim=(1, 2, 3), keepdim=True).clamp(1e-6)
            weights["coordinates"] = weight[..., None]
        losses = epsilon_losses(self._denoiser(mask, batch["energy"]), data, generator, weights)
        return {"loss": losses["coordinates"] + self.config.cell_weight * losses["cell"], **losses}

    def sample(
        self,
        compositions: Sequence[Mapping[str, int]],
        draws: Sequence[int],
        generator: torch.Generator,
        options: Mapping[str, Any],
        attempt: int = 0,
    ) -> list[Atoms]:
        """As `UniMatModel.sample`; all draws are alike, and atoms come in the composition's order of elements.

        A model that was not trained on formulas takes, of each element, the sites most like atoms.

        Raises
        ------
        InputError : an element outside the table, more atoms of one than slots, no atoms, or a wrong option.
        """
        chosen = SampleOptions.of(options)
        for counts in compositions:
            self.check(counts, options)
            if not sum(counts.values()):
                raise InputError("a composition without atoms cannot be sampled")
        structures = []
        for start in range(0, len(compositions), chosen.batch):
            part = compositions[start : start + chosen.batch]
            exact = self.config.condition == "formula"
            slots = max(max(counts.values()) for counts in part) if exact else self.config.slots
            grids, cells = self._draw(self._mask(part, slots), len(part), slots, generator, chosen)
            for counts, grid, cell in zip(part, grids, cells, strict=True):
                structures.append(self._exactly(counts, grid, cell, exact))
        return structures

    def sample_unconditional(
        self, count: int, generator: torch.Generator, options: Mapping[str, Any], types: Sequence[str] | None = None
    ) -> list[Atoms]:
        """Structures of whatever atoms the model puts on the grid, the null ones filtered out; perhaps none at all.

        Parameters
        ----------
        types : the elements (symbols) that it may use, for a model with condition "types" and only for that.

        Raises
        ------
        InputError : the model was trained with another condition.
        """
        needed = "none" if types is None else "types"
        if self.config.condition != needed:
            raise InputError(f"this model was trained with condition {self.config.condition!r}, not {needed!r}")
        chosen = SampleOptions.of(options)
        structures = []
        for start in range(0, count, chosen.batch):
            size = min(chosen.batch, count - start)
            mask = self._mask([dict.fromkeys(types or (), 1)] * size, self.config.slots)
            grids, cells = self._draw(mask, size, self.config.slots, generator, chosen)
            for grid, cell in zip(grids, cells, strict=True):
                atoms = decode(grid, np.array([1, 1, 1, 90, 90, 90]), self.table)
                if types is not None:
                    atoms = atoms[[symbol in types for symbol in atoms.symbols]]
                atoms.set_cell(self._cellpar(cell, max(len(atoms), 1)), scale_atoms=True)
                structures.append(atoms)
        return structures

    def _scaled(self, grid: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = (grid - np.float32(0.5)) * np.float32(self.config.coordinate_scale)
        return scaled

    def _scaled_energy(self, energies: np.ndarray) -> np.ndarray:
        return ((energies - self.config.energy_mean) / self.config.energy_std).astype(np.float32)

    def _mask(self, compositions: Sequence[Mapping[str, int]], slots: int) -> torch.Tensor | None:
        """What the network is told of compositions, (n, L, H, W)."""
        if self.config.condition == "none":
            return None
        if self.config.condition == "formula":
            return torch.from_numpy(formula_mask(compositions, slots, self.table))
        return torch.from_numpy(types_mask(compositions, self.table))[:, None].repeat(1, slots, 1, 1)

    def _denoiser(self, mask: torch.Tensor | None, energy: torch.Tensor) -> Denoiser:
        """The network under a condition: mask (B, L, H, W) and energy (B, 2)."""

        # The mask alone tells a site of its surroundings, and only layer by layer of the rest: the composition is also
        # told to all of them, and to the cell, at once.
        whole = energy if mask is None else torch.cat([energy, mask.sum(dim=1).flatten(1) / 4], dim=1)

        def denoise(noisy: Fields, log_snr: torch.Tensor) -> Fields:
            grid = noisy["coordinates"]
            shown = grid if mask is None else torch.cat([grid, mask[..., None]], dim=-1)
            log_snr = log_snr.to(grid.device)
            outputs = dict(zip(("coordinates", "cell"), self.net(shown, noisy["cell"], log_snr, whole), strict=True))
            # Near pure noise the noisy value is the noise. Given that for nothing, the network learns the rest, and its
            # errors reach the estimated data without the factor 1 / alpha, which grows to 20,000.
            alpha, sigma = (factor.reshape(-1, 1) for factor in alpha_sigma(log_snr))
            return {
                key: (sigma * noisy[key].flatten(1) + alpha * output.float().flatten(1)).view_as(noisy[key])
                for key, output in outputs.items()
            }

        return denoise

    @torch.no_grad()
    def _draw(
        self, mask: torch.Tensor | None, count: int, slots: int, generator: torch.Generator, options: SampleOptions
    ) -> tuple[np.ndarray, np.ndarray]:
        """Grids (n, L, H, W, 3) in fractional coordinates, and cells (n, 6) in standard deviations."""
        device = next(self.parameters()).device
        mask = None if mask is None else mask.to(device)
        hidden = torch.zeros(count, 2, device=device)
        told = hidden
        if options.energy is not None:
            told = torch.tensor([float(self._scaled_energy(np.array(options.energy))), 1.0], device=device).expand(
                count, 2
            )
        scale = self.config.coordinate_scale
        training = self.training
        self.eval()
        try:
            drawn = sample(
                guided(self._denoiser(mask, told), self._denoiser(mask, hidden), options.guidance),
                {"coordinates": (count, slots, *self.table.shape, 3), "cell": (count, 6)},
                generator,
                steps=options.steps,
                sampler=options.sampler,
                bounds={"coordinates": ((NULL - 0.5) * scale, 0.5 * scale), "cell": (-CELL_BOUND, CELL_BOUND)},
                device=device,
            )
        finally:
            self.train(training)
        return (drawn["coordinates"] / scale + 0.5).cpu().numpy(), drawn["cell"].double().cpu().numpy()

    def _exactly(self, counts: Mapping[str, int], grid: np.ndarray, cell: np.ndarray, first: bool) -> Atoms:
        """The atoms of a composition from a grid: the first sites of each element, or those most like atoms."""
        plane = grid.reshape(len(grid), -1, 3)
        numbers, fractional = [], []
        for symbol, count in counts.items():
            sites = plane[:, self.table.site[atomic_numbers[symbol]]]
            if not first:
                sites = sites[np.argsort(-atom_score(sites), kind="stable")]
            numbers += [atomic_numbers[symbol]] * count
            fractional.append(wrap(sites[:count]))
        cellpar = self._cellpar(cell, len(numbers))
        return Atoms(numbers=numbers, scaled_positions=np.concatenate(fractional), cell=cellpar, pbc=True)

    def _cellpar(self, cell: np.ndarray, atoms: int) -> np.ndarray:
        """Edges (Å) and angles (degrees) from parameters in standard deviations."""
        return cell_from_features(cell * self.config.cell_std + self.config.cell_mean, atoms)
