"""The `torch` path of SDM as one opaque operator, for torch.compile, which would unroll an LSTM over all its steps.

Its backward runs the forward once more and lets autograd do the rest: an extra forward is the price of not saving what
only the LSTM kernels of each device know how to save. Outside torch.compile nothing comes here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dual_hpc.kernels.autograd_limits import forbid_double_backward
from dual_hpc.kernels.sdm.torch_lstm import sdm_torch


@torch.library.custom_op("dual_hpc::sdm_lstm", mutates_args=())
def sdm_lstm_op(
    x: Tensor,
    weight_prev: Tensor,
    weight_cur: Tensor,
    weight_rec: Tensor,
    bias: Tensor,
    lengths: Tensor | None,
    h0: Tensor,
    c0: Tensor,
    before: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """`sdm_torch` on a list of its arguments: h [B, T, H], last h, last c [B, H]."""
    out, h, c = sdm_torch(x, (weight_prev, weight_cur, weight_rec, bias), lengths, h0, c0, before)
    return out.contiguous(), h.clone(), c.clone()


@sdm_lstm_op.register_fake
def _(x, weight_prev, weight_cur, weight_rec, bias, lengths, h0, c0, before):
    return x.new_empty(*x.shape[:2], weight_rec.shape[1]), torch.empty_like(h0), torch.empty_like(c0)


@torch.library.custom_op("dual_hpc::sdm_lstm_backward", mutates_args=())
def sdm_lstm_backward_op(
    dout: Tensor, dh: Tensor, dc: Tensor, tensors: list[Tensor], lengths: Tensor | None
) -> list[Tensor]:
    """Gradients of `tensors` (all arguments of `sdm_lstm_op` but the lengths)."""
    with _autograd_inside_an_operator():
        leaves = [t.detach().requires_grad_() for t in tensors]
        x, wp, wc, wr, bias, h0, c0, before = leaves
        outputs = sdm_torch(x, (wp, wc, wr, bias), lengths, h0, c0, before)
        gradients = torch.autograd.grad(outputs, leaves, (dout, dh, dc), materialize_grads=True)
    return [g.contiguous() for g in gradients]


@sdm_lstm_backward_op.register_fake
def _(dout, dh, dc, tensors, lengths):
    return [torch.empty_like(t, memory_format=torch.contiguous_format) for t in tensors]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, dout: Tensor, dh: Tensor, dc: Tensor) -> tuple[Tensor | None, ...]:
    forbid_double_backward("sdm")
    x, wp, wc, wr, bias, lengths, h0, c0, before = ctx.saved_tensors
    *first, dh0, dc0, dbefore = sdm_lstm_backward_op(dout, dh, dc, [x, wp, wc, wr, bias, h0, c0, before], lengths)
    return *first, None, dh0, dc0, dbefore


sdm_lstm_op.register_autograd(_backward, setup_context=_setup)


class _autograd_inside_an_operator:
    """An operator runs below autograd; this brings autograd's dispatch keys back for a while."""

    def __enter__(self) -> None:
        excluded = torch._C._dispatch_tls_local_exclude_set()
        for name in ("AutogradFunctionality", "AutogradOther", "AutogradNestedTensor", "ADInplaceOrView"):
            excluded = excluded.remove(getattr(torch._C.DispatchKey, name))
        self.guard = torch._C._ForceDispatchKeyGuard(torch._C._dispatch_tls_local_include_set(), excluded)
        self.guard.__enter__()
        self.grad = torch.enable_grad()
        self.grad.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.grad.__exit__(*error)
        self.guard.__exit__(*error)
