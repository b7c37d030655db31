"""A plugin: a video encoder that fails at its third batch."""

from __future__ import annotations

import torch
from torch import nn

from dual_hpc.model.encoders.base import Encoder, OwnEncoder
from dual_hpc.model.encoders.registry import VIDEO


class Fragile(Encoder):
    """The mean colour of each frame, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.output_size, self.linear, self.calls = 4, nn.Linear(3, 4), 0

    def layers(self) -> list[nn.Module]:
        return [self.linear]

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.calls == 3:
            raise RuntimeError("the third batch is one too many")
        return self.linear(frames.to(self.dtype).mean(dim=(3, 4)) / 255)


VIDEO.register("fragile", OwnEncoder(Fragile))
