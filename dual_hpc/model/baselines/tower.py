"""Self-attention over one sequence, and one vector of it."""

from __future__ import annotations

import torch
from torch import nn

from dual_hpc.model.attention import SelfLayer


class AttentionPooling(nn.Module):
    """The mean over the valid steps, weighed by a learned importance, as in DUAL's decoder."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.importance = nn.Linear(width, 1, bias=False)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """x [B, T, W], bool mask [B, T] with a True in every row -> [B, W]."""
        weights = self.importance(x).float().masked_fill(~mask.unsqueeze(-1), float("-inf")).softmax(dim=1)
        return (weights.to(x.dtype) * x).sum(dim=1)


class Tower(nn.Module):
    """Self-attention layers, LayerNorm and pooling."""

    def __init__(self, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList([SelfLayer(width, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.pool = AttentionPooling(width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """x [B, T, W], bool mask [B, T] with a True in every row -> [B, W]."""
        for layer in self.layers:
            x = layer(x, mask)
        return self.pool(self.norm(x), mask)
