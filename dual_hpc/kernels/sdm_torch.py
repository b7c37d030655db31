"""The `torch` path of SDM: torch's own LSTM on the concatenated input. No faster one was found on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dual_hpc.kernels.lengths import last_valid, valid_steps

Weights = tuple[Tensor, Tensor, Tensor, Tensor]  # for x_{t-1} [4H, D], for x_t [4H, D], recurrent [4H, H], bias [4H]

# Added to the pre-activations of padded steps: sigma(-HOLD) is exactly 0 and sigma(HOLD) exactly 1 in every dtype.
HOLD = 1e4


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

    `before` None: nothing has changed before the first step. What lies in the padding of x does not matter, that of h
    is unspecified. To rest at its last valid value c needs one
    more input column: 1 in padded steps, it closes their input gate and opens their remember gate. Without
    `with_state` that column is saved, and the last h and c are meaningless.
    """
    dtype = x.dtype
    weight_prev, weight_cur, weight_rec, bias = weights
    if x.device.type == "cpu" and dtype in (torch.bfloat16, torch.float16) and not _cpu_is_fast_in(dtype):
        x, weight_prev, weight_cur, weight_rec, bias, h, c = (
            t.float() for t in (x, weight_prev, weight_cur, weight_rec, bias, h, c)
        )
        before = None if before is None else before.float()
    hold = lengths is not None and with_state
    weight_in = [weight_prev, weight_cur]
    if hold:
        gates = torch.tensor([-HOLD, HOLD, 0.0, 0.0], dtype=x.dtype, device=x.device)
        weight_in.append(gates.repeat_interleave(weight_rec.shape[1])[:, None])
    flat = [torch.cat(weight_in, dim=1), weight_rec, bias, torch.zeros_like(bias)]
    both = Neighbours.apply(x, before, lengths, hold)
    out, h_last, c_last = torch.lstm(
        both, (h[None], c[None]), flat, True, 1, 0.0, torch.is_grad_enabled(), False, False
    )
    out = out.transpose(0, 1)
    h_last = last_valid(out, lengths, h) if hold else h_last[0]
    return out.to(dtype), h_last.to(dtype), c_last[0].to(dtype)


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
