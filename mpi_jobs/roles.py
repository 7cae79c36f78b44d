"""Who relaxes and who proposes: chosen from the hardware that the ranks see."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..search.tasks import CLOSE, EVERYTHING, PROPOSE, RELAX
from .world import World, on_this_node

_RELAXING = frozenset({RELAX})
_PROPOSING = frozenset({PROPOSE, CLOSE})


@dataclass(frozen=True)
class Seat:
    """Where a rank sits.

    Attributes
    ----------
    node : a number that the ranks of one node share. place : of the rank on its node, from 0.
    gpus : names of the GPUs that the rank sees.
    """

    node: int
    place: int
    gpus: tuple[str, ...] = ()


def gpus_seen(environment: Mapping[str, str], devices: Path = Path("/dev")) -> tuple[str, ...]:
    """Names of this process's NVIDIA GPUs as CUDA_VISIBLE_DEVICES has them, without importing torch."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(name.strip() for name in visible.split(",") if name.strip() not in ("", "-1", "NoDevFiles"))
    names = (path.name.removeprefix("nvidia") for path in devices.glob("nvidia[0-9]*"))
    return tuple(sorted((name for name in names if name.isdigit()), key=int))


def own_gpu(seat: Seat, neighbours: Sequence[Seat]) -> str | None:
    """The GPU that a rank may have for its own: None where there are fewer than ranks and others come first.

    Where a launcher has shown each rank GPUs of its own, the first of those.
    """
    if len({other.gpus for other in neighbours}) > 1:
        return seat.gpus[0] if seat.gpus else None
    return seat.gpus[seat.place] if seat.place < len(seat.gpus) else None


def choose_roles(seats: Sequence[Seat], proposers: int | None = None) -> dict[int, frozenset[str]]:
    """The roles of each rank.

    Ranks with a GPU relax; where there are others too, those propose for them, and close searches. Without a GPU, or
    with one for each rank, all do everything.

    Parameters
    ----------
    seats : of each rank. proposers : so many ranks, the last, propose for the others instead; 0: all do everything.
    """
    ranks = range(len(seats))
    if proposers is not None:
        proposing = set(ranks[max(1, len(seats) - proposers) :]) if proposers else set()
    else:
        nodes = {seat.node: [other for other in seats if other.node == seat.node] for seat in seats}
        proposing = {rank for rank in ranks if own_gpu(seats[rank], nodes[seats[rank].node]) is None}
    if not proposing or len(proposing) == len(seats):
        return dict.fromkeys(ranks, EVERYTHING)
    return {rank: _PROPOSING if rank in proposing else _RELAXING for rank in ranks}


def take_seats(world: World) -> list[Seat]:
    """The seats of all ranks; this rank's process is left with the GPU that is its own.

    To be called by all ranks, and before torch is imported.
    """
    gpus = gpus_seen(os.environ)
    if world.comm is None:
        return [Seat(0, 0, gpus)]
    node, place = on_this_node(world)
    seat = Seat(node, place, gpus)
    seats: list[Seat] = world.comm.allgather(seat)
    mine = own_gpu(seat, [other for other in seats if other.node == node])
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = mine if mine is not None else ""
    return seats
