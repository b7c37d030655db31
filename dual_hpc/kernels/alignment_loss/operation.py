"""Alignment loss: audio step i and visual step i of one utterance should find each other among all steps.

With S_ij = cos(a_i, v_j) / tau over the valid steps, the loss of an utterance with n steps is

    1/2 mean_i [ logsumexp_j S_ij - S_ii ]  +  1/2 mean_j [ logsumexp_i S_ij - S_jj ]

a contrastive loss in both directions with matched steps as positives. With `across_batch` the steps of all other
utterances are negatives as well; then an utterance's loss depends on its batch, by intent.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dual_hpc.kernels.alignment_loss.torch_onepass import LEAST_TEMPERATURE, AlignmentOnePass
from dual_hpc.kernels.autograd_limits import no_transforms
from dual_hpc.kernels.dispatch import select
from dual_hpc.kernels.lengths import checked, valid_steps, zero_padding
from dual_hpc.kernels.precision import accumulator, working
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
    dtype = working(a)
    wide = accumulator(dtype)
    with torch.autocast(a.device.type, enabled=False):
        tau = torch.as_tensor(temperature, dtype=wide, device=a.device).reshape(())
        if chosen == "triton":
            from dual_hpc.kernels.alignment_loss.triton_alignment import alignment_loss_triton

            return alignment_loss_triton(a.to(dtype), v.to(dtype), lengths, tau, across_batch)
        implement = alignment_reference if chosen == "reference" else alignment_torch
        return implement(a.to(wide), v.to(wide), lengths, tau, across_batch)


def alignment_reference(a: Tensor, v: Tensor, lengths: Tensor, tau: Tensor, across_batch: bool) -> Tensor:
    """The definition, one utterance at a time, on its valid steps alone."""
    queries = [(F.normalize(a[b, :n], dim=-1), F.normalize(v[b, :n], dim=-1)) for b, n in enumerate(lengths.tolist())]
    losses = []
    for qa, qv in queries:
        if not len(qa):
            losses.append((qa.sum() + qv.sum()) * tau)  # 0, and still a part of the graph
            continue
        ka, kv = (torch.cat([q[side] for q in queries]) for side in (0, 1)) if across_batch else (qa, qv)
        matched = (qa * qv).sum(-1) / tau
        forward = torch.logsumexp(qa @ kv.T / tau, dim=1) - matched
        backward = torch.logsumexp(qv @ ka.T / tau, dim=1) - matched
        losses.append((forward.mean() + backward.mean()) / 2)
    return torch.stack(losses) if losses else a.sum((1, 2)) * tau


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
