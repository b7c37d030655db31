"""Sinusoidal positions (Vaswani et al., 2017): nothing to learn, any length, and the same under every precision."""

from __future__ import annotations

import math

import torch


def sinusoids(steps: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """Positions [steps, width] in the dtype and on the device of `like`.

    Computed on the fly in fp32: as a buffer they would be rounded when an engine casts the model to bf16.
    """
    half = (width + 1) // 2
    rate = torch.exp(torch.arange(half, device=like.device, dtype=torch.float32) * (-math.log(10_000.0) / half))
    angle = torch.arange(steps, device=like.device, dtype=torch.float32).unsqueeze(1) * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :width].to(like.dtype)
