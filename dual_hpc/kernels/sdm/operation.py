"""SDM, the Sentiment Differential Module: an LSTM whose gates see both neighbouring frames.

    u_t = [h_{t-1}; x_{t-1}; x_t]     i, r, o = sigma(T u_t)     g = tanh(T_g u_t)
    c_t = r_t * c_{t-1} + i_t * g_t   h_t = o_t * tanh(c_t)      x_0 := x_1

It equals an LSTM on concat(x_{t-1}, x_t): that identity is the `torch` path, and the tests' measure.
Weights are stacked in the order i, r, g, o, which is the order i, f, g, o of `torch.nn.LSTM`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dual_hpc.errors import UserError
from dual_hpc.kernels.autograd_limits import no_transforms
from dual_hpc.kernels.dispatch import select
from dual_hpc.kernels.lengths import checked, last_valid, zero_padding
from dual_hpc.kernels.precision import compute_dtype
from dual_hpc.kernels.sdm.recurrence_op import sdm_op
from dual_hpc.kernels.sdm.reference import sdm_reference
from dual_hpc.kernels.sdm.torch_lstm import Weights, sdm_torch
from dual_hpc.kernels.sdm.torch_lstm_op import sdm_lstm_op
from dual_hpc.kernels.shapes import expect

State = tuple[Tensor, Tensor, Tensor]


def sdm(
    x: Tensor,
    weight_prev: Tensor,
    weight_cur: Tensor,
    weight_rec: Tensor,
    bias: Tensor,
    lengths: Tensor | None = None,
    state: State | None = None,
    implementation: str = "auto",
    with_state: bool = True,
) -> tuple[Tensor, State | None]:
    """Run the cell over whole sequences.

    Args:
        x: [B, T, D], T >= 1. weight_prev, weight_cur: [4H, D] for x_{t-1} and x_t. weight_rec: [4H, H]. bias: [4H].
        lengths: int [B], valid steps are a prefix; None = all T. Values past a length are never read. What is not in
            [0, T] counts as the nearer of the two.
        state: (h [B, H], c [B, H], x_last [B, D]) as returned for the preceding part of the same sequences; None at
            their start.
        with_state: False saves the little that the state costs.

    Returns:
        h [B, T, H], zero past the lengths, and the state after each sequence's last valid step (None without
        `with_state`). A sequence of length 0 keeps its state; if it has none yet, its x_last is zero.

    Raises:
        UserError: shapes, devices or lengths that do not go together, or an implementation that cannot run here.
    """
    _check(x, weight_prev, weight_cur, weight_rec, bias, state)
    chosen = select("sdm", implementation, x, width=weight_rec.shape[1])
    if chosen != "reference":
        no_transforms("sdm")
    lengths = None if lengths is None else checked(lengths, x)
    dtype = compute_dtype(x)
    with torch.autocast(x.device.type, enabled=False):
        weights = weight_prev.to(dtype), weight_cur.to(dtype), weight_rec.to(dtype), bias.to(dtype)
        x = x.to(dtype)
        if state:
            h, c, before = (s.to(dtype).contiguous() for s in state)  # oneDNN takes any for contiguous
        else:  # nothing remembered, and nothing has changed before the first frame
            h = c = x.new_zeros(x.shape[0], weight_rec.shape[1])
            before = None
        if chosen == "torch" and not torch.compiler.is_compiling():
            out, h, c = sdm_torch(x, weights, lengths, h, c, before, with_state)
        else:
            first = zero_padding(x[:, :1], lengths)[:, 0] if before is None else before
            out, h, c = _implement(chosen, x, weights, lengths, h, c, first)
        if not with_state:
            return out, None
        return out, (h, c, last_valid(x, lengths, torch.zeros_like(x[:, 0]) if before is None else before))


def _check(
    x: Tensor, weight_prev: Tensor, weight_cur: Tensor, weight_rec: Tensor, bias: Tensor, state: State | None
) -> None:
    """Refuse what a kernel would follow out of its buffers."""
    expect("sdm", x)
    batch, steps, width = x.shape
    hidden = weight_rec.shape[-1]
    if not steps:
        raise UserError(f"sdm: x is {list(x.shape)}; give at least one step")
    expect(
        "sdm",
        x,
        weight_prev=(weight_prev, (4 * hidden, width)),
        weight_cur=(weight_cur, (4 * hidden, width)),
        weight_rec=(weight_rec, (4 * hidden, hidden)),
        bias=(bias, (4 * hidden,)),
    )
    if state:
        h, c, last = state
        expect("sdm", x, h=(h, (batch, hidden)), c=(c, (batch, hidden)), x_last=(last, (batch, width)))


def _implement(
    chosen: str, x: Tensor, weights: Weights, lengths: Tensor | None, h: Tensor, c: Tensor, before: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """All but torch's eager path: (h [B, T, H], last h, last c [B, H])."""
    if chosen == "reference":
        out, h, c = sdm_reference(zero_padding(x, lengths), weights, lengths, h, c, before)
        return zero_padding(out, lengths), h, c
    if chosen == "torch":
        return sdm_lstm_op(x, *weights, lengths, h, c, before)
    whole = x.new_full((x.shape[0],), x.shape[1], dtype=torch.int64) if lengths is None else lengths
    steps_first, _, h, c = sdm_op(x, *weights, whole, h, c, before, chosen)
    return steps_first.transpose(0, 1), h, c
