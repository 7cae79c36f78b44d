"""The search: what was asked for, the loop over candidates, and the run folder they end in."""

from ..callable_package import make_callable

make_callable(__name__)
