"""The `torch` path of SDM: torch's own LSTM on the concatenated input, by oneDNN directly where that is faster."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dual_hpc.kernels.lengths import last_valid, valid_steps
from dual_hpc.kernels.sdm.torch_onednn import OneDnnSdm, concatenate_weights

Weights = tuple[Tensor, Tensor, Tensor, Tensor]  # for x_{t-1} [4H, D], for x_t [4H, D], recurrent [4H, H], bias [4H]


def sdm_torch(
    x: Tensor,
    weights: Weights,
    lengths: Tensor | None,
    h: Tensor,
    c: Tensor,
    before: Tensor | None,
    with_state: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Padded and unpacked: packing costs far more than the padding. (h [B, T, H], last h [B, H], last c [B, H])

    `before` None: nothing has changed before the first step. What lies in the padding of x does not matter, and h is
    zero there. To rest at its last valid value c needs one more input column: 1 in padded steps, it closes their input
    gate and opens their remember gate. Without `with_state` that column is saved, and the last h and c are meaningless.
    """
    dtype, train, hold = x.dtype, torch.is_grad_enabled(), lengths is not None and with_state
    if x.device.type == "cpu" and dtype in (torch.bfloat16, torch.float16) and not _cpu_is_fast_in(dtype):
        x, h, c = x.float(), h.float(), c.float()
        weight_prev, weight_cur, weight_rec, bias = weights
        weights = weight_prev.float(), weight_cur.float(), weight_rec.float(), bias.float()
        before = None if before is None else before.float()
    if _onednn_runs(x):
        out, c_last = OneDnnSdm.apply(x, *weights, h, c, before, lengths, hold, train)
    else:
        both = Neighbours.apply(x, before, lengths, hold)
        flat = list(concatenate_weights(*weights, hold))
        out, _, c_last = torch.lstm(both, (h[None], c[None]), flat, True, 1, 0.0, train, False, False)
        c_last = c_last[0]
        if lengths is not None:
            out = out.masked_fill(~valid_steps(lengths, x.shape[1]).T[..., None], 0)
    out = out.transpose(0, 1)
    h_last = last_valid(out, lengths, h) if with_state else h
    return out.to(dtype), h_last.to(dtype), c_last.to(dtype)


class Neighbours(torch.autograd.Function):
    """x [B, T, D], before [B, D] or None (= the first step) -> [x_{t-1}; x_t] as [T, B, 2D], padding set to zero.

    One pass each way, where slices and concatenations take several. With `hold`, one more column: 1 in the padding.
    The gradient of a padded step is zero already when it gets here, since the LSTM's is.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, before: Tensor | None, lengths: Tensor | None, hold: bool) -> Tensor:
        batch, steps, width = x.shape
        ctx.width, ctx.started = width, before is not None
        out = x.new_empty(steps, batch, 2 * width + hold)
        previous, current = out[..., :width], out[..., width : 2 * width]
        current.copy_(x.transpose(0, 1))
        if lengths is not None:
            padded = ~valid_steps(lengths, steps).T[..., None]
            current.masked_fill_(padded, 0)
            if hold:
                out[..., 2 * width :].copy_(padded)
        previous[0] = current[0] if before is None else before
        previous[1:] = current[:-1]
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        previous, current = grad[..., : ctx.width], grad[..., ctx.width : 2 * ctx.width]
        dx = current.clone(memory_format=torch.contiguous_format)
        dx[:-1] += previous[1:]
        if not ctx.started:
            dx[0] += previous[0]
        return dx.transpose(0, 1), previous[0] if ctx.started else None, None, None


def _cpu_is_fast_in(dtype: torch.dtype) -> bool:
    """oneDNN without native support for a 16-bit type emulates it, 30-50 times slower than fp32."""
    mkldnn = torch.ops.mkldnn
    return bool(mkldnn._is_mkldnn_bf16_supported() if dtype == torch.bfloat16 else mkldnn._is_mkldnn_fp16_supported())


def _onednn_runs(x: Tensor) -> bool:
    """Whether torch.lstm would take oneDNN's path for x: on a CPU, in all precisions but fp64, unless switched off."""
    onednn = torch.backends.mkldnn
    return x.device.type == "cpu" and x.dtype != torch.float64 and onednn.is_available() and bool(onednn.enabled)
