"""VDM, concatenation and LayerNorm in one kernel: each step is read once and [F; Δ] exists in registers only.

Backward recomputes what forward did not save, which is everything but x. A step's gradient needs that of the step
before, whose difference reads it too; that one is computed twice instead of being passed through memory.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from dual_hpc.kernels.autograd_limits import forbid_double_backward
from dual_hpc.kernels.precision import accumulator
from dual_hpc.kernels.triton_launch import LANGUAGE, launch


@triton.jit
def both(x, t, length, column, D: tl.constexpr, ACC: tl.constexpr):
    """F and Δ at steps t, as [steps, columns]; zero outside the sequence."""
    inside = (t >= 0) & (t < length) & (column < D)
    here = tl.load(x + t * D + column, inside, 0.0).to(ACC)
    following = tl.load(x + (t + 1) * D + column, inside & (t + 1 < length), 0.0).to(ACC)
    return here, tl.where(t + 1 < length, following - here, here)


@triton.jit
def normalise(static, change, column, eps, D: tl.constexpr):
    """Both halves with zero mean and unit variance over the 2D features of a step, and 1 / deviation [steps, 1]."""
    mean = ((tl.sum(static, 1) + tl.sum(change, 1)) / (2 * D))[:, None]
    static = tl.where(column < D, static - mean, 0.0)
    change = tl.where(column < D, change - mean, 0.0)
    variance = (tl.sum(static * static, 1) + tl.sum(change * change, 1)) / (2 * D)
    scale = (1 / tl.sqrt(variance + eps))[:, None]
    return static * scale, change * scale, scale


@triton.jit
def forward_kernel(
    x,
    lengths,
    weight,
    bias,
    out,
    steps,
    eps,
    D: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEPS: tl.constexpr,
    ACC: tl.constexpr,
):
    """x [B, T, D] -> out [B, T, 2D]; one program per STEPS steps of a sequence."""
    tiles = tl.cdiv(steps, STEPS)
    sequence = (tl.program_id(0) // tiles).to(tl.int64)
    t = (tl.program_id(0) % tiles * STEPS + tl.arange(0, STEPS))[:, None]
    column = tl.arange(0, COLUMNS)[None, :]
    length = tl.load(lengths + sequence)
    static, change = both(x + sequence * steps * D, t, length, column, D, ACC)
    static, change, _ = normalise(static, change, column, eps, D)
    w = tl.load(weight + column, column < D, 0.0).to(ACC)
    w_change = tl.load(weight + D + column, column < D, 0.0).to(ACC)
    b = tl.load(bias + column, column < D, 0.0).to(ACC)
    b_change = tl.load(bias + D + column, column < D, 0.0).to(ACC)
    out += sequence * steps * (2 * D)
    at = t * (2 * D) + column
    inside = (t < steps) & (column < D)
    tl.store(out + at, tl.where(t < length, static * w + b, 0.0), inside)
    tl.store(out + D + at, tl.where(t < length, change * w_change + b_change, 0.0), inside)


@triton.jit
def through_norm(x, dout, weight, t, length, column, eps, D: tl.constexpr, ACC: tl.constexpr):
    """At steps t: gradients of F and Δ, the normalised halves and the gradients that came in, zero outside."""
    static, change = both(x, t, length, column, D, ACC)
    static, change, scale = normalise(static, change, column, eps, D)
    inside = (t >= 0) & (t < length) & (column < D)
    at = t * (2 * D) + column
    d_static = tl.load(dout + at, inside, 0.0).to(ACC)
    d_change = tl.load(dout + D + at, inside, 0.0).to(ACC)
    w_static = d_static * tl.load(weight + column, column < D, 0.0).to(ACC)
    w_change = d_change * tl.load(weight + D + column, column < D, 0.0).to(ACC)
    mean = ((tl.sum(w_static, 1) + tl.sum(w_change, 1)) / (2 * D))[:, None]
    slope = ((tl.sum(w_static * static, 1) + tl.sum(w_change * change, 1)) / (2 * D))[:, None]
    g_static = tl.where(inside, (w_static - mean - static * slope) * scale, 0.0)
    g_change = tl.where(inside, (w_change - mean - change * slope) * scale, 0.0)
    return g_static, g_change, static, change, d_static, d_change


@triton.jit
def backward_kernel(
    x,
    lengths,
    weight,
    dout,
    dx,
    partial,
    steps,
    chunk,
    eps,
    D: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEPS: tl.constexpr,
    ACC: tl.constexpr,
):
    """dx [B, T, D], and per program the sums [4, D] that make up the gradients of weight and bias, in `partial`."""
    chunks = tl.cdiv(steps, chunk)
    sequence = (tl.program_id(0) // chunks).to(tl.int64)
    column = tl.arange(0, COLUMNS)[None, :]
    length = tl.load(lengths + sequence)
    x += sequence * steps * D
    dx += sequence * steps * D
    dout += sequence * steps * (2 * D)
    sum_w = tl.zeros([COLUMNS], ACC)
    sum_w_change = tl.zeros([COLUMNS], ACC)
    sum_b = tl.zeros([COLUMNS], ACC)
    sum_b_change = tl.zeros([COLUMNS], ACC)
    begin = tl.program_id(0) % chunks * chunk
    for first in range(begin, tl.minimum(begin + chunk, steps), STEPS):
        t = (first + tl.arange(0, STEPS))[:, None]
        g_static, g_change, static, change, d_static, d_change = through_norm(
            x, dout, weight, t, length, column, eps, D, ACC
        )
        _, g_before, _, _, _, _ = through_norm(x, dout, weight, t - 1, length, column, eps, D, ACC)
        grad = g_static + tl.where(t + 1 < length, -g_change, g_change) + tl.where(t < length, g_before, 0.0)
        tl.store(dx + t * D + column, grad, (t < steps) & (column < D))
        sum_w += tl.sum(d_static * static, 0)
        sum_w_change += tl.sum(d_change * change, 0)
        sum_b += tl.sum(d_static, 0)
        sum_b_change += tl.sum(d_change, 0)
    partial += tl.program_id(0).to(tl.int64) * (4 * D)
    column = tl.arange(0, COLUMNS)
    tl.store(partial + column, sum_w, column < D)
    tl.store(partial + D + column, sum_w_change, column < D)
    tl.store(partial + 2 * D + column, sum_b, column < D)
    tl.store(partial + 3 * D + column, sum_b_change, column < D)


def sizes(x: Tensor, per_program: int) -> dict[str, Any]:
    """Constants of both kernels: as many steps at once as make `per_program` features."""
    columns = triton.next_power_of_2(x.shape[2])
    wide = LANGUAGE[accumulator(x.dtype)]
    return dict(D=x.shape[2], COLUMNS=columns, STEPS=max(1, per_program // columns), ACC=wide, num_warps=4)


@torch.library.custom_op("dual_hpc::vdm_concat_norm", mutates_args=())
def vdm_concat_norm_op(x: Tensor, lengths: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """`vdm_concat_norm` on one dtype."""
    batch, steps, width = x.shape
    out = x.new_empty(batch, steps, 2 * width)
    constants = sizes(x, 2048)
    tensors = (x.contiguous(), lengths.to(torch.int32), weight.contiguous(), bias.contiguous(), out)
    launch(forward_kernel, (batch * triton.cdiv(steps, constants["STEPS"]),), tensors, steps, eps, **constants)
    return out


@vdm_concat_norm_op.register_fake
def _(x, lengths, weight, bias, eps):
    return x.new_empty(*x.shape[:2], 2 * x.shape[2])


@torch.library.custom_op("dual_hpc::vdm_concat_norm_backward", mutates_args=())
def vdm_concat_norm_backward_op(
    dout: Tensor, x: Tensor, lengths: Tensor, weight: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias."""
    batch, steps, width = x.shape
    dx = torch.empty_like(x, memory_format=torch.contiguous_format)
    chunk = 128
    programs = batch * triton.cdiv(steps, chunk)
    partial = x.new_empty(programs, 2, 2 * width, dtype=accumulator(x.dtype))
    constants = sizes(x, 1024)
    tensors = (x.contiguous(), lengths.to(torch.int32), weight.contiguous(), dout.contiguous(), dx, partial)
    launch(backward_kernel, (programs,), tensors, steps, chunk, eps, **constants)
    dweight, dbias = partial.sum(0).to(weight.dtype).unbind(0)
    return dx, dweight.clone(), dbias.clone()


@vdm_concat_norm_backward_op.register_fake
def _(dout, x, lengths, weight, eps):
    dx = torch.empty_like(x, memory_format=torch.contiguous_format)
    return dx, weight.new_empty(weight.shape), weight.new_empty(weight.shape)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, lengths, weight, _, ctx.eps = inputs
    ctx.save_for_backward(x, lengths, weight)


def _backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
    forbid_double_backward("vdm_concat_norm")
    x, lengths, weight = ctx.saved_tensors
    dx, dweight, dbias = vdm_concat_norm_backward_op(dout, x, lengths, weight, ctx.eps)
    return dx, None, dweight, dbias, None


vdm_concat_norm_op.register_autograd(_backward, setup_context=_setup)
