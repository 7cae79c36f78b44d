"""Training: batches of structures of like size, AdamW, one checkpoint that resumes with the same loss curve.

Nothing here knows a model beyond the contract in model.py. Every random choice of step s follows from (seed, s), so
that a run that was killed goes on exactly as if it had not been.
"""

from __future__ import annotations

import csv
import json
import math
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from ...errors import InputError
from .model import Arrays, UniMatModel

BUCKET_BATCHES = 40
"""Batches' worth of structures that are sorted by size before they are cut into batches."""
LOG_SECONDS = 30.0
SAVE_SECONDS = 300.0


@dataclass(frozen=True)
class TrainSettings:
    """How to train.

    Attributes
    ----------
    passes : through the data, not always a whole number; the learning rate falls to zero over them.
    batch : structures of one step, over all processes together.
    learning_rate : the highest, reached after `warmup` steps.
    weight_decay : of the matrices.
    clip : longest gradient.
    seed : of every random choice.
    """

    passes: float = 100.0
    batch: int = 128
    learning_rate: float = 7e-4
    warmup: int = 500
    weight_decay: float = 0.05
    clip: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("passes", "batch", "learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}: {getattr(self, name)} is not above zero")
        if self.seed < 0:
            raise InputError(f"seed: {self.seed} is not a whole number from 0 up")


@dataclass(frozen=True)
class Progress:
    """Where training stands: steps done of all, passes done, seconds of training, and the last losses."""

    step: int
    steps: int
    passes: float
    seconds: float
    losses: Mapping[str, float]


def batches_of_pass(sizes: np.ndarray, batch: int, seed: int, number: int) -> list[np.ndarray]:
    """The rows of each batch of pass `number`: every structure once, structures of like size together."""
    rng = np.random.default_rng([seed, number])
    rows = rng.permutation(len(sizes))
    batches = []
    for start in range(0, len(rows), batch * BUCKET_BATCHES):
        chunk = rows[start : start + batch * BUCKET_BATCHES]
        chunk = chunk[np.argsort(sizes[chunk], kind="stable")]
        batches += [chunk[i : i + batch] for i in range(0, len(chunk), batch)]
    return [batches[i] for i in rng.permutation(len(batches))]


