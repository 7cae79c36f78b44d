"""Quantum ESPRESSO: units, pseudopotentials, what its output means; the program itself where it is installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ase.build import bulk
from ase.units import Ry

from xtalseek.errors import InputError
from xtalseek.records import Status
from xtalseek.relax.dft.contract import EngineOptions, Job
from xtalseek.relax.dft.espresso import EspressoEngine, input_words, read_head, smearing_term
from xtalseek.relax.dft.levels import LEVELS
from xtalseek.relax.dft.relaxation import DftSettings, relax_with_dft

UPF_2 = """<UPF version="2.0.1">
<PP_HEADER element="{element}" pseudo_type="{kind}" relativistic="{relativity}" functional="{functional}"
 wfc_cutoff="4.0E+001" z_valence="4.0"/>
</UPF>
"""
UPF_1 = """<PP_HEADER>
   0                   Version Number
  Si                   Element
   NC                  Norm - Conserving pseudopotential
    F                  Nonlinear Core Correction
 SLA  PW   PBX  PBC    PBE  Exchange-Correlation functional
    4.00000000000      Z valence
   -7.48292757640      Total energy
  20.0000000  0.0000000 Suggested cutoff for wfc and rho
</PP_HEADER>
"""
DEBIAN = Path("/usr/share/espresso/pseudo/Si.pbe-nl-rrkjus_psl.1.0.0.UPF")


def upf(element: str = "Si", kind: str = "US", relativity: str = "scalar", functional: str = "PBE") -> str:
    return UPF_2.format(element=element, kind=kind, relativity=relativity, functional=functional)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EspressoEngine:
    """With a pw.x that says nothing, and an empty folder of pseudopotentials."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "pw.x"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    (tmp_path / "upf").mkdir()
    return EspressoEngine(EngineOptions(tmp_path / "upf"))


def test_the_namelists_are_in_rydberg(tmp_path: Path) -> None:
    job = Job(LEVELS["quick"], 450.0, (4, 4, 4), tmp_path / "log", tmp_path)
    soft = input_words(job, n_atoms=2, norm_conserving=True)["system"]
    assert soft["ecutwfc"] * Ry == pytest.approx(450.0)
    assert soft["ecutwfc"] == pytest.approx(33.07, abs=0.01)
    assert soft["ecutrho"] == 4 * soft["ecutwfc"]
    assert soft["degauss"] * Ry == pytest.approx(0.1)
    assert input_words(job, n_atoms=2, norm_conserving=False)["system"]["ecutrho"] == 8 * soft["ecutwfc"]


def test_the_smearing_term_is_the_last_one_in_ev() -> None:
    text = "     smearing contrib. (-TS)   =      -0.00200000 Ry\n     smearing contrib. (-TS)   =  -0.00100000 Ry\n"
    assert smearing_term(text) == pytest.approx(-0.001 * 13.605693, rel=1e-6)
    assert smearing_term("") == 0.0


def test_both_versions_of_upf_are_read(tmp_path: Path) -> None:
    (tmp_path / "Si.1.UPF").write_text(UPF_1)
    (tmp_path / "Si.2.UPF").write_text(upf())
    old, new = read_head(tmp_path / "Si.1.UPF"), read_head(tmp_path / "Si.2.UPF")
    assert (old.element, old.is_pbe, old.norm_conserving, old.relativity) == ("Si", True, True, "scalar")
    assert (new.element, new.is_pbe, new.norm_conserving, new.relativity) == ("Si", True, False, "scalar")
    assert (old.cutoff, new.cutoff) == (pytest.approx(20 * Ry), pytest.approx(40 * Ry))
    assert old.digest != new.digest


