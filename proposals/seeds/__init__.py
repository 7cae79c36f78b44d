"""AIRSS seeds: .cell files with directives, read as they are, and written."""

from .seed import Seed, parse_seed, read_seed
from .writer import write_seed

__all__ = ["Seed", "parse_seed", "read_seed", "write_seed"]
