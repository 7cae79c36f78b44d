"""Running a search on many MPI ranks, or on one process where there is no MPI."""

from .launch import run_search
from .world import World, find_world

__all__ = ["World", "find_world", "run_search"]
