"""The common time grid: step t of an utterance is centred at (t + 0.5) / grid_hz seconds."""

from __future__ import annotations

import math
from typing import Any

import torch

from dual_hpc.host_values import host_values
from dual_hpc.model.masking import blank, full_precision, prefix_mask

_ROUNDING = 1e-3  # of a step: 2.1 s in fp32 times 10 Hz is 21 steps, not 22


def grid_lengths(durations: torch.Tensor, grid_hz: float) -> torch.Tensor:
    """Steps of each utterance, T_b = max(1, ceil(duration * grid_hz)): f32 [B] seconds -> i64 [B]."""
    return torch.ceil(durations.double() * grid_hz - _ROUNDING).clamp_min(1).long()


def most_steps(durations: torch.Tensor, grid_hz: float) -> int:
    """The largest of `grid_lengths`, without waiting for a device if the host knows the durations."""
    if torch.compiler.is_exporting():  # the number is part of the graph there
        steps: Any = grid_lengths(durations, grid_hz).max().item() + 1  # padding; 1 would be a graph of its own
        torch._check(steps >= 2)
        return steps
    return max(max(1, math.ceil(seconds * grid_hz - _ROUNDING)) for seconds in host_values(durations))


def resample(
    x: torch.Tensor, source_lengths: torch.Tensor, source_hz: float, steps: int, grid_hz: float
) -> torch.Tensor:
    """Bring a sequence from its own rate onto `steps` steps of the grid; padding never takes part.

    A triangular window as wide as the coarser of the two periods, normalised over the valid source steps: linear
    interpolation when the source is slower than the grid, weighted pooling when it is faster. Beyond its first and
    last step a source is continued as it was there.

    Args:
        x: [B, S, D], step s centred at (s + 0.5) / source_hz seconds.
        source_lengths: i64 [B]; an empty source gives zeros.

    Returns:
        [B, steps, D] in the dtype of x.
    """
    mask = prefix_mask(source_lengths, x.shape[1])
    with full_precision(x):
        centres = (torch.arange(x.shape[1], device=x.device, dtype=torch.float32) + 0.5) / source_hz
        wanted = (torch.arange(steps, device=x.device, dtype=torch.float32) + 0.5) / grid_hz
        last = (source_lengths.clamp_min(1).float() - 0.5) / source_hz
        wanted = torch.minimum(wanted.clamp_min(0.5 / source_hz).unsqueeze(0), last.unsqueeze(1))
        reach = max(1 / source_hz, 1 / grid_hz)
        distance = (wanted.unsqueeze(2) - centres).abs()
        weights = (1 - distance / reach).clamp_min(0) * mask.unsqueeze(1)
        weights = weights / weights.sum(2, keepdim=True).clamp_min(1e-6)
        return torch.bmm(weights, blank(x, mask).float()).to(x.dtype)
