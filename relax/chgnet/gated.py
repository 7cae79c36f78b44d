"""The gated layer that CHGNet is made of: silu(core) times sigmoid(gate), forwards and backwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

NORM_EPS = 1e-5
"""Of the package's layer norms."""


@dataclass(frozen=True, eq=False)
class Gated:
    """Weights of a gated layer; core and gate side by side.

    Attributes
    ----------
    parts : (width, 2 width) each: the first linear map, by the inputs that are joined in front of it.
    bias : (2 width,) of the first map.
    second : (2, width, width) for core and gate, and bias (2, 1, width); None where there is one map only.
    norm : scale and shift (2, 1, width) of the layer norm; None where there is none.
    """

    parts: tuple[Tensor, ...]
    bias: Tensor
    second: tuple[Tensor, Tensor] | None
    norm: tuple[Tensor, Tensor] | None


@dataclass(frozen=True, eq=False)
class Kept:
    """What the backward pass needs.

    Attributes
    ----------
    d_out : (2, n, width) derivative of the output by core and gate, where there is a norm times its scale.
    normalised, inverse_deviation : (2, n, width) and (2, n, 1) of the norm.
    d_hidden : (n, 2 width) derivative of the first activation.
    """

    d_out: Tensor
    normalised: Tensor | None
    inverse_deviation: Tensor | None
    d_hidden: Tensor | None


def make_gated(layer: Any, n_inputs: int) -> Gated:
    """Read a `chgnet.model.functions.GatedMLP` whose input is `n_inputs` features in a row.

    The layer norm first takes the mean off each row. That is linear, so the weights in front of it do so already.
    """
    cores = [x for x in layer.mlp_core.layers if isinstance(x, nn.Linear)]
    gates = [x for x in layer.mlp_gate.layers if isinstance(x, nn.Linear)]
    if len(cores) > 2:
        raise ValueError("CHGNet weights with more than two maps in a gated layer are not known")
    maps = [torch.stack([core.weight, gate.weight]) for core, gate in zip(cores, gates, strict=True)]
    biases = [torch.stack([core.bias, gate.bias]) for core, gate in zip(cores, gates, strict=True)]
    norm = None
    if layer.bn1 is not None:
        maps[-1] = maps[-1] - maps[-1].mean(dim=1, keepdim=True)
        biases[-1] = biases[-1] - biases[-1].mean(dim=1, keepdim=True)
        scale, shift = torch.stack([layer.bn1.weight, layer.bn2.weight]), torch.stack([layer.bn1.bias, layer.bn2.bias])
        norm = (scale[:, None], shift[:, None])
    second = None
    if len(maps) == 2:
        second = (maps[1].transpose(1, 2).contiguous(), biases[1][:, None])
    parts = maps[0].flatten(0, 1).T.chunk(n_inputs)
    return Gated(tuple(part.contiguous() for part in parts), biases[0].flatten(), second, norm)


def gated_forward(gated: Gated, hidden: Tensor) -> tuple[Tensor, Kept]:
    """The layer's output (n, width), and what `gated_backward` needs.

    Parameters
    ----------
    hidden : (n, 2 width), what the first map gave, its bias included; overwritten.
    """
    n, width = hidden.shape[0], hidden.shape[1] // 2
    d_hidden = None
    # Core and gate apart from here on: long contiguous rows go through several times faster.
    rows = hidden.new_empty(2, n, width)
    if gated.second is None:
        rows.copy_(hidden.view(n, 2, width).transpose(0, 1))
    else:
        open_ = torch.sigmoid(hidden)
        active = hidden.mul_(open_)
        # silu' = s + x s (1 - s)
        d_hidden = torch.addcmul(active, active, open_, value=-1).add_(open_)
        maps, bias = gated.second
        for half in range(2):
            part = active[:, half * width : (half + 1) * width]
            torch.addmm(bias[half], part, maps[half], out=rows[half])
    normalised = inverse_deviation = None
    if gated.norm is not None:
        inverse_deviation = torch.linalg.vector_norm(rows, dim=2, keepdim=True)
        inverse_deviation = inverse_deviation.square_().div_(width).add_(NORM_EPS).rsqrt_()
        normalised = rows.mul_(inverse_deviation)
        rows = torch.addcmul(gated.norm[1], normalised, gated.norm[0])
    open_ = torch.sigmoid(rows)
    both_open = open_[0] * open_[1]
    output = rows[0] * both_open
    # By core and gate alike the derivative is output (1 - s), and for the core both gates more.
    d_out = torch.addcmul(output, output, open_, value=-1)
    d_out[0] += both_open
    if gated.norm is not None:
        d_out *= gated.norm[0]
    return output, Kept(d_out, normalised, inverse_deviation, d_hidden)


def gated_backward(gated: Gated, kept: Kept, d_output: Tensor) -> Tensor:
    """The derivative (n, 2 width) by the layer's `hidden`, from that by its output (n, width); uses up `kept`."""
    n, width = d_output.shape
    rows = kept.d_out.mul_(d_output)
    if kept.normalised is not None:
        assert kept.inverse_deviation is not None
        overlap = torch.linalg.vecdot(rows, kept.normalised).unsqueeze(2).div_(width)
        rows.addcmul_(kept.normalised, overlap, value=-1).mul_(kept.inverse_deviation)
    result = rows.new_empty(n, 2 * width)
    if gated.second is None:
        result.view(n, 2, width).copy_(rows.transpose(0, 1))
        return result
    assert kept.d_hidden is not None
    for half in range(2):
        torch.mm(rows[half], gated.second[0][half].T, out=result[:, half * width : (half + 1) * width])
    return result.mul_(kept.d_hidden)
