"""The public interface: its list, its page, its docstrings and annotations, and what its functions do."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from running import ROOT, environment

import xtalseek
import xtalseek.testing
from xtalseek import api
from xtalseek.api_words import ProposeWords, RelaxWords, SearchWords
from xtalseek.command_words import SEARCH_WORDS, SETTING_WORDS, SOURCE_WORDS
from xtalseek.errors import InputError
from xtalseek.registry import Registry
from xtalseek.relax.contract import RelaxSettings

PAGE = (ROOT / "docs" / "api.md").read_text()
MORSE: dict[str, Any] = {"relaxer": "morse", "relaxer_options": {"r0": 2.1, "rho0": 4.0, "epsilon": 0.8}}


def names_on_the_page(section: str) -> list[str]:
    (text,) = re.findall(rf"## {section}\n(.*?)(?=\n## |\Z)", PAGE, flags=re.S)
    return re.findall(r"^\| `(\w+)`", text, flags=re.M)


@pytest.mark.parametrize(("module", "section"), [(api, "The names"), (xtalseek.testing, "Conformance tests")])
def test_the_list_is_that_of_the_page(module: Any, section: str) -> None:
    assert sorted(names_on_the_page(section)) == sorted(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


def is_annotated(call: Any) -> bool:
    signature = inspect.signature(call)
    given = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    empty = inspect.Signature.empty
    return signature.return_annotation is not empty and all(p.annotation is not empty for p in given)


@pytest.mark.parametrize("module", [api, xtalseek.testing])
def test_every_public_name_has_a_docstring_and_annotations(module: Any) -> None:
    for name in module.__all__:
        thing = getattr(module, name)
        if isinstance(thing, Registry):
            continue
        assert inspect.getdoc(thing), name
        if inspect.isfunction(thing):
            assert is_annotated(thing), name
        methods = inspect.getmembers(thing, inspect.isfunction) if inspect.isclass(thing) else []
        for called, method in methods:
            if method.__module__.startswith("xtalseek") and not called.startswith("_"):
                assert inspect.getdoc(method), f"{name}.{called}"
                assert is_annotated(method), f"{name}.{called}"


def test_the_typed_words_are_those_of_the_command_line() -> None:
    assert set(SearchWords.__annotations__) == set(SEARCH_WORDS)
    assert set(ProposeWords.__annotations__) == set(SOURCE_WORDS)
    assert set(RelaxWords.__annotations__) == set(SETTING_WORDS)
    assert set(RelaxWords.__annotations__) <= {field.name for field in fields(RelaxSettings)}


def test_importing_the_package_loads_nothing() -> None:
    code = (
        "import sys, xtalseek; assert xtalseek.__version__; "
        "assert not {'numpy', 'ase', 'torch', 'pymatgen', 'matplotlib'} & set(sys.modules); "
        "import xtalseek.search.store, xtalseek.relax; from xtalseek import api; "
        "assert callable(api.search) and 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_functions_are_there_by_the_package_s_name_too() -> None:
    functions = [name for name in api.__all__ if inspect.isfunction(getattr(api, name))]
    assert sorted(xtalseek.__all__) == sorted(functions)
    assert xtalseek.load_run is api.load_run and xtalseek.find_minima is api.find_minima
    with pytest.raises(AttributeError, match="no attribute 'surch'"):
        _ = UNTYPED_PACKAGE.surch


def test_search_and_relax_are_called_as_they_are_named_and_stay_packages(tmp_path: Path) -> None:
    code = (
        "import xtalseek; import xtalseek.search.config, xtalseek.relax.contract; "
        "from ase.build import bulk; "
        "(done,) = xtalseek.relax([bulk('Cu')], 'emt', max_steps=2); "
        "from xtalseek import search; search('Cu', num=1, relaxer='emt', max_steps=2, formula_units=1, out='run'); "
        "assert xtalseek.search is search and len(xtalseek.load_run('run').records) == 1; "
        "print(done.force_calls, search.config.__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == "xtalseek.search.config"


def test_the_page_s_python_runs_as_written(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    assert len(blocks) == 2
    code = "\n".join(blocks)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "MgO-random-" in done.stdout and "two atoms in one place" in done.stdout


def test_search_resumes_and_is_what_load_run_reads(tmp_path: Path) -> None:
    words: dict[str, Any] = {"formula_units": 1, "max_steps": 60, "out": str(tmp_path / "run"), **MORSE}
    first = api.search("MgO", num=2, **words)
    more = api.search("MgO", num=3, **words)
    assert [record.name for record in more.records] == [f"MgO-random-{n:06d}" for n in range(3)]
    energies = [record.relaxation.energy for record in api.load_run(tmp_path / "run").records]
    assert energies[:2] == [record.relaxation.energy for record in first.records]


def test_propose_draws_what_a_search_relaxes(tmp_path: Path) -> None:
    drawn = api.propose("MgO", num=2, formula_units=1, seed=4)
    run = api.search("MgO", num=2, formula_units=1, seed=4, max_steps=5, out=str(tmp_path / "run"), **MORSE)
    for candidate, record in zip(drawn, run.records, strict=True):
        assert candidate.atoms is not None and record.candidate.atoms is not None
        np.testing.assert_array_equal(candidate.atoms.positions, record.candidate.atoms.positions)


def test_relax_keeps_order_and_tells_of_what_it_cannot_relax() -> None:
    broken = bulk("MgO", "rocksalt", 4.2)
    broken.positions[0] = np.nan
    good, bad = api.relax([bulk("MgO", "rocksalt", 4.2), broken], pressure_gpa=2.0, **MORSE)
    assert (good.status, good.pressure_gpa) == (api.Status.CONVERGED, 2.0)
    assert bad.status is api.Status.NAN and bad.message


UNTYPED_PACKAGE: Any = xtalseek
UNTYPED: Any = api
"""As one calls it who runs no type checker; mypy refuses most of what follows."""


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: UNTYPED.search("MgO", max_step=3), "unknown word 'max_step'.*did you mean 'max_steps'"),
        (lambda: UNTYPED.search(), "formula: none given"),
        (lambda: UNTYPED.propose("MgO", relaxer="lj"), "unknown word 'relaxer'"),
        (lambda: UNTYPED.propose("MgO", num=0), "num: cannot use 0"),
        (lambda: UNTYPED.relax(bulk("Cu")), "give a list of ase.Atoms"),
        (lambda: UNTYPED.relax([bulk("Cu")], max_stepps=2), "did you mean 'max_steps'"),
        (lambda: UNTYPED.relax([bulk("Cu")], relaxer="morze"), "did you mean 'morse'"),
    ],
)
def test_what_cannot_be_used_is_told(call: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        call()


def test_a_registry_takes_names_but_none_of_ours() -> None:
    registry = Registry("source", {"random": "collections:Counter"}, group="x.sources")
    registry.add("my-own", dict)
    registry.add("my-own", list)
    assert registry.get("my-own") is list and "my-own" in registry
    assert registry.names() == ["my-own", "random"]
    with pytest.raises(InputError, match="one of xtalseek's own"):
        registry.add("random", dict)
    with pytest.raises(InputError, match="consists of letters"):
        registry.add("my,own", dict)
    with pytest.raises(InputError, match="did you mean 'my-own'"):
        registry.get("my-ow")