def rate(step: int, steps: int, settings: TrainSettings) -> float:
    """Learning rate: a linear rise, then half a cosine down to zero."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, steps - settings.warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def train(
    model: UniMatModel,
    arrays: Arrays,
    settings: TrainSettings,
    folder: Path,
    *,
    held_out: Arrays | None = None,
    max_seconds: float = math.inf,
    clock: Callable[[], float] = time.perf_counter,
    device: str = "cpu",
    save: Callable[[Progress], None] = lambda progress: None,
    after_pass: Callable[[Progress, Mapping[str, float]], Mapping[str, float]] = lambda progress, figures: {},
) -> Progress:
    """Train until the passes are done or `max_seconds` have gone by; go on from `folder` where it holds a state.

    Parameters
    ----------
    model : changed in place.
    arrays : from `model.prepare`; held_out : others, whose loss is logged after each pass.
    clock : counts the seconds; `time.process_time` where others use the machine too.
    folder : for the state (`state.pt`), the settings and the log (`log.csv`: a line every half minute, with seconds,
        learning rate and the mean losses since the line before; `val_` columns where a pass ended).
    save : called when the state has been written, to write a checkpoint.
    after_pass : called after each pass with the losses on `held_out`; what it returns is logged with them.

    Raises
    ------
    InputError : `folder` holds the state of a training with other settings or other data.
    """
    rank, ranks = join_processes(device)
    device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if device == "cuda" else device
    model.to(device).train()
    optimizer = _optimizer(model, settings)
    sizes = model.sizes(arrays)
    per_pass = len(batches_of_pass(sizes, settings.batch, settings.seed, 0))
    steps = max(1, round(settings.passes * per_pass))
    identity = {
        "settings": asdict(settings),
        "config": asdict(model.config),
        "data": f"{len(sizes)} structures, checksum {_checksum(arrays):08x}",
    }
    folder.mkdir(parents=True, exist_ok=True)
    step, before = _resume(folder, model, optimizer, identity, device)
    log = _Log(folder / "log.csv", step) if rank == 0 else None
    started = last_log = last_save = clock()
    sums: dict[str, float] = {}
    counted = 0
    progress = Progress(step, steps, step / per_pass, before, {})
    while step < steps:
        number, offset = divmod(step, per_pass)
        plan = batches_of_pass(sizes, settings.batch, settings.seed, number)
        for rows in plan[offset:]:
            losses = _step(model, optimizer, arrays, rows, settings, step, steps, device, rank, ranks)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value
            counted += 1
            step += 1
            now = clock()
            seconds = before + now - started
            out_of_time = _agree(now - started > max_seconds, device, ranks)
            ended = step % per_pass == 0
            if ended or out_of_time or step == steps or now - last_log > LOG_SECONDS:
                progress = Progress(step, steps, step / per_pass, seconds, {n: v / counted for n, v in sums.items()})
                row: dict[str, float] = {"step": step, "pass": progress.passes, "seconds": seconds}
                row |= {"learning_rate": rate(step, steps, settings), **progress.losses}
                if ended and rank == 0:
                    model.eval()
                    figures = {} if held_out is None else held_out_loss(model, held_out, settings, device)
                    figures |= after_pass(progress, figures)
                    row |= {f"val_{name}": value for name, value in figures.items()}
                    model.train()
                if log is not None:
                    log.write(row)
                sums, counted, last_log = {}, 0, now
            if rank == 0 and (step == steps or out_of_time or now - last_save > SAVE_SECONDS):
                _write_state(folder, model, optimizer, identity, step, seconds)
                save(progress)
                last_save = clock()
            if out_of_time or step == steps:
                model.eval()
                return progress
    model.eval()
    return progress


def _checksum(arrays: Arrays) -> int:
    """A number that other structures, or others in number, would not have."""
    value = 0
    for name in sorted(arrays):
        value = zlib.crc32(np.ascontiguousarray(arrays[name]).tobytes(), value)
    return value


def _step(
    model: UniMatModel,
    optimizer: torch.optim.Optimizer,
    arrays: Arrays,
    rows: np.ndarray,
    settings: TrainSettings,
    step: int,
    steps: int,
    device: str,
    rank: int,
    ranks: int,
) -> dict[str, float]:
    """One step of AdamW on this process's share of the batch."""
    mine = rows[rank::ranks] if len(rows) >= ranks else rows
    batch = model.collate(arrays, mine, np.random.default_rng([settings.seed, step, rank]))
    batch = {name: value.to(device) for name, value in batch.items()}
    generator = torch.Generator().manual_seed(
        int(np.random.SeedSequence([settings.seed, step, rank]).generate_state(1)[0])
    )
    with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
        # Dropout draws from the global generator.
        torch.manual_seed(generator.initial_seed())
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=has_fast_bfloat16(device)):
            losses = model.loss(batch, generator)
    optimizer.zero_grad(set_to_none=True)
    losses["loss"].backward()
    if ranks > 1:
        for parameter in model.parameters():
            gradient = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
            distributed.all_reduce(gradient)
            parameter.grad = gradient / ranks
    torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    for group in optimizer.param_groups:
        group["lr"] = rate(step, steps, settings)
    optimizer.step()
    return {name: float(value.detach()) for name, value in losses.items()}


