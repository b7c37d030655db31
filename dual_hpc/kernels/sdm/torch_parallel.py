"""K4: the recurrence of SDM solved for all steps at once, an opt-in for long sequences on a wide device.

A sweep takes h from the sweep before, computes the gates of all steps in one matrix product and solves c exactly, by a
scan of log2(T) passes. Each sweep makes at least one more step exact, and the gates damp the error so fast that with
ordinary weights a dozen sweeps reach rounding error whatever T is. That is no guarantee: the residual is checked, and
beyond `MAX_SWEEPS` the plain loop takes over. Backward is the same fixed point, transposed.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from dual_hpc.kernels.lengths import valid_steps
from dual_hpc.kernels.precision import accumulator
from dual_hpc.kernels.sdm import torch_loop

MAX_SWEEPS = 48
CHECK_EVERY = 3  # reading the residual makes the host wait for the device
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}

logger = logging.getLogger(__name__)


def forward(
    pre: Tensor, weight_rec: Tensor, h0: Tensor, c0: Tensor, lengths: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See `recurrence_op.Engine`."""
    if not pre.numel():  # nothing has no residual
        return torch_loop.forward(pre, weight_rec, h0, c0, lengths)
    wide = accumulator(pre.dtype)
    valid = valid_steps(lengths, len(pre)).T[..., None]
    h = pre.new_zeros(len(pre), *h0.shape)
    for sweep in range(1, MAX_SWEEPS + 1):
        gates = (pre + torch.cat([h0[None], h[:-1]]) @ weight_rec.T).to(wide)
        i, r, g, o = gates.chunk(4, dim=2)
        keep = torch.where(valid, r.sigmoid(), 1)
        c = scan(keep, torch.where(valid, i.sigmoid() * g.tanh(), 0), c0.to(wide))
        found = torch.where(valid, o.sigmoid() * c.tanh(), 0).to(h.dtype)
        residual, h = (found - h).abs().max(), found
        if sweep % CHECK_EVERY == 0 and bool(residual <= TOLERANCE[pre.dtype]):
            last = h.gather(0, (lengths - 1).clamp(min=0)[None, :, None].expand(1, -1, h.shape[2]))[0]
            return h, c, torch.where(lengths[:, None] > 0, last, h0), c[-1].to(c0.dtype).clone()
    logger.warning("sdm: parallel forward did not settle in %d sweeps, runs the loop instead", MAX_SWEEPS)
    return torch_loop.forward(pre, weight_rec, h0, c0, lengths)


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
    if not pre.numel():
        return torch_loop.backward(pre, weight_rec, c, c0, lengths, dh, dh_last, dc_last)
    wide = c.dtype
    steps = len(pre)
    valid = valid_steps(lengths, steps).T[..., None]
    i, r, g, o = pre.to(wide).chunk(4, dim=2)
    i, r, g, o, squashed = i.sigmoid(), r.sigmoid(), g.tanh(), o.sigmoid(), c.tanh()
    before = torch.cat([c0.to(wide)[None], c[:-1]])
    into_c, into_o = o * (1 - squashed**2), squashed * o * (1 - o)
    per_c = torch.where(valid[..., None, :], torch.stack([g * i * (1 - i), before * r * (1 - r), i * (1 - g**2)], 2), 0)
    keep = torch.where(valid, r, 1)
    # Reversed, step t receives from step t+1 what that one's gate lets through; after the last step nothing is lost.
    through = torch.cat([torch.ones_like(keep[:1]), keep[1:].flip(0)])

    ends = torch.arange(steps, device=pre.device)[:, None, None] == (lengths - 1)[None, :, None]
    given = torch.where(valid, dh.to(wide), 0) + torch.where(ends, dh_last.to(wide), 0)
    total = given
    for sweep in range(1, MAX_SWEEPS + 1):
        dc = scan(through, torch.where(valid, total * into_c, 0).flip(0), dc_last.to(wide)).flip(0)
        dpre = torch.cat([(dc[:, :, None] * per_c).flatten(2), torch.where(valid, total * into_o, 0)], 2).to(pre.dtype)
        back = (dpre @ weight_rec).to(wide)
        found = given + torch.cat([back[1:], torch.zeros_like(back[:1])])
        residual, total = (found - total).abs().max(), found
        if sweep % CHECK_EVERY == 0 and bool(residual <= TOLERANCE[pre.dtype] * total.abs().max()):
            dh0 = torch.where(lengths[:, None] > 0, back[0], dh_last.to(wide))
            return dpre, dh0.to(dh_last.dtype), (keep[0] * dc[0]).to(dc_last.dtype)
    logger.warning("sdm: parallel backward did not settle in %d sweeps, runs the loop instead", MAX_SWEEPS)
    return torch_loop.backward(pre, weight_rec, c, c0, lengths, dh, dh_last, dc_last)


def scan(factor: Tensor, term: Tensor, start: Tensor) -> Tensor:
    """c_t = factor_t c_{t-1} + term_t for all t of [T, ...], c_{-1} = start, in log2(T) passes."""
    factor, out = factor.clone(), term.clone()
    out[0] += factor[0] * start
    reach = 1
    while reach < len(out):
        out[reach:] += factor[reach:] * out[:-reach]
        factor[reach:] = factor[reach:] * factor[:-reach]
        reach *= 2
    return out
