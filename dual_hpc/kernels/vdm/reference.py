"""VDM as it is defined; see `operation`. What the tests measure the fast paths against."""

from __future__ import annotations

import torch
from torch import Tensor


def vdm_reference(x: Tensor, lengths: Tensor) -> Tensor:
    """The definition, one step of one sequence at a time."""
    if not x.numel():
        return x.clone()
    out = []
    for row, length in zip(x, lengths.tolist(), strict=True):
        steps = [row[t + 1] - row[t] for t in range(length - 1)] + ([row[length - 1]] if length else [])
        out.append(torch.stack(steps + [torch.zeros_like(row[0])] * (x.shape[1] - length)))
    return torch.stack(out)
