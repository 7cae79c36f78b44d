"""`xtalseek train`, without its words: structures in, a checkpoint out, resumable at any time.

CKPT/model.safetensors, model.json    the latest weights
CKPT/compositions.txt.gz              reduced formulas of the structures trained on
CKPT/best/                            the same three for the lowest loss on the held-out structures
CKPT/training/                        state to resume from, log.csv, the prepared arrays
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from ...errors import InputError
from ...files import write_atomic
from .checkpoint import MODELS, new_model, save_checkpoint
from .compositions import compositions_of
from .model import Arrays, UniMatModel
from .training import Progress, TrainSettings, iterate_log, join_processes, train

VALIDATE_EVERY = 10
"""Passes between two match rates; the loss on the held-out structures is logged after every pass."""


@dataclass(frozen=True)
class Material:
    """Structures to train on or to hold out.

    Attributes
    ----------
    structures : crystals; formation_energies : eV/atom (n,), NaN where unknown.
    provenance : where they come from, plain JSON values.
    """

    structures: Sequence[Atoms]
    formation_energies: np.ndarray
    provenance: Any


@dataclass(frozen=True)
class Fitted:
    """What came of it.

    Attributes
    ----------
    progress : where training stands.
    refused : (number, why) of the structures that the model could not take.
    rank : of this process among those that torchrun started; 0 without it.
    """

    model: UniMatModel
    progress: Progress
    refused: list[tuple[int, str]]
    rank: int


def fit(
    name: str,
    model_settings: Mapping[str, Any],
    data: Material,
    settings: TrainSettings,
    folder: Path,
    *,
    held_out: Material | None = None,
    match_rate: Callable[[UniMatModel], float] | None = None,
    max_seconds: float = math.inf,
    device: str = "cpu",
    half: bool = False,
) -> Fitted:
    """Train a new model, or go on where `folder` holds its training.

    Parameters
    ----------
    name : the model's.
    model_settings : fields of its configuration; the others follow from the data or take their defaults.
    settings : of the training.
    folder : the checkpoint.
    match_rate : measured on the held-out structures every `VALIDATE_EVERY` passes, for the log.
    half : write weights as bfloat16.

    Raises
    ------
    InputError : nothing to train on, a wrong setting, or a folder with another training.
    """
    rank, _ = join_processes(device)
    torch.manual_seed(settings.seed)
    config_type, _ = MODELS.get(name, (None, None))
    fitted = getattr(config_type, "fitted", None)
    if fitted is not None:
        model_settings = asdict(fitted(data.structures, data.formation_energies, **model_settings))
    model = new_model(name, model_settings)
    arrays, refused = _prepared(model, data, folder / "training", rank)
    if not len(model.sizes(arrays)):
        raise InputError(f"none of {len(data.structures)} structures can be trained on; the first: {refused[0][1]}")
    left_out = {number for number, _ in refused}
    compositions = compositions_of(atoms for number, atoms in enumerate(data.structures) if number not in left_out)
    others = _prepared(model, held_out, None, rank)[0] if held_out is not None else None
    lowest = _lowest_loss(folder / "training" / "log.csv")

    def card(progress: Progress) -> dict[str, Any]:
        return {
            "data": data.provenance, "structures": len(model.sizes(arrays)), "settings": asdict(settings),
            "steps": progress.step, "passes": round(progress.passes, 3), "hours": round(progress.seconds / 3600, 3),
        }  # fmt: skip

    def after_pass(progress: Progress, figures: Mapping[str, float]) -> dict[str, float]:
        nonlocal lowest
        if "loss" in figures and figures["loss"] < lowest:
            lowest = figures["loss"]
            save_checkpoint(model, folder / "best", card(progress), half, compositions)
        if match_rate is None or (round(progress.passes) % VALIDATE_EVERY and progress.step < progress.steps):
            return {}
        return {"match_rate": match_rate(model)}

    progress = train(
        model, arrays, settings, folder / "training", held_out=others, max_seconds=max_seconds, device=device,
        save=lambda progress: save_checkpoint(model, folder, card(progress), half, compositions),
        after_pass=after_pass,
    )  # fmt: skip
    return Fitted(model, progress, refused, rank)


def _prepared(
    model: UniMatModel, data: Material, folder: Path | None, rank: int
) -> tuple[Arrays, list[tuple[int, str]]]:
    """The model's arrays, kept in `folder` since symmetry analysis takes minutes; redone where data or model differ."""
    if folder is None:
        return model.prepare(data.structures, data.formation_energies.tolist())
    words = json.dumps([model.name, asdict(model.config), len(data.structures), data.provenance], sort_keys=True)
    key = hashlib.sha256(words.encode()).hexdigest()[:16]
    path = folder / f"arrays-{key}.npz"
    if path.exists():
        with np.load(path) as stored:
            content = dict(stored)
        refused = [(int(i), str(why)) for i, why in json.loads(str(content.pop("refused")))]
        return content, refused
    arrays, refused = model.prepare(data.structures, data.formation_energies.tolist())
    if rank == 0:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, refused=np.array(json.dumps(refused)), **arrays)
        write_atomic(path, buffer.getvalue())
    return arrays, refused


def _lowest_loss(log: Path) -> float:
    """The lowest loss on the held-out structures so far."""
    if not log.exists():
        return math.inf
    return min((float(row["val_loss"]) for row in iterate_log(log) if row.get("val_loss")), default=math.inf)
