"""The `torch` path of SDM: torch's own LSTM on the concatenated input. No faster one was found on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from dual_hpc.kernels.lengths import last_valid

Weights = tuple[Tensor, Tensor, Tensor, Tensor]  # for x_{t-1} [4H, D], for x_t [4H, D], recurrent [4H, H], bias [4H]

# Added to the pre-activations of padded steps: sigma(-HOLD) is exactly 0 and sigma(HOLD) exactly 1 in every dtype.
HOLD = 1e4


def sdm_torch(
    x: Tensor,
    weights: Weights,
    lengths: Tensor | None,
    h: Tensor,
    c: Tensor,
    before: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """torch's own LSTM on the concatenated input, padded and unpacked (packing costs far more than the padding).

    One more input column, 1 in padded steps, closes their input gate and opens their remember gate, so that c rests at
    its last valid value and the carried state needs no packing either.
    """
    dtype = x.dtype
    weight_prev, weight_cur, weight_rec, bias = weights
    if x.device.type == "cpu" and dtype in (torch.bfloat16, torch.float16) and not _cpu_is_fast_in(dtype):
        x, weight_prev, weight_cur, weight_rec, bias, h, c, before = (
            t.float() for t in (x, weight_prev, weight_cur, weight_rec, bias, h, c, before)
        )
    both = [torch.cat([before[:, None], x[:, :-1]], dim=1), x]
    weight_in = [weight_prev, weight_cur]
    if lengths is not None:
        padded = torch.arange(x.shape[1], device=x.device) >= lengths[:, None]
        gates = torch.tensor([-HOLD, HOLD, 0.0, 0.0], dtype=x.dtype, device=x.device)
        both.append(padded[..., None].to(x.dtype))
        weight_in.append(gates.repeat_interleave(weight_rec.shape[1])[:, None])
    flat = [torch.cat(weight_in, dim=1), weight_rec, bias, torch.zeros_like(bias)]
    out, h_last, c_last = torch.lstm(
        torch.cat(both, dim=-1), (h[None], c[None]), flat, True, 1, 0.0, torch.is_grad_enabled(), False, True
    )
    h_last = h_last[0] if lengths is None else last_valid(out, lengths, h)
    return out.to(dtype), h_last.to(dtype), c_last[0].to(dtype)


def _cpu_is_fast_in(dtype: torch.dtype) -> bool:
    """oneDNN without native support for a 16-bit type emulates it, 30-50 times slower than fp32."""
    mkldnn = torch.ops.mkldnn
    return bool(mkldnn._is_mkldnn_bf16_supported() if dtype == torch.bfloat16 else mkldnn._is_mkldnn_fp16_supported())
