"""Potentials by name: what gives energies and forces, and what is known of where it can be trusted."""

from __future__ import annotations

import contextlib
import inspect
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.calculators.emt import EMT
from ase.calculators.emt import parameters as emt_parameters
from ase.calculators.lj import LennardJones
from ase.calculators.morse import MorsePotential
from ase.data import atomic_numbers, chemical_symbols, covalent_radii

from ..errors import InputError
from ..registry import Registry, load_attribute, not_installed
from .calculators import AseEvaluator, EvaluatorCalculator
from .contract import Evaluator
from .zbl import Repulsion


@dataclass(frozen=True, eq=False)
class Potential:
    """What gives energies, forces and stresses, with its limits.

    Attributes
    ----------
    name : as it was asked for.
    evaluator : gives energy, forces and stress.
    contact_radii : by atomic number, Å; half the distance at which two like atoms touch: guards tell overlaps by it.
    elements : symbols it was made for; None: not known.
    energy_floor : eV of the whole cell below which an energy cannot be believed; None: not known.
    learned : it was fitted to structures near equilibrium, and has holes where atoms come close.
    second_opinion : another potential for the same structures, asked where a relaxation came to rest.
    """

    name: str
    evaluator: Evaluator
    contact_radii: np.ndarray
    elements: frozenset[str] | None = None
    energy_floor: Callable[[Atoms], float] | None = None
    learned: bool = False
    second_opinion: Evaluator | None = None

    @property
    def calculator(self) -> BaseCalculator:
        """As an ASE calculator."""
        if isinstance(self.evaluator, AseEvaluator):
            return self.evaluator.calculator
        return EvaluatorCalculator(self.evaluator)

    def require_elements(self, symbols: Iterable[str]) -> None:
        """Raise `InputError` naming the first element that the potential was not made for."""
        for symbol in symbols:
            if self.elements is not None and symbol not in self.elements:
                allowed = sorted(self.elements, key=lambda s: atomic_numbers[s])
                shown = ", ".join(allowed) if len(allowed) < 30 else f"{allowed[0]} to {allowed[-1]}"
                raise InputError(f"relaxer {self.name!r} has no parameters for {symbol}: allowed are {shown}")


potentials = Registry(
    "potential",
    {
        "chgnet": "xtalseek.relax.chgnet:chgnet",
        "emt": "xtalseek.relax.potentials:emt",
        "lj": "xtalseek.relax.potentials:lj",
        "mace": "xtalseek.relax.installed:mace",
        "matgl": "xtalseek.relax.installed:matgl",
        "mattersim": "xtalseek.relax.installed:mattersim",
        "morse": "xtalseek.relax.potentials:morse",
        "orb": "xtalseek.relax.installed:orb",
        "sevennet": "xtalseek.relax.installed:sevennet",
        "tblite": "xtalseek.relax.xtb:tblite",
        "torch-sim": "xtalseek.relax.torch_sim:torch_sim",
    },
    group="xtalseek.potentials",
)
"""Factories called with the user's options; they return a `Potential` or a plain ASE calculator."""

EXTRAS = frozenset({"mace", "matgl", "mattersim", "orb", "sevennet", "tblite", "torch-sim"})
"""Potentials of ours whose package is an extra of xtalseek, of the same name."""


