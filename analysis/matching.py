"""Do generated structures match the references they were made for? Match rate, RMSE, METRe and cRMSE.

Two structures match when pymatgen's StructureMatcher (`get_rms_dist`) maps one on the other; the distance is the root
mean square displacement in units of (volume per atom)^(1/3), after both were scaled to one volume.

Match rate and RMSE are those of CDVAE (Xie et al. 2022, arXiv:2110.06197) and DiffCSP (Jiao et al. 2023,
arXiv:2309.04475); METRe and cRMSE those of Martirossyan et al. 2025, arXiv:2509.12178.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from ase import Atoms
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice
from pymatgen.io.ase import AseAtomsAdaptor

from ..parallel import Progress, parallel_map
from .validity import SMALLEST_VOLUME, reduced_composition

MOST_EXTRA_PAIRS = 200_000
"""METRe compares every reference with the samples of its polymorphs too; beyond so many pairs (an hour on one core) it
is left out. Carbon-24, where all is one composition, has millions."""

LONGEST_TO_SHORTEST = 100.0
"""Edges of a reduced cell; the longest of 2,655 in MP-20 and Carbon-24 was 11."""


@dataclass(frozen=True)
class BenchmarkTolerances:
    """`ltol`, `stol` and `angle_tol` (degrees) of StructureMatcher, as CDVAE and DiffCSP set them."""

    length: float = 0.3
    site: float = 0.5
    angle: float = 10.0


@dataclass(frozen=True)
class MatchRate:
    """How many targets were matched by one of their first `k` samples.

    Attributes
    ----------
    k : samples that count, of each target.
    rate, low, high : the share, and its 95 % Wilson interval, which takes targets for independent.
    rmse : mean over matched targets of the smallest distance among the first `k`; None where none matched.
    targets : how many there are; none is left out, whatever became of its samples.
    """

    k: int
    rate: float
    low: float
    high: float
    rmse: float | None
    targets: int


@dataclass(frozen=True)
class EveryoneMatch:
    """How many references were matched by any sample of their composition ("match everyone to reference").

    Attributes
    ----------
    k : samples that count, of each target.
    metre : share of references matched by one of the first `k` samples of any target of the same composition.
    crmse : mean over all references of the smallest such distance, where one that is not matched counts the site
        tolerance.
    """

    k: int
    metre: float
    crmse: float


def primitive_cell(atoms: Atoms | None) -> Atoms | None:
    """The Niggli-reduced primitive cell, as StructureMatcher makes it before it compares; None where that fails.

    It fails for cells that are no crystals: of less than 0.1 Å^3, as in CDVAE, with coordinates that are no numbers, or
    `LONGEST_TO_SHORTEST` times longer than wide, which pymatgen would take hours to reduce.
    """
    if atoms is None or not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell.array).all():
        return None
    if abs(np.linalg.det(atoms.cell.array)) < SMALLEST_VOLUME:
        return None
    try:
        edges = Lattice(atoms.cell.array).get_lll_reduced_lattice().abc
        if max(edges) > LONGEST_TO_SHORTEST * min(edges):
            return None
        structure = AseAtomsAdaptor.get_structure(Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True))
        reduced = structure.get_reduced_structure("niggli").get_primitive_structure()
    except Exception:  # as many ways to fail as there are bad cells
        return None
    return Atoms(reduced.atomic_numbers, reduced.cart_coords, cell=reduced.lattice.matrix, pbc=True)


def primitive_cells(structures: Sequence[Atoms | None], progress: Progress | None = None) -> list[Atoms | None]:
    """`primitive_cell` of each, on all cores."""
    return parallel_map(primitive_cell, structures, progress=progress)


def match_distances(
    samples: Sequence[Sequence[Atoms | None]],
    references: Sequence[Atoms | None],
    tolerances: BenchmarkTolerances | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Distance of every sample to its own reference.

    Parameters
    ----------
    samples : for each reference its samples in their order, as `primitive_cells` returns them; rows may differ in
        length.
    references : as `primitive_cells` returns them.

    Returns
    -------
    (n_references, most samples); NaN where they do not match, or where there is no sample.
    """
    rows = _distances(list(zip(references, samples, strict=True)), tolerances, progress)
    distances = np.full((len(references), max(map(len, samples), default=0)), np.nan)
    for own, row in zip(distances, rows, strict=True):
        own[: len(row)] = row
    return distances


def polymorph_distances(
    samples: Sequence[Sequence[Atoms | None]],
    references: Sequence[Atoms | None],
    distances: np.ndarray,
    tolerances: BenchmarkTolerances | None = None,
    progress: Progress | None = None,
) -> np.ndarray | None:
    """The smallest distance of any sample of each rank, of any target of a reference's composition, to the reference.

    Parameters
    ----------
    samples, references : as in `match_distances`.
    distances : what it returned.

    Returns
    -------
    Like `distances`; None where more than `MOST_EXTRA_PAIRS` comparisons would be needed.
    """
    families: dict[tuple[tuple[str, int], ...], list[int]] = defaultdict(list)
    for number, reference in enumerate(references):
        if reference is not None:
            families[reduced_composition(reference)].append(number)
    tasks, places = [], []
    for family in families.values():
        for number in family:
            others = [
                (rank, sample)
                for other in family
                if other != number
                for rank, sample in enumerate(samples[other])
                if _comparable(sample, references[number])
            ]
            if others:
                tasks.append((references[number], [sample for _, sample in others]))
                places.append((number, [rank for rank, _ in others]))
    if sum(len(ranks) for _, ranks in places) > MOST_EXTRA_PAIRS:
        return None
    closest = distances.copy()
    for (number, ranks), row in zip(places, _distances(tasks, tolerances, progress), strict=True):
        np.fmin.at(closest[number], ranks, row)
    return closest


