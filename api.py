"""The public interface: the names in `__all__` here, and `xtalseek.testing`, stay from version to version.

Anything else in the package may change without notice. The functions are there as `xtalseek.search` and so on, too;
`import xtalseek` alone loads none of this, so that it is instant:

    import xtalseek

    run = xtalseek.search("MgO", num=20, formula_units=(1, 2), out="runs/MgO")
    for minimum in xtalseek.find_minima(run):
        print(minimum.name, minimum.enthalpy_per_atom, minimum.space_group)

Keyword arguments are the words of the command line and of TOML (`--max-hours` is `max_hours`), with the same defaults.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from ase import Atoms

from .analysis.comparison import Comparison, compare_runs
from .analysis.minima import MatchTolerances, Minimum, find_minima
from .api_words import ProposeWords, RelaxWords, SearchWords
from .errors import InfeasibleTarget, InputError, StorageError, unknown
from .mpi_jobs.launch import run_search
from .mpi_jobs.world import find_world, limit_threads, share_of_cores
from .proposals import Source, sources
from .records import Candidate, Parent, Record, Relaxation, Status, Target
from .registry import Registry
from .relax import make_relaxer, relaxers
from .relax.contract import Evaluation, Evaluator, OutOfMemory, Relaxer, RelaxSettings, UnderWay
from .relax.potentials import Potential, potentials
from .search.config import SearchConfig, parse_word, resolve
from .search.loop import draw
from .search.run import read_run
from .search.store import Run, load_run
from .search.workshop import make_sources

__all__ = [
    "Candidate",
    "Comparison",
    "Evaluation",
    "Evaluator",
    "InfeasibleTarget",
    "InputError",
    "MatchTolerances",
    "Minimum",
    "OutOfMemory",
    "Parent",
    "Potential",
    "Record",
    "Registry",
    "RelaxSettings",
    "Relaxation",
    "Relaxer",
    "Run",
    "SearchConfig",
    "Source",
    "Status",
    "StorageError",
    "Target",
    "UnderWay",
    "compare_runs",
    "find_minima",
    "load_run",
    "potentials",
    "propose",
    "relax",
    "relaxers",
    "search",
    "sources",
]


def search(formula: str | None = None, **words: Unpack[SearchWords]) -> Run:
    """Propose, relax and write down `num` candidates; go on with them where the run folder has some already.

    Parameters
    ----------
    formula : one formula unit; None: the `seed_file` says it.
    words : as on the command line of `xtalseek search`; left out: its defaults.

    Returns
    -------
    What the run folder then holds. Under `mpirun` the ranks share the work, and each returns all of it.

    Raises
    ------
    InputError : an unknown word, a value that cannot be used, a run folder of another search: nothing is written.
    InfeasibleTarget : no structure can satisfy the target.
    StorageError : the disk failed; what was found before is safe.
    """
    config = resolve(_given(formula, words))
    command, world = shlex.join(sys.argv), find_world()
    threads = limit_threads(share_of_cores(world))
    found: list[Run] = []
    with world.aborting(passing=(InputError, SystemExit)):
        run_search(config, world, found.append, command, threads)
        return found[0] if found else read_run(config.out)


def propose(formula: str | None = None, **words: Unpack[ProposeWords]) -> list[Candidate]:
    """The candidates that a search with the same words would relax, as they are drawn.

    Parameters
    ----------
    formula : one formula unit; None: the `seed_file` says it.
    words : as on the command line of `xtalseek propose`; left out: its defaults.

    Returns
    -------
    `num` candidates in order; where a source found no structure, `atoms` is None and `note` says why.

    Raises
    ------
    InputError : an unknown word, or a value that cannot be used.
    InfeasibleTarget : no structure can satisfy the target.
    """
    config = resolve(_given(formula, words, ProposeWords))
    made = make_sources(config)
    return [draw(config, made, assignment) for assignment in config.assignments()]


def relax(
    structures: Sequence[Atoms],
    relaxer: str = "chgnet",
    relaxer_options: Mapping[str, Any] | None = None,
    **words: Unpack[RelaxWords],
) -> list[Relaxation]:
    """Relax positions and cell of each structure.

    Parameters
    ----------
    structures : periodic; left as they are.
    relaxer : a potential or engine by name, or an ASE calculator as "module:Class".
    relaxer_options : its keyword arguments.
    words : as on the command line of `xtalseek relax`; left out: its defaults.

    Returns
    -------
    One relaxation for each structure, in the order given. One that cannot be relaxed has a status and a message that
    say why.

    Raises
    ------
    InputError : an unknown word, name or option, a missing package, something other than a sequence of `Atoms`.
    """
    if isinstance(structures, Atoms) or not all(isinstance(atoms, Atoms) for atoms in structures):
        raise InputError("structures: give a list of ase.Atoms, such as [atoms]")
    _known(words, RelaxWords)
    settings = RelaxSettings(**{name: parse_word(name, value) for name, value in words.items()})
    return make_relaxer(relaxer, settings, relaxer_options).relax(structures)


def _given(formula: str | None, words: Mapping[str, Any], allowed: type = SearchWords) -> dict[str, Any]:
    _known(words, allowed)
    return {**words} if formula is None else {"formula": formula, **words}


def _known(words: Mapping[str, Any], allowed: type) -> None:
    for name in words:
        if name not in allowed.__annotations__:
            raise unknown("word", name, allowed.__annotations__)
