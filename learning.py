"""Learning from a search: the UniMat checkpoint fine-tuned on relaxed structures, the low ones seen more often.

Each composition's distinct minima are drawn with Boltzmann's weights exp(-(H - H_min) / T), H per atom, and each
composition equally often, as many times in all as a few minutes on one core allow. Only the weights of the network
change, by small steps: the data that it was first trained on are not at hand to be mixed in.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from .analysis.duplicates import MatchTolerances, unite
from .analysis.minima import Minimum, find_minima
from .errors import InputError, StorageError
from .files import sync_folder
from .formula import reduced_formula
from .proposals.unimat.checkpoint import DEFAULT, load_checkpoint, save_checkpoint, training_compositions
from .proposals.unimat.compositions import compositions_of
from .proposals.unimat.model import Arrays, UniMatModel
from .proposals.unimat.training import TrainSettings, held_out_loss, train
from .search.store import Run

PROBE = 256
"""Structures that the loss before and after is measured on, drawn with the same weights."""
Group = tuple[str, float, str]
"""Enthalpies are compared within it: reduced formula (elements in alphabetical order), pressure in GPa, potential."""


@dataclass(frozen=True)
class LearnSettings:
    """How to fine-tune.

    Attributes
    ----------
    temperature : of Boltzmann's weights, eV/atom: a minimum so far above its composition's lowest is drawn 0.37 times
        as often. 0.05 lets near ones count, which the potential may have put in the wrong order.
    draws : structures seen for each composition.
    most_draws : in all, however many compositions there are.
    batch : structures of one step.
    learning_rate : the highest; a small part of what a training starts with.
    max_seconds : ends the fine-tuning where a machine is slow. The weights then depend on the machine, which nothing
        else does.

    Raises
    ------
    InputError : a value that is not above zero.
    """

    temperature: float = 0.05
    draws: int = 400
    most_draws: int = 40_000
    batch: int = 32
    learning_rate: float = 1e-4
    max_seconds: float = 900.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value > 0:
                raise InputError(f"{name}: {value} is not above zero")


@dataclass(frozen=True)
class LearningReport:
    """What was learned from.

    Attributes
    ----------
    checkpoint : the folder with the new weights.
    compositions : that taught something; the same under two pressures counts twice.
    structures : distinct minima that were drawn from.
    refused : minima that the model cannot take: too large, or without a description.
    steps : of training.
    loss_before, loss_after : of the parent's weights and of the new ones on `PROBE` of these structures.
    complete : False where `max_seconds` ended it.
    """

    checkpoint: Path
    compositions: int
    structures: int
    refused: int
    steps: int
    loss_before: float
    loss_after: float
    complete: bool

    @property
    def words(self) -> str:
        """One line for a person."""
        return (
            f"learned from {self.structures} minima of {self.compositions} compositions in {self.steps} steps: loss "
            f"{self.loss_before:.2f} -> {self.loss_after:.2f}" + (", cut short by max_seconds" * (not self.complete))
        )


@dataclass(frozen=True, eq=False)
class Lesson:
    """A distinct minimum to learn from: its structure, its enthalpy (eV/atom), and the group it is compared within."""

    atoms: Atoms
    enthalpy: float
    group: Group


def fine_tune(
    runs: Sequence[Run], checkpoint: str, out: Path, seed: int, settings: LearnSettings | None = None
) -> LearningReport:
    """Fine-tune a checkpoint on the minima of `runs` and write the new one to `out`, whole or not at all.

    The same runs, checkpoint and seed give the same weights on the same kind of processor. Where `out` is a checkpoint
    already, from an earlier call or from another job of the same campaign, it is left as it is and reported.

    Parameters
    ----------
    runs : of which the distinct believable minima are learned from; several may have the same composition.
    checkpoint : folder of the weights to start from; empty: the checkpoint that the package carries.
    out : folder of the new checkpoint. Its list of compositions is the parent's and those of the runs.

    Raises
    ------
    InputError : nothing to learn from, a checkpoint that cannot be used, or weights that grew without bound.
    StorageError : `out` cannot be written.
    """
    if (out / "model.json").exists():
        return _report_of(out)
    settings = settings or LearnSettings()
    parent = Path(checkpoint) if checkpoint else DEFAULT
    model, parent_card = load_checkpoint(parent)
    known = training_compositions(parent)
    lessons = find_lessons(runs)
    arrays, refused = model.prepare([lesson.atoms for lesson in lessons], [math.nan] * len(lessons))
    left_out = {number for number, _ in refused}
    lessons = [lesson for number, lesson in enumerate(lessons) if number not in left_out]
    if not lessons:
        first = f", and of its {len(refused)} minima none fits the model: {refused[0][1]}" if refused else ""
        raise InputError(
            f"nothing to learn from: {len(runs)} searches have no converged, believable minimum to teach unimat"
            f"{first}; go on with the checkpoint as it is"
        )
    weights = lesson_weights(lessons, settings.temperature)
    compositions = len({lesson.group for lesson in lessons})
    figures: dict[str, Any] = {"compositions": compositions, "structures": len(lessons), "refused": len(refused)}
    new_names = None if known is None else known | compositions_of(lesson.atoms for lesson in lessons)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise StorageError(f"checkpoint {str(out)!r} cannot be written: {error.strerror}") from error
    try:
        draws = min(settings.draws * compositions, settings.most_draws)
        figures |= _train(model, arrays, weights, draws, seed, settings, work / "training")
        learning = {"runs": [str(run.path) for run in runs], "seed": seed, **asdict(settings), **figures}
        card = {"parent": {"checkpoint": checkpoint or "default", "card": parent_card}, "learning": learning}
        save_checkpoint(model, work / "checkpoint", card, compositions=new_names)
        _move(work / "checkpoint", out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return _report_of(out)


def find_lessons(runs: Sequence[Run]) -> list[Lesson]:
    """The distinct believable minima of `runs`; those of one composition, pressure and potential are one group."""
    groups: dict[Group, list[list[Minimum]]] = defaultdict(list)
    for run in runs:
        config = run.config
        composition = dict(sorted(config.target.composition.items()))
        potential = f"{config.relaxer} {sorted(config.relaxer_options.items())}"
        group = (reduced_formula(composition)[0], config.pressure_gpa, potential)
        groups[group].append([minimum for minimum in find_minima(run) if not minimum.suspicious])
    lessons = []
    for group, found in groups.items():
        minima = [minimum for of_a_run in found for minimum in of_a_run]
        if len(found) > 1:  # the same minimum may have been found by each
            names = [f"{number}/{minimum.name}" for number, of_a_run in enumerate(found) for minimum in of_a_run]
            enthalpies = [minimum.enthalpy_per_atom for minimum in minima]
            distinct = unite([minimum.atoms for minimum in minima], names, enthalpies, MatchTolerances())
            minima = [minima[places[0]] for places in distinct]
        lessons += [Lesson(minimum.atoms, minimum.enthalpy_per_atom, group) for minimum in minima]
    return lessons


def lesson_weights(lessons: Sequence[Lesson], temperature: float) -> np.ndarray:
    """(n,) probabilities: exp(-(H - H_min) / temperature) within a group, the same sum for each group."""
    weights = np.zeros(len(lessons))
    groups: dict[Group, list[int]] = defaultdict(list)
    for place, lesson in enumerate(lessons):
        groups[lesson.group].append(place)
    for places in groups.values():
        heights = np.array([lessons[place].enthalpy for place in places])
        boltzmann = np.exp(-(heights - heights.min()) / temperature)
        weights[places] = boltzmann / boltzmann.sum() / len(groups)
    return weights


def draw_rows(weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) rows, each as often as its weight says to within one: systematic sampling."""
    places = (np.arange(count) + rng.random()) / count
    return np.minimum(np.searchsorted(np.cumsum(weights), places), len(weights) - 1)


