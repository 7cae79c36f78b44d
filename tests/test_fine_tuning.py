"""Fine-tuning on a search: the low minima are drawn more often, nothing else is forgotten, and no half checkpoint."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.spacegroup import crystal
from crystals import known_crystals, relaxed_again
from running import environment

from xtalseek.analysis.matching import match_distances, primitive_cells
from xtalseek.errors import InputError, StorageError
from xtalseek.files import write_atomic
from xtalseek.learning import LearnSettings, Lesson, draw_rows, find_lessons, fine_tune, lesson_weights
from xtalseek.proposals.unimat.checkpoint import (
    DEFAULT,
    load_checkpoint,
    new_model,
    save_checkpoint,
    training_compositions,
)
from xtalseek.proposals.unimat.generate import load_generator
from xtalseek.proposals.unimat.training import TrainSettings, held_out_loss
from xtalseek.records import Candidate, Record, Relaxation, Status
from xtalseek.search.config import resolve, to_toml
from xtalseek.search.store import Journal, Run, load_run

TINY: dict[str, Any] = {"width": 48, "layers": 2, "heads": 4, "bins": 32, "dropout": 0.0}
QUICK = LearnSettings(draws=64, batch=16, learning_rate=1e-3)
KNOWN = known_crystals()
RUTILE = KNOWN["rutile"]
ANATASE = crystal(
    ("Ti", "O"), [(0, 0, 0), (0, 0, 0.208)], spacegroup=141, cellpar=[3.785, 3.785, 9.514, 90, 90, 90],
    primitive_cell=True,
)  # fmt: skip
"""As rutile, two formula units in the primitive cell: what is drawn for Ti2O4 may be either."""
Found = Sequence[tuple[Atoms, float]]


def make_run(folder: Path, found: Found, formula: str = "TiO2", statuses: Sequence[Status] = (), **words: Any) -> Run:
    """A run folder with relaxed structures and energies (eV/atom), converged where `statuses` says nothing else."""
    config = resolve({"formula": formula, "num": max(1, len(found)), "out": str(folder), **words})
    write_atomic(folder / "config.toml", to_toml(config, {}))
    journal = Journal(folder)
    for index, (atoms, energy) in enumerate(found):
        status = statuses[index] if index < len(statuses) else Status.CONVERGED
        relaxation = Relaxation(atoms, status, energy=energy * len(atoms), pressure_gpa=config.pressure_gpa)
        journal.append(Record(Candidate(config.target.name, "random", index, atoms), relaxation, number=index))
    journal.close()
    return load_run(folder)


@pytest.fixture
def parent(tmp_path: Path) -> str:
    """A tiny checkpoint that has learned nothing."""
    torch.manual_seed(1)
    save_checkpoint(new_model("unimat-sparse", TINY), tmp_path / "parent", {"hours": 1}, compositions={"NaCl"})
    return str(tmp_path / "parent")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "run", [(RUTILE, -9.0), (ANATASE, -8.9)])


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_weights_are_boltzmanns_and_compositions_count_alike() -> None:
    heights = {"TiO2": [0.0, 0.05, 0.1], "NaCl": [0.3], "MgO": [-1.0, -1.0]}
    lessons = [Lesson(RUTILE, h, (name, 0.0, "toy")) for name, all_of in heights.items() for h in all_of]
    weights = lesson_weights(lessons, 0.05)
    assert weights[1] / weights[0] == pytest.approx(math.exp(-1))
    assert weights[2] / weights[0] == pytest.approx(math.exp(-2))
    assert weights[3] == pytest.approx(1 / 3)
    assert weights[4] == pytest.approx(weights[5]) == pytest.approx(1 / 6)
    assert weights.sum() == pytest.approx(1)
    assert lesson_weights(lessons, 1e-9) == pytest.approx([1 / 3, 0, 0, 1 / 3, 1 / 6, 1 / 6])


@pytest.mark.parametrize("count", [1, 10, 999])
def test_rows_are_drawn_as_often_as_they_weigh(count: int) -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        weights = rng.dirichlet(np.full(7, 0.3))
        drawn = np.bincount(draw_rows(weights, count, rng), minlength=7)
        assert drawn.sum() == count
        assert (np.abs(drawn - count * weights) < 1 + 1e-9).all()


def test_lessons_are_distinct_believable_minima_also_over_several_runs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    again = [(relaxed_again(RUTILE, rng), -9.0 + 0.0002 * n) for n in range(4)]
    bad = [(KNOWN["wurtzite"], -20.0), (KNOWN["wurtzite"], -20.0)]
    first = make_run(
        tmp_path / "1", [*again, *bad], "TiO2", [Status.CONVERGED] * 4 + [Status.SUSPICIOUS, Status.MAX_STEPS]
    )
    second = make_run(tmp_path / "2", [(ANATASE, -8.9), (relaxed_again(RUTILE, rng), -8.9995)], "O2Ti", seed=1)
    squeezed = make_run(tmp_path / "3", [(RUTILE, -9.0)], pressure_gpa=10)
    elsewhere = make_run(tmp_path / "4", [(RUTILE, -7.0)], relaxer="other:Potential")
    lessons = find_lessons([first, second, squeezed, elsewhere])
    assert Counter(lesson.group for lesson in lessons) == {
        ("O2Ti", 0.0, "chgnet []"): 2,
        ("O2Ti", 10.0, "chgnet []"): 1,
        ("O2Ti", 0.0, "other:Potential []"): 1,
    }
    assert [round(lesson.enthalpy, 4) for lesson in lessons][:2] == [-9.0, -8.9]


def test_what_lies_low_is_drawn_more_often(parent: str, tmp_path: Path) -> None:
    """Rutile when rutile is low, anatase when anatase is: the energies alone differ."""
    settings = LearnSettings(draws=2000, batch=32, learning_rate=4e-3)
    before = shares_drawn(Path(parent))
    assert max(before) < 0.05
    for low, energies in enumerate(((-9.0, -8.85), (-8.85, -9.0))):
        run = make_run(tmp_path / f"run-{low}", list(zip((RUTILE, ANATASE), energies, strict=True)))
        report = fine_tune([run], parent, tmp_path / f"new-{low}", 0, settings)
        assert (report.structures, report.compositions, report.refused, report.steps) == (2, 1, 0, 63)
        assert report.complete
        assert report.loss_after < 0.5 * report.loss_before
        after = shares_drawn(tmp_path / f"new-{low}")
        assert after[low] > 0.4
        assert after[low] > 2 * after[1 - low]


def shares_drawn(checkpoint: Path) -> list[float]:
    """Of 60 draws of Ti2O4: those that are rutile, and those that are anatase."""
    rng = np.random.default_rng(3)
    drawn = load_generator(checkpoint).draw([{"Ti": 2, "O": 4}] * 60, range(60), rng, {}, lambda a: (a, False), 0)
    samples = primitive_cells([draw.atoms for draw in drawn])
    references = primitive_cells([RUTILE, ANATASE])
    return [float(np.isfinite(match_distances([samples], [reference])).mean()) for reference in references]


def test_the_shipped_checkpoint_learns_without_forgetting_others(tmp_path: Path) -> None:
    """With the settings that a campaign takes: the loss on TiO2 falls by more than a tenth, on twenty
    others it stays within a twentieth."""
    run = make_run(tmp_path / "run", [(ANATASE, -9.0)])
    report = fine_tune([run], "", tmp_path / "new", 0)
    assert report.loss_after < 0.9 * report.loss_before
    others = [atoms for name, atoms in KNOWN.items() if name != "rutile"]
    losses = []
    for folder in (DEFAULT, tmp_path / "new"):
        model, _ = load_checkpoint(folder)
        arrays, _ = model.prepare(others * 8, [math.nan] * 160)
        losses.append(held_out_loss(model, arrays, TrainSettings(batch=64), "cpu")["loss"])
    assert losses[1] < 1.05 * losses[0]
    before, after = training_compositions(), training_compositions(tmp_path / "new")
    assert before is not None
    assert after == before | {"TiO2"}


def test_the_same_call_gives_the_same_bytes_whatever_happened_before(parent: str, run: Run, tmp_path: Path) -> None:
    made: list[dict[str, bytes]] = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        torch.manual_seed(len(made))
        np.random.seed(len(made))
        fine_tune([run], parent, tmp_path / name, seed, QUICK)
        made.append(content(tmp_path / name))
    assert sorted(made[0]) == ["compositions.txt.gz", "model.json", "model.safetensors"]
    assert made[0] == made[1]
    assert made[0]["model.safetensors"] != made[2]["model.safetensors"]


def test_the_card_says_what_it_was_made_from(parent: str, run: Run, tmp_path: Path) -> None:
    large = Atoms("TiO2" * 20, scaled_positions=np.random.default_rng(0).random((60, 3)), cell=[9, 10, 11], pbc=True)
    other = make_run(tmp_path / "other", [(large, -8.0)])
    report = fine_tune([run, other], parent, tmp_path / "new", 5, QUICK)
    assert report.refused == 1
    card = load_checkpoint(tmp_path / "new")[1]
    assert card["parent"] == {"checkpoint": parent, "card": {"hours": 1}}
    assert card["learning"]["runs"] == [str(run.path), str(other.path)]
    assert (card["learning"]["structures"], card["learning"]["temperature"], card["learning"]["seed"]) == (2, 0.05, 5)
    assert training_compositions(tmp_path / "new") == {"NaCl", "TiO2"}
    assert report.words.startswith("learned from 2 minima of 1 compositions in 4 steps: loss ")


def test_a_parent_that_does_not_say_what_it_saw_gives_a_child_that_does_not(run: Run, tmp_path: Path) -> None:
    torch.manual_seed(1)
    save_checkpoint(new_model("unimat-sparse", TINY), tmp_path / "old", {})
    fine_tune([run], str(tmp_path / "old"), tmp_path / "new", 0, QUICK)
    assert training_compositions(tmp_path / "new") is None


def test_what_is_there_already_is_not_done_again(parent: str, run: Run, tmp_path: Path) -> None:
    first = fine_tune([run], parent, tmp_path / "new", 0, QUICK)
    before = content(tmp_path / "new")
    assert fine_tune([], "nowhere", tmp_path / "new", 1, QUICK) == first
    assert content(tmp_path / "new") == before
    with pytest.raises(InputError, match="was not fine-tuned on searches"):
        fine_tune([run], parent, Path(parent), 0)


def test_out_of_time_it_says_so(parent: str, run: Run, tmp_path: Path) -> None:
    report = fine_tune([run], parent, tmp_path / "new", 0, LearnSettings(draws=64, batch=16, max_seconds=1e-9))
    assert (report.steps, report.complete) == (1, False)
    assert report.words.endswith("cut short by max_seconds")


@pytest.mark.parametrize("found", [[], [(RUTILE, -9.0)]])
def test_nothing_to_learn_from(found: Found, parent: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", found, statuses=[Status.MAX_STEPS])
    with pytest.raises(InputError, match="nothing to learn from: 1 searches") as error:
        fine_tune([run], parent, tmp_path / "new", 0)
    assert "\n" not in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parent", "run"]


def test_a_model_that_cannot_take_any_of_it(parent: str, tmp_path: Path) -> None:
    heavy = KNOWN["copper"]
    heavy.numbers[:] = 95
    run = make_run(tmp_path / "run", [(heavy, -3.0)], "Am")
    with pytest.raises(InputError, match="none fits the model: an element beyond 94"):
        fine_tune([run], parent, tmp_path / "new", 0)


def test_a_folder_that_cannot_be_written(parent: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        fine_tune([run], parent, tmp_path / "file" / "new", 0, QUICK)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("not yours")
    with pytest.raises(StorageError, match="cannot be written"):
        fine_tune([run], parent, tmp_path / "mine", 0, QUICK)
    assert content(tmp_path / "mine") == {"notes.txt": b"not yours"}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", ["temperature", "draws", "most_draws", "batch", "learning_rate", "max_seconds"])
def test_settings_that_cannot_be_used(name: str) -> None:
    values: Mapping[str, Any] = {name: 0}
    with pytest.raises(InputError, match=f"{name}: 0 is not above zero"):
        LearnSettings(**values)


def test_killed_it_leaves_no_checkpoint_and_is_done_again_the_same(parent: str, run: Run, tmp_path: Path) -> None:
    """Killed when the weights are written and what describes them is not."""
    script = f"""
import os, signal
from pathlib import Path
from xtalseek import learning
from xtalseek.proposals.unimat import checkpoint
from xtalseek.search.store import load_run

write = checkpoint.write_atomic

def write_and_die(path, content):
    write(path, content)
    if path.name == "model.safetensors":
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint.write_atomic = write_and_die
settings = learning.LearnSettings(draws=64, batch=16, learning_rate=1e-3)
learning.fine_tune([load_run({str(run.path)!r})], {parent!r}, Path({str(tmp_path / "new")!r}), 5, settings)
"""
    done = subprocess.run([sys.executable, "-c", script], env=environment(), timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "new").exists()
    fine_tune([run], parent, tmp_path / "new", 5, QUICK)
    fine_tune([run], parent, tmp_path / "undisturbed", 5, QUICK)
    assert content(tmp_path / "new") == content(tmp_path / "undisturbed")
