"""VDM, the Visual Differential Module: what changes between one frame's features and the next.

    out_t = x_{t+1} - x_t   for every valid t but the last,     out_last = x_last,     0 past the length

The last valid frame passes through, so the sum over t telescopes to 2 x_last - x_1. The operation is linear: its
backward is the mirrored difference, and nothing but the lengths is saved.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dual_hpc.kernels.autograd_limits import no_transforms
from dual_hpc.kernels.dispatch import select
from dual_hpc.kernels.lengths import checked, valid_steps, zero_padding
from dual_hpc.kernels.precision import accumulator, compute_dtype
from dual_hpc.kernels.shapes import expect
from dual_hpc.kernels.vdm.reference import vdm_reference
from dual_hpc.kernels.vdm.torch_vdm import vdm_torch


def vdm(x: Tensor, lengths: Tensor) -> Tensor:
    """Differences to the next step: x [B, T, D], lengths int [B] -> [B, T, D] in x's dtype, zero past the lengths."""
    return vdm_torch(x, checked(lengths, x))


def vdm_concat_norm(
    x: Tensor,
    lengths: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float = 1e-5,
    implementation: str = "auto",
) -> Tensor:
    """LayerNorm([x; vdm(x)]): the input of a Sentiment Residual encoder in one pass.

    Args:
        x: [B, T, D]. lengths: int [B]. weight, bias: [2D], the affine part of the LayerNorm over 2D features.

    Returns:
        [B, T, 2D] in x's dtype (the autocast dtype under autocast), exact zeros past the lengths.
    """
    expect("vdm_concat_norm", x)
    expect("vdm_concat_norm", x, weight=(weight, (2 * x.shape[2],)), bias=(bias, (2 * x.shape[2],)))
    chosen = select("vdm_concat_norm", implementation, x)
    lengths = checked(lengths, x)
    dtype = compute_dtype(x)
    with torch.autocast(x.device.type, enabled=False):
        x = x.to(dtype)
        if chosen == "triton":
            from dual_hpc.kernels.vdm.triton_vdm import vdm_concat_norm_op

            no_transforms("vdm_concat_norm")
            return vdm_concat_norm_op(x, lengths, weight.to(dtype), bias.to(dtype), eps)
        wide = accumulator(dtype)  # subtract in fp32 and round once
        difference = vdm_reference if chosen == "reference" else vdm_torch
        x = zero_padding(x, lengths).to(wide)
        both = torch.cat([x, difference(x, lengths)], dim=-1)
        out = F.layer_norm(both, both.shape[-1:], weight.to(wide), bias.to(wide), eps)
        return (out * valid_steps(lengths, x.shape[1])[..., None]).to(dtype)
