"""An audio encoder: how loud each tenth of a second is, and how often the waveform crosses zero in it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from dual_hpc.model.encoders.base import Encoder, OwnEncoder
from dual_hpc.model.encoders.registry import AUDIO
from dual_hpc.model.masking import blank, pad_steps, prefix_mask


class Crossings(Encoder):
    """Two numbers per step, projected to `width`."""

    rate_hz = 10.0

    def __init__(self, sample_rate: int, width: int = 8) -> None:
        super().__init__()
        self.step, self.output_size = sample_rate // 10, width
        self.project = nn.Linear(2, width)

    def layers(self) -> Sequence[nn.Module]:
        return [self.project]

    def forward(self, waveform: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        steps = max(1, -(-waveform.shape[1] // self.step))
        waveform = blank(waveform.float(), prefix_mask(lengths, waveform.shape[1]))
        frames = pad_steps(waveform, steps * self.step).unflatten(1, (steps, self.step))
        crossings = (frames[..., 1:].sign() != frames[..., :-1].sign()).float().mean(dim=2)
        features = self.project(torch.stack([frames.abs().mean(dim=2), crossings], dim=2).to(self.dtype))
        valid = -(-lengths // self.step)
        return blank(features, prefix_mask(valid, steps)), valid


AUDIO.register("crossings", OwnEncoder(Crossings, ["sample_rate"]))
