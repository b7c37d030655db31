"""In which precision an operation computes."""

from __future__ import annotations

import torch
from torch import Tensor


def compute_dtype(x: Tensor) -> torch.dtype:
    """The dtype to compute in: x's own, or autocast's where that is on; fp64 stays fp64, as in torch."""
    kind = x.device.type
    if x.dtype == torch.float64 or not torch.is_autocast_enabled(kind):
        return x.dtype
    return torch.get_autocast_dtype(kind)


def accumulator(dtype: torch.dtype) -> torch.dtype:
    """The dtype of sums and cell states: fp32, or fp64 for fp64."""
    return torch.promote_types(dtype, torch.float32)
