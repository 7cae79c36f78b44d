"""Default volumes and minimum distances, from the elements alone.

Volume (Å^3/atom). Metals keep close to the volume they have as elements; anions keep close to one volume each in
whatever they form. So the estimate is the mean over atoms of 0.90 x the element's molar volume or, in a compound with
one of the anions of `ANION_VOLUMES`, that anion's volume, and 0.53 x molar volume for the others. The two factors and
ten anion volumes were fitted to 5,550 Materials Project structures within 0.1 eV/atom of the hull (MP-20, training
split). Real over estimated volume for 625 others (validation split):

| | 1 % | 5 % | 25 % | 50 % | 75 % | 95 % | 99 % |
|---|---|---|---|---|---|---|---|
| all | 0.71 | 0.82 | 0.93 | 1.01 | 1.07 | 1.21 | 1.47 |
| with an anion (226) | 0.76 | 0.81 | 0.92 | 1.01 | 1.11 | 1.33 | 1.65 |
| without (399) | 0.71 | 0.83 | 0.94 | 1.01 | 1.06 | 1.13 | 1.19 |

Volumes are drawn within 0.75-1.25 of the estimate: 2 % of the real ones lie below, 4 % above (with an anion: 1 % and
10 %). The rule is too large for dense oxides and halides (MgO 0.76, SrTiO3 0.78, NaCl 0.83 of it), more so under
pressure, and too small for molecular crystals. Spheres of covalent radii did worse (5-95 %: 0.73-2.3 after scaling),
and so did ionic radii where charges balance (0.65-1.36).

Distances (Å). Factors times sums of radii, chosen so that 99 % of the shortest distances per species pair lie above
them; together 99.5 % of 3,101 pairs in the 625 validation structures, 99.2 % of 15,990 in 2,500 training structures:

| pair | factor and radii | real distance / sum of radii: 1 %, 5 %, median |
|---|---|---|
| cation-anion | 0.77, covalent | 0.77, 0.81, 0.99 |
| cation-cation | 0.84, covalent | 0.85, 0.92, 1.19 |
| anion-anion | 0.86, ionic | 0.87, 0.93, 1.06 |
| not charge-balanced, or alloys | 0.80, covalent | 0.82, 0.88, 1.02 |

Covalent radii: Cordero et al. 2008, doi:10.1039/b801115j (from ase); molar volumes, common oxidation states and
anions' ionic radii (Shannon): pymatgen.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import combinations, combinations_with_replacement, product
from math import pi

from ase.data import atomic_numbers, covalent_radii
from pymatgen.core import Element

ANION_VOLUMES = {
    "H": 7.7,
    "N": 13.6,
    "O": 12.2,
    "F": 14.5,
    "S": 28.3,
    "Cl": 33.3,
    "Se": 34.0,
    "Br": 41.2,
    "Te": 43.0,
    "I": 53.4,
}
"""Å^3 per atom of an element that takes up electrons (fitted, see above)."""

ANION_CHARGES = {"N": -3, "O": -2, "F": -1, "S": -2, "Cl": -1, "Se": -2, "Br": -1, "Te": -2, "I": -1}
"""Charges of the elements that count as anions for the distances."""

WITHOUT_ANION, WITH_ANION = 0.90, 0.53
"""Volume of an element in a compound without and with an anion, over its molar volume."""

VOLUME_RANGE = (0.75, 1.25)
"""The default range over the estimate: the 2 % and 96 % quantiles of real volumes."""

CATION_ANION, CATION_CATION, ANION_ANION, UNCHARGED = 0.77, 0.84, 0.86, 0.80
"""Minimum distance over the sum of radii (see the table above)."""

MAX_DEFAULT_PACKING = 0.60
"""Default distances are scaled down until no species' spheres fill more of the volume than this."""

CLOSEST_PACKING = 0.7405
"""Largest fraction of space that equal spheres can fill (Kepler; Hales 2005, doi:10.4007/annals.2005.162.1065)."""

Pair = tuple[str, str]


def covalent_radius(symbol: str) -> float:
    """Å; beyond curium, where none is known, curium's."""
    return float(covalent_radii[min(atomic_numbers[symbol], 96)])


def element_volume(symbol: str) -> float:
    """Å^3 per atom of the element at ambient conditions; where it is unknown, from its covalent radius."""
    molar = Element(symbol).molar_volume
    if molar:
        return float(molar) / 0.602214
    return 1.48 * 4 / 3 * pi * covalent_radius(symbol) ** 3


def estimated_volume(composition: Mapping[str, int]) -> float:
    """The estimated volume per atom (Å^3) of a composition; see the module for the rule and its error."""
    anions = {symbol for symbol in composition if symbol in ANION_VOLUMES} if len(composition) > 1 else set()
    if anions == set(composition):
        anions -= {min(composition, key=lambda symbol: float(Element(symbol).X))}
    factor = WITH_ANION if anions else WITHOUT_ANION
    total = sum(
        count * (ANION_VOLUMES[symbol] if symbol in anions else factor * element_volume(symbol))
        for symbol, count in composition.items()
    )
    return total / sum(composition.values())


