"""The transformer parts that DUAL's own encoders and decoder are made of, pre-norm.

Written out instead of `nn.TransformerEncoder` and `nn.MultiheadAttention`: those copy layers and read the weights of
their children, which ZeRO-3 partitions.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention of a sequence over a memory.

    The keys have no bias: softmax ignores it, so it would never learn.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        assert width % heads == 0
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x: torch.Tensor, memory: torch.Tensor, memory_mask: torch.Tensor) -> torch.Tensor:
        """x [B, T, W] over memory [B, S, W]; memory_mask bool [B, S] has at least one True in every row."""
        query, key, value = map(self._by_head, (self.query(x), self.key(memory), self.value(memory)))
        mixed = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=memory_mask[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.output(mixed.transpose(1, 2).flatten(2))

    def weights(self, x: torch.Tensor, memory: torch.Tensor, memory_mask: torch.Tensor) -> torch.Tensor:
        """How much of each item of the memory `forward` mixes into each step, the mean over heads: f32 [B, T, S]."""
        query, key = self._by_head(self.query(x)), self._by_head(self.key(memory))
        scores = (query @ key.transpose(2, 3)).float() / math.sqrt(query.shape[-1])
        return scores.masked_fill(~memory_mask[:, None, None, :], float("-inf")).softmax(-1).mean(1)

    def _by_head(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Sequential):
    """Two linear maps around a GELU."""

    def __init__(self, width: int, dropout: float, expansion: int = 4) -> None:
        super().__init__(
            nn.Linear(width, expansion * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(expansion * width, width),
        )


class SelfLayer(nn.Module):
    """Self-attention and a feed-forward network, each on a residual."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, heads, dropout)
        self.forward_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """x [B, T, W], mask bool [B, T] -> [B, T, W]."""
        normed = self.attention_norm(x)
        x = x + self.dropout(self.attention(normed, normed, mask))
        return x + self.dropout(self.feed_forward(self.forward_norm(x)))


class CrossLayer(nn.Module):
    """Self-attention, attention over a memory, and a feed-forward network, each on a residual."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(width)
        self.self_attention = MultiHeadAttention(width, heads, dropout)
        self.cross_norm = nn.LayerNorm(width)
        self.cross_attention = MultiHeadAttention(width, heads, dropout)
        self.forward_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, memory: torch.Tensor, memory_mask: torch.Tensor
    ) -> torch.Tensor:
        """x [B, T, W] with mask [B, T], memory [B, S, W] with memory_mask [B, S] -> [B, T, W]."""
        normed = self.self_norm(x)
        x = x + self.dropout(self.self_attention(normed, normed, mask))
        x = x + self.dropout(self.cross_attention(self.cross_norm(x), memory, memory_mask))
        return x + self.dropout(self.feed_forward(self.forward_norm(x)))

    def memory_weights(
        self, x: torch.Tensor, mask: torch.Tensor, memory: torch.Tensor, memory_mask: torch.Tensor
    ) -> torch.Tensor:
        """How much `forward` looks at each item of the memory at each step, the mean over heads: f32 [B, T, S]."""
        normed = self.self_norm(x)
        x = x + self.dropout(self.self_attention(normed, normed, mask))
        return self.cross_attention.weights(self.cross_norm(x), memory, memory_mask)
