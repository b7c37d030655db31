"""The decoder: the only part of DUAL that sees text, and it does so last."""

from __future__ import annotations

import torch
from torch import nn

from dual_hpc.model.attention import CrossLayer
from dual_hpc.model.masking import blank, prefix_mask
from dual_hpc.model.positions import sinusoids


class TextMemory(nn.Module):
    """What the decoder attends to: one learned null token, then the projected text.

    The null token is there for every sample: without text it is all there is, with text it is a place to look at when
    the words do not help.
    """

    def __init__(self, text_size: int | None, hidden_size: int) -> None:
        super().__init__()
        self.null = nn.Parameter(torch.randn(hidden_size) * 0.02)
        self.project = None
        if text_size is not None:
            self.project = nn.Sequential(nn.Linear(text_size, hidden_size), nn.LayerNorm(hidden_size))

    def forward(
        self, batch: int, text: torch.Tensor | None, text_mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """text [B, L, E] and bool mask [B, L] (or neither) -> memory [B, 1 + L, d] and mask [B, 1 + L]."""
        memory = self.null.expand(batch, 1, -1)
        if torch.compiler.is_exporting():  # a graph multiplies what is expanded otherwise for one clip than for several
            memory = self.null * self.null.new_ones(batch, 1, 1)
        mask = torch.ones(batch, 1, dtype=torch.bool, device=memory.device)
        if self.project is None or text is None or text_mask is None:
            return memory, mask
        words = blank(self.project(text), text_mask)
        return torch.cat([memory.to(words.dtype), words], dim=1), torch.cat([mask, text_mask], dim=1)


class EmotionDecoder(nn.Module):
    """Transformer decoder over Z with sinusoidal positions, attention pooling over time, and a linear head."""

    def __init__(self, hidden_size: int, layers: int, heads: int, dropout: float, classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([CrossLayer(hidden_size, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(hidden_size)
        self.importance = nn.Linear(hidden_size, 1, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden_size, classes)

    def forward(
        self, bottleneck: torch.Tensor, lengths: torch.Tensor, memory: torch.Tensor, memory_mask: torch.Tensor
    ) -> torch.Tensor:
        """Z [B, T, d], lengths [B], memory [B, S, d] -> logits [B, C]."""
        mask = prefix_mask(lengths, bottleneck.shape[1])
        x = bottleneck + sinusoids(bottleneck.shape[1], bottleneck.shape[2], bottleneck)
        for layer in self.layers:
            x = layer(x, mask, memory, memory_mask)
        x = self.norm(x)
        return self.head(self.dropout((self._pooling(x, mask).to(x.dtype) * x).sum(dim=1)))

    def memory_attention(
        self, bottleneck: torch.Tensor, lengths: torch.Tensor, memory: torch.Tensor, memory_mask: torch.Tensor
    ) -> torch.Tensor:
        """How much the answer looks at each item of the memory, f32 [B, S], each row sums to 1.

        The mean over heads and layers, and over time by the weights with which the steps are pooled.
        """
        mask = prefix_mask(lengths, bottleneck.shape[1])
        x = bottleneck + sinusoids(bottleneck.shape[1], bottleneck.shape[2], bottleneck)
        looked = []
        for layer in self.layers:
            assert isinstance(layer, CrossLayer)
            looked.append(layer.memory_weights(x, mask, memory, memory_mask))
            x = layer(x, mask, memory, memory_mask)
        return (self._pooling(self.norm(x), mask) * torch.stack(looked).mean(0)).sum(dim=1)

    def _pooling(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """f32 [B, T, 1], zero beyond the lengths."""
        return self.importance(x).float().masked_fill(~mask.unsqueeze(-1), float("-inf")).softmax(dim=1)
