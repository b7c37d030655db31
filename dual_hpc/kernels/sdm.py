"""SDM, the Sentiment Differential Module: an LSTM whose gates see both neighbouring frames.

    u_t = [h_{t-1}; x_{t-1}; x_t]     i, r, o = sigma(T u_t)     g = tanh(T_g u_t)
    c_t = r_t * c_{t-1} + i_t * g_t   h_t = o_t * tanh(c_t)      x_0 := x_1

It equals an LSTM on concat(x_{t-1}, x_t): that identity is the `torch` path, and the tests' measure.
Weights are stacked in the order i, r, g, o, which is the order i, f, g, o of `torch.nn.LSTM`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dual_hpc.kernels.dispatch import select
from dual_hpc.kernels.lengths import zero_padding

State = tuple[Tensor, Tensor, Tensor]
Weights = tuple[Tensor, Tensor, Tensor, Tensor]  # for x_{t-1} [4H, D], for x_t [4H, D], recurrent [4H, H], bias [4H]

# Added to the pre-activations of padded steps: sigma(-HOLD) is exactly 0 and sigma(HOLD) exactly 1 in every dtype.
HOLD = 1e4


def sdm(
    x: Tensor,
    weight_prev: Tensor,
    weight_cur: Tensor,
    weight_rec: Tensor,
    bias: Tensor,
    lengths: Tensor | None = None,
    state: State | None = None,
    implementation: str = "auto",
) -> tuple[Tensor, State]:
    """Run the cell over whole sequences.

    Args:
        x: [B, T, D], T >= 1. weight_prev, weight_cur: [4H, D] for x_{t-1} and x_t. weight_rec: [4H, H]. bias: [4H].
        lengths: int [B], valid steps are a prefix; None = all T. Values past a length are never read.
        state: (h [B, H], c [B, H], x_last [B, D]) as returned for the preceding part of the same sequences; None at
            their start.

    Returns:
        h [B, T, H], zero past the lengths, and the state after each sequence's last valid step. A sequence of length 0
        keeps its state; if it has none yet, its x_last is zero.
    """
    chosen = select("sdm", implementation, x, width=weight_rec.shape[1])
    dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
    with torch.autocast(x.device.type, enabled=False):
        weights = weight_prev.to(dtype), weight_cur.to(dtype), weight_rec.to(dtype), bias.to(dtype)
        x = zero_padding(x.to(dtype), lengths)
        h, c, before = (s.to(dtype) for s in state) if state else _start(x, weight_rec.shape[1])
        implement = sdm_reference if chosen == "reference" else sdm_torch
        out, h, c = implement(x, weights, lengths, h, c, before)
        return zero_padding(out, lengths), (h, c, last_valid(x, lengths, before))


def _start(x: Tensor, hidden: int) -> State:
    """The state before the first step: nothing remembered, and nothing has changed before the first frame."""
    zero = x.new_zeros(x.shape[0], hidden)
    return zero, zero, x[:, 0]


def last_valid(x: Tensor, lengths: Tensor | None, otherwise: Tensor) -> Tensor:
    """x [B, T, D] at each sequence's last valid step; `otherwise` [B, D] where there is none."""
    if lengths is None:
        return x[:, -1]
    last = x.gather(1, (lengths - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, x.shape[2]))[:, 0]
    return torch.where(lengths[:, None] > 0, last, otherwise)


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
