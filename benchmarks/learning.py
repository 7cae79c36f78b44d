"""Whether learning helps a search: round 2 of unimat with the fine-tuned checkpoint against round 2 with the old one.

Round 1 draws N candidates for each composition; the checkpoint is fine-tuned on what they relaxed to
(`xtalseek.learning`); round 2 draws N more with the old and with the new weights, the same seed for both. Compositions
that were held out of the fine-tuning have a round 2 only: they show what is forgotten, or carried over. A hit is a
converged relaxation within 1 meV/atom of the lowest that any round found, or any of the searches in --others.

    OMP_NUM_THREADS=1 python benchmarks/learning.py --out learning
    OMP_NUM_THREADS=1 python benchmarks/learning.py --out learning --others h2h --data $DATA/mp

The compositions are among those of head_to_head.py: by default eight that unimat did not solve at once there, and four
others held out. Everything is a run folder under OUT, so that a study that was stopped goes on where it was. With
--data, the loss and the match rate on val.csv.gz, which neither checkpoint was trained on, before and after. Prints
JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xtalseek.analysis.assignment import compositions
from xtalseek.analysis.evaluation import evaluate_samples
from xtalseek.analysis.generated import compare_formation
from xtalseek.analysis.minima import believable, find_minima
from xtalseek.datasets import read_dataset
from xtalseek.learning import fine_tune
from xtalseek.proposals.unimat.generate import load_generator
from xtalseek.proposals.unimat.training import TrainSettings, held_out_loss
from xtalseek.search.config import resolve
from xtalseek.search.provenance import provenance
from xtalseek.search.run import search
from xtalseek.search.store import Run, load_run

LEARNED = "Hf2Te:4,Al2Li3:1,GePdS3:2,Co2Ni3Tb:1,Na3O4V:1,Au3Ce2Sb:1,AlCeGe:2,GaH4Na:2"
HELD_OUT = "AuGaTb:2,Al2GdGe2:1,CNb2S:2,Ga2Hf:4"
"""Formula and formula units in the cell."""
HIT = 1e-3
MATCHED = 200
"""Structures of val.csv.gz that the match rate is measured on, one sample each."""


def main() -> None:
    """Search what is not searched yet, fine-tune, and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run folders and of the checkpoint")
    parser.add_argument("--candidates", type=int, default=50, help="of each round for each composition")
    parser.add_argument("--sources", default="unimat", help="of round 1; round 2 is unimat alone")
    parser.add_argument("--learned", default=LEARNED, help="FORMULA:UNITS,... that are learned from")
    parser.add_argument("--held-out", default=HELD_OUT, help="FORMULA:UNITS,... that are not")
    parser.add_argument("--others", type=Path, help="folder of head_to_head.py, whose lowest structures count as known")
    parser.add_argument("--data", type=Path, help="folder with val.csv.gz")
    parser.add_argument("--relaxer", default="chgnet")
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    learned, held_out = _targets(options.learned), _targets(options.held_out)

    def run(name: str, units: int, arm: str, checkpoint: str = "") -> Run:
        sys.stderr.write(f"{name} {arm}\n")
        first = arm == "round1"
        words = {
            "formula": name, "formula_units": units, "num": options.candidates, "relaxer": options.relaxer,
            "source": options.sources if first else "unimat", "seed": options.seed + (not first),
            "out": str(options.out / name / arm),
        }  # fmt: skip
        return search(resolve(words | ({"source_options": {"checkpoint": checkpoint}} if checkpoint else {})))

    first = {name: run(name, units, "round1") for name, units in learned.items()}
    model = options.out / "model"
    done_before, started = model.exists(), time.perf_counter()
    report = fine_tune(list(first.values()), "", model, options.seed)
    seconds = None if done_before else round(time.perf_counter() - started, 1)
    rows = []
    for name, units in (learned | held_out).items():
        arms = {"old": run(name, units, "round2-old"), "new": run(name, units, "round2-new", str(model))}
        arms |= {"round1": first[name]} if name in first else {}
        rows.append({"composition": name, "learned": name in learned, **_compared(arms, _known(options.others, name))})
    result = {
        "candidates": options.candidates, "sources_of_round_1": options.sources, "seed": options.seed,
        "learning": {"words": report.words, "refused": report.refused, "seconds": seconds},
        "learned": _paired([row for row in rows if row["learned"]]),
        "held_out": _paired([row for row in rows if not row["learned"]]),
        "rows": rows,
        "forgetting": None if options.data is None else _forgetting(options.data, model),
        "hardware": provenance(" ".join(sys.argv), ranks=1, threads=torch.get_num_threads()),
    }  # fmt: skip
    print(json.dumps(result, indent=1))  # noqa: T201


