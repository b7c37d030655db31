"""SDM as one operator of torch: what surrounds the recurrence, and its gradient.

An engine runs the recurrence alone, on time-major buffers. Here are the matrix products around it: the two input
projections (the concatenation [x_{t-1}; x_t] is never built) and, in backward, *one* pass that recomputes all
pre-activations from x and h, so that forward saves nothing but h and c. Registered with torch.library: opaque to
torch.compile, traceable by fake tensors.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from dual_hpc.kernels.autograd_limits import forbid_double_backward
from dual_hpc.kernels.lengths import valid_steps
from dual_hpc.kernels.precision import accumulator


class Engine(Protocol):
    """The recurrence over pre [T, B, 4H]; what it leaves in the padding of h, c and of the gradient is unspecified."""

    def forward(
        self, pre: Tensor, weight_rec: Tensor, h0: Tensor, c0: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pre lacks the recurrent term and may be overwritten -> h, c [T, B, H], last h, last c [B, H]."""
        ...

    def backward(
        self,
        pre: Tensor,
        weight_rec: Tensor,
        c: Tensor,
        c0: Tensor,
        lengths: Tensor,
        dh: Tensor,
        dh_last: Tensor,
        dc_last: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pre is complete and may be overwritten -> its gradient [T, B, 4H], and those of h0 and c0 [B, H]."""
        ...


_ENGINES = {"loop": "torch_loop", "parallel": "torch_parallel", "triton": "triton_engine"}


def engine(name: str) -> Engine:
    """The engine `name`, imported when it is first needed: Triton is optional."""
    return cast(Engine, import_module(f"dual_hpc.kernels.sdm.{_ENGINES[name]}"))


@torch.library.custom_op("dual_hpc::sdm", mutates_args=())
def sdm_op(
    x: Tensor,
    weight_prev: Tensor,
    weight_cur: Tensor,
    weight_rec: Tensor,
    bias: Tensor,
    lengths: Tensor,
    h0: Tensor,
    c0: Tensor,
    before: Tensor,
    implementation: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`sdm` on explicit lengths and state: h, c [T, B, H], zero in the padding, last h, last c [B, H]."""
    inputs = steps_first(x, lengths)
    pre = projections(inputs, before, weight_prev, weight_cur, bias)
    h, c, h_last, c_last = engine(implementation).forward(pre, weight_rec, h0, c0, lengths)
    padded = padding(lengths, x.shape[1])
    return h.contiguous().masked_fill_(padded, 0), c.contiguous().masked_fill_(padded, 0), h_last, c_last


@sdm_op.register_fake
def _(x, weight_prev, weight_cur, weight_rec, bias, lengths, h0, c0, before, implementation):
    shape = (x.shape[1], x.shape[0], weight_rec.shape[1])
    return (
        x.new_empty(shape),
        x.new_empty(shape, dtype=accumulator(x.dtype)),
        torch.empty_like(h0),
        torch.empty_like(c0),
    )


@torch.library.custom_op("dual_hpc::sdm_backward", mutates_args=())
def sdm_backward_op(
    dh: Tensor,
    dh_last: Tensor,
    dc_last: Tensor,
    x: Tensor,
    weight_prev: Tensor,
    weight_cur: Tensor,
    weight_rec: Tensor,
    bias: Tensor,
    lengths: Tensor,
    h0: Tensor,
    c0: Tensor,
    before: Tensor,
    h: Tensor,
    c: Tensor,
    implementation: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, the four weights, h0, c0 and before."""
    batch, steps, width = x.shape
    inputs = steps_first(x, lengths)
    pre = projections(inputs, before, weight_prev, weight_cur, bias)
    add_shifted(pre, h, h0, weight_rec)
    padded = padding(lengths, steps)
    dh = dh.masked_fill(padded, 0)
    dpre, dh0, dc0 = engine(implementation).backward(pre, weight_rec, c, c0, lengths, dh, dh_last, dc_last)
    flat = dpre.contiguous().masked_fill_(padded, 0).flatten(0, 1)
    dx = flat @ weight_cur
    dx[: (steps - 1) * batch].addmm_(flat[batch:], weight_prev)
    return (
        dx.view(steps, batch, width).transpose(0, 1).contiguous(),
        shifted_product(flat, inputs, before),
        flat.T @ inputs.view(steps * batch, width),
        shifted_product(flat, h, h0),
        flat.sum(0),
        dh0,
        dc0,
        flat[:batch] @ weight_prev,
    )


@sdm_backward_op.register_fake
def _(dh, dh_last, dc_last, x, wp, wc, wr, bias, lengths, h0, c0, before, h, c, implementation):
    return tuple(
        torch.empty_like(t, memory_format=torch.contiguous_format) for t in (x, wp, wc, wr, bias, h0, c0, before)
    )


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.implementation = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*tensors, output[0], output[1])


def _backward(ctx: Any, dh: Tensor, dc: Tensor, dh_last: Tensor, dc_last: Tensor) -> tuple[Tensor | None, ...]:
    forbid_double_backward("sdm")
    x, wp, wc, wr, bias, lengths, h0, c0, before, h, c = ctx.saved_tensors
    dx, dwp, dwc, dwr, dbias, dh0, dc0, dbefore = sdm_backward_op(
        dh, dh_last, dc_last, x, wp, wc, wr, bias, lengths, h0, c0, before, h, c, ctx.implementation
    )
    return dx, dwp, dwc, dwr, dbias, None, dh0, dc0, dbefore, None


sdm_op.register_autograd(_backward, setup_context=_setup)


def padding(lengths: Tensor, steps: int) -> Tensor:
    """bool [T, B, 1]: True past the lengths."""
    return ~valid_steps(lengths, steps).T[..., None]


def steps_first(x: Tensor, lengths: Tensor) -> Tensor:
    """A copy of x [B, T, D] as a contiguous [T, B, D] with zeros past the lengths."""
    out = x.transpose(0, 1).clone(memory_format=torch.contiguous_format)  # contiguous() copies neither B=1 nor T=1
    return out.masked_fill_(padding(lengths, x.shape[1]), 0)


def projections(x: Tensor, before: Tensor, weight_prev: Tensor, weight_cur: Tensor, bias: Tensor) -> Tensor:
    """What x [T, B, D] adds to the pre-activations [T, B, 4H]. Time-major, a shift in time is an offset in rows."""
    out = torch.addmm(bias, x.view(-1, x.shape[2]), weight_cur.T).view(*x.shape[:2], bias.shape[0])
    add_shifted(out, x, before, weight_prev)
    return out


def add_shifted(out: Tensor, x: Tensor, first: Tensor, weight: Tensor) -> None:
    """out_t += x_{t-1} weight^T, with x_{-1} = first [B, D]."""
    rows = out.view(-1, out.shape[2])
    batch = first.shape[0]
    rows[:batch].addmm_(first, weight.T)
    rows[batch:].addmm_(x.view(-1, x.shape[2])[: rows.shape[0] - batch], weight.T)


def shifted_product(flat: Tensor, x: Tensor, first: Tensor) -> Tensor:
    """sum_t flat_t^T x_{t-1}, with x_{-1} = first [B, D]: the gradient of the weight in `add_shifted`."""
    batch = first.shape[0]
    out = flat[:batch].T @ first
    return out.addmm_(flat[batch:].T, x.view(-1, x.shape[2])[: flat.shape[0] - batch])
