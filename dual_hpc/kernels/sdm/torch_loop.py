"""The recurrence of SDM as two plain loops over time: an engine for any device, and what `parallel` falls back on."""

from __future__ import annotations

import torch
from torch import Tensor

from dual_hpc.kernels.precision import accumulator


def forward(
    pre: Tensor, weight_rec: Tensor, h0: Tensor, c0: Tensor, lengths: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See `recurrence_op.Engine`."""
    wide = accumulator(pre.dtype)
    h, c = h0, c0.to(wide)
    hs, cs = pre.new_empty(len(pre), *h.shape), pre.new_empty(len(pre), *c.shape, dtype=wide)
    for t, step in enumerate(pre):
        i, r, g, o = (step + h @ weight_rec.T).to(wide).chunk(4, dim=1)
        c_next = r.sigmoid() * c + i.sigmoid() * g.tanh()
        h_next = (o.sigmoid() * c_next.tanh()).to(h.dtype)
        valid = (t < lengths)[:, None]
        h, c = torch.where(valid, h_next, h), torch.where(valid, c_next, c)
        hs[t], cs[t] = h, c
    return hs, cs, h.clone(), c.to(c0.dtype).clone()


def backward(
    pre: Tensor,
    weight_rec: Tensor,
    c: Tensor,
    c0: Tensor,
    lengths: Tensor,
    dh: Tensor,
    dh_last: Tensor,
    dc_last: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """See `recurrence_op.Engine`."""
    wide = c.dtype
    dh_now, dc_now = dh_last.to(wide), dc_last.to(wide)
    for t in range(len(pre) - 1, -1, -1):
        i, r, g, o = pre[t].to(wide).chunk(4, dim=1)
        i, r, g, o, squashed = i.sigmoid(), r.sigmoid(), g.tanh(), o.sigmoid(), c[t].tanh()
        total = dh_now + dh[t]
        dc = dc_now + total * o * (1 - squashed**2)
        before = c[t - 1] if t else c0
        valid = (t < lengths)[:, None]
        dpre = torch.cat(
            [dc * g * i * (1 - i), dc * before * r * (1 - r), dc * i * (1 - g**2), total * squashed * o * (1 - o)],
            dim=1,
        )
        pre[t] = torch.where(valid, dpre, 0)
        dh_now, dc_now = torch.where(valid, pre[t] @ weight_rec, dh_now), torch.where(valid, dc * r, dc_now)
    return pre, dh_now.to(dh_last.dtype), dc_now.to(dc_last.dtype)