def _targets(text: str) -> dict[str, int]:
    pairs = [part.partition(":") for part in text.split(",") if part]
    return {name: int(units) for name, _, units in pairs}


def _known(others: Path | None, name: str) -> list[Run]:
    folders = sorted(others.glob(f"{name}/*/config.toml")) if others is not None else []
    return [load_run(file.parent) for file in folders]


def _enthalpies(run: Run) -> list[float]:
    found = [record.relaxation.enthalpy_per_atom for record in believable(run)[0]]
    return [enthalpy for enthalpy in found if enthalpy is not None]


def _compared(arms: Mapping[str, Run], others: Sequence[Run]) -> dict[str, Any]:
    """Figures of each arm; energies in meV/atom above the lowest known."""
    lowest = min(enthalpy for run in [*arms.values(), *others] for enthalpy in _enthalpies(run))
    figures: dict[str, Any] = {}
    for arm, run in arms.items():
        heights = 1000 * (np.array(_enthalpies(run)) - lowest)
        minima = [minimum for minimum in find_minima(run) if not minimum.suspicious]
        figures[arm] = {
            "hits": int((heights <= 1000 * HIT).sum()),
            "converged": len(heights),
            "proposed": sum(record.candidate.atoms is not None for record in run.records),
            "relaxations": len(run.records),
            "lowest": round(float(heights.min()), 2) if len(heights) else None,
            "mean": round(float(heights.mean()), 1) if len(heights) else None,
            "distinct": len(minima),
            "force_calls": sum(record.relaxation.force_calls for record in run.records),
        }
    return figures


def _paired(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """New weights minus old, means over compositions, with 95 % intervals from resampling compositions."""

    def difference(value: str, per: str | None, digits: int) -> dict[str, Any]:
        arms = [
            {
                row["composition"]: row[arm][value] / (row[arm][per] if per else 1)
                for row in rows
                if row["old"][value] is not None and row["new"][value] is not None
            }
            for arm in ("new", "old")
        ]
        found = compare_formation(*arms)
        means = [round(math.fsum(arm.values()) / max(1, len(arm)), digits) for arm in arms]
        ends = [None if end is None else round(end, digits) for end in (found.difference, found.low, found.high)]
        return {"new": means[0], "old": means[1], "difference": ends[0], "low": ends[1], "high": ends[2]}

    def won(arm: str, other: str) -> int:
        """Compositions where one arm's lowest lies more than a hit's width below the other's."""
        return sum(
            row[arm]["lowest"] is not None
            and row[arm]["lowest"] < (math.inf if row[other]["lowest"] is None else row[other]["lowest"]) - 1000 * HIT
            for row in rows
            if other in row
        )

    return {
        "compositions": len(rows),
        "hits_per_relaxation": difference("hits", "relaxations", 4),
        "converged_share": difference("converged", "relaxations", 4),
        "mean_mev_per_atom": difference("mean", None, 2),
        "lowest_mev_per_atom": difference("lowest", None, 2),
        "distinct_minima": difference("distinct", None, 2),
        "compositions_hit": {arm: sum(row[arm]["hits"] > 0 for row in rows) for arm in ("new", "old")},
        "lower_than_the_other": {"new": won("new", "old"), "old": won("old", "new")},
        "lower_than_round_1": {arm: won(arm, "round1") for arm in ("new", "old")},
    }


def _forgetting(data: Path, model: Path) -> dict[str, Any]:
    """Loss and match rate on structures of compositions that neither checkpoint was trained on."""
    held_out = read_dataset([data / "val.csv.gz"])
    sample = held_out.sample(MATCHED)
    found: dict[str, Any] = {"structures": len(held_out), "matched_on": len(sample)}
    for name, checkpoint in (("old", None), ("new", model)):
        generator = load_generator(checkpoint)
        arrays, _ = generator.model.prepare(held_out.structures, held_out.formation_energies.tolist())
        losses = held_out_loss(generator.model, arrays, TrainSettings(batch=64), "cpu")
        drawn = generator.generate(compositions(sample.structures), 1, 0, {})
        rate = evaluate_samples(sample.structures, drawn).rates[0]
        found[name] = {
            "loss": round(losses["loss"], 4),
            "match_rate_1": {"rate": rate.rate, "low": round(rate.low, 3), "high": round(rate.high, 3)},
        }
    return found


if __name__ == "__main__":
    main()
