"""The audio encoder for real speech without pretrained weights: residual convolutions over time and frequency."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from dual_hpc.model.encoders.base import Encoder, OwnEncoder
from dual_hpc.model.encoders.log_mel import LogMel
from dual_hpc.model.encoders.registry import AUDIO
from dual_hpc.model.masking import blank, full_precision, pad_steps, prefix_mask

_ABSENT = -1e4  # score of a step that is not there; finite, for utterances without any


class MelCnnEncoder(Encoder):
    """Log-mel frames (50 per second) as a picture; steps of the output are 80 ms long and know the whole utterance.

    Filters that move along the mel axis find a pattern of harmonics at any pitch. `logmel` has a weight of its own for
    each band, and of some hundred utterances learns the voices.

    Args:
        channels: width of the stem and of each residual stage. All of them halve the bands, the stem and the second
            stage the time as well; each convolution of the default has as much to compute as any other.
        output_size: features per step.
        dropout: of whole channels after each stage, and of the features.
        mels, low_hz, high_hz, window, hop, fft, normalize: see `LogMel`.
    """

    def __init__(
        self,
        sample_rate: int = 16_000,
        channels: Sequence[int] = (16, 24, 48, 64),
        output_size: int = 128,
        dropout: float = 0.1,
        mels: int = 80,
        low_hz: float = 50.0,
        high_hz: float = 7_500.0,
        window: int = 800,
        hop: int = 320,
        fft: int = 1_024,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.spectrogram = LogMel(sample_rate, mels, low_hz, high_hz, window, hop, fft, normalize)
        self.stem = nn.Conv2d(1, channels[0], (4, 5), stride=2, padding=(1, 2))
        self.stages = nn.ModuleList(
            [ResidualStage(*pair, halve_time=number == 1) for number, pair in enumerate(pairwise(channels))]
        )
        self.rate_hz = sample_rate / hop / (4 if len(self.stages) > 1 else 2)
        bands = -(-mels // 2 ** len(channels))
        self.project = nn.Linear(channels[-1] * bands, output_size)
        self.statistics = UtteranceStatistics(output_size)
        self.norm = nn.LayerNorm(output_size)
        self.channel_dropout, self.dropout = nn.Dropout2d(dropout), nn.Dropout(dropout)

    def layers(self) -> Sequence[nn.Module]:
        return [self.stem, *self.stages, nn.ModuleList([self.project, self.statistics, self.norm])]

    def forward(self, waveform: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """waveform f32 [B, N] and lengths [B] samples -> features [B, S, output_size] and their lengths [B]."""
        frames = self.spectrogram.frames(lengths)
        x = _even(self.spectrogram(waveform, lengths).to(self.dtype).unsqueeze(1))
        x = functional.relu(self.stem(x * _valid(x, frames)))
        frames = _halved(frames)
        for stage in self.stages:
            x, frames = stage(x, frames)
            x = self.channel_dropout(x)
        x = self.project(x.permute(0, 2, 3, 1).flatten(2))
        mask = prefix_mask(frames, x.shape[1])
        x = x + self.statistics(x, mask)
        return blank(self.dropout(self.norm(x)), mask), frames


class ResidualStage(nn.Module):
    """Two convolutions around a shortcut; the bands are halved, and the time where it is asked for.

    What halves the time has an even kernel, so that step k lies exactly between steps 2k and 2k + 1 of its input.
    Beyond its end an utterance is zero for every convolution, however it was padded.
    """

    def __init__(self, inputs: int, outputs: int, halve_time: bool) -> None:
        super().__init__()
        self.halve_time = halve_time
        step = 2 if halve_time else 1
        self.first = nn.Conv2d(inputs, outputs, (step + 2, 3), stride=(step, 2), padding=1, bias=False)
        self.first_norm = UtteranceNorm(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = UtteranceNorm(outputs)
        # Of every second band, which `forward` takes: the backward pass of oneDNN crashes at a 1x1 kernel with strides.
        self.shortcut = nn.Conv2d(inputs, outputs, (step, 1), stride=(step, 1), bias=False)

    def forward(self, x: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x [B, inputs, T, F], valid frames [B] -> [B, outputs, T', ceil(F / 2)] and the valid of T'."""
        if self.halve_time:
            x = _even(x)
        x = (x * _valid(x, frames)).contiguous(memory_format=torch.channels_last)  # a third of the time on CPUs
        if self.halve_time:
            frames = _halved(frames)
        y = self.first(x)
        valid = _valid(y, frames)
        y = functional.relu(self.first_norm(y * valid, frames)) * valid
        y = self.second_norm(self.second(y) * valid, frames)
        return functional.relu(y + self.shortcut(x[..., ::2])), frames


class UtteranceNorm(nn.Module):
    """Group norm over channels, bands and the valid frames of an utterance: neither padding nor the batch is seen."""

    def __init__(self, channels: int, per_group: int = 8, eps: float = 1e-4) -> None:
        super().__init__()
        self.groups = channels // per_group if channels % per_group == 0 else 1
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """x [B, C, T, F], zero beyond the valid frames [B] -> [B, C, T, F]; frames beyond mean nothing."""
        with full_precision(x):
            wide = x.float()
            count = (frames.clamp_min(1) * (x.shape[3] * (x.shape[1] // self.groups))).view(-1, 1, 1)
            sums = torch.stack([wide.sum((2, 3)), (wide * wide).sum((2, 3))])  # [2, B, C]
            mean, square = sums.unflatten(2, (self.groups, -1)).sum(-1, keepdim=True) / count  # [B, G, 1] each
            spread = torch.rsqrt((square - mean * mean).clamp_min(0) + self.eps)
            scale = spread * self.weight.float().view(self.groups, -1)
            shift = self.bias.float() - (mean * scale).flatten(1)
            out = torch.addcmul(shift[:, :, None, None], wide, scale.flatten(1)[:, :, None, None])
        return out.to(x.dtype)


class UtteranceStatistics(nn.Module):
    """Attentive statistics pooling: what means and deviations, weighed by step and feature, say of an utterance."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scores = nn.Sequential(nn.Linear(width, width // 2), nn.Tanh(), nn.Linear(width // 2, width, bias=False))
        self.project = nn.Linear(2 * width, width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """x [B, S, E], bool mask [B, S] -> [B, 1, E]."""
        scores = self.scores(x)
        with full_precision(x):
            wide = blank(x.float(), mask)
            weights = blank(scores.float().masked_fill(~mask.unsqueeze(-1), _ABSENT).softmax(dim=1), mask)
            mean = (weights * wide).sum(1, keepdim=True)
            variance = (weights * (wide - mean).square()).sum(1, keepdim=True)
            found = torch.cat([mean, (variance + 1e-5).sqrt()], dim=-1)
        return self.project(found.to(x.dtype))


def _even(x: torch.Tensor) -> torch.Tensor:
    """[B, C, T, F] with a frame of zeros where T is odd."""
    return pad_steps(x.transpose(1, 2), x.shape[2] + x.shape[2] % 2).transpose(1, 2)


def _halved(frames: torch.Tensor) -> torch.Tensor:
    """Steps of two frames each: i64 [B] -> i64 [B]."""
    return torch.div(frames + 1, 2, rounding_mode="floor")


def _valid(x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """1 at the valid frames [B] of x [B, C, T, F], else 0: [B, 1, T, 1]."""
    return prefix_mask(frames, x.shape[2]).to(x.dtype)[:, None, :, None]


AUDIO.register("melcnn", OwnEncoder(MelCnnEncoder, ["sample_rate"]))
