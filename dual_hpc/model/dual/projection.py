"""Nonlinear alignment: one modality's features into the common space and onto the common time grid."""

from __future__ import annotations

import torch
from torch import nn

from dual_hpc.model.grid import resample
from dual_hpc.model.masking import blank, prefix_mask


class ModalityAlignment(nn.Module):
    """Linear, GELU, Linear, LayerNorm, then the time grid.

    An utterance without this modality gets one learned vector at each of its steps, so that it is an ordinary sample
    for everything above.
    """

    def __init__(self, input_size: int, hidden_size: int, source_hz: float, grid_hz: float, dropout: float) -> None:
        super().__init__()
        self.source_hz = source_hz
        self.grid_hz = grid_hz
        self.project = nn.Sequential(
            nn.Linear(input_size, hidden_size),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_size, hidden_size),
            nn.LayerNorm(hidden_size),
        )
        self.absent = nn.Parameter(torch.randn(hidden_size) * 0.02)

    def forward(
        self, features: torch.Tensor, source_lengths: torch.Tensor, lengths: torch.Tensor, steps: int
    ) -> torch.Tensor:
        """features [B, S, E] with source_lengths [B] -> [B, steps, d], zero beyond lengths [B]."""
        aligned = resample(self.project(features), source_lengths, self.source_hz, steps, self.grid_hz)
        aligned = torch.where((source_lengths > 0)[:, None, None], aligned, self.absent.to(aligned.dtype))
        return blank(aligned, prefix_mask(lengths, steps))


class AbsentModality(nn.Module):
    """In place of a modality that the configuration switches off: the learned vector alone."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.absent = nn.Parameter(torch.randn(hidden_size) * 0.02)

    def forward(self, lengths: torch.Tensor, steps: int) -> torch.Tensor:
        """lengths [B] -> [B, steps, d], zero beyond lengths."""
        return blank(self.absent.expand(lengths.shape[0], steps, -1), prefix_mask(lengths, steps))
