"""How alike two elements are, to put one in the other's place.

Where the known structure stands among the substitutions of 120 targets of Materials Project structures (mp/val, up to
20 atoms; prototypes from mp/train, no formula in common), ranked by sums over the formula unit:

| measure | first | within 2 | 5 | 10 | 50 |
|---|---|---|---|---|---|
| modified Pettifor scale, log(1 + places) | 72 % | 79 % | 87 % | 90 % | 90 % |
| the same, places | 71 % | 77 % | 88 % | 89 % | 90 % |
| Pettifor's own scale, places | 73 % | 78 % | 88 % | 89 % | 90 % |
| data-mined ionic substitution, all charges | 72 % | 78 % | 84 % | 88 % | 90 % |

Data-mined: Hautier et al. 2011, doi:10.1021/ic102031h. The measures differ by no more than chance. Ties by formation
energy, lowest first, make 76 % of the first row's 72 %.
"""

from __future__ import annotations

from math import log1p

SCALE = """
He Ne Ar Kr Xe Rn Fr Cs Rb K Na Li Ra Ba Sr Ca Eu Yb Lu Tm Y Er Ho Dy Tb Gd Sm Pm Nd Pr Ce La Ac Th Pa U Np Pu Am Cm
Bk Cf Es Fm Md No Lr Sc Zr Hf Ti Ta Nb V Cr Mo W Re Tc Os Ru Ir Rh Pt Pd Au Ag Cu Ni Co Fe Mn Mg Zn Cd Hg Be Al Ga In
Tl Pb Sn Ge Si B C N P As Sb Bi Po Te Se S O At I Br Cl F H
"""
"""The elements in the order of the modified Pettifor scale (Glawe et al. 2016, doi:10.1088/1367-2630/18/9/093011),
which puts those next to each other that replace each other in known crystals."""

_PLACES = {symbol: place for place, symbol in enumerate(SCALE.split())}


def unlikeness(first: str, second: str) -> float:
    """log(1 + places between the two elements on the scale); 0 for an element and itself."""
    return log1p(abs(_PLACES[first] - _PLACES[second]))
