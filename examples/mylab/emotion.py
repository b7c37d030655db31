"""A plugin: an audio encoder of one's own. Importing this module registers it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from dual_hpc.model.encoders.base import Encoder, OwnEncoder
from dual_hpc.model.encoders.level import normalize_level
from dual_hpc.model.encoders.registry import AUDIO
from dual_hpc.model.masking import blank, pad_steps, prefix_mask


class LoudnessEncoder(Encoder):
    """Loudness in windows of 40 ms, and a convolution over five of them.

    Args:
        sample_rate: of the waveform, in Hz; comes from the preprocessing.
        width: features per window; `model.audio.config` may set it.
    """

    def __init__(self, sample_rate: int, width: int = 16) -> None:
        super().__init__()
        self.output_size = width
        self.window = sample_rate // 25
        self.rate_hz = sample_rate / self.window  # of the features; audio encoders say it
        self.convolution = nn.Conv1d(1, width, kernel_size=5, padding=2)

    def layers(self) -> Sequence[nn.Module]:
        """Bottom to top: what `model.audio.trainable: 1` counts."""
        return [self.convolution]

    def forward(self, waveform: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """waveform f32 [B, N] and lengths [B] samples (0: no audio) -> features [B, S, width] and their lengths [B].

        What pads the batch must not change a sample's features: it is zero before and after the convolution. Nor must
        the gain of the recording: each utterance is brought to one level before its quietest windows meet the floor.
        """
        steps = torch.div(lengths + self.window - 1, self.window, rounding_mode="floor")
        count = max(1, -(-waveform.shape[1] // self.window))
        samples = normalize_level(pad_steps(waveform, count * self.window), lengths)
        power = samples.unflatten(1, (count, self.window)).square().mean(dim=2)
        mask = prefix_mask(steps, count)
        loudness = blank((power + 1e-6).log(), mask).unsqueeze(1).to(self.dtype)  # [B, 1, S]
        features = functional.gelu(self.convolution(loudness)).transpose(1, 2)
        return blank(features, mask), steps


AUDIO.register("loudness", OwnEncoder(LoudnessEncoder, ["sample_rate"]))
