"""The `torch` path of the alignment loss: whole similarity matrices, on a CPU by `torch_onepass` where that can."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dual_hpc.kernels.alignment_loss.torch_onepass import LEAST_TEMPERATURE, AlignmentOnePass
from dual_hpc.kernels.lengths import valid_steps, zero_padding


def alignment_torch(a: Tensor, v: Tensor, lengths: Tensor, tau: Tensor, across_batch: bool) -> Tensor:
    """Whole similarity matrices: [B, T, T], or [1, B*T, B*T] across the batch."""
    # Reading tau costs nothing on a CPU; a GPU would have to finish its work first.
    if tau.device.type == "cpu" and not torch.compiler.is_compiling() and tau.item() >= LEAST_TEMPERATURE:
        return AlignmentOnePass.apply(a, v, lengths, tau, across_batch)
    batch, steps, width = a.shape
    valid = valid_steps(lengths, steps)
    a, v = (F.normalize(zero_padding(x, lengths), dim=-1) for x in (a, v))
    matched = (a * v).sum(-1) / tau
    present = valid
    if across_batch:
        a, v, present = a.reshape(1, batch * steps, width), v.reshape(1, batch * steps, width), valid.reshape(1, -1)
    similarity = a @ v.transpose(1, 2) / tau
    # A finite floor instead of -inf: a row of -inf has NaN gradients even where its result is discarded.
    floor = torch.finfo(similarity.dtype).min
    rows = torch.logsumexp(similarity.masked_fill(~present[:, None, :], floor), dim=2).view(batch, steps)
    columns = torch.logsumexp(similarity.masked_fill(~present[:, :, None], floor), dim=1).view(batch, steps)
    per_step = (rows + columns) / 2 - matched
    return per_step.masked_fill(~valid, 0).sum(1) / lengths.clamp(min=1)
