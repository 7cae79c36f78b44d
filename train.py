"""What `xtalseek train` does between its words and its last line: read, prepare, train, keep a checkpoint."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .analysis.assignment import compositions
from .analysis.matching import match_distances, primitive_cells
from .datasets import Dataset, read_dataset
from .errors import InputError
from .proposals.unimat.checkpoint import new_model
from .proposals.unimat.fit import Fitted, Material, fit
from .proposals.unimat.generate import Generator
from .proposals.unimat.model import UniMatModel
from .proposals.unimat.training import TrainSettings
from .search.config import parse_word

MATCHED = 100
"""Held-out structures that the match rate in the log is measured on, one sample each."""


def run_training(options: argparse.Namespace) -> Fitted:
    """Do what the words of the command line ask for.

    Raises
    ------
    InputError : a word that cannot be used, told before anything is read; data without a usable structure; a folder
        with another training.
    """
    given = {
        name: _number(name, getattr(options, name), type(default))
        for name, default in asdict(TrainSettings()).items()
        if getattr(options, name, None) is not None
    }
    settings = replace(TrainSettings(), **given)
    model_settings = parse_word("source_options", options.settings or {})
    new_model(options.model, model_settings)  # a misspelt word is told before the data is read
    hours = None if options.max_hours is None else parse_word("max_hours", options.max_hours)
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no GPU here; leave it out to train on the CPU")
    folder = Path(options.out)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out: {options.out!r} is a file; a checkpoint is a folder")
    first = int(os.environ.get("RANK", "0")) == 0
    data = read_dataset(options.data)
    held_out = read_dataset(options.held_out) if options.held_out else None
    for line in (data.bad + (held_out.bad if held_out else []))[: 20 if first else 0]:
        sys.stderr.write(f"{line}\n")
    fitted = fit(
        options.model,
        model_settings,
        _material(data),
        settings,
        folder,
        held_out=_material(held_out) if held_out else None,
        match_rate=_match_rate(held_out.sample(MATCHED)) if held_out else None,
        max_seconds=float("inf") if hours is None else hours * 3600,
        device=device,
        half=options.half,
    )
    if fitted.rank == 0:
        for number, why in fitted.refused[:5]:
            sys.stderr.write(f"{data.names[number]}: left out, {why}\n")
        if len(fitted.refused) > 5:
            sys.stderr.write(f"... and {len(fitted.refused) - 5} more structures left out\n")
        if data.bad:
            sys.stderr.write(f"{len(data.bad)} rows could not be read\n")
    return fitted


def _material(data: Dataset) -> Material:
    return Material(data.structures, data.formation_energies, [asdict(file) for file in data.files])


def _match_rate(targets: Dataset) -> Callable[[UniMatModel], float]:
    wanted = compositions(targets.structures)
    references = primitive_cells(targets.structures)

    def measure(model: UniMatModel) -> float:
        drawn = Generator(model, {}).generate(wanted, 1, 0, {})
        samples = [primitive_cells(row) for row in drawn]
        return float(np.isfinite(match_distances(samples, references)).any(axis=1).mean())

    return measure


def _number(name: str, text: str, kind: type) -> Any:
    word = "--" + name.replace("_", "-")
    try:
        value: float | int = int(text) if kind is int else float(text)
    except ValueError:
        raise InputError(f"{word}: cannot use {text!r}: allowed is a {'whole ' * (kind is int)}number") from None
    return value
