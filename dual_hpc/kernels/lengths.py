"""Valid steps are always a prefix, so one integer per sequence describes padding completely."""

from __future__ import annotations

import torch
from torch import Tensor

from dual_hpc.errors import UserError

INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def checked(lengths: Tensor, x: Tensor) -> Tensor:
    """`lengths` for x [B, T, ...] as int64 within [0, T]: a kernel would follow a longer one out of its buffer.

    Raises:
        UserError: lengths are not integers [B] on x's device.
    """
    if lengths.shape != x.shape[:1] or lengths.dtype not in INTEGERS:
        given = f"{lengths.dtype} {list(lengths.shape)}"
        raise UserError(f"lengths: {given} for a batch of {x.shape[0]}; give one integer per sequence")
    if lengths.device != x.device:
        raise UserError(f"lengths: on {lengths.device}, the sequences are on {x.device}; move them there")
    return lengths.to(torch.int64).clamp(0, x.shape[1])  # 300 steps are more than an int8 can say


def valid_steps(lengths: Tensor, steps: int) -> Tensor:
    """bool [B, T]: True where step t of sequence b is inside its length (int [B])."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def zero_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x [B, T, ...] with exact zeros past `lengths`, so that not even a NaN in the padding reaches a gradient."""
    if lengths is None:
        return x
    padded = ~valid_steps(lengths, x.shape[1])
    return x.masked_fill(padded.view(*padded.shape, *(1,) * (x.dim() - 2)), 0)


def last_valid(x: Tensor, lengths: Tensor | None, otherwise: Tensor) -> Tensor:
    """x [B, T, D] at each sequence's last valid step; `otherwise` [B, D] where there is none."""
    if lengths is None:
        return x[:, -1]
    last = x.gather(1, (lengths - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, x.shape[2]))[:, 0]
    return torch.where(lengths[:, None] > 0, last, otherwise)
