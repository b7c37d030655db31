"""SDM as it is defined; see `operation`. What the tests measure the fast paths against."""

from __future__ import annotations

import torch
from torch import Tensor

from dual_hpc.kernels.sdm.torch_lstm import Weights


def sdm_reference(
    x: Tensor,
    weights: Weights,
    lengths: Tensor | None,
    h: Tensor,
    c: Tensor,
    before: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The definition, step by step: (h [B, T, H], last h [B, H], last c [B, H])."""
    weight_prev, weight_cur, weight_rec, bias = weights
    out = []
    for t in range(x.shape[1]):
        pre = before @ weight_prev.T + x[:, t] @ weight_cur.T + h @ weight_rec.T + bias
        i, r, g, o = pre.chunk(4, dim=-1)
        c_next = r.sigmoid() * c + i.sigmoid() * g.tanh()
        h_next = o.sigmoid() * c_next.tanh()
        valid = torch.ones_like(h, dtype=torch.bool) if lengths is None else (t < lengths)[:, None]
        h, c, before = torch.where(valid, h_next, h), torch.where(valid, c_next, c), x[:, t]
        out.append(h)
    return torch.stack(out, dim=1), h, c