def test_the_one_pbe_file_of_an_element_is_taken(engine: EspressoEngine, tmp_path: Path) -> None:
    folder = tmp_path / "upf"
    (folder / "Si.pbe.UPF").write_text(upf())
    (folder / "Si.pz.UPF").write_text(upf(functional=" SLA  PZ   NOGX NOGC"))
    (folder / "Si.rel-pbe.UPF").write_text(upf(relativity="full"))
    (folder / "S.pbe.UPF").write_text(upf(element="S"))
    (folder / "si_other.upf").write_text(upf(element="S"))
    used = engine.settings(["Si", "S"])["pseudopotentials"]
    assert used["Si"].startswith("Si.pbe.UPF ")
    assert used["S"].startswith("S.pbe.UPF ")
    assert engine.advice(["Si"], 600.0) is None
    assert "Si.pbe.UPF was made for 544 eV" in str(engine.advice(["Si"], 450.0))


def test_none_and_several_are_told(engine: EspressoEngine, tmp_path: Path) -> None:
    folder = tmp_path / "upf"
    with pytest.raises(InputError, match="no scalar-relativistic PBE pseudopotential for Mg in"):
        engine.settings(["Mg"])
    (folder / "Mg.pz.UPF").write_text(upf("Mg", functional="PZ"))
    with pytest.raises(InputError, match=r"not usable: Mg.pz.UPF \(PZ\)"):
        engine.settings(["Mg"])
    (folder / "Si.a.UPF").write_text(upf())
    (folder / "Si.b.UPF").write_text(upf())
    with pytest.raises(InputError, match=r"several pseudopotentials for Si .*: keep one of Si.a.UPF, Si.b.UPF"):
        engine.settings(["Si"])
    (folder / "Na.UPF").write_text("nonsense")
    with pytest.raises(InputError, match=r"'Na.UPF' in .* is not a UPF pseudopotential"):
        engine.settings(["Na"])


@pytest.mark.usefixtures("engine")
def test_the_folder_and_the_launcher_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--pseudopotentials FOLDER"):
        EspressoEngine()
    with pytest.raises(InputError, match="is not a folder"):
        EspressoEngine(EngineOptions(tmp_path / "absent"))
    with pytest.raises(InputError, match="needs no-such-mpirun, which is not installed: give another --launcher"):
        EspressoEngine(EngineOptions(tmp_path, ["no-such-mpirun", "-n", "2"]))


def test_an_output_that_says_so_is_unconverged(engine: EspressoEngine, tmp_path: Path) -> None:
    (tmp_path / "upf" / "Si.pbe.UPF").write_text(upf())
    program = tmp_path / "bin" / "pw.x"
    program.write_text("#!/bin/sh\necho '     convergence NOT achieved after 150 iterations: stopping'\nexit 3\n")
    settings = DftSettings(LEVELS["quick"], static=True)
    ended = relax_with_dft(bulk("Si"), engine, settings, tmp_path / "log.txt")
    assert ended.status is Status.SCF
    assert "NOT achieved" in (tmp_path / "log.txt").read_text()
    program.write_text("#!/bin/sh\necho 'Error in routine readpp'\nexit 1\n")
    assert relax_with_dft(bulk("Si"), engine, settings, tmp_path / "log.txt").status is Status.ERROR


def test_silicon_by_quantum_espresso(tmp_path: Path) -> None:
    if shutil.which("pw.x") is None or not DEBIAN.is_file():
        pytest.skip("Quantum ESPRESSO is not installed: apt-get install quantum-espresso (docs/dft.md)")
    shutil.copy(DEBIAN, tmp_path)
    coarse = DftSettings(LEVELS["quick"], cutoff=200.0, static=True)
    ended = relax_with_dft(bulk("Si", a=5.43), EspressoEngine(EngineOptions(tmp_path)), coarse, tmp_path / "log.txt")
    assert ended.status is Status.CONVERGED, ended.message
    assert ended.energy is not None
    # -9.8217 Ry is the pseudo-atom's energy in the file's head; cohesion makes the crystal's 5 to 6 eV/atom lower.
    assert ended.energy / 2 + 9.821689972517 * Ry == pytest.approx(-5.4, abs=1.0)
    assert "Program PWSCF" in (tmp_path / "log.txt").read_text()
