"""Who relaxes and who proposes, from the GPUs that ranks see."""

from __future__ import annotations

from pathlib import Path

import pytest

from xtalseek.mpi_jobs.roles import Seat, choose_roles, gpus_seen, own_gpu
from xtalseek.search.tasks import EVERYTHING, PROPOSE, RELAX


def seats(nodes: list[tuple[int, tuple[str, ...]]]) -> list[Seat]:
    """Of (ranks, GPUs) for each node."""
    return [Seat(node, place, gpus) for node, (ranks, gpus) in enumerate(nodes) for place in range(ranks)]


def relaxing(found: dict[int, frozenset[str]]) -> list[int]:
    return [rank for rank, roles in found.items() if RELAX in roles]


def test_without_gpus_all_do_everything() -> None:
    assert set(choose_roles(seats([(3, ()), (2, ())])).values()) == {EVERYTHING}


def test_ranks_with_a_gpu_relax_and_the_others_propose_for_them() -> None:
    roles = choose_roles(seats([(4, ("0", "1")), (4, ("0", "1"))]))
    assert relaxing(roles) == [0, 1, 4, 5]
    assert all((PROPOSE in kinds) == (rank not in (0, 1, 4, 5)) for rank, kinds in roles.items())


def test_a_gpu_for_each_rank_leaves_all_to_all() -> None:
    assert set(choose_roles(seats([(2, ("0", "1"))])).values()) == {EVERYTHING}


def test_a_launcher_that_shows_each_rank_its_own_gpu_is_believed() -> None:
    neighbours = [Seat(0, 0, ("GPU-a",)), Seat(0, 1, ("GPU-b",)), Seat(0, 2, ())]
    assert [own_gpu(seat, neighbours) for seat in neighbours] == ["GPU-a", "GPU-b", None]


def test_the_user_says_how_many_propose() -> None:
    assert relaxing(choose_roles(seats([(4, ())]), proposers=1)) == [0, 1, 2]
    assert relaxing(choose_roles(seats([(4, ())]), proposers=9)) == [0]
    assert set(choose_roles(seats([(4, ("0",))]), proposers=0).values()) == {EVERYTHING}
    assert set(choose_roles(seats([(1, ())]), proposers=1).values()) == {EVERYTHING}


@pytest.mark.parametrize(
    ("visible", "found"), [("0,2", ("0", "2")), ("", ()), ("-1", ()), ("GPU-1f, GPU-2e", ("GPU-1f", "GPU-2e"))]
)
def test_visible_devices_are_what_the_variable_says(visible: str, found: tuple[str, ...]) -> None:
    assert gpus_seen({"CUDA_VISIBLE_DEVICES": visible}, Path("/nonexistent")) == found


def test_else_they_are_the_machines_devices(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert gpus_seen({}, tmp_path) == ("0", "2", "10")
