"""Do generated structures cover the references, and the references them? COV-R, COV-P, and distances of distributions.

Coverage is that of CDVAE (Xie et al. 2022, arXiv:2110.06197): a structure is a fingerprint of its sites' surroundings,
averaged over the sites, and covered where one of the other set has a fingerprint near enough. The fingerprint is
matminer's `CrystalNNFingerprint.from_preset("ops")` (Ward et al. 2018, doi:10.1016/j.commatsci.2018.05.018), made here
with the classes of pymatgen that matminer itself calls: matminer cannot be installed beside pandas 3.

CDVAE also wants the compositions near. Structures made for given compositions share theirs with a reference, at
distance zero; where a sample has another one, its distance is unknown here, and so is the coverage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import kg
from pymatgen.core import Structure
from pymatgen.core.local_env import CN_OPT_PARAMS, CrystalNN, LocalStructOrderParams
from pymatgen.io.ase import AseAtomsAdaptor
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

from ..parallel import Progress, parallel_map
from .validity import is_compact, reduced_composition

CUTOFFS = {"mp": 0.4, "perov": 0.2, "carbon": 0.2}
"""CDVAE's largest distance between fingerprints, for its three data sets."""
_LARGEST_CN = 24
_GRAM_PER_CM3 = 1e27 / kg
"""One atomic mass unit per Å^3 in g/cm^3: ASE counts masses in such units, `kg` of them make a kilogram."""
_ORDER_PARAMETERS: dict[int, tuple[str, ...]] = {
    1: ("sgl_bd",),
    **{cn: tuple(CN_OPT_PARAMS[cn]) for cn in range(2, 9)},
    **dict.fromkeys((9, 10, 11), ("q2", "q4", "q6")),
    12: ("cuboctahedral", "q2", "q4", "q6"),
}
"""What matminer's preset looks at, by coordination number: the motifs that pymatgen knows, and bond orientations."""


@dataclass(frozen=True)
class Coverage:
    """Shares of references (recall) and of samples (precision) that have a near one in the other set.

    Attributes
    ----------
    recall, precision : None where a sample's composition is not that of any reference.
    structure_cutoff : the largest distance between fingerprints that counts as near.
    without_fingerprint : samples for which none could be made; they count as not near.
    """

    recall: float | None
    precision: float | None
    structure_cutoff: float
    without_fingerprint: int


def coverage(
    samples: Sequence[Atoms | None],
    references: Sequence[Atoms],
    structure_cutoff: float = CUTOFFS["mp"],
    progress: Progress | None = None,
) -> Coverage:
    """COV-R and COV-P of samples with the compositions of the references.

    As in CDVAE nearness of structure and of composition are looked for apart: the nearest structure need not be the one
    with the nearest composition.
    """
    known = {reduced_composition(atoms) for atoms in references}
    made = [atoms for atoms in samples if atoms is not None]
    drawn = {reduced_composition(atoms) for atoms in made}
    prints = parallel_map(fingerprint, [*made, *references], fewest=16, progress=progress)
    usable = [p for p in prints[: len(made)] if p is not None]
    wanted = [p for p in prints[len(made) :] if p is not None]
    lost = len(samples) - len(usable)
    if not usable or not wanted:
        return Coverage(0.0 if references else None, 0.0 if samples else None, structure_cutoff, lost)
    if not drawn <= known:
        return Coverage(None, None, structure_cutoff, lost)
    near = cdist(np.array(usable), np.array(wanted)) <= structure_cutoff
    # A reference whose composition nobody drew has no near composition that we could know of.
    kept = [atoms for atoms, p in zip(references, prints[len(made) :], strict=True) if p is not None]
    same = np.array([reduced_composition(atoms) in drawn for atoms in kept])
    recall = float((near.any(axis=0) & same).mean())
    return Coverage(recall, float(near.any(axis=1).sum() / len(samples)), structure_cutoff, lost)


def fingerprint(atoms: Atoms) -> np.ndarray | None:
    """Order parameters of all sites (see the head of this module), averaged, (61,).

    None where a site has none, and for cells that are no crystals (`is_compact`).
    """
    try:
        if not is_compact(atoms):
            return None
        structure = AseAtomsAdaptor.get_structure(atoms)
        return np.mean([_site(structure, n) for n in range(len(structure))], axis=0)
    except Exception:  # CrystalNN needs a Voronoi cell, which a degenerate structure has not
        return None


def _site(structure: Structure, number: int) -> list[float]:
    neighbours, parameters = _tools()
    data = neighbours.get_nn_data(structure, number)
    values: list[float] = []
    for cn in range(1, _LARGEST_CN + 1):
        weight = data.cn_weights.get(cn, 0)
        values.append(weight)
        for parameter in parameters.get(cn, ()):
            if weight == 0:
                values.append(0.0)
                continue
            around = [found["site"] for found in data.cn_nninfo[cn]]
            sites: Any = [structure[number], *around]  # the method is annotated as taking a whole structure
            value = parameter.get_order_parameters(sites, 0, indices_neighs=list(range(1, len(sites))))[0]
            values.append(weight * (value or 0.0))
    return values


@cache
def _tools() -> tuple[CrystalNN, dict[int, list[LocalStructOrderParams]]]:
    """Made once in each process: setting them up costs as much as many sites."""
    parameters: dict[int, list[LocalStructOrderParams]] = {}
    known: dict[int, dict[str, Any]] = CN_OPT_PARAMS
    for cn, names in _ORDER_PARAMETERS.items():
        parameters[cn] = []
        for name in names:
            kind, *settings = known.get(cn, {}).get(name, [name])
            parameters[cn].append(LocalStructOrderParams([kind], parameters=[settings[0] if settings else None]))
    return CrystalNN(), parameters


def densities(structures: Sequence[Atoms | None]) -> np.ndarray:
    """g/cm^3 of those there are, (n,)."""
    return np.array([a.get_masses().sum() / a.get_volume() * _GRAM_PER_CM3 for a in structures if a is not None])


def element_counts(structures: Sequence[Atoms | None]) -> np.ndarray:
    """How many different elements each has of those there are, (n,)."""
    return np.array([len(set(a.numbers.tolist())) for a in structures if a is not None], dtype=float)


def distribution_distance(samples: np.ndarray, references: np.ndarray) -> float | None:
    """First Wasserstein distance between two sets of numbers, in their unit; None where finite ones are missing."""
    samples, references = samples[np.isfinite(samples)], references[np.isfinite(references)]
    return float(wasserstein_distance(samples, references)) if len(samples) and len(references) else None
