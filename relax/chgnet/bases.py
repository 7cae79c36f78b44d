"""What CHGNet sees of a geometry: lengths and angles of bonds, each in a basis, and the way back to bond vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ACOS_FACTOR = 1 - 1e-6
"""On every cosine, as in the package: keeps the slope of acos finite for bonds in line."""


@dataclass(frozen=True, eq=False)
class RadialBasis:
    """Sines over the distance, times a polynomial that ends smoothly at the cut-off.

    Attributes
    ----------
    frequencies : (n_basis,) of r / cutoff.
    cutoff : Å.
    power : of the polynomial's first term.
    """

    frequencies: Tensor
    cutoff: float
    power: float

    @classmethod
    def of(cls, module: Any) -> RadialBasis:
        """Read a `chgnet.model.basis.RadialBessel`."""
        return cls(module.frequencies.detach(), 1 / module.inv_cutoff, float(module.smooth_cutoff.p))

    def expand(self, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The basis (n, n_basis), and its slope by the length in 1/Å; all lengths below the cut-off.

        Parameters
        ----------
        lengths : (n,), Å.
        """
        p, x = self.power, lengths / self.cutoff
        a, b, c = -(p + 1) * (p + 2) / 2, p * (p + 2), -p * (p + 1) / 2
        scale = math.sqrt(2 / self.cutoff) / lengths
        power = x**p
        fade = (1 + power * (a + x * (b + x * c))) * scale
        fade_slope = power / lengths * (a * p + x * (b * (p + 1) + x * (c * (p + 2)))) * scale - fade / lengths
        phase = torch.outer(x, self.frequencies)
        sine = phase.sin()
        slope = sine * fade_slope[:, None]
        slope.addcmul_(phase.cos_(), torch.outer(fade, self.frequencies / self.cutoff))
        return sine.mul_(fade[:, None]), slope


def expand_angles(cosines: Tensor, frequencies: Tensor) -> tuple[Tensor, Tensor]:
    """A constant, sines and cosines of angles: (n, 1 + 2 n_frequencies), and the slope by the cosine.

    Parameters
    ----------
    cosines : (n,) of the angles. frequencies : of a `chgnet.model.basis.Fourier`.
    """
    cosines = cosines * ACOS_FACTOR
    angles = torch.acos(cosines)
    phase = torch.outer(angles, frequencies)
    norm, order = 1 / math.sqrt(math.pi), len(frequencies)
    basis = torch.empty(len(angles), 1 + 2 * order, dtype=cosines.dtype, device=cosines.device)
    basis[:, 0] = norm / math.sqrt(2)
    basis[:, 1 : 1 + order] = phase.sin().mul_(norm)
    basis[:, 1 + order :] = phase.cos_().mul_(norm)
    by_angle = -ACOS_FACTOR / torch.sqrt(1 - cosines * cosines)
    slope = torch.zeros_like(basis)
    weight = by_angle[:, None] * frequencies
    torch.mul(basis[:, 1 + order :], weight, out=slope[:, 1 : 1 + order])
    torch.mul(basis[:, 1 : 1 + order], weight, out=slope[:, 1 + order :]).neg_()
    return basis, slope
