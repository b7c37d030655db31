"""Valid steps are always a prefix, so one integer per sequence describes padding completely."""

from __future__ import annotations

import torch
from torch import Tensor


def valid_steps(lengths: Tensor, steps: int) -> Tensor:
    """bool [B, T]: True where step t of sequence b is inside its length (int [B])."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def zero_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x [B, T, ...] with exact zeros past `lengths`, so that not even a NaN in the padding reaches a gradient."""
    if lengths is None:
        return x
    valid = valid_steps(lengths, x.shape[1])
    return torch.where(
        valid.view(*valid.shape, *(1,) * (x.dim() - 2)), x, torch.zeros((), dtype=x.dtype, device=x.device)
    )
