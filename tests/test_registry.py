from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest

import xtalseek.registry
from xtalseek.errors import InputError
from xtalseek.registry import Registry

REGISTRY = Registry(
    "source", {"random": "collections:Counter", "gone": "no_such_package.part:Thing"}, group="x.sources"
)


def test_a_name_gives_what_it_stands_for() -> None:
    assert REGISTRY.get("random").__name__ == "Counter"


def test_a_wrong_name_lists_the_choices_and_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown source 'randm': allowed are gone, random; did you mean 'random'"):
        REGISTRY.get("randm")


def test_a_missing_package_names_the_install() -> None:
    with pytest.raises(InputError, match="pip install no_such_package"):
        REGISTRY.get("gone")


def test_entry_points_add_names_but_cannot_take_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("plug", "math:tau", "x.sources"), EntryPoint("random", "math:pi", "x.sources")]

    def entry_points(group: str) -> list[Any]:
        return points if group == "x.sources" else []

    monkeypatch.setattr(xtalseek.registry, "entry_points", entry_points)
    assert REGISTRY.names() == ["gone", "plug", "random"]
    assert REGISTRY.get("plug") == pytest.approx(6.283185307)
    assert REGISTRY.get("random").__name__ == "Counter"
