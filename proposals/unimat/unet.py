"""The 3D U-Net of UniMat over (slots, periods, groups).

Yang et al. 2024, arXiv:2311.09235, on the video U-Net of Ho et al. 2022, arXiv:2204.03458: convolutions within each
plane of the table, the slots taking the place of the frames; attention along slots, periods and groups, each for
itself; three levels, from one to the next a third of the rows and columns (9 x 18, 3 x 6, 1 x 2: "attention at 9, 3,
1"). Slots are never convolved or merged, since their order means nothing, so any number of them goes through.

Tensors are (B, L, H, W, C), channels last: this is the layout that convolutions and products are fastest in on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

FACTOR = 3
"""Rows or columns that become one on the next level."""


def zeroed(layer: nn.Conv2d | nn.Linear) -> nn.Conv2d | nn.Linear:
    """The layer with all weights 0, so that what it is added to starts as it is."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class PlaneConv(nn.Module):
    """A convolution over the plane (H, W) of each slot, 3 wide along axes longer than 1."""

    def __init__(self, channels: int, out_channels: int, shape: tuple[int, int], *, zero: bool = False) -> None:
        super().__init__()
        self.layer: nn.Conv2d | nn.Linear
        if shape == (1, 1):
            self.layer = nn.Linear(channels, out_channels)
        else:
            kernel = (3 if shape[0] > 1 else 1, 3 if shape[1] > 1 else 1)
            conv = nn.Conv2d(channels, out_channels, kernel, padding=(kernel[0] // 2, kernel[1] // 2))
            self.layer = conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if zero:
            zeroed(self.layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, L, H, W, C) -> (B, L, H, W, C')."""
        if isinstance(self.layer, nn.Linear):
            return self.layer(x)
        y: torch.Tensor = self.layer(x.flatten(0, 1).permute(0, 3, 1, 2))
        return y.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])


class Norm(nn.GroupNorm):
    """Group normalisation over slots, periods, groups and each of up to 8 groups of channels."""

    def __init__(self, channels: int) -> None:
        super().__init__(math.gcd(8, channels), channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, L, H, W, C), unchanged in shape."""
        y = super().forward(x.flatten(2, 3).permute(0, 3, 1, 2))
        return y.permute(0, 2, 3, 1).reshape(x.shape)


class ResidualBlock(nn.Module):
    """Two convolutions, with scale and shift from the embedding between them."""

    def __init__(
        self, channels: int, out_channels: int, embedding: int, shape: tuple[int, int], dropout: float
    ) -> None:
        super().__init__()
        self.norm_in, self.conv_in = Norm(channels), PlaneConv(channels, out_channels, shape)
        self.modulation = nn.Linear(embedding, 2 * out_channels)
        self.norm_out, self.conv_out = Norm(out_channels), PlaneConv(out_channels, out_channels, shape, zero=True)
        self.dropout = nn.Dropout(dropout)
        self.skip = nn.Identity() if channels == out_channels else nn.Linear(channels, out_channels)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """x (B, L, H, W, C), embedding (B, E) -> (B, L, H, W, C')."""
        y = self.conv_in(functional.silu(self.norm_in(x)))
        scale, shift = self.modulation(functional.silu(embedding))[:, None, None, None].chunk(2, dim=-1)
        y = torch.addcmul(shift, self.norm_out(y), 1 + scale)
        out: torch.Tensor = self.skip(x) + self.conv_out(self.dropout(functional.silu(y)))
        return out


class AxialAttention(nn.Module):
    """Attention along slots, periods and groups, each for itself, from one set of queries, keys and values.

    The results stand side by side before the last product. Axes of the plane that are 1 long are left out.
    """

    def __init__(self, channels: int, shape: tuple[int, int], head_dim: int) -> None:
        super().__init__()
        self.axes = (1, *(axis for axis, length in zip((2, 3), shape, strict=True) if length > 1))
        self.head_dim = min(head_dim, channels)
        inner = max(1, channels // self.head_dim) * self.head_dim
        self.norm = Norm(channels)
        self.qkv = nn.Linear(channels, 3 * inner, bias=False)
        self.out = zeroed(nn.Linear(len(self.axes) * inner, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, L, H, W, C), unchanged in shape."""
        heads = self.qkv(self.norm(x)).unflatten(-1, (3, -1, self.head_dim))
        results = []
        for axis in self.axes:
            # (3, B, two other axes, heads, length, head_dim)
            query, key, value = heads.movedim((4, axis), (0, -2)).unbind(0)
            attended = functional.scaled_dot_product_attention(
                query.flatten(0, 2), key.flatten(0, 2), value.flatten(0, 2)
            )
            results.append(attended.unflatten(0, query.shape[:3]).movedim(-2, axis).flatten(-2))
        out: torch.Tensor = x + self.out(torch.cat(results, dim=-1))
        return out


class Resample(nn.Module):
    """Down: a third of the rows and columns, rounded up. Up: the way back, cut to what was there."""

    def __init__(self, channels: int, out_channels: int, shape: tuple[int, int], *, up: bool) -> None:
        super().__init__()
        self.shape, self.up = shape, up
        stride = strides(shape)
        layer = nn.ConvTranspose2d if up else nn.Conv2d
        self.layer = layer(channels, out_channels, stride, stride=stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, L, H, W, C) -> (B, L, H', W', C')."""
        y = x.flatten(0, 1).permute(0, 3, 1, 2)
        if not self.up:
            down, across = (-length % step for length, step in zip(self.shape, strides(self.shape), strict=True))
            y = functional.pad(y, (0, across, 0, down))
        y = self.layer(y)[:, :, : self.shape[0], : self.shape[1]]
        return y.permute(0, 2, 3, 1).contiguous().unflatten(0, x.shape[:2])


def strides(shape: tuple[int, int]) -> tuple[int, int]:
    """By how much each axis of a plane shrinks towards the next level."""
    return min(FACTOR, shape[0]), min(FACTOR, shape[1])


def smaller(shape: tuple[int, int]) -> tuple[int, int]:
    """The plane of the next level; up to three rows or columns become one."""
    down, across = strides(shape)
    return -(-shape[0] // down), -(-shape[1] // across)


class Stage(nn.Module):
    """A residual block and attention."""

    def __init__(
        self, channels: int, out_channels: int, embedding: int, shape: tuple[int, int], dropout: float, head_dim: int
    ) -> None:
        super().__init__()
        self.block = ResidualBlock(channels, out_channels, embedding, shape, dropout)
        self.attention = AxialAttention(out_channels, shape, head_dim)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """x (B, L, H, W, C), embedding (B, E) -> (B, L, H, W, C')."""
        out: torch.Tensor = self.attention(self.block(x, embedding))
        return out


def time_features(log_snr: torch.Tensor, features: int) -> torch.Tensor:
    """Sines and cosines (n, features) of the cosine schedule's time, for log-SNR (n,)."""
    time = torch.atan(torch.exp(-log_snr / 2)) * (2 / math.pi)
    frequencies = torch.exp(torch.linspace(0, math.log(1000), features // 2, device=log_snr.device))
    angles = time[:, None] * frequencies * (math.pi / 2)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class UNet(nn.Module):
    """Estimates the noise of grid and cell together.

    The noisy cell enters as a condition, embedded with the time; its noise is read from the means and maxima of the
    lowest level.

    Parameters
    ----------
    shape : (H, W) of the table.
    slots : the largest L.
    grid_channels : of the input: three noisy coordinates and the conditions beside them.
    channels, multipliers, blocks : width of the first level, each level's over it, and stages per level each way.
    extra : numbers of the conditions that concern the whole crystal, embedded with the time; 0 for none.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        slots: int,
        grid_channels: int,
        *,
        channels: int,
        multipliers: Sequence[int],
        blocks: int,
        head_dim: int,
        dropout: float,
        extra: int = 0,
        cell_size: int = 6,
    ) -> None:
        super().__init__()
        self.channels = channels
        embedding = 4 * channels
        self.time = nn.Sequential(nn.Linear(2 * channels, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.cell_in = nn.Sequential(nn.Linear(cell_size, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.extra = None
        if extra:
            self.extra = nn.Sequential(nn.Linear(extra, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.grid_in = PlaneConv(grid_channels, channels, shape)
        self.plane = nn.Parameter(0.5 * torch.randn(*shape, channels))
        self.slot = nn.Parameter(0.5 * torch.randn(slots, 1, 1, channels))

        def stage(width: int, out_width: int, plane: tuple[int, int]) -> Stage:
            return Stage(width, out_width, embedding, plane, dropout, head_dim)

        widths = [channels * multiplier for multiplier in multipliers]
        shapes = [shape]
        for _ in widths[1:]:
            shapes.append(smaller(shapes[-1]))
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shrink, self.grow = nn.ModuleList(), nn.ModuleList()
        for level, (width, plane) in enumerate(zip(widths, shapes, strict=True)):
            self.down.append(nn.ModuleList(stage(width, width, plane) for _ in range(blocks)))
            self.up.append(nn.ModuleList(stage(2 * width, width, plane) for _ in range(blocks)))
            if level + 1 < len(widths):
                self.shrink.append(Resample(width, widths[level + 1], plane, up=False))
                self.grow.append(Resample(widths[level + 1], width, plane, up=True))
        self.middle = stage(widths[-1], widths[-1], shapes[-1])
        self.norm, self.grid_out = Norm(channels), PlaneConv(channels, 3, shape, zero=True)
        self.cell_out = nn.Sequential(
            nn.Linear(2 * widths[-1] + embedding, embedding), nn.SiLU(), zeroed(nn.Linear(embedding, cell_size))
        )

    def forward(
        self, grid: torch.Tensor, cell: torch.Tensor, log_snr: torch.Tensor, extra: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The noise of the grid (B, L, H, W, 3) and of the cell (B, 6).

        Parameters
        ----------
        grid : (B, L, H, W, grid_channels), L up to `slots`.
        cell : (B, 6).
        log_snr : (B,).
        extra : (B, extra) where the network was made with such conditions.
        """
        embedding = self.time(time_features(log_snr, 2 * self.channels)) + self.cell_in(cell)
        if self.extra is not None:
            embedding = embedding + self.extra(extra)
        x = self.grid_in(grid) + (self.plane + self.slot[: grid.shape[1]])
        skips = []
        for level, stages in enumerate(self.down):
            for stage in stages:  # type: ignore[attr-defined]
                x = stage(x, embedding)
                skips.append(x)
            if level < len(self.shrink):
                x = self.shrink[level](x)
        x = self.middle(x, embedding)
        pooled = torch.cat([x.mean(dim=(1, 2, 3)), x.amax(dim=(1, 2, 3)), embedding], dim=-1)
        for level in reversed(range(len(self.up))):
            for stage in self.up[level]:  # type: ignore[attr-defined]
                x = stage(torch.cat([x, skips.pop()], dim=-1), embedding)
            if level:
                x = self.grow[level - 1](x)
        return self.grid_out(functional.silu(self.norm(x))), self.cell_out(pooled)
