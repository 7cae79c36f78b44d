"""What `xtalseek evaluate` does between its words and its table: read, draw, assign, measure, save."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ase import Atoms

from .analysis.assignment import Samples, assign, compositions, sample_name
from .analysis.evaluation import Evaluation, evaluate_samples
from .command_words import positive, whole
from .dataset_csv import SMALLEST_VOLUME
from .datasets import Dataset, read_dataset
from .errors import InputError
from .formats import Frame
from .search.config import parse_word
from .structure_files import format_of, write_structures


def run_evaluation(options: argparse.Namespace) -> Evaluation:
    """Do what the words of the command line ask for.

    Raises
    ------
    InputError : a word that cannot be used, told before anything is read or drawn; data without a usable structure.
    """
    ks = _numbers(options.samples)
    seed = whole("--seed", options.seed, 0)
    limit = None if options.limit is None else whole("--limit", options.limit, 1)
    cutoff = None if options.coverage is None else positive("--coverage", options.coverage, "0.4")
    settings = parse_word("source_options", options.source_options or {})
    if options.structures and (options.model or options.source_options):
        raise InputError("--structures measures structures as they are: leave --model and --source-options out")
    if options.save:
        format_of(options.save)
    targets = read_dataset(options.data)
    bad, notes = list(targets.bad), []
    targets = targets.sample(limit, seed)
    wanted = compositions(targets.structures)
    seconds = None
    if options.structures:
        found = read_dataset(options.structures)
        bad += found.bad
        samples, unused = assign(found, targets, wanted)
        if not any(samples):
            raise InputError(f"no structure in {options.structures[0]!r} has the name or composition of a target")
        notes += _shortages(samples, max(ks), unused)
        samples = [row[: max(ks)] for row in samples]
    else:
        samples, seconds = _draw(options.model, wanted, max(ks), seed, settings)
    for line in bad[:20]:
        sys.stderr.write(f"{line}\n")
    if len(bad) > 20:
        sys.stderr.write(f"... and {len(bad) - 20} more bad rows\n")
    # Before measuring, which takes long, so that a kill does not cost the samples.
    if options.save:
        notes += _save(options.save, targets, samples)
    return evaluate_samples(
        targets.structures,
        samples,
        ks,
        coverage_cutoff=cutoff,
        energies=None if options.energies is None else _energies(options.energies),
        bad_rows=len(bad),
        seconds=seconds,
        notes=notes,
        progress=_progress("measuring"),
    )


def _draw(
    model: str | None, wanted: list[dict[str, int]], samples: int, seed: int, settings: Mapping[str, Any]
) -> tuple[Samples, float]:
    # Only here, for it loads torch.
    from .proposals.unimat.generate import load_generator

    generator = load_generator(model)
    start = time.perf_counter()
    show = _progress("drawing") or (lambda done, total: None)
    drawn = generator.generate(wanted, samples, seed, dict(settings), progress=lambda done: show(done, len(wanted)))
    return [list(row) for row in drawn], time.perf_counter() - start


def _energies(potential: str) -> Callable[[list[Atoms]], np.ndarray]:
    """Energies per atom (eV) by a potential; structures that it cannot take are left out of the distribution."""
    from .relax import load_potential
    from .relax.contract import Evaluation

    evaluator = load_potential(potential, {}).evaluator

    def energies(structures: list[Atoms]) -> np.ndarray:
        found = [(atoms, evaluator.evaluate([atoms], [None])[0]) for atoms in structures]
        return np.array([e.energy / len(atoms) for atoms, e in found if isinstance(e, Evaluation)])

    return energies


def _save(path: str, targets: Dataset, samples: Samples) -> list[str]:
    frames, lost = [], 0
    for name, row in zip(targets.names, samples, strict=True):
        for rank, atoms in enumerate(row):
            if atoms is not None and math.isfinite(atoms.cell.volume) and atoms.cell.volume > SMALLEST_VOLUME:
                frames.append(Frame(sample_name(name, rank), atoms))
            else:
                lost += 1
    write_structures(path, frames)
    return [f"{lost} of {lost + len(frames)} samples have no cell, and are not in {path}"] if lost else []


def _shortages(samples: Samples, most: int, unused: int) -> list[str]:
    notes = []
    short = sum(len(row) < most for row in samples)
    if short:
        notes.append(
            f"{short} of {len(samples)} targets have fewer than {most} samples: what is missing matches nothing"
        )
    more = sum(max(0, len(row) - most) for row in samples)
    if unused or more:
        notes.append(f"{unused + more} structures not used: {unused} fit no target, {more} come after sample {most}")
    return notes


def _progress(what: str) -> Any:
    """Counts on one line, for people only."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        sys.stderr.write(f"\r{what}: {done} of {total} " + ("\r\033[K" if done == total else ""))
        sys.stderr.flush()

    return show


def _numbers(text: str) -> list[int]:
    return sorted({whole("--samples", part, 1, "1,5,20") for part in text.split(",")})
