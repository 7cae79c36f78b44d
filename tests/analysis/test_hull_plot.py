"""The table and the plots of a hull that was made by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from xtalseek.analysis.hull_plot import hull_drawing, hull_figure, hull_image
from xtalseek.analysis.hull_table import Entry, Hull, hull_of
from xtalseek.errors import InputError

ELEMENTS = ("Sr", "Ti", "O", "N", "F")


def entry(formula: str, height: float, source: str = "random", name: str = "") -> Entry:
    """Where atoms lie does not matter here."""
    atoms = Atoms(formula, cell=[5, 5, 5], pbc=True)
    atoms.positions = np.random.default_rng(len(atoms)).random((len(atoms), 3)) * 5
    return Entry(name or f"{formula}-{source}", source, "RUN", atoms, height, times_found=3)


def hull(number: int) -> Hull:
    """Elements at 0; with three of them SrO, TiO2 and SrTiO3 are stable, and a second SrTiO3 is not."""
    elements = ELEMENTS[:number]
    entries = [entry(symbol, 0.0, "reference") for symbol in elements] + [entry("SrTi", 0.3), entry("SrTi2", -0.1)]
    if number > 2:
        entries += [entry("SrO", -3.0, "reference"), entry("TiO2", -3.2), entry("SrTiO3", -3.4)]
        entries += [entry("Sr2Ti2O6", -3.35, name="<higher>")]
    return hull_of(entries, elements, "All enthalpies by hand")


def test_rows_and_table() -> None:
    made = hull(3)
    rows = {row.name: row for row in made.rows}
    best, higher = rows["SrTiO3-random"], rows["<higher>"]
    assert (best.formula, higher.formula) == ("SrTiO3", "SrTiO3")
    assert (best.above_hull, best.lowest, higher.lowest) == (0.0, True, False)
    assert higher.above_hull == pytest.approx(0.05)
    # SrTiO3 -> SrO + TiO2: 2/5 of -3.0 and 3/5 of -3.2.
    assert best.decomposition == pytest.approx(-3.4 + 0.4 * 3.0 + 0.6 * 3.2)
    assert set(best.products) == {"SrO", "TiO2"}
    text = made.lines()
    assert sum("SrTiO3" in line for line in text) == 1
    assert any(line.startswith("... and 1 higher") for line in text)
    assert [row.formula for row in made.rows[:3]] == ["Sr", "Ti", "O"]
    assert json.loads(json.dumps(made.to_json()))["phases"][0]["formula"] == "Sr"
    assert ("SrO-reference", "SrTiO3-random") in made.ties


def test_binary_plots_show_every_phase_and_the_hull() -> None:
    made = hull(2)
    figure = hull_figure(made)
    points = [(x, y) for trace in figure.data if trace.mode == "markers" for x, y in zip(trace.x, trace.y, strict=True)]
    expected = [(row.composition.get("Ti", 0) / sum(row.composition.values()), row.formation) for row in made.rows]
    np.testing.assert_allclose(sorted(points), sorted(expected))
    (line,) = [trace for trace in figure.data if trace.mode == "lines"]
    np.testing.assert_allclose(line.x, [0, 2 / 3, 1])
    np.testing.assert_allclose(line.y, [0, -0.1, 0], atol=1e-12)
    assert hull_drawing(made).axes[0].get_xlabel() == "fraction of Ti"


@pytest.mark.parametrize("number", [3, 4])
def test_triangle_and_tetrahedron(number: int) -> None:
    made = hull(number)
    figure = hull_figure(made)
    (points,) = [trace for trace in figure.data if trace.name == "phases"]
    assert len(points.x) == len(made.rows)
    places = dict(zip([text.split(",")[0] for text in points.text], zip(points.x, points.y, strict=True), strict=True))
    # A phase lies where its elements, as weights at their corners, balance.
    np.testing.assert_allclose(places["SrO"], (np.array(places["Sr"]) + places["O"]) / 2, atol=1e-12)
    assert "&lt;higher&gt;" in "".join(points.text) and "<higher>" not in "".join(points.text)
    (lines,) = [trace for trace in figure.data if trace.mode == "lines"]
    assert sum(x is None for x in lines.x) == len(made.ties)


@pytest.mark.parametrize(("format", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("html", b"<!doctype html>")])
def test_files(format: str, start: bytes) -> None:
    for number in (2, 3, 4):
        image = hull_image(hull(number), format)
        assert image.startswith(start)
        assert len(image) > 5_000


def test_five_elements_are_a_table_without_a_plot() -> None:
    made = hull(5)
    assert len(made.lines()) > 5
    with pytest.raises(InputError, match="5 elements"):
        hull_figure(made)


def test_unstable_elements_are_no_reference() -> None:
    entries = [Entry(f"Cu-{n}", "random", "RUN", bulk("Cu"), height) for n, height in enumerate((-3.0, -3.5))]
    made = hull_of(entries, ("Cu",), "by hand")
    assert [(row.name, row.above_hull) for row in made.rows] == [("Cu-1", 0.0), ("Cu-0", pytest.approx(0.5))]
