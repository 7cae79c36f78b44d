"""UniMat models side by side: at equal training seconds, by width, without conditions, and what sampling costs.

    python benchmarks/unimat_study.py models  --data TRAIN --held-out VAL --seconds 400 --folder runs/unimat
    python benchmarks/unimat_study.py widths  --data TRAIN --held-out VAL --seconds 400 --folder runs/unimat
    python benchmarks/unimat_study.py free    --data TRAIN --held-out TEST --seconds 300 --cutoff 0.2
    python benchmarks/unimat_study.py speed

Each prints one JSON object with a row per model. Seconds of training are processor seconds of one thread, so that
other work on the machine changes little; a training that is already in the folder is not repeated.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from xtalseek.analysis.assignment import compositions
from xtalseek.analysis.evaluation import evaluate_samples
from xtalseek.datasets import Dataset, read_dataset
from xtalseek.proposals.unimat.checkpoint import new_model
from xtalseek.proposals.unimat.generate import Generator, load_generator
from xtalseek.proposals.unimat.model import Arrays, UniMatModel
from xtalseek.proposals.unimat.training import TrainSettings, train
from xtalseek.proposals.unimat.unet_config import UNetConfig
from xtalseek.search.provenance import provenance

UNET_STEPS = 50
"""DDIM steps of one U-Net sample."""
TRAINING = {
    "unimat-sparse": {"batch": 128, "learning_rate": 7e-4, "warmup": 200},
    "unimat-unet": {"batch": 16, "learning_rate": 3e-4, "warmup": 50, "weight_decay": 0.0},
}


def trained(
    name: str, settings: Mapping[str, Any], data: Dataset, seconds: float, folder: Path, known: dict[str, Arrays]
) -> dict[str, Any]:
    """A model trained for `seconds` of one thread, its learning rate falling to zero over them.

    `known` keeps each model's prepared data for the next training: width changes nothing about them.
    """
    torch.manual_seed(0)
    if name == "unimat-unet":
        config = UNetConfig.fitted(data.structures, data.formation_energies, **settings)
        settings = vars(config)
    model = new_model(name, settings)
    if name not in known:
        known[name], _ = model.prepare(data.structures, data.formation_energies.tolist())
    arrays = known[name]
    probe = TrainSettings(passes=1, **TRAINING[name])
    per_step = seconds_of_a_step(name, settings, arrays, probe)
    steps_of_a_pass = -(-len(model.sizes(arrays)) // probe.batch)
    passes = max(1 / steps_of_a_pass, seconds / per_step / steps_of_a_pass)
    progress = train(
        model, arrays, TrainSettings(passes=passes, **TRAINING[name]), folder / "training",
        max_seconds=1.2 * seconds, clock=time.process_time,
    )  # fmt: skip
    return {"model": model, "row": {
        "model": name, "parameters": sum(p.numel() for p in model.parameters()), "structures": len(model.sizes(arrays)),
        "seconds": round(progress.seconds), "steps": progress.step, "passes": round(progress.passes, 2),
    }}  # fmt: skip


def seconds_of_a_step(name: str, settings: Mapping[str, Any], arrays: Any, probe: TrainSettings) -> float:
    """Mean over a few steps of a model that is thrown away."""
    model = new_model(name, settings)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    rng = np.random.default_rng(0)
    order = np.argsort(model.sizes(arrays), kind="stable")
    starts = np.linspace(0, max(0, len(order) - probe.batch), 6).astype(int)
    start = time.process_time()
    for first in starts:
        batch = model.collate(arrays, order[first : first + probe.batch], rng)
        optimizer.zero_grad()
        model.loss(batch, torch.Generator().manual_seed(0))["loss"].backward()
        optimizer.step()
    return (time.process_time() - start) / len(starts)


def matched(model: UniMatModel, targets: Dataset, samples: int) -> dict[str, Any]:
    """Match rates on `targets`."""
    options = {"steps": UNET_STEPS} if model.name == "unimat-unet" else {}
    wanted = compositions(targets.structures)
    start = time.process_time()
    drawn = Generator(model, {}).generate(wanted, samples, 0, options)
    found = evaluate_samples(
        targets.structures, [list(row) for row in drawn], [1, samples], seconds=time.process_time() - start
    ).to_json()
    keys = ["match_rate@1", "rmse@1", f"match_rate@{samples}", "samples_per_second", "structural_validity"]
    return {key: found[key] for key in dict.fromkeys(keys)} | {"targets": len(targets)}


def free_samples(model: UniMatModel, data: Dataset, count: int) -> list[Atoms]:
    """Samples with no composition asked for; the sparse model takes compositions of random training structures."""
    generator = torch.Generator().manual_seed(0)
    if model.name == "unimat-unet":
        return model.sample_unconditional(count, generator, {"steps": UNET_STEPS})  # type: ignore[attr-defined, no-any-return]
    rng = np.random.default_rng(0)
    asked = compositions([data.structures[i] for i in rng.integers(len(data), size=count)])
    places: dict[str, int] = {}
    draws = []
    for counts in asked:
        key = json.dumps(counts)
        draws.append(places.get(key, 0))
        places[key] = draws[-1] + 1
    return model.sample(asked, draws, generator, {})


def speed() -> list[dict[str, Any]]:
    """Samples per second of the shipped model, by atoms and by number of elements."""
    generator = load_generator()
    rows = []
    for counts in (
        {"Ti": 1, "O": 1}, {"Ti": 2, "O": 3}, {"Ti": 4, "O": 6}, {"Ti": 8, "O": 12},
        {"O": 10}, {"Mg": 2, "O": 8}, {"Mg": 2, "Ti": 2, "O": 6}, {"Mg": 2, "Ti": 2, "Fe": 1, "O": 5},
        {"Mg": 2, "Ti": 2, "Fe": 1, "N": 1, "O": 4},
    ):  # fmt: skip
        generator.generate([counts], 20, 0, {})
        start = time.process_time()
        generator.generate([counts] * 6, 20, 1, {})
        rate = 120 / (time.process_time() - start)
        name = "".join(f"{symbol}{n}" for symbol, n in counts.items())
        rows.append({"cell": name, "atoms": sum(counts.values()), "elements": len(counts), "samples_per_second": rate})
    return rows


def main() -> None:
    """Run one study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=("models", "widths", "free", "speed"))
    parser.add_argument("--data", nargs="+")
    parser.add_argument("--held-out", nargs="+")
    parser.add_argument("--seconds", type=float, default=400)
    parser.add_argument("--targets", type=int, default=100)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--count", type=int, default=200, help="samples without conditions")
    parser.add_argument("--cutoff", type=float, default=0.4, help="of the fingerprints' distance, for coverage")
    parser.add_argument("--folder", type=Path, default=Path("runs/unimat"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.study == "speed":
        rows = speed()
    else:
        data = read_dataset(options.data)
        data = data.select([i for i, atoms in enumerate(data.structures) if len(atoms) <= 24])
        targets = read_dataset(options.held_out)
        plans: dict[str, list[tuple[str, dict[str, Any], int]]] = {
            "models": [("unimat-sparse", {}, options.samples), ("unimat-unet", {"channels": 32}, 1)],
            "widths": [("unimat-sparse", {"width": w, "heads": w // 32}, options.samples) for w in (64, 128, 256)],
            "free": [
                ("unimat-sparse", {"width": 128, "heads": 4, "max_atoms": 24}, 0),
                ("unimat-unet", {"channels": 32, "condition": "none"}, 0),
            ],
        }
        rows = []
        known: dict[str, Arrays] = {}
        for name, settings, samples in plans[options.study]:
            words = "-".join(f"{key}{value}" for key, value in settings.items())
            folder = options.folder / f"{options.study}-{name}-{words}-{options.seconds:g}s"
            found = trained(name, settings, data, options.seconds, folder, known)
            if options.study == "free":
                start = time.process_time()
                drawn = free_samples(found["model"], data, options.count)
                rate = len(drawn) / (time.process_time() - start)
                chosen = targets.sample(options.count)
                figures = evaluate_samples(
                    chosen.structures, [[atoms] for atoms in drawn], [1], coverage_cutoff=options.cutoff
                ).to_json()
                keys = (
                    "structural_validity",
                    "composition_validity",
                    "cov_recall",
                    "cov_precision",
                    "density_distance",
                )
                result = {key: figures[key] for key in keys} | {"samples_per_second": rate}
            else:
                result = matched(found["model"], targets.sample(options.targets), samples)
            rows.append(found["row"] | settings | result)
    print(json.dumps({"study": options.study, "rows": rows, "provenance": provenance("", 1, 1)}, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
