"""`xtalseek doctor`: what it says of this installation, and of installations that are broken in known ways."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections import namedtuple
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from xtalseek import doctor, doctor_checks, doctor_potentials
from xtalseek.cli import main
from xtalseek.doctor import row, run_doctor
from xtalseek.doctor_checks import (
    Finding,
    check_checkpoint,
    check_disk,
    check_mpi,
    check_packages,
    check_threads,
    cpu_quota,
)
from xtalseek.doctor_potentials import check_potential
from xtalseek.proposals.unimat import checkpoint
from xtalseek.relax.potentials import potentials

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def only_quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("packages", "mpi", "gpu", "checkpoint"):
        monkeypatch.setattr(doctor, f"check_{name}", lambda name=name: Finding(name, "ok", "as it should be"))
    monkeypatch.setattr(doctor, "names_of_potentials", lambda: ["emt"])


def launcher(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python with an mpirun beside it that does what `script` says."""
    for name, text in (("python", f'exec {sys.executable} "$@"'), ("mpirun", script)):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.usefixtures("needs_mpirun")
def test_this_installation_is_whole_and_nothing_is_left_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--out", "runs/new", "--json"]) == 0
    findings = [Finding(**found) for found in json.loads(capsys.readouterr().out)]
    by_name = {found.name: found for found in findings}
    assert {f"potential {name}" for name in potentials.names()} < by_name.keys()
    for name in ("packages", "MPI", "potential chgnet", "potential emt", "potential lj", "potential morse"):
        assert by_name[name].ok in ("ok", "warning"), by_name[name]
    assert "force call" in by_name["potential chgnet"].what
    assert "compositions" in by_name["UniMat checkpoint"].what
    assert all(len(line) <= 80 for found in findings for line in row(found).splitlines())
    assert all(found.mend for found in findings if found.ok in ("warning", "broken"))
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("only_quick_checks")
def test_a_check_that_fails_stops_no_other_and_the_exit_status_tells(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> Finding:
        raise RuntimeError("libtorch.so: wrong\nELF class")

    monkeypatch.setattr(doctor, "check_gpu", fails)
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    assert ended.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    (place,) = (n for n, line in enumerate(lines) if line.startswith("GPU"))
    assert "broken" in lines[place]
    assert "RuntimeError: libtorch.so: wrong ELF class" in lines[place]
    assert lines[place + 1].startswith("    -> install xtalseek")
    assert any(line.startswith("DFT espresso") for line in lines)
    assert lines[-1].startswith("1 broken")


@pytest.mark.usefixtures("only_quick_checks")
def test_what_is_optional_and_not_there_is_not_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "check_mpi", lambda: Finding("MPI", "absent", "none", "pip install"))
    told: list[str] = []
    assert run_doctor(Path(), False, told.append)
    assert told[-1].startswith(("nothing is broken", "0 broken"))