def held_out_loss(model: UniMatModel, arrays: Arrays, settings: TrainSettings, device: str) -> dict[str, float]:
    """Mean losses on structures that are not trained on, masked the same way each time."""
    sums: dict[str, float] = {}
    sizes = model.sizes(arrays)
    order = np.argsort(sizes, kind="stable")
    chunks = [order[i : i + settings.batch] for i in range(0, len(order), settings.batch)]
    with torch.no_grad():
        for number, rows in enumerate(chunks):
            batch = model.collate(arrays, rows, np.random.default_rng([settings.seed, number]))
            batch = {name: value.to(device) for name, value in batch.items()}
            for name, value in model.loss(batch, torch.Generator().manual_seed(number)).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(rows)
    return {name: value / len(order) for name, value in sums.items()}


def has_fast_bfloat16(device: str) -> bool:
    """Whether bfloat16 is faster than float32 there: on GPUs, and on processors with instructions for it."""
    if device.startswith("cuda"):
        return True
    if device != "cpu":
        return False
    flags = Path("/proc/cpuinfo")
    return flags.exists() and ("amx_bf16" in (text := flags.read_text(encoding="utf-8")) or "avx512_bf16" in text)


def _optimizer(model: UniMatModel, settings: TrainSettings) -> torch.optim.Optimizer:
    """AdamW; only matrices decay, and embeddings do not."""
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    matrices = [p for p in model.parameters() if p.ndim > 1 and id(p) not in embeddings]
    rest = [p for p in model.parameters() if p.ndim <= 1 or id(p) in embeddings]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)


def join_processes(device: str) -> tuple[int, int]:
    """Rank and number of the processes that torchrun started; (0, 1) without it."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    return distributed.get_rank(), distributed.get_world_size()


def _agree(flag: bool, device: str, ranks: int) -> bool:
    """Whether any process says so."""
    if ranks == 1:
        return flag
    value = torch.tensor(float(flag), device=device)
    distributed.all_reduce(value, op=distributed.ReduceOp.MAX)
    return bool(value.item())


def _resume(
    folder: Path, model: UniMatModel, optimizer: torch.optim.Optimizer, identity: dict[str, Any], device: str
) -> tuple[int, float]:
    """Steps done and seconds spent by the training whose state `folder` holds; (0, 0) without one."""
    path = folder / "state.pt"
    if not path.exists():
        return 0, 0.0
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        known = json.loads(state["identity"])
    except Exception as error:  # torch raises many kinds for a file that is not its own
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{str(path)!r} is not a training state ({reason}); give another --out") from error
    asked = json.loads(json.dumps(identity))
    for key, value in asked.items():
        if known.get(key) != value:
            raise InputError(
                f"{str(folder)!r} holds a training with {key} {known.get(key)}, asked for is {value}: "
                "give the same again to go on, or another --out"
            )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"]), float(state["seconds"])


def _write_state(
    folder: Path,
    model: UniMatModel,
    optimizer: torch.optim.Optimizer,
    identity: dict[str, Any],
    step: int,
    seconds: float,
) -> None:
    state = {
        "identity": json.dumps(identity), "model": model.state_dict(), "optimizer": optimizer.state_dict(),
        "step": step, "seconds": seconds,
    }  # fmt: skip
    part = folder / "state.pt.part"
    torch.save(state, part)
    part.replace(folder / "state.pt")


class _Log:
    """A CSV whose columns grow with what there is to log; lines beyond the resumed step are dropped."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as stream:
                self.rows = [row for row in csv.DictReader(stream) if int(row["step"]) <= step]

    def write(self, row: Mapping[str, float]) -> None:
        """Add a line."""
        self.rows.append({name: value if isinstance(value, int) else f"{value:.6g}" for name, value in row.items()})
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        part = self.path.with_suffix(".part")
        with part.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, names, restval="")
            writer.writeheader()
            writer.writerows(self.rows)
        part.replace(self.path)


def iterate_log(path: Path) -> Iterator[dict[str, str]]:
    """The lines of a training's log."""
    with path.open(newline="", encoding="utf-8") as stream:
        yield from csv.DictReader(stream)
