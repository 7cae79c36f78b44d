"""`xtalseek completion`: each shell's script, asked as the shell itself would ask it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from xtalseek.cli import main
from xtalseek.completion import completion_script, known_verbs

ASK_BASH = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _xtalseek; printf "%s\\n" "${COMPREPLY[@]}"'


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("bash") / "xtalseek"
    file.write_text(completion_script("bash") + "\n")
    return file


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_bash_accepts_its_script(script: Path) -> None:
    run("bash", "-n", str(script))


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("xtalseek se", "search seed"),
        ("xtalseek search --for", "--force-tolerance --formula-units"),
        ("xtalseek search MgO --seed", "--seed --seed-file"),
        ("xtalseek --v", "--version"),
        ("xtalseek completion ", "bash zsh fish"),
        ("xtalseek submit run.toml --scheduler s", "slurm"),
        ("xtalseek export RUN --format = c", "cif"),
        ("xtalseek export RUN --format =", "cif res extxyz ase-db"),
        ("xtalseek search --pressure-gpa -", ""),
        ("xtalseek nothing --for", ""),
        ("xtalseek relax a", ""),
    ],
)
def test_bash_completes_verbs_options_and_choices(script: Path, line: str, answers: str) -> None:
    assert run("bash", "-c", ASK_BASH, "bash", str(script), *line.split(" ")).split() == answers.split()


def test_all_verbs_and_their_long_options_are_known(script: Path) -> None:
    verbs = run("bash", "-c", ASK_BASH, "bash", str(script), "xtalseek", "").split()
    assert verbs == [verb.name for verb in known_verbs()]
    assert {"search", "init", "doctor", "completion"} <= set(verbs)
    for verb in known_verbs()[:3]:
        found = run("bash", "-c", ASK_BASH, "bash", str(script), "xtalseek", verb.name, "--").split()
        assert set(found) == {name for word in verb.options for name in word.names if name.startswith("--")}


def test_files_are_told_from_other_values() -> None:
    (search,) = (verb for verb in known_verbs() if verb.name == "search")
    takes_file = {word.names[0]: word.takes_file for word in search.options}
    assert {name for name, takes in takes_file.items() if takes} == {"--config", "--seed-file", "--out"}
    assert all(
        any(word.takes_file for word in verb.places) for verb in known_verbs() if verb.name in ("rank", "relax", "hull")
    )


def test_fish_completes_where_it_is_installed(tmp_path: Path) -> None:
    text = completion_script("fish")
    assert "complete -c xtalseek -n __xtalseek_verb -a search" in text
    assert "-l formula-units -r -f" in text
    if (fish := shutil.which("fish")) is None:
        pytest.skip("no fish here: the script was only made")
    file = tmp_path / "xtalseek.fish"
    file.write_text(text)
    asked = f'source {file}; complete -C "xtalseek se"; complete -C "xtalseek search --for"'
    found = [line.split("\t")[0] for line in run(fish, "--no-config", "-c", asked).splitlines()]
    assert found == ["search", "seed", "--force-tolerance", "--formula-units"]


def test_zsh_accepts_its_script_where_it_is_installed(tmp_path: Path) -> None:
    text = completion_script("zsh")
    assert text.startswith("#compdef xtalseek\n")
    assert "'--formula-units[formula units in a cell (default\\: 1-4)]:1-4: '" in text
    if (zsh := shutil.which("zsh")) is None:
        pytest.skip("no zsh here: the script was only made")
    file = tmp_path / "_xtalseek"
    file.write_text(text)
    run(zsh, "-f", "-n", str(file))


def test_the_verb_prints_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    assert capsys.readouterr().out.endswith("complete -o default -F _xtalseek xtalseek\n")
    assert main(["completion", "csh"]) == 2
    assert "allowed are bash, fish, zsh" in capsys.readouterr().err
