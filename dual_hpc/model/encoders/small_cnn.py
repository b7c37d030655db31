"""The video encoder that needs no pretrained weights: a small residual network for faces of any size."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from dual_hpc.model.encoders.base import Encoder
from dual_hpc.model.encoders.frames import encode_valid


class SmallCnnEncoder(Encoder):
    """A stem and residual stages, each at half the resolution of the one before, with GroupNorm.

    GroupNorm keeps images independent of each other. The last map is pooled to a coarse `grid` and not to one point:
    in a face, where something is says what it is.

    Args:
        channels: width of each stage.
        grid: side of the pooled map.
        output_size: features per image.
    """

    def __init__(self, channels: Sequence[int] = (16, 24, 32), grid: int = 3, output_size: int = 64) -> None:
        super().__init__()
        self.output_size = output_size
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels[0], 5, stride=2, padding=2, bias=False), _norm(channels[0]), nn.ReLU()
        )
        widths = [channels[0], *channels]
        self.stages = nn.ModuleList([ResidualBlock(*pair) for pair in pairwise(widths)])
        self.pool = nn.AdaptiveAvgPool2d(grid)
        self.head = nn.Linear(channels[-1] * grid * grid, output_size)

    def layers(self) -> Sequence[nn.Module]:
        return [self.stem, *self.stages, self.head]

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """frames uint8 [B, F, 3, S, S], lengths [B] -> features [B, max(F, 1), output_size], zero beyond lengths."""
        return encode_valid(self._encode, frames, lengths)

    def _encode(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(((images.float() - 127.5) / 64).to(self.dtype))
        for stage in self.stages:
            x = stage(x)
        return self.head(self.pool(x).flatten(1))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the first with stride 2, around a 1x1 shortcut of the averaged input."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.first_norm = _norm(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = _norm(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] -> [N, outputs, ceil(H / 2), ceil(W / 2)]."""
        short = self.shortcut(functional.avg_pool2d(x, 2, ceil_mode=True))
        x = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.second_norm(self.second(x)) + short)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // 8), channels)
