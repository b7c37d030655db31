"""Sentiment Residual encoders: each modality reads the other at every layer; they meet in the bottleneck Z."""

from __future__ import annotations

import torch
from torch import nn

from dual_hpc.model.attention import SelfLayer
from dual_hpc.model.masking import blank, prefix_mask
from dual_hpc.model.positions import sinusoids


class ResidualLayer(nn.Module):
    """One layer of both encoders: a learned projection of the other's state is added, then each attends to itself.

    Both projections read the states from before the layer, so neither modality comes first.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.video_norm = nn.LayerNorm(width)
        self.audio_norm = nn.LayerNorm(width)
        self.video_to_audio = nn.Linear(width, width)
        self.audio_to_video = nn.Linear(width, width)
        self.audio = SelfLayer(width, heads, dropout)
        self.video = SelfLayer(width, heads, dropout)

    def forward(
        self, audio: torch.Tensor, video: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """audio, video [B, T, W], mask bool [B, T] -> the same shapes."""
        to_audio = self.video_to_audio(self.video_norm(video))
        to_video = self.audio_to_video(self.audio_norm(audio))
        return self.audio(audio + to_audio, mask), self.video(video + to_video, mask)


class SentimentResidual(nn.Module):
    """From [F; Δ] of both modalities (width 2d each) to Z of width d.

    Sinusoidal positions are added once at the entrance. With `layers=0` (the ablation) the two inputs are joined as
    they are.
    """

    def __init__(self, hidden_size: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        width = 2 * hidden_size
        self.layers = nn.ModuleList([ResidualLayer(width, heads, dropout) for _ in range(layers)])
        self.join = nn.Linear(2 * width, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)

    def forward(self, audio: torch.Tensor, video: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """audio, video [B, T, 2d], lengths [B] -> Z [B, T, d], zero beyond lengths."""
        mask = prefix_mask(lengths, audio.shape[1])
        positions = sinusoids(audio.shape[1], audio.shape[2], audio)
        audio, video = audio + positions, video + positions
        for layer in self.layers:
            audio, video = layer(audio, video, mask)
        return blank(self.norm(self.join(torch.cat([audio, video], dim=-1))), mask)
