"""A network that computes by sleeping, as a device does on its own.

A processor that other programs use as well would be the slow thing otherwise.
"""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

STEPS, SAVE_EVERY = 30, 5
LOAD, FORWARD, BACKWARD = 0.002, 0.012, 0.025  # seconds of a micro-batch, of every rank


class _Backward(torch.autograd.Function):
    """The same value; its gradient takes some time."""

    @staticmethod
    def forward(context: Any, value: torch.Tensor, seconds: float) -> torch.Tensor:
        context.seconds = seconds
        return value.clone()

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        time.sleep(context.seconds)
        return gradients[0], None


class SleepingNetwork(nn.Module):
    """Three layers, the gradient of the first of which comes last."""

    def __init__(self, forward: float, backward: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(32, 32) for _ in range(3)])
        self.seconds = (forward, backward)

    def forward(self, waveform: torch.Tensor, labels: torch.Tensor) -> SimpleNamespace:
        forward, backward = self.seconds
        hidden = waveform.to(next(self.parameters()).dtype)
        for layer in self.layers:
            time.sleep(forward / 3)
            hidden = _Backward.apply(torch.tanh(layer(hidden)), backward / 3)
        return SimpleNamespace(loss=(hidden.float().mean(dim=1) - labels).square().mean())