def default_volumes(composition: Mapping[str, int]) -> tuple[float, float]:
    """The smallest and largest volume per atom (Å^3) that are proposed where the user gives none."""
    estimate = estimated_volume(composition)
    return VOLUME_RANGE[0] * estimate, VOLUME_RANGE[1] * estimate


def guess_charges(composition: Mapping[str, int]) -> dict[str, int]:
    """A charge per element that sums to zero, or nothing where the common oxidation states do not balance.

    The k most electronegative elements are anions (the smallest k that balances), each with its one usual charge;
    every other element takes one of its common positive states.
    """
    return dict(_guess_charges(tuple(composition.items())))


@lru_cache(maxsize=1000)
def _guess_charges(items: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    counts = dict(items)
    if len(counts) == 1:
        return ()
    order = sorted(counts, key=lambda symbol: -float(Element(symbol).X))
    for number_of_anions in range(1, len(order)):
        anions, cations = order[:number_of_anions], order[number_of_anions:]
        if anions[-1] not in ANION_CHARGES:
            break
        negative = sum(counts[symbol] * ANION_CHARGES[symbol] for symbol in anions)
        for states in product(*(_positive_states(symbol) for symbol in cations)):
            if negative + sum(counts[s] * state for s, state in zip(cations, states, strict=True)) == 0:
                charges = {s: ANION_CHARGES[s] for s in anions} | dict(zip(cations, states, strict=True))
                return tuple(charges.items())
    return ()


def _positive_states(symbol: str) -> list[int]:
    element = Element(symbol)
    return [int(state) for state in element.common_oxidation_states or element.oxidation_states if state > 0]


def radius_distances(composition: Mapping[str, int]) -> dict[Pair, float]:
    """Default minimum distance (Å) of every sorted species pair, before any scaling."""
    charges = guess_charges(composition)
    distances = {}
    for first, second in combinations_with_replacement(sorted(composition), 2):
        charge_one, charge_two = charges.get(first, 0), charges.get(second, 0)
        covalent = covalent_radius(first) + covalent_radius(second)
        if charge_one < 0 and charge_two < 0:
            distances[first, second] = ANION_ANION * (_anion_radius(first) + _anion_radius(second))
        elif charge_one > 0 and charge_two > 0:
            distances[first, second] = CATION_CATION * covalent
        else:
            distances[first, second] = (CATION_ANION if charge_one * charge_two < 0 else UNCHARGED) * covalent
    return distances


def _anion_radius(symbol: str) -> float:
    return float(Element(symbol).ionic_radii[ANION_CHARGES[symbol]])


def packing(composition: Mapping[str, int], distances: Mapping[Pair, float], volume: float) -> tuple[float, list[str]]:
    """The largest fraction of the volume that equal spheres must fill, and the species that are those spheres.

    Any set of species whose pairs all keep at least d apart is a packing of spheres of diameter d; beyond
    `CLOSEST_PACKING` no structure exists. A pair that `distances` leaves out counts as 0.

    Parameters
    ----------
    composition : atoms per formula unit.
    distances : Å, by sorted pair.
    volume : Å^3 per formula unit.
    """
    worst: tuple[float, list[str]] = (0.0, [])
    species = sorted(composition)
    for size in range(1, len(species) + 1):
        for chosen in combinations(species, size):
            closest = min(distances.get(pair, 0.0) for pair in combinations_with_replacement(chosen, 2))
            filled = sum(composition[s] for s in chosen) * pi / 6 * closest**3 / volume
            if filled > worst[0]:
                worst = filled, list(chosen)
    return worst


def minimum_distances(
    composition: Mapping[str, int], given: Mapping[Pair, float], volume: float
) -> tuple[dict[Pair, float], float]:
    """The minimum distance (Å) of every sorted species pair, and the factor by which the default ones were scaled.

    Parameters
    ----------
    composition : atoms per formula unit.
    given : the user's distances by sorted pair, kept as they are.
    volume : Å^3 per formula unit, the smallest that may be drawn; the default distances shrink until no species'
        spheres fill more than `MAX_DEFAULT_PACKING` of it, unless the given ones do so by themselves.
    """
    default = {pair: d for pair, d in radius_distances(composition).items() if pair not in given}
    scale = 1.0
    if packing(composition, given, volume)[0] < MAX_DEFAULT_PACKING:
        while packing(composition, {p: scale * d for p, d in default.items()} | dict(given), volume)[0] > (
            MAX_DEFAULT_PACKING
        ):
            scale *= 0.99
    return {pair: scale * d for pair, d in default.items()} | dict(given), scale