def _train(
    model: UniMatModel,
    arrays: Arrays,
    weights: np.ndarray,
    draws: int,
    seed: int,
    settings: LearnSettings,
    folder: Path,
) -> dict[str, Any]:
    """Train on `draws` structures; steps, losses before and after, and whether there was time for all."""
    steps = math.ceil(draws / settings.batch)
    training = TrainSettings(
        passes=1, batch=settings.batch, learning_rate=settings.learning_rate, warmup=max(1, steps // 10),
        weight_decay=0.0, seed=seed,
    )  # fmt: skip

    def rows(count: int, purpose: int) -> Arrays:
        drawn = draw_rows(weights, count, np.random.default_rng([seed, purpose]))
        return {name: value[drawn] for name, value in arrays.items()}

    with _one_thread():
        probe = rows(PROBE, 1)
        before = held_out_loss(model, probe, training, "cpu")["loss"]
        progress = train(model, rows(draws, 0), training, folder, max_seconds=settings.max_seconds)
        after = held_out_loss(model, probe, training, "cpu")["loss"]
    if not math.isfinite(after):
        raise InputError(f"fine-tuning diverged (loss {after}): go on with the checkpoint as it is")
    return {
        "steps": progress.step, "loss_before": round(before, 4), "loss_after": round(after, 4),
        "complete": progress.step == progress.steps,
    }  # fmt: skip


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums come out the same on one thread only, whatever the machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _move(made: Path, out: Path) -> None:
    """Give a finished checkpoint its name, unless another job was sooner with the same one."""
    try:
        made.replace(out)
    except OSError as error:
        if not (out / "model.json").exists():
            raise StorageError(f"checkpoint {str(out)!r} cannot be written: {error.strerror}") from error
    else:
        sync_folder(out.parent)


def _report_of(folder: Path) -> LearningReport:
    card = load_checkpoint(folder)[1].get("learning", {})
    names = ("compositions", "structures", "refused", "steps", "loss_before", "loss_after", "complete")
    if not all(name in card for name in names):
        raise InputError(f"{str(folder)!r} is a checkpoint that was not fine-tuned on searches: give another folder")
    return LearningReport(folder, **{name: card[name] for name in names})
