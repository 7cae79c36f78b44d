"""A stranger's file brings about no code, no file outside its folder, and no script in a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator

from xtalseek.analysis import write_best, write_report
from xtalseek.cli import main
from xtalseek.errors import InputError
from xtalseek.formats import Frame, energy_of, safe_name
from xtalseek.hull import hull_of_run
from xtalseek.records import Candidate, Record, Relaxation, Status
from xtalseek.relax.trust import require_typed
from xtalseek.search.config import resolve
from xtalseek.search.store import Journal, load_run
from xtalseek.structure_files import write_structures

TRAP = "import pathlib\npathlib.Path('sprung').touch()\nfrom ase.calculators.emt import EMT as Trap\n"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in with a module that leaves a file behind when it is imported."""
    (tmp_path / "stranger").mkdir()
    (tmp_path / "stranger" / "__init__.py").write_text(TRAP)
    (tmp_path / "stranger" / "code.py").write_text(TRAP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def run_of(folder: Path, relaxer: str, *, target: str = "CuAu", source: str = "random", message: str = "") -> Path:
    """A stranger's run folder."""
    atoms = bulk("Cu", "fcc", 3.9, cubic=True)
    atoms.symbols = "Cu2Au2"
    run = folder / "run"
    run.mkdir()
    listed = json.dumps([source if source.isprintable() else "random"])
    (run / "config.toml").write_text(f'formula = "CuAu"\nnum = 3\nrelaxer = "{relaxer}"\nsource = {listed}\n')
    journal = Journal(run)
    journal.append(Record(Candidate(target, source, 0, atoms), Relaxation(atoms, Status.CONVERGED, energy=-9.0)))
    failed = Relaxation(None, Status.ERROR, message)
    journal.append(Record(Candidate(target, source, 1, None, note=message), failed, number=1))
    journal.close()
    return run


@pytest.mark.parametrize(
    ("relaxer", "options", "typed", "allowed"),
    [
        ("chgnet", {"weights": "0.2.0", "device": "cpu"}, (), True),
        ("lj", {"sigma": 2.0}, (), True),
        ("sevennet", {}, (), True),
        ("sevennet", {"repulsion": True}, (), True),
        ("os:system", {}, (), False),
        ("os:system", {}, ("relaxer_options",), False),
        ("os:system", {}, ("relaxer",), True),
        ("os:system", {"command": "x"}, ("relaxer",), False),
        ("os:system", {"command": "x"}, ("relaxer", "relaxer_options"), True),
        *((name, {"model": "/tmp/x.pt"}, (), False) for name in ("mace", "sevennet", "mattersim", "matgl", "orb")),
        ("mace", {"model": "x.pt"}, ("relaxer",), False),
        ("mace", {"model": "x.pt"}, ("relaxer_options",), True),
        ("torch-sim", {"wrapper": "os:system"}, (), False),
        ("plugged-in", {"files": ["x"]}, (), False),
    ],
)
def test_what_a_file_alone_may_ask_for(
    relaxer: str, options: dict[str, object], typed: tuple[str, ...], allowed: bool
) -> None:
    if allowed:
        require_typed(relaxer, options, typed, "c.toml")
        return
    with pytest.raises(InputError, match=r"'c\.toml' asks for relaxer .* type --relaxer") as told:
        require_typed(relaxer, options, typed, "c.toml")
    assert "\n" not in str(told.value)


def test_a_config_file_brings_no_code_of_its_own(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (there / "c.toml").write_text('formula = "Cu"\nnum = 1\nrelaxer = "stranger.code:Trap"\nout = "r"\nmax_steps = 2\n')
    assert main(["search", "--config", "c.toml"]) == 2
    assert "--relaxer stranger.code:Trap" in capsys.readouterr().err
    assert not (there / "sprung").exists()
    assert not (there / "r").exists()
    assert main(["search", "--config", "c.toml", "--relaxer", "stranger.code:Trap"]) == 0
    assert (there / "sprung").exists()  # the trap works where it is asked for


@pytest.mark.slow
def test_run_folders_are_read_without_importing_what_they_name(there: Path) -> None:
    """The hull needs the potential, and says so; what only reads does not."""
    run = str(run_of(there, "stranger.code:Trap"))
    for words in (["status", run], ["rank", run], ["report", run], ["compare", run], ["export", run, "--out", "e.res"]):
        assert main(words) == 0, words
    assert main(["hull", "Cu-Au", run, "--cache", "cache"]) == 2
    assert main(["report", run, "--hull"]) == 2
    with pytest.raises(InputError, match="asks for relaxer"):
        hull_of_run(run)
    assert not (there / "sprung").exists()
    assert main(["hull", "Cu-Au", run, "--cache", "cache", "--relaxer", "stranger.code:Trap"]) == 0


NAMES = ("../../x", "/etc/x", "..", ".", "", "a/b", "a\x00b", "x" * 5000, "-rf", "a\nb", "~", "é", "<b>")


@pytest.mark.parametrize("name", NAMES)
def test_names_make_files_in_their_folder_only(tmp_path: Path, name: str) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    made = safe_name(name)
    assert (inner / made).parent == inner
    assert len(f"00-{made}.cif".encode()) < 255
    run = run_of(inner, "emt", target=name or "x", source=name or "x")
    write_best(load_run(run))
    frames = [Frame(name, bulk("Cu")), Frame(name.upper(), bulk("Au"))]
    write_structures(inner / "out", frames, "cif")
    assert len(list((inner / "out").iterdir())) == 2
    ours = {run, inner / "out"}
    assert [p for p in tmp_path.rglob("*") if p.is_file() and ours.isdisjoint(p.parents)] == []


@pytest.mark.parametrize("name", ["..", "../../x.cell", "/etc/x.cell", "a b.cell", "x" * 400 + ".cell"])
def test_a_seeds_name_stays_a_name(name: str) -> None:
    config = resolve({"formula": "Si", "seed_file": name, "seed_text": "#SPECIES=Si%NUM=2\n#VARVOL=40\n"})
    assert Path(config.out).parent == Path("runs")
    assert Path(config.out).name not in ("..", ".", "")


def test_links_are_replaced_not_followed(tmp_path: Path) -> None:
    """A stranger's run folder may hold links to files of the user's."""
    run = run_of(tmp_path, "emt")
    (tmp_path / "precious").write_text("mine")
    (run / "report.html").symlink_to(tmp_path / "precious")
    (run / "best").mkdir()
    (run / "best" / "01-CuAu-random-000000.cif").symlink_to(tmp_path / "precious")
    write_report(load_run(run))
    write_best(load_run(run))
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_page_holds_no_script_of_a_strangers(tmp_path: Path) -> None:
    """In names, sources, messages and settings; the page's own scripts are known by what they begin with."""
    script = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    run = run_of(tmp_path, "emt", target=script, source=script, message=script + "</pre>")
    with (run / "config.toml").open("a") as file:
        file.write(f'[source_options]\n"{script}" = "{script}"\n[provenance]\ncommand = "{script}"\n')
    page = write_report(load_run(run)).read_text(encoding="utf-8")
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_a_calculator_that_a_file_brought_is_never_run() -> None:
    """ASE gives a structure from a CASTEP .cell one that starts castep when it is asked for the energy."""

    class Trap(Calculator):
        implemented_properties = ["energy"]  # noqa: RUF012

        def calculation_required(self, atoms: object, properties: object) -> bool:
            return False

        def calculate(self, *args: object, **words: object) -> None:
            raise AssertionError("it was run")

    atoms = bulk("Cu")
    atoms.calc = Trap()
    assert energy_of(atoms) is None
