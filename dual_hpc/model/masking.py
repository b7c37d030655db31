"""Validity: valid steps are always a prefix, so a mask is made from lengths and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def prefix_mask(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """True at the first `lengths[b]` of `size` steps: [B] -> bool [B, size]."""
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)


def blank(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Zero where the mask is False, whatever stood there (NaN as well): x [B, S, ...], mask [B, S]."""
    return x.masked_fill(~mask.reshape(*mask.shape, *(1,) * (x.dim() - mask.dim())), 0)


def pad_steps(x: torch.Tensor, minimum: int) -> torch.Tensor:
    """Zeros appended on axis 1 so that it has at least `minimum` steps."""
    missing = minimum - x.shape[1]
    if torch.compiler.is_exporting():
        missing = torch.sym_max(missing, 0)  # of any size, where a branch would be for that of the example
    elif missing <= 0:
        return x
    return torch.cat([x, x.new_zeros(x.shape[0], missing, *x.shape[2:])], dim=1)


@contextmanager
def full_precision(x: torch.Tensor) -> Iterator[None]:
    """Switch autocast off: spectra, time grids and losses are computed in fp32 whatever the model's precision."""
    with torch.autocast(x.device.type, enabled=False):
        yield
