"""Alignment loss: audio step i and visual step i of one utterance should find each other among all steps.

With S_ij = cos(a_i, v_j) / tau over the valid steps, the loss of an utterance with n steps is

    1/2 mean_i [ logsumexp_j S_ij - S_ii ]  +  1/2 mean_j [ logsumexp_i S_ij - S_jj ]

a contrastive loss in both directions with matched steps as positives. With `across_batch` the steps of all other
utterances are negatives as well; then an utterance's loss depends on its batch, by intent.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dual_hpc.kernels.alignment_loss.reference import alignment_reference
from dual_hpc.kernels.alignment_loss.torch_similarity import alignment_torch
from dual_hpc.kernels.autograd_limits import no_transforms
from dual_hpc.kernels.dispatch import select
from dual_hpc.kernels.lengths import checked
from dual_hpc.kernels.precision import accumulator, compute_dtype
from dual_hpc.kernels.shapes import expect


def alignment_loss(
    a: Tensor,
    v: Tensor,
    lengths: Tensor,
    temperature: float | Tensor,
    across_batch: bool = False,
    implementation: str = "auto",
) -> Tensor:
    """Bidirectional contrastive loss per utterance.

    Args:
        a, v: [B, T, D], one space and one time grid. lengths: int [B]; an utterance of length 0 has loss 0.
        temperature: tau > 0, a number or a tensor of one element that may require a gradient.

    Returns:
        [B] in fp32 (fp64 for fp64 inputs): a mean over each utterance's steps.
    """
    expect("alignment_loss", a, v=(v, tuple(a.shape)))
    chosen = select("alignment_loss", implementation, a)
    if chosen != "reference":
        no_transforms("alignment_loss")
    lengths = checked(lengths, a)
    dtype = compute_dtype(a)
    wide = accumulator(dtype)
    with torch.autocast(a.device.type, enabled=False):
        tau = _as_scalar(temperature, wide, a.device)
        if chosen == "triton":
            from dual_hpc.kernels.alignment_loss.triton_alignment import alignment_loss_triton

            return alignment_loss_triton(a.to(dtype), v.to(dtype), lengths, tau, across_batch)
        implement = alignment_reference if chosen == "reference" else alignment_torch
        return implement(a.to(wide), v.to(wide), lengths, tau, across_batch)


def _as_scalar(value: float | Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A number is written by the device itself: a copy of it would make the host wait for the device."""
    if isinstance(value, Tensor):
        return value.to(device, dtype).reshape(())
    return torch.full((), value, dtype=dtype, device=device)
