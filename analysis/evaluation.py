"""All figures of a generator in one place: samples drawn for references in, a table and flat JSON out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

import numpy as np
from ase import Atoms

from ..parallel import Progress
from .columns import aligned
from .coverage import Coverage, coverage, densities, distribution_distance, element_counts
from .matching import (
    MOST_EXTRA_PAIRS,
    BenchmarkTolerances,
    EveryoneMatch,
    MatchRate,
    everyone_matches,
    match_distances,
    match_rates,
    polymorph_distances,
    primitive_cells,
)
from .validity import NEEDS_SMACT, compositions_are_valid, structures_are_valid

SIZE_GROUPS = {"1-5": (1, 5), "6-10": (6, 10), "11-20": (11, 20), ">20": (21, 10**9)}
"""Atoms in the primitive cell of the reference."""


@dataclass(frozen=True)
class Evaluation:
    """What a generator's samples are worth. A figure that was not measured is None, and a note says why.

    Attributes
    ----------
    rates : match rate and RMSE for each k, every sample counting.
    rates_valid : the same where an invalid sample (structure or composition) counts as no match, as in DiffCSP.
    everyone : METRe and cRMSE for each k.
    groups : match rates by atoms in the primitive cell of the reference.
    structural_validity, composition_validity : shares of samples.
    density_distance : Wasserstein distance of densities, g/cm^3, of the structurally valid samples to the references.
    element_count_distance : the same of the number of elements in a structure.
    energy_distance : the same of energies, eV/atom.
    targets, samples, bad_rows : counts; samples that were given up count.
    samples_per_second : of the generator.
    """

    rates: list[MatchRate]
    rates_valid: list[MatchRate] | None
    everyone: list[EveryoneMatch] | None
    groups: dict[str, list[MatchRate]]
    structural_validity: float
    composition_validity: float | None
    coverage: Coverage | None
    density_distance: float | None
    element_count_distance: float | None
    energy_distance: float | None
    targets: int
    samples: int
    bad_rows: int = 0
    samples_per_second: float | None = None
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Flat, with the same keys whatever was measured; None for what was not."""
        flat: dict[str, Any] = {}
        for number, rate in enumerate(self.rates):
            valid = self.rates_valid[number] if self.rates_valid else None
            everyone = self.everyone[number] if self.everyone else None
            at = f"@{rate.k}"
            flat |= {
                f"match_rate{at}": rate.rate,
                f"match_rate{at}_low": rate.low,
                f"match_rate{at}_high": rate.high,
                f"rmse{at}": rate.rmse,
                f"match_rate{at}_valid": valid.rate if valid else None,
                f"rmse{at}_valid": valid.rmse if valid else None,
                f"metre{at}": everyone.metre if everyone else None,
                f"crmse{at}": everyone.crmse if everyone else None,
            }
        for name in SIZE_GROUPS:
            rates = self.groups.get(name)
            flat[f"targets_atoms_{name}"] = rates[0].targets if rates else 0
            for number, whole in enumerate(self.rates):
                flat[f"match_rate@{whole.k}_atoms_{name}"] = rates[number].rate if rates else None
        return flat | {
            "structural_validity": self.structural_validity,
            "composition_validity": self.composition_validity,
            "cov_recall": self.coverage.recall if self.coverage else None,
            "cov_precision": self.coverage.precision if self.coverage else None,
            "density_distance": self.density_distance,
            "element_count_distance": self.element_count_distance,
            "energy_distance": self.energy_distance,
            "samples_per_second": self.samples_per_second,
            "targets": self.targets,
            "samples": self.samples,
            "bad_rows": self.bad_rows,
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """A table of at most 80 columns."""
        speed = "" if self.samples_per_second is None else f", {self.samples_per_second:.3g} samples/s"
        shown = [f"{self.targets} targets, {self.samples} samples, {self.bad_rows} bad rows{speed}", ""]
        header = ("k", "match rate", "95 % interval", "RMSE", "valid only", "RMSE", "METRe", "cRMSE")
        shown += aligned([header, *(self._row(number) for number in range(len(self.rates)))], ())
        by_size = [
            (name, str(rates[0].targets), *(_percent(r.rate) for r in rates)) for name, rates in self.groups.items()
        ]
        shown += ["", *aligned([("atoms", "targets", *(f"match@{rate.k}" for rate in self.rates)), *by_size], ())]
        structural, chemical = _percent(self.structural_validity), _percent(self.composition_validity)
        shown += ["", f"valid: structures {structural}, compositions {chemical}"]
        if self.coverage:
            recall, precision = _percent(self.coverage.recall), _percent(self.coverage.precision)
            shown.append(f"coverage: recall {recall}, precision {precision}")
        distances = [
            f"{name} {value:.4g}{unit}"
            for name, value, unit in (
                ("density", self.density_distance, " g/cm^3"),
                ("elements", self.element_count_distance, ""),
                ("energy", self.energy_distance, " eV/atom"),
            )
            if value is not None
        ]
        if distances:
            shown.append(f"Wasserstein distances: {', '.join(distances)}")
        return shown + [line for note in self.notes for line in wrap(f"note: {note}", 80)]

    def _row(self, number: int) -> tuple[str, ...]:
        """The cells of the table for one k."""
        rate = self.rates[number]
        valid = self.rates_valid[number] if self.rates_valid else None
        everyone = self.everyone[number] if self.everyone else None
        return (
            str(rate.k),
            _percent(rate.rate),
            f"{100 * rate.low:.1f}-{100 * rate.high:.1f}",
            _figure(rate.rmse),
            _percent(valid.rate if valid else None),
            _figure(valid.rmse if valid else None),
            _percent(everyone.metre if everyone else None),
            _figure(everyone.crmse if everyone else None),
        )


def evaluate_samples(
    references: Sequence[Atoms],
    samples: Sequence[Sequence[Atoms | None]],
    ks: Sequence[int] = (1,),
    *,
    coverage_cutoff: float | None = None,
    energies: Callable[[list[Atoms]], np.ndarray] | None = None,
    tolerances: BenchmarkTolerances | None = None,
    bad_rows: int = 0,
    seconds: float | None = None,
    notes: Sequence[str] = (),
    progress: Progress | None = None,
) -> Evaluation:
    """Measure samples against the references they were drawn for.

    Parameters
    ----------
    references : the targets' known structures.
    samples : for each target its samples, in their order; rows may differ in length.
    ks : match@k for these numbers of samples.
    coverage_cutoff : largest distance of CrystalNN fingerprints for coverage; None: no coverage (0.2 s per structure).
    energies : eV/atom of structures, for the distance of energies; None: not asked for.
    bad_rows, seconds, notes : what was found out before: rows left out, seconds the generator took, lines to pass on.
    """
    tolerances, notes = tolerances or BenchmarkTolerances(), list(notes)
    flat = [sample for row in samples for sample in row]
    cells = primitive_cells([*references, *flat], progress)
    primitive, rest = cells[: len(references)], iter(cells[len(references) :])
    reduced = [[next(rest) for _ in row] for row in samples]
    distances = match_distances(reduced, primitive, tolerances, progress)
    closest = polymorph_distances(reduced, primitive, distances, tolerances, progress)
    if closest is None:
        notes.append(f"METRe left out: more than {MOST_EXTRA_PAIRS} pairs of one composition (fewer with --limit)")
    lost = sum(atoms is None for atoms in primitive)
    if lost:
        notes.append(f"{lost} references have no primitive cell that pymatgen can find: nothing matches them")
    good, chemical = structures_are_valid(flat), compositions_are_valid(flat)
    if chemical is None:
        notes.append(f"no composition validity without SMACT: {NEEDS_SMACT}")
    valid = None if chemical is None else _rows(good & chemical, samples, distances.shape)
    sizes = np.array(
        [len(reference if atoms is None else atoms) for atoms, reference in zip(primitive, references, strict=True)]
    )
    groups = {
        name: match_rates(distances[inside], ks)
        for name, (low, high) in SIZE_GROUPS.items()
        if (inside := (sizes >= low) & (sizes <= high)).any()
    }
    counted = [atoms for atoms, fine in zip(flat, good, strict=True) if fine]
    covered = None if coverage_cutoff is None else coverage(flat, references, coverage_cutoff, progress)
    if covered is not None and covered.recall is None:
        notes.append("coverage left out: a sample's composition is not that of any reference")
    return Evaluation(
        rates=match_rates(distances, ks),
        rates_valid=None if valid is None else match_rates(distances, ks, valid),
        everyone=None if closest is None else everyone_matches(closest, ks, tolerances),
        groups=groups,
        structural_validity=_share(good),
        composition_validity=None if chemical is None else _share(chemical),
        coverage=covered,
        density_distance=distribution_distance(densities(counted), densities(references)),
        element_count_distance=distribution_distance(element_counts(counted), element_counts(references)),
        energy_distance=None
        if energies is None
        else distribution_distance(
            np.asarray(energies([a for a in counted if a is not None])), np.asarray(energies(list(references)))
        ),
        targets=len(references),
        samples=len(flat),
        bad_rows=bad_rows,
        samples_per_second=len(flat) / seconds if seconds else None,
        notes=notes,
    )


def _rows(flags: np.ndarray, samples: Sequence[Sequence[Atoms | None]], shape: tuple[int, ...]) -> np.ndarray:
    table = np.zeros(shape, dtype=bool)
    start = 0
    for own, row in zip(table, samples, strict=True):
        own[: len(row)] = flags[start : start + len(row)]
        start += len(row)
    return table


def _share(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else 0.0


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