@pytest.mark.parametrize(
    ("given", "cores", "quota", "ok", "told"),
    [
        (None, 8, None, "ok", "8 cores, shared among the ranks"),
        ("1", 1, None, "ok", "1 core; OMP_NUM_THREADS=1"),
        ("4", 8, None, "ok", "ten times slower"),
        ("16", 8, None, "warning", "unset OMP_NUM_THREADS"),
        ("many", 8, None, "warning", "is no number"),
        (None, 64, 2.0, "warning", "at most 2 ranks"),
        ("1", 64, 2.0, "ok", "2 allowed to this container"),
    ],
)
def test_threads_are_measured_against_cores(
    given: str | None, cores: int, quota: float | None, ok: str, told: str
) -> None:
    found = check_threads(given, cores, quota)
    assert found.ok == ok
    assert told in f"{found.what} {found.mend}"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "what"}, None),
        ({}, None),
    ],
)
def test_a_container_s_share_of_the_cores_is_read(files: dict[str, str], quota: float | None, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cpu_quota(tmp_path) == quota


@pytest.mark.parametrize(
    ("script", "what", "mend"),
    [
        ('shift 2; "$@"; "$@"', "sees 1 each", "mpirun of mpi4py's own MPI"),
        ("echo There are not enough slots available; exit 1", "not enough slots", "--oversubscribe"),
        ("echo mpirun has detected an attempt to run as root; exit 1", "fails", "--allow-run-as-root"),
        ("exit 3", "exit status 3", "mpirun of mpi4py's own MPI"),
        ("sleep 60", "no answer in 1 s", "mpirun of mpi4py's own MPI"),
    ],
)
def test_a_launcher_that_does_not_work_is_broken(
    script: str, what: str, mend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher(tmp_path, script, monkeypatch)
    if "sleep" in script:
        monkeypatch.setattr(doctor_checks, "MPI_SECONDS", 1)
    begin = time.monotonic()
    found = check_mpi()
    assert found.ok == "broken"
    assert what in found.what
    assert mend in found.mend
    assert time.monotonic() - begin < 30


def test_no_launcher_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check_mpi().ok == "absent"


@pytest.mark.usefixtures("needs_mpirun")
def test_another_mpirun_on_the_path_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mpirun").write_text("#!/bin/sh\n")
    (tmp_path / "mpirun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = check_mpi()
    assert found.ok == "warning"
    assert str(tmp_path / "mpirun") in found.mend


def test_packages_that_miss_or_are_too_old_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=99.1", "not-there-at-all>=1", "ase>=3.24", 'mpich>=4.2; extra == "mpich"']
    monkeypatch.setattr(doctor_checks, "requires", lambda _: wanted)
    found = check_packages()
    assert found.ok == "broken"
    assert "not-there-at-all is not installed" in found.what
    assert "is too old" in found.what
    assert found.mend == "pip install 'numpy>=99.1' 'not-there-at-all>=1'"


def test_a_potential_without_its_package_is_told_with_its_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_potentials, "find_spec", lambda _: None)
    assert check_potential("orb") == Finding("potential orb", "absent", "not installed", "pip install 'xtalseek[orb]'")
    monkeypatch.setattr(doctor_potentials, "find_spec", lambda _: object())
    found = check_potential("orb")
    assert found.ok == "ok"
    assert "model=PATH" in found.what


def test_every_potential_of_ours_has_its_package_known() -> None:
    ours = set(potentials.paths())
    assert set(doctor_potentials._PACKAGE_OF) <= ours
    assert ours - set(doctor_potentials._PACKAGE_OF) >= {"chgnet", "emt", "lj", "morse"}


def test_a_slow_or_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_disk(tmp_path / "not" / "yet", seconds=0.2).ok in ("ok", "warning")
    assert not list(tmp_path.iterdir())
    with monkeypatch.context() as slow:
        clock = count(start=0.0, step=0.1)  # a tenth of a second goes by whenever it is looked at
        slow.setattr(doctor_checks, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
        slow.setattr(shutil, "disk_usage", lambda _: Usage(1e12, 0, 1e12))
        found = check_disk(tmp_path, seconds=0.3)
        assert found.ok == "warning"
        assert "slow" in found.mend
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1e12, 0, 5e8))
    assert "make room" in check_disk(tmp_path, seconds=0.1).mend
    (tmp_path / "file").write_text("")
    assert check_disk(tmp_path / "file").ok == "broken"


def test_a_checkpoint_that_does_not_load_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "DEFAULT", tmp_path)
    found = check_checkpoint()
    assert found.ok == "broken"
    assert found.mend == "install xtalseek again"


def test_potentials_that_are_not_installed_share_a_row_and_keep_a_finding_each(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = [Finding("Python", "ok", "3"), *(Finding(f"potential {name}", "absent", "not installed") for name in "ab")]
    monkeypatch.setattr(doctor, "examine", lambda out: iter([*found, Finding("GPU", "absent", "none")]))
    told: list[str] = []
    assert doctor.run_doctor(tmp_path, False, told.append)
    assert [text.split()[0] for text in told] == ["Python", "other", "GPU", "nothing"]
    assert "not installed: a, b" in told[1]
    told.clear()
    doctor.run_doctor(tmp_path, True, told.append)
    assert [entry["name"] for entry in json.loads(told[0])] == ["Python", "potential a", "potential b", "GPU"]
