"""Conformance tests for authors of sources, relaxers, potentials and stores: plain functions, for any test runner.

Each raises `AssertionError` with one line that says what is wrong, and returns nothing where all is well. That a check
passes does not prove that a plug-in is right; that it fails proves that a search with it would go wrong.
"""

from .potentials import check_potential
from .relaxers import check_relaxer
from .sources import check_source
from .stores import Store, check_store
from .structures import bad_structures

__all__ = ["Store", "bad_structures", "check_potential", "check_relaxer", "check_source", "check_store"]
