"""A real Slurm: a search hits its time limit, submits itself again, and ends with every candidate once."""

from __future__ import annotations

import os
import re
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path

import pytest
from running import BIN, environment
from slurm import ask, missing, one_node_cluster

from xtalseek.mpi_jobs.submit_words import add_submit, words_passed_on
from xtalseek.search.store import load_run
from xtalseek.submit import run_submit

NUM = 140
CONFIG = f"""
formula = "NaCl"
num = {NUM}
formula_units = "1-2"
volume_per_atom = "10-14"
max_steps = 10
seed = 3
out = "it's a run"
"""
SLEEPY = """
import time
from toy_potentials import Pairs

class Sleepy(Pairs):
    def calculate(self, *arguments):
        time.sleep(0.2)
        super().calculate(*arguments)
"""


def submit(*words: str) -> str:
    own, passed = words_passed_on(words)
    parser = ArgumentParser()
    add_submit(parser)
    options = parser.parse_args(own)
    options.passed = passed
    return run_submit(options)


def wait_for_the_queue(cluster: Mapping[str, str], seconds: float) -> None:
    """Until no job waits or runs."""
    end = time.monotonic() + seconds
    while ask(cluster, "squeue", "--noheader"):
        assert time.monotonic() < end, ask(cluster, "squeue")
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.usefixtures("needs_mpirun")
@pytest.mark.skipif(missing() != "", reason=missing())
@pytest.mark.skipif(not (BIN / "xtalseek").exists(), reason="xtalseek is not installed in this environment")
def test_a_search_goes_on_over_several_jobs_until_it_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is 3 minutes, and Slurm sends USR1 40 to 70 s before it.

    A relaxation of 10 steps sleeps for 2 s, so that two ranks do fewer than NUM in a job on any machine.
    """
    (tmp_path / "nacl.toml").write_text(CONFIG)
    (tmp_path / "sleepy.py").write_text(SLEEPY)
    monkeypatch.chdir(tmp_path)
    with one_node_cluster(tmp_path / "cluster") as cluster:
        for name, value in {**environment(), **cluster}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        words = ("--scheduler", "slurm", "--time", "3", "--grace", "40", "--cores-per-node", "2", "--out", "job log")
        said = submit("nacl.toml", *words, "--", "--relaxer", "sleepy:Sleepy")
        assert re.search(r"^Submitted batch job 1$", said, re.MULTILINE)
        wait_for_the_queue(cluster, 900)
    outputs = [file.read_text() for file in sorted((tmp_path / "job log").glob("nacl-*.out"))]
    shown = "\n".join(outputs)
    assert len(outputs) >= 2, shown
    for number, output in enumerate(outputs[:-1], 1):
        assert "told to end soon (SIGUSR1)" in output, shown
        assert "ended (limit) with status 0" in output, shown
        assert output.rstrip().endswith(f"Submitted batch job {number + 1}"), shown
        assert "TIME LIMIT" not in output, shown
    assert "nothing is left to do" in outputs[-1], shown
    out = tmp_path / "it's a run"
    run = load_run(out)
    assert [record.number for record in run.records] == list(range(NUM))
    lines = sum(file.read_bytes().count(b"\n") for file in (out / "journal").glob("*.jsonl"))
    assert lines == NUM
    assert run.torn_lines == 0
    assert {record.rank for record in run.records} == {0, 1}
    assert (out / "report.html").is_file()
