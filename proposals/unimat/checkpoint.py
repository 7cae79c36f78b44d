"""Checkpoints: a folder with the weights (safetensors) and a JSON of everything else. Reading one runs no code from it.

CKPT/model.safetensors      weights
CKPT/model.json             version, model name, settings, and where the data came from
CKPT/compositions.txt.gz    reduced formulas of the structures it was trained on
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from ...errors import InputError, StorageError, unknown
from ...files import write_atomic
from .compositions import DEFAULT, FILE, pack_compositions, read_compositions
from .model import UniMatModel
from .sparse import SparseConfig, SparseModel
from .unet_config import UNetConfig
from .unet_model import UNetModel

VERSION = 1
"""Of the checkpoint's format; raised when an old one can no longer be read as it is."""
MODELS: dict[str, tuple[type, type[UniMatModel]]] = {
    SparseModel.name: (SparseConfig, SparseModel),
    UNetModel.name: (UNetConfig, UNetModel),
}
LARGEST_SETTING = 4096
"""No width, number of layers, or whatever else a model is made of is larger."""


def new_model(name: str, settings: Mapping[str, Any] | None = None) -> UniMatModel:
    """A model with fresh weights.

    Parameters
    ----------
    name : one of `MODELS`.
    settings : fields of its configuration; the others take their defaults.

    Raises
    ------
    InputError : unknown name or setting, or a value that cannot be used.
    """
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    config_type, model_type = MODELS[name]
    known = [f.name for f in fields(config_type)]
    values = dict(settings or {})
    for key in values:
        if key not in known:
            raise unknown(f"setting of {name}", key, known)
    defaults = {f.name: f.default for f in fields(config_type)}
    for key, value in values.items():
        if isinstance(defaults[key], tuple):  # JSON has lists, the command line single numbers
            values[key] = tuple(value) if isinstance(value, list | tuple) else (value,)
        if not _is_like(values[key], defaults[key]):
            raise InputError(
                f"setting {key} of {name}: {str(value)[:60]!r} is not of the kind of its default, "
                f"{defaults[key]!r:.60}, or is larger than {LARGEST_SETTING}"
            )
    try:
        return model_type(config_type(**values))
    except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError) as error:
        raise InputError(f"{name}: {' '.join(str(error).split())[:300]}") from error


def _is_like(value: Any, default: Any) -> bool:
    """Whether a setting can stand where its default does: text, true or false, a count, a number, or several."""
    if isinstance(default, tuple):
        return len(value) <= LARGEST_SETTING and all(_is_like(part, default[0]) for part in value)
    if isinstance(default, bool | str):
        return isinstance(value, type(default))
    kinds = int if isinstance(default, int) else int | float
    return isinstance(value, kinds) and not isinstance(value, bool) and abs(value) <= LARGEST_SETTING


def save_checkpoint(
    model: UniMatModel,
    folder: Path,
    card: Mapping[str, Any],
    half: bool = False,
    compositions: Iterable[str] | None = None,
) -> None:
    """Write `model` to `folder`, each file whole or not at all.

    Parameters
    ----------
    card : what is worth knowing of how it was trained; plain JSON values.
    half : keep the weights as bfloat16, half the size; they are read back as float32.
    compositions : reduced formulas of what it was trained on; None: not known.

    Raises
    ------
    StorageError : the folder cannot be written.
    """
    weights = {
        name: value.detach()
        .cpu()
        .to(torch.bfloat16 if half and value.is_floating_point() else value.dtype)
        .contiguous()
        for name, value in model.state_dict().items()
    }
    page = {"version": VERSION, "model": model.name, "config": asdict(model.config), "card": dict(card)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "model.safetensors", save(weights))
        if compositions is None:
            (folder / FILE).unlink(missing_ok=True)
        else:
            write_atomic(folder / FILE, pack_compositions(compositions))
        write_atomic(folder / "model.json", json.dumps(page, indent=1).encode())
    except OSError as error:
        raise StorageError(f"checkpoint {str(folder)!r} cannot be written: {error.strerror}") from error


def load_checkpoint(folder: Path) -> tuple[UniMatModel, dict[str, Any]]:
    """The model in evaluation mode, and its card.

    Raises
    ------
    InputError : not a checkpoint, cut short, made by another program or by another version: one line with what to do.
    """
    page = _read_page(folder)
    try:
        weights = load((folder / "model.safetensors").read_bytes())
    except OSError as error:
        raise InputError(f"checkpoint {str(folder)!r}: model.safetensors cannot be read: {error.strerror}") from error
    except (SafetensorError, ValueError) as error:
        raise InputError(
            f"checkpoint {str(folder)!r}: model.safetensors is cut short or is not safetensors ({error}); copy it again"
        ) from error
    # Its shapes alone, without memory for what the settings ask for: they may be anybody's.
    with torch.device("meta"):
        expected = new_model(page["model"], page["config"]).state_dict()
    wrong = [n for n, value in expected.items() if n not in weights or weights[n].shape != value.shape]
    wrong += [n for n in weights if n not in expected]
    if wrong:
        raise InputError(
            f"checkpoint {str(folder)!r}: the weights are not those of {page['model']} with these settings "
            f"({wrong[0]} differs); model.json and model.safetensors must come from one training"
        )
    model = new_model(page["model"], page["config"])
    model.load_state_dict({name: value.to(expected[name].dtype) for name, value in weights.items()})
    model.eval()
    return model, page["card"]


def training_compositions(folder: str | Path | None = None) -> frozenset[str] | None:
    """Reduced formulas of the structures that a checkpoint was trained on.

    Parameters
    ----------
    folder : the checkpoint; None or empty: the one that the package carries.

    Returns
    -------
    None where the checkpoint does not say: it was written before checkpoints did.

    Raises
    ------
    InputError : the list is damaged, or there is no checkpoint.
    """
    path = Path(folder) if folder else DEFAULT
    _read_page(path)
    return read_compositions(path)


def _read_page(folder: Path) -> dict[str, Any]:
    try:
        page = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{str(folder)!r} is not a checkpoint: model.json cannot be read ({error.strerror}); "
            "a checkpoint is the folder that `xtalseek train --out` wrote"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"checkpoint {str(folder)!r}: model.json is not JSON ({error}); copy it again") from error
    kinds = {"model": str, "config": dict, "card": dict}
    whole = isinstance(page, dict) and all(isinstance(page.get(name), kind) for name, kind in kinds.items())
    if not whole or "version" not in page:
        raise InputError(f"checkpoint {str(folder)!r}: model.json was not written by `xtalseek train`")
    if page["version"] != VERSION:
        version = " ".join(str(page["version"]).split())[:20]
        raise InputError(
            f"checkpoint {str(folder)!r} has version {version}, this xtalseek reads version {VERSION}: "
            "train it again, or install the xtalseek that wrote it"
        )
    return page
