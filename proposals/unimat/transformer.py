"""A bidirectional transformer: RMS norm before each part, SwiGLU, attention as plain matrix products."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


class Block(torch.nn.Module):
    """One layer of attention and SwiGLU (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.attention_norm = torch.nn.RMSNorm(width)
        self.project_in = torch.nn.Linear(width, 3 * width, bias=False)
        self.project_out = torch.nn.Linear(width, width, bias=False)
        self.feed_norm = torch.nn.RMSNorm(width)
        hidden = 8 * round(width / 3)
        self.feed_in = torch.nn.Linear(width, 2 * hidden, bias=False)
        self.feed_out = torch.nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x (b, t, width); bias (b, 1, 1, t) is added to the attention's logits."""
        b, t, width = x.shape
        parts = self.project_in(self.attention_norm(x)).view(b, t, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        # For the few tokens of a crystal, plain products are faster on a CPU than the fused kernel.
        weights = torch.softmax(q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5 + bias, dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(b, t, width)
        x = x + functional.dropout(self.project_out(mixed), self.dropout, self.training)
        gate, value = self.feed_in(self.feed_norm(x)).chunk(2, dim=-1)
        fed: Tensor = self.feed_out(functional.silu(gate) * value)
        return x + functional.dropout(fed, self.dropout, self.training)


class Transformer(torch.nn.Module):
    """`layers` blocks and a last norm."""

    def __init__(self, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        blocks = [Block(width, heads, dropout) for _ in range(layers)]
        self.blocks = torch.nn.ModuleList(blocks)
        self.norm = torch.nn.RMSNorm(width)
        for block in blocks:
            for weight in (block.project_in.weight, block.feed_in.weight):
                torch.nn.init.normal_(weight, std=width**-0.5)
            for weight in (block.project_out.weight, block.feed_out.weight):
                torch.nn.init.normal_(weight, std=weight.shape[1] ** -0.5 / (2 * layers) ** 0.5)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """x (b, t, width), present (b, t) bool: absent tokens are not looked at."""
        bias = torch.zeros_like(present, dtype=x.dtype).masked_fill(~present, -1e9)[:, None, None]
        for block in self.blocks:
            x = block(x, bias)
        normed: Tensor = self.norm(x)
        return normed
