"""The alignment loss as it is defined; see `operation`. What the tests measure the fast paths against."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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
