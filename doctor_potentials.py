"""The check of `xtalseek doctor` that asks each potential for the forces in a small crystal.

What it needs is imported inside it: a package that does not import is one of the findings.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .doctor_checks import Finding

if TYPE_CHECKING:
    from ase import Atoms

_PACKAGE_OF = {
    **{"mace": "mace", "matgl": "matgl", "mattersim": "mattersim", "orb": "orb_models", "sevennet": "sevenn"},
    **{"tblite": "tblite", "torch-sim": "torch_sim"},
}
"""What has to be importable for a potential that is an extra of xtalseek."""
_NEEDS_MODEL = {
    **dict.fromkeys(("mace", "matgl", "mattersim", "orb"), "model=PATH"),
    "torch-sim": "wrapper=module:callable",
}
"""Potentials that give no energy without an option, and the option."""
_ARGON: Mapping[str, Mapping[str, float]] = {
    "lj": {"sigma": 3.4, "epsilon": 0.0104},
    "morse": {"r0": 3.8, "epsilon": 0.01},
}
"""Options with which the potentials that know no elements hold a crystal of argon together."""


def names_of_potentials() -> list[str]:
    """Every registered potential, sorted; only CHGNet where what all of them need does not import."""
    try:
        from .relax.potentials import potentials
    except Exception:  # told by the check of CHGNet, which needs the same
        return ["chgnet"]
    return potentials.names()


def check_potential(name: str) -> Finding:
    """Whether a potential is installed, and what one force call takes; those that need an option are not called."""
    title = f"potential {name}"
    package = _PACKAGE_OF.get(name)
    if package is not None and find_spec(package) is None:
        return Finding(title, "absent", "not installed", f"pip install 'xtalseek[{name}]'")
    if name in _NEEDS_MODEL:
        return Finding(title, "ok", f"installed; not called: it needs --relaxer-options {_NEEDS_MODEL[name]}")
    import numpy as np

    from .errors import InputError
    from .relax.potentials import load_potential

    ours = name in _PACKAGE_OF or name in _ARGON or name in ("chgnet", "emt")
    begin = time.perf_counter()
    try:
        potential = load_potential(name, _ARGON.get(name, {}))
    except InputError as error:
        mend = "install it again" if ours else "give it the options it needs, or mend the package that brings it"
        return Finding(title, "broken" if ours else "warning", str(error), mend)
    crystal = _crystal(name, potential.elements)
    found = potential.evaluator.evaluate([crystal.copy()], [None])[0]
    ready = time.perf_counter()
    crystal.positions[0] += (0.0, 0.02, 0.0)  # for the same structure a calculator answers from memory
    potential.evaluator.evaluate([crystal], [None])
    seconds = time.perf_counter() - ready
    if isinstance(found, Exception):
        if ours:
            raise found
        return Finding(title, "warning", f"{crystal.symbols}: {' '.join(str(found).split())[:200]}", "try it on yours")
    numbers = np.concatenate([[found.energy], found.forces.ravel(), found.stress.ravel()])
    if not np.isfinite(numbers).all() or not found.forces.any():
        return Finding(title, "broken", f"no forces on {crystal.symbols}", "install its package again")
    what = f"{crystal.symbols}: {seconds:.2g} s a force call, {ready - begin:.2g} s to start"
    return Finding(title, "ok", what)


def _crystal(name: str, elements: frozenset[str] | None) -> Atoms:
    """A small crystal of elements that the potential knows, an atom off its place so that there are forces."""
    from ase.build import bulk

    if name in _ARGON:
        crystal = bulk("Ar", "fcc", a=5.4, cubic=True)
    elif elements is None or {"Mg", "O"} <= elements:
        crystal = bulk("MgO", "rocksalt", a=4.25)
    else:
        crystal = bulk("Cu", "fcc", a=3.6, cubic=True)
    crystal.positions[0] += (0.05, 0.03, 0.01)
    return crystal
