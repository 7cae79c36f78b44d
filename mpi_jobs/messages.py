"""Messages between ranks: a few hundred bytes each, waited for asleep."""

from __future__ import annotations

import io
import pickle
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms

LONGEST_NAP = 0.002
"""Seconds between two looks for a message that is about to come ..."""
PARKED_NAP = 0.02
"""... and for one that has not come for a while: many ranks may share a core at the end of a search."""
_SOON = 0.1


def pack(message: Any) -> bytes:
    """A message as bytes. Only ranks of one job unpack them: they are never written to a file, or read from one."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = {Atoms: _reduce}
    pickler.dump(message)
    return buffer.getvalue()


def unpack(message: bytes) -> Any:
    """The inverse of `pack`."""
    return pickle.loads(message)


def _reduce(atoms: Atoms) -> tuple[Any, ...]:
    """A structure of n atoms in 25 n + 72 bytes, bit for bit; one that carries more than that as a whole."""
    if atoms.info or atoms.constraints or atoms.calc is not None or set(atoms.arrays) != {"numbers", "positions"}:
        return atoms.__reduce_ex__(pickle.HIGHEST_PROTOCOL)  # type: ignore[return-value]
    numbers, cell = atoms.numbers.astype(np.uint8), atoms.cell.array
    return _atoms, (numbers.tobytes(), atoms.positions.tobytes(), cell.tobytes(), atoms.pbc.tobytes())


def _atoms(numbers: bytes, positions: bytes, cell: bytes, pbc: bytes) -> Atoms:
    return Atoms(
        numbers=np.frombuffer(numbers, np.uint8),
        positions=np.frombuffer(positions, float).reshape(-1, 3),
        cell=np.frombuffer(cell, float).reshape(3, 3),
        pbc=np.frombuffer(pbc, bool),
    )


def send(comm: Any, message: Any, rank: int, tag: int) -> None:
    """Send a message to a rank."""
    comm.send(pack(message), dest=rank, tag=tag)


def receive(comm: Any, rank: int, tag: int, wait: Callable[[float], object] = time.sleep) -> Any:
    """The next message from a rank, waited for asleep."""
    pause, waited = 1e-5, 0.0
    while not comm.iprobe(source=rank, tag=tag):
        wait(pause)
        waited += pause
        pause = min(2 * pause, LONGEST_NAP if waited < _SOON else PARKED_NAP)
    return unpack(comm.recv(source=rank, tag=tag))