def load_potential(name: str, options: Mapping[str, Any]) -> Potential:
    """The potential called `name`, or any ASE calculator written as "module:Class".

    Parameters
    ----------
    options : of the potential; and for any of them `repulsion`: whether `Repulsion` is added between atoms that almost
        touch; default: where the potential is learned.

    Raises
    ------
    InputError : unknown name, missing package, or options that it does not take.
    """
    own = {key: value for key, value in options.items() if key != "repulsion"}
    repulsion = options.get("repulsion")
    if repulsion not in (None, True, False):
        raise InputError(f"relaxer option repulsion: {repulsion!r} is neither true nor false")
    factory = potentials.get(name) if name in potentials or ":" not in name else _factory(name)
    try:
        # Several packages greet the user on standard output, which belongs to the results.
        with contextlib.redirect_stdout(io.StringIO()):
            made = factory(**own)
    except ModuleNotFoundError as error:
        raise not_installed(f"potential {name!r}", error, name if name in EXTRAS else None) from error
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"potential {name!r}: a package that it needs cannot be imported: {reason}") from error
    except (TypeError, ValueError, NotImplementedError) as error:
        shown = ", ".join(f"{key}={value!r}" for key, value in own.items()) or "no options"
        raise InputError(f"relaxer {name!r} does not work with {shown}: {error}") from error
    if not isinstance(made, Potential):
        if not hasattr(made, "get_property"):
            raise InputError(f"relaxer {name!r} is not an ASE calculator but a {type(made).__name__}")
        made = Potential(name, AseEvaluator(made), covalent_radii)
    if repulsion or (repulsion is None and made.learned):
        return replace(made, evaluator=Repulsion(made.evaluator, made.contact_radii))
    return made


def _factory(name: str) -> Callable[..., Any]:
    """What "module:Class" stands for; nothing is called that is no calculator's class and no Python function."""
    found = load_attribute(name, f"relaxer {name!r}")
    is_class = isinstance(found, type) and issubclass(found, BaseCalculator)
    if not (is_class or inspect.isfunction(found)):
        kind = f"the class {found.__name__}" if isinstance(found, type) else f"a {type(found).__name__}"
        raise InputError(
            f"relaxer {name!r} is not an ASE calculator but {kind}: give a class derived from "
            "ase.calculators.calculator.Calculator, or a function that makes a calculator or a Potential"
        )
    made: Callable[..., Any] = found
    return made


# The factories name their options one by one: ASE's own constructors take any misspelt word without a sound.


def emt() -> Potential:
    """Effective medium theory for a few metals, a fast toy.

    Source: Jacobsen, Stoltze, Norskov 1996, doi:10.1016/0039-6028(96)00816-3.
    """
    return Potential("emt", AseEvaluator(EMT()), covalent_radii, elements=frozenset(emt_parameters))


def lj(sigma: float = 1.0, epsilon: float = 1.0, rc: float | None = None, smooth: bool = False) -> Potential:
    """Lennard-Jones, the same for all species, shifted to zero at `rc`.

    Parameters
    ----------
    sigma : Å. epsilon : eV. rc : cut-off in Å; default 2.5 sigma. smooth : let the force end smoothly too.
    """
    calculator = LennardJones(sigma=sigma, epsilon=epsilon, rc=2.5 * sigma if rc is None else rc, smooth=smooth)
    radii = np.full(len(chemical_symbols), 2 ** (1 / 6) * sigma / 2)
    return Potential("lj", AseEvaluator(calculator), radii)


def morse(
    epsilon: float = 1.0, r0: float = 1.0, rho0: float = 6.0, rcut1: float = 1.9, rcut2: float = 2.7
) -> Potential:
    """Morse's potential, the same for all species.

    Source: Morse, Phys. Rev. 34, 57 (1929), doi:10.1103/PhysRev.34.57.

    Parameters
    ----------
    epsilon : depth of the minimum, eV. r0 : its distance, Å. rho0 : its steepness; 6 is much like Lennard-Jones.
    rcut1, rcut2 : where the smooth cut-off begins and ends, in units of r0.
    """
    if not (r0 > 0 and 0 < rcut1 < rcut2):
        raise ValueError("r0 and rcut1 must lie above 0, and rcut2 above rcut1")
    calculator = MorsePotential(epsilon=epsilon, r0=r0, rho0=rho0, rcut1=rcut1, rcut2=rcut2)
    return Potential("morse", AseEvaluator(calculator), np.full(len(chemical_symbols), r0 / 2))
