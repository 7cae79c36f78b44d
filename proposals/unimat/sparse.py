"""`unimat-sparse`: the occupied sites of UniMat's table, one token for each orbit, filled in by masked diffusion.

Only the sites that hold atoms are computed, and of those that symmetry makes equal only one. A crystal is a cell
token (space group and six cell parameters), element tokens (atoms without a place yet) and orbit tokens (a Wyckoff
position, its representative's coordinates). Every field starts masked and is drawn from what is known so far: first
the space group, then positions until all atoms have one, which fixes the composition exactly, then coordinates and
cell, binned. A bidirectional transformer is trained to fill in fields masked at random: absorbing-state diffusion
(Austin et al. 2021, arXiv:2107.03006; Sahoo et al. 2024, arXiv:2406.07524).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from ase import Atoms
from ase.data import atomic_numbers
from torch import Tensor
from torch.nn import functional

from ...errors import InputError
from ...parallel import parallel_map
from .masking import mask_batch
from .model import Arrays, Batch, UniMatModel
from .orbits import NoDescriptionError, Orbits, to_orbits
from .sampler import SparseSampling, draw
from .state import State, to_atoms
from .transformer import Transformer
from .vocabulary import MAX_ATOMIC_NUMBER, MAX_POSITIONS, WAVES, element_features, load_vocabulary

CELL_RANGES = np.array([[1.6, 4.4], [-2.1, 2.3], [-2.0, 2.7], [55, 140], [55, 140], [55, 140]])
"""Range that the bins of each cell field cover: log of the volume per atom (Å^3), log b/a, log c/a, the angles."""
HARMONICS = 8
COMPOSITION_DROPOUT = 0.3
"""Of the input in training where nothing but the composition is known."""
LOCAL_SCALE = 32
"""Most atoms of one element, and slots, that have an embedding of their own; larger numbers share the last."""


@dataclass(frozen=True)
class SparseConfig:
    """Settings of the model.

    Attributes
    ----------
    width, layers, heads : of the transformer.
    bins : of a coordinate in [0, 1), and of each cell parameter over its range.
    smoothing : standard deviation, in bins, of the Gaussian that stands for the true bin in training.
    jitter : standard deviation of the noise on known coordinates in training; sampled ones are not exact either.
    dropout : in training.
    max_atoms, large_atoms, large_orbits : structures of at most `max_atoms` in the primitive cell are trained on, and
        up to `large_atoms` those of at most `large_orbits` orbits.
    """

    width: int = 256
    layers: int = 8
    heads: int = 8
    bins: int = 64
    smoothing: float = 1.0
    jitter: float = 0.004
    dropout: float = 0.1
    max_atoms: int = 20
    large_atoms: int = 52
    large_orbits: int = 6

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "bins"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: {getattr(self, name)} is not a whole number from 1 up")
        if self.width % self.heads:
            raise InputError(f"width: {self.width} is not a multiple of heads ({self.heads})")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout: {self.dropout} is not a share from 0 to below 1")


class SparseModel(UniMatModel):
    """The network, its training loss, and its sampler."""

    name: ClassVar[str] = "unimat-sparse"
    knows_symmetry: ClassVar[bool] = True
    config: SparseConfig
    start: Tensor
    features: Tensor
    group_features: Tensor
    element_features: Tensor
    ranges: Tensor

    def __init__(self, config: SparseConfig) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = load_vocabulary()
        width = config.width
        tables = {
            "start": self.vocabulary.start,
            "features": self.vocabulary.position_features,
            "group_features": self.vocabulary.group_features,
            "element_features": element_features(),
            "ranges": CELL_RANGES.astype(np.float32),
        }
        for name, table in tables.items():
            self.register_buffer(name, torch.from_numpy(table), persistent=False)
        self.element_embedding = torch.nn.Embedding(MAX_ATOMIC_NUMBER + 1, width)
        self.element_projection = torch.nn.Linear(self.element_features.shape[1], width)
        self.position_embedding = torch.nn.Embedding(len(self.features), width)
        self.position_projection = torch.nn.Linear(self.features.shape[1], width)
        self.group_embedding = torch.nn.Embedding(231, width)
        self.group_projection = torch.nn.Linear(self.group_features.shape[1], width)
        self.kind_embedding = torch.nn.Embedding(3, width)
        self.slot_embedding = torch.nn.Embedding(LOCAL_SCALE + 1, width)
        self.left_embedding = torch.nn.Embedding(LOCAL_SCALE + 1, width)
        self.total_embedding = torch.nn.Embedding(LOCAL_SCALE + 1, width)
        self.size_embedding = torch.nn.Embedding(2 * LOCAL_SCALE + 1, width)
        self.share_projection = torch.nn.Linear(4, width)
        self.site_projection = torch.nn.Linear(3 * (2 * HARMONICS + 1) + 2 * len(WAVES) + 1, width)
        self.cell_projection = torch.nn.Linear(6 * (2 * HARMONICS + 2), width)
        self.transformer = Transformer(width, config.layers, config.heads, config.dropout)
        self.group_head = torch.nn.Linear(width, 231)
        self.cell_head = torch.nn.Linear(width, 6 * config.bins)
        self.site_head = torch.nn.Linear(width, 3 * config.bins)
        self.query = torch.nn.Linear(width, 128)
        self.key_projection = torch.nn.Linear(self.features.shape[1], 128)
        self.key_embedding = torch.nn.Embedding(len(self.features), 128)
        for module in self.modules():
            if isinstance(module, torch.nn.Embedding):
                torch.nn.init.normal_(module.weight, std=0.1)

    @property
    def max_atoms(self) -> int:
        """Atoms of the largest cell that it was made for."""
        return max(self.config.max_atoms, self.config.large_atoms)

    def check(self, composition: Mapping[str, int], options: Mapping[str, Any]) -> None:
        """As `UniMatModel.check`; `options` are those of `sampler.SparseSampling`."""
        SparseSampling.of(options)
        self._check_elements(composition)

    def _check_elements(self, composition: Mapping[str, int]) -> None:
        for symbol in composition:
            if atomic_numbers[symbol] > MAX_ATOMIC_NUMBER:
                raise InputError(f"{symbol}: unimat knows the elements 1-{MAX_ATOMIC_NUMBER}, H to Pu")

    def encode(self, state: State) -> Tensor:
        """Hidden states (b, 1 + t, width): the cell token, then the others."""
        known = state.known.float()
        harmonics = torch.arange(1, HARMONICS + 1, device=self.ranges.device)
        angles = state.coordinates[..., None] * (2 * torch.pi * harmonics)
        site = torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1) * known[..., None]
        site = torch.cat([site.flatten(2), known, state.waves, state.waves_known[..., None].float()], dim=-1)
        is_orbit = (state.kind == 1)[..., None].float()
        group = self.group_embedding(state.group) + self.group_projection(self.group_features[state.group])
        atoms = (state.left * (state.kind > 0)).sum(1)
        share = state.total / atoms[:, None].clamp(min=1)
        shares = torch.stack(
            [share, state.left / 8, state.left / state.total.clamp(min=1), torch.log1p(state.total)], -1
        )
        tokens = (
            self.kind_embedding(state.kind)
            + self.element_embedding(state.element)
            + self.element_projection(self.element_features[state.element])
            + self.slot_embedding(state.slot.clamp(max=LOCAL_SCALE))
            + self.left_embedding(state.left.clamp(max=LOCAL_SCALE))
            + self.total_embedding(state.total.clamp(max=LOCAL_SCALE))
            + self.share_projection(shares.float())
            + group[:, None]
            + is_orbit
            * (
                self.position_embedding(state.position)
                + self.position_projection(self.features[state.position])
                + self.site_projection(site)
            )
        )
        low, high = self.ranges[:, 0], self.ranges[:, 1]
        unit = (state.cell - low) / (high - low)
        angles = unit[..., None] * (torch.pi * harmonics)
        cell = torch.cat([torch.cos(angles), torch.sin(angles), unit[..., None]], dim=-1)
        cell_known = state.cell_known[..., None].float()
        cell = torch.cat([cell * cell_known, cell_known], dim=-1).flatten(1)
        first = group + self.cell_projection(cell) + self.size_embedding(atoms.clamp(max=2 * LOCAL_SCALE))
        both = torch.cat([first[:, None], tokens], dim=1)
        if self.training:
            # A composition alone is soon learned by heart, its space group with it.
            hidden_group = (state.group == 0)[:, None, None]
            both = torch.where(hidden_group, functional.dropout(both, COMPOSITION_DROPOUT), both)
        present = torch.cat([torch.ones_like(state.kind[:, :1], dtype=torch.bool), state.kind > 0], dim=1)
        hidden: Tensor = self.transformer(both, present)
        return hidden

    def group_logits(self, hidden: Tensor) -> Tensor:
        """(b, 231) from `encode`'s states; entry 0 means nothing."""
        logits: Tensor = self.group_head(hidden[:, 0])
        return logits

    def cell_logits(self, hidden: Tensor) -> Tensor:
        """(b, 6, bins)."""
        logits: Tensor = self.cell_head(hidden[:, 0])
        return logits.unflatten(1, (6, self.config.bins))

    def site_logits(self, hidden: Tensor) -> Tensor:
        """(b, t, 3, bins)."""
        logits: Tensor = self.site_head(hidden[:, 1:])
        return logits.unflatten(2, (3, self.config.bins))

    def position_logits(self, hidden: Tensor, group: Tensor) -> Tensor:
        """(b, t, 27): the next position of each element token, among those of its group (b,)."""
        keys = self.key_embedding.weight + self.key_projection(self.features)
        offsets = torch.arange(MAX_POSITIONS, device=keys.device)
        which = (self.start[group][:, None] + offsets).clamp(max=len(keys) - 1)
        logits: Tensor = torch.einsum("btd,bpd->btp", self.query(hidden[:, 1:]), keys[which]) / 128**0.5
        return logits

    def prepare(self, structures: Sequence[Atoms], energies: Sequence[float]) -> tuple[Arrays, list[tuple[int, str]]]:
        """As `UniMatModel.prepare`: the orbits of each structure, padded."""
        kept, refused = [], []
        for number, orbits in enumerate(parallel_map(_orbits_or_why, structures)):
            if isinstance(orbits, str):
                refused.append((number, orbits))
                continue
            most = (
                self.config.large_atoms if len(orbits.elements) <= self.config.large_orbits else self.config.max_atoms
            )
            if orbits.counts.sum() > most:
                refused.append((number, f"more than {most} atoms in the primitive cell"))
                continue
            kept.append(orbits)
        return pack(kept), refused

    def sizes(self, arrays: Arrays) -> np.ndarray:
        """Orbits of each structure (n,)."""
        return np.asarray((arrays["element"] > 0).sum(axis=1))

    def collate(self, arrays: Arrays, rows: np.ndarray, rng: np.random.Generator) -> Batch:
        """As `UniMatModel.collate`: some structures with positions left to choose, the others with numbers masked."""
        return mask_batch(arrays, rows, rng, self.vocabulary, self.config.jitter)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Cross entropies of the masked fields, each a mean over the structures that mask it; "loss" is their sum."""
        state = State(**{name: batch[name] for name in State.__dataclass_fields__})
        hidden = self.encode(state)
        parts: dict[str, Tensor] = {}
        weights: dict[str, Tensor] = {}
        masked = batch["predict_group"]
        parts["group"] = functional.cross_entropy(self.group_logits(hidden), batch["true_group"], reduction="none")
        weights["group"] = masked.float()
        logits = self.position_logits(hidden, batch["true_group"]).masked_fill(~batch["allowed"], -1e9)
        target = batch["next_position"]
        wanted = (target >= 0).float()
        entropy = functional.cross_entropy(logits.transpose(1, 2), target.clamp(min=0), reduction="none")
        parts["position"] = (entropy * wanted).sum(1) / wanted.sum(1).clamp(min=1)
        weights["position"] = (wanted.sum(1) > 0).float()
        site = _smoothed_entropy(
            self.site_logits(hidden), batch["true_coordinates"] * self.config.bins - 0.5, self.config.smoothing, True
        )
        low, high = self.ranges[:, 0], self.ranges[:, 1]
        place = ((batch["true_cell"] - low) / (high - low)).clamp(0, 1) * self.config.bins - 0.5
        cell = _smoothed_entropy(self.cell_logits(hidden), place, self.config.smoothing, False)
        site_mask, cell_mask = batch["predict_site"].float(), batch["predict_cell"].float()
        for name, entropy, mask in (("site", site.flatten(1), site_mask.flatten(1)), ("cell", cell, cell_mask)):
            parts[name] = (entropy * mask).sum(1) / mask.sum(1).clamp(min=1)
            weights[name] = (mask.sum(1) > 0).float()
        result = {name: (parts[name] * weights[name]).sum() / weights[name].sum().clamp(min=1) for name in parts}
        count = len(batch["group"])
        # Each structure counts alike; numbers of one structure count together, whatever their number.
        numbers = (site * site_mask).flatten(1).sum(1) + (cell * cell_mask).sum(1)
        numbers = numbers / (site_mask.flatten(1).sum(1) + cell_mask.sum(1)).clamp(min=1)
        total = sum((parts[n] * weights[n]).sum() for n in ("group", "position")) + numbers.sum()
        return {"loss": total / count, **{name: value.detach() for name, value in result.items()}}

    def sample(
        self,
        compositions: Sequence[Mapping[str, int]],
        draws: Sequence[int],
        generator: torch.Generator,
        options: Mapping[str, Any],
        attempt: int = 0,
    ) -> list[Atoms]:
        """As `UniMatModel.sample`; `options` are those of `sampler.SparseSampling`."""
        settings = SparseSampling.of(options)
        counts = [{atomic_numbers[symbol]: n for symbol, n in composition.items()} for composition in compositions]
        for composition in compositions:
            self._check_elements(composition)
        drafts = draw(self, counts, draws, settings, generator, attempt)
        return [to_atoms(draft, self.vocabulary) for draft in drafts]


def _smoothed_entropy(logits: Tensor, place: Tensor, smoothing: float, periodic: bool) -> Tensor:
    """Cross entropy (...) against a Gaussian about `place` (...), in bins, over the bins of `logits` (..., bins)."""
    bins = logits.shape[-1]
    distance = torch.arange(bins, device=logits.device) - place[..., None]
    if periodic:
        distance = distance - bins * torch.round(distance / bins)
    target = torch.softmax(-0.5 * (distance / smoothing) ** 2, dim=-1)
    return -(target * torch.log_softmax(logits, dim=-1)).sum(-1)


def _orbits_or_why(atoms: Atoms) -> Orbits | str:
    """The description of a structure, or why there is none."""
    if not len(atoms) or not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        return "no atoms, or coordinates that are no numbers"  # spglib dies of these
    if atoms.numbers.max() > MAX_ATOMIC_NUMBER:
        return f"an element beyond {MAX_ATOMIC_NUMBER}"
    try:
        return to_orbits(atoms)
    except NoDescriptionError as error:
        return str(error)


def pack(orbits: Sequence[Orbits]) -> Arrays:
    """Orbits of n structures as arrays padded to the longest, k orbits: element 0 marks the empty ones."""
    most = max((len(o.elements) for o in orbits), default=1)
    n = len(orbits)
    arrays: Arrays = {
        "group": np.zeros(n, dtype=np.int16), "cell": np.zeros((n, 6), dtype=np.float32),
        "element": np.zeros((n, most), dtype=np.int16), "position": np.zeros((n, most), dtype=np.int16),
        "coordinates": np.zeros((n, most, 3), dtype=np.float32),
    }  # fmt: skip
    for row, o in enumerate(orbits):
        k = len(o.elements)
        arrays["group"][row], arrays["cell"][row] = o.number, o.cell
        arrays["element"][row, :k], arrays["position"][row, :k] = o.elements, o.positions
        arrays["coordinates"][row, :k] = o.coordinates
    return arrays
