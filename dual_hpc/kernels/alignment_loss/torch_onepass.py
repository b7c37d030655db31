"""The alignment loss on a CPU: one exponential and one kept matrix, forward and backward written out.

Cosines are bounded, so 1/tau replaces the maximum in both log-sum-exps, and exp(S - 1/tau) serves rows and columns.
It is at least exp(-2/tau), which fp32 can hold down to tau = 0.023.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dual_hpc.kernels.autograd_limits import forbid_double_backward
from dual_hpc.kernels.lengths import valid_steps

LEAST_TEMPERATURE = 0.025


class AlignmentOnePass(torch.autograd.Function):
    """a, v [B, T, D], lengths [B], tau [], across_batch -> loss [B], for tau >= LEAST_TEMPERATURE."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, v: Tensor, lengths: Tensor, tau: Tensor, across_batch: bool) -> Tensor:
        batch, steps, width = a.shape
        present = valid_steps(lengths, steps)
        ctx.groups = (1, batch * steps) if across_batch else (batch, steps)
        a, v = (x.masked_fill(~present[..., None], 0) for x in (a, v))
        size_a, size_v = (torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_(min=1e-12) for x in (a, v))
        a, v = a.div_(size_a).view(*ctx.groups, width), v.div_(size_v).view(*ctx.groups, width)
        excess = (a @ v.transpose(1, 2)).sub_(1).div_(tau)  # S - 1/tau
        matched = excess.diagonal(dim1=1, dim2=2).clone()
        weights = excess.exp_()
        ones = present.view(ctx.groups).to(a.dtype)
        sums = torch.stack([(weights @ ones[..., None])[..., 0], (ones[:, None] @ weights)[:, 0]])
        sums.masked_fill_(ones == 0, 1)
        per_step = (sums.log().mean(0) - matched).view(batch, steps).masked_fill_(~present, 0)
        ctx.save_for_backward(a, v, size_a, size_v, present, lengths, tau, weights, sums)
        return per_step.sum(1) / lengths.clamp(min=1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        forbid_double_backward("alignment_loss")
        a, v, size_a, size_v, present, lengths, tau, weights, sums = ctx.saved_tensors
        share = ((grad / (2 * lengths.clamp(min=1)))[:, None] * present).view(ctx.groups) / tau
        rows, columns = share / sums
        # Absent rows and columns of this product meet zero vectors, or are set to zero at the end.
        ds = (rows[..., None] + columns[:, None]).mul_(weights)
        ds.diagonal(dim1=1, dim2=2).sub_(2 * share)
        da, dv = ds @ v, ds.transpose(1, 2) @ a
        along_a, along_v = ((q * dq).sum(-1, keepdim=True) for q, dq in ((a, da), (v, dv)))
        dtau = -(along_a * present.view(*ctx.groups, 1)).sum() / tau
        out = []
        for q, dq, along, size in ((a, da, along_a, size_a), (v, dv, along_v, size_v)):
            dx = torch.addcmul(dq, q, along, value=-1).view(*present.shape, q.shape[2])
            out.append(dx.div_(size).masked_fill_(~present[..., None], 0))
        return out[0], out[1], None, dtau, None
