"""The PNG files: written, of a readable size, and not blank."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from ase import Atoms
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Rectangle

from xtalseek.analysis import write_plots
from xtalseek.analysis.plots import convergence_figure, energy_volume_figure, status_figure, write_figures
from xtalseek.analysis.style import log_ticks, space_group_html, tick_text
from xtalseek.errors import InputError
from xtalseek.records import Record, Status
from xtalseek.search.store import Run

MakeRun = Callable[..., Run]
MakeRecord = Callable[..., Record]


def test_files(make_run: MakeRun, disguises: list[Record]) -> None:
    run = make_run(disguises)
    files = write_plots(run)
    assert files == [run.path / "plots" / name for name in ("convergence.png", "status.png", "energy-volume.png")]
    for file in files:
        image = imread(file)
        assert min(image.shape[:2]) > 200
        assert np.ptp(image[..., :3]) > 0.5


def test_figures_for_papers(make_run: MakeRun, disguises: list[Record], tmp_path: Path) -> None:
    run, hull = make_run(disguises), Figure()
    hull.subplots().plot([0, 1], [0, -1])
    files = write_figures(run, tmp_path / "figures", hull=hull)
    names = [f"{name}.{kind}" for name in ("convergence", "status", "energy-volume", "hull") for kind in ("png", "svg")]
    assert [file.name for file in files] == names and set(files) == set((tmp_path / "figures").iterdir())
    for file in files:
        if file.suffix == ".svg":
            assert ElementTree.fromstring(file.read_text(encoding="utf-8")).tag.endswith("svg")
        else:
            assert np.ptp(imread(file)[..., :3]) > 0.5
    assert len(write_figures(run, tmp_path / "without")) == 6
    in_the_way = tmp_path / "file"
    in_the_way.write_text("mine")
    with pytest.raises(InputError, match="cannot be written"):
        write_figures(run, in_the_way)


def test_empty_and_failed_runs_have_plots_that_say_so(
    make_run: MakeRun, make_record: MakeRecord, tmp_path: Path, rutile: Atoms
) -> None:
    run = make_run([make_record(0, rutile, None, Status.NAN)])
    assert all(file.is_file() for file in write_plots(run, tmp_path / "elsewhere"))
    assert "nothing has converged" in [text.get_text() for text in convergence_figure(run).axes[0].texts]
    write_plots(make_run([], folder="empty"))


def test_what_is_drawn(make_run: MakeRun, rutile: Atoms, disguises: list[Record]) -> None:
    run = make_run(disguises)
    panels = convergence_figure(run).axes
    assert [panel.get_xlabel() for panel in panels] == ["relaxations", "force calls", "seconds of all processes"]
    for panel in panels:  # the median over reorderings, and the curve as it went
        assert [np.asarray(line.get_ydata())[-1] for line in panel.lines] == [0, 0]
        assert len(panel.collections) == 1  # the band
    axes = status_figure(run).axes[0]
    widths = [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]
    bars = dict(zip([label.get_text() for label in axes.get_yticklabels()], widths, strict=True))
    assert bars == {"converged": 8, "max_steps": 1, "suspicious": 1}
    points = np.asarray(energy_volume_figure(run).axes[0].collections[0].get_offsets())
    assert points.shape == (8, 2) and points[:, 1].min() == 0
    assert points[:, 0].min() == pytest.approx(rutile.get_volume() / 6, rel=1e-6)


@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 8), (3, 60), (0.01, 5), (2, 200), (400, 1.3e6), (1, 1e9)])
def test_log_ticks_are_few_and_within(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert all(low <= tick <= high for tick in ticks) and len(ticks) <= 10
    assert ticks == sorted(ticks)
    assert [tick_text(t) for t in (0.01, 5, 3000, 2e6)] == ["0.01", "5", "3k", "2M"]


def test_space_groups_are_typeset_and_escaped() -> None:
    assert space_group_html("P6_3/mmc") == "P6<sub>3</sub>/mmc"
    assert '<span class="bar" aria-label="minus 3">3</span>m' in space_group_html("R-3m")
    assert "<script" not in space_group_html("<script>")