def match_rates(distances: np.ndarray, ks: Sequence[int], valid: np.ndarray | None = None) -> list[MatchRate]:
    """Match rate and RMSE for each `k`.

    Parameters
    ----------
    distances : from `match_distances`.
    ks : numbers of samples.
    valid : (n_targets, n_samples) booleans; a sample that is not valid counts as no match. None: all count.
    """
    counted = distances if valid is None else np.where(valid, distances, np.nan)
    found = []
    for k in ks:
        best = smallest(counted, k)
        matched, targets = int(np.isfinite(best).sum()), len(best)
        rmse = float(np.nanmean(best)) if matched else None
        low, high = wilson(matched, targets)
        found.append(MatchRate(k, matched / targets if targets else math.nan, low, high, rmse, targets))
    return found


def everyone_matches(
    closest: np.ndarray, ks: Sequence[int], tolerances: BenchmarkTolerances | None = None
) -> list[EveryoneMatch]:
    """METRe and cRMSE for each `k`, from what `polymorph_distances` returned."""
    penalty = (tolerances or BenchmarkTolerances()).site
    bests = [(k, smallest(closest, k)) for k in ks]
    return [
        EveryoneMatch(k, float(np.isfinite(best).mean()), float(np.nan_to_num(best, nan=penalty).mean()))
        for k, best in bests
    ]


def smallest(distances: np.ndarray, k: int) -> np.ndarray:
    """The smallest distance among the first `k` samples of each target, (n_targets,); NaN where none matches."""
    return np.fmin.reduce(distances[:, :k], axis=1, initial=np.nan)


def wilson(hits: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of Wilson (1927, doi:10.1080/01621459.1927.10502953) for a share; (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    share, weight = hits / trials, z * z / trials
    centre = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / trials + weight / (4 * trials)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)


_Task = tuple[Atoms | None, Sequence[Atoms | None]]


def _distances(
    tasks: Sequence[_Task], tolerances: BenchmarkTolerances | None, progress: Progress | None
) -> list[list[float]]:
    return parallel_map(partial(_row, tolerances or BenchmarkTolerances()), tasks, fewest=8, progress=progress)


def _row(tolerances: BenchmarkTolerances, task: _Task) -> list[float]:
    reference, samples = task
    # The cells are reduced already, once each and not once for each comparison.
    matcher = StructureMatcher(
        ltol=tolerances.length, stol=tolerances.site, angle_tol=tolerances.angle, primitive_cell=False
    )
    target = None if reference is None else AseAtomsAdaptor.get_structure(reference)
    row = []
    # Where symmetry leaves nothing free but the volume, which the matcher scales away, samples repeat one another.
    known: dict[bytes, float] = {}
    for sample in samples:
        distance = math.nan
        if sample is not None and _comparable(sample, reference) and _alike(sample, reference, tolerances.length):
            key = _shape(sample)
            if key not in known:
                try:
                    found = matcher.get_rms_dist(AseAtomsAdaptor.get_structure(sample), target)
                except Exception:  # a cell that the matcher cannot reduce matches nothing, as in CDVAE
                    found = None
                known[key] = math.nan if found is None else float(found[0])
            distance = known[key]
        row.append(distance)
    return row


def _shape(atoms: Atoms) -> bytes:
    """The same for cells that differ in nothing but size, by less than 1e-5."""
    cell = atoms.cell.array / atoms.get_volume() ** (1 / 3)
    numbers = np.concatenate([cell.ravel(), atoms.get_scaled_positions().ravel()])
    return atoms.numbers.tobytes() + (np.round(numbers, 5) + 0.0).tobytes()


def _comparable(sample: Atoms | None, reference: Atoms | None) -> bool:
    """Primitive cells that match hold the same atoms: told at once, where the matcher takes milliseconds."""
    return (
        sample is not None
        and reference is not None
        and len(sample) == len(reference)
        and bool(np.array_equal(np.sort(sample.numbers), np.sort(reference.numbers)))
    )


def _alike(sample: Atoms, reference: Atoms | None, length: float) -> bool:
    """Whether the reduced cells, scaled to one volume, are alike enough for the matcher to look at their atoms.

    It looks for vectors of the sample's lattice as long, within the tolerance, as the reference's; the three shortest
    independent ones are the edges of the reduced cell, and can be no longer. Cells that are thinner than any crystal
    must not come before the matcher, which would list their lattice points without end.
    """
    if reference is None:
        return False
    scale = (reference.get_volume() / sample.get_volume()) ** (1 / 3)
    edges, wanted = np.sort(sample.cell.lengths()) * scale, np.sort(reference.cell.lengths())
    return bool((edges <= 1.001 * (1 + length) * wanted).all())
