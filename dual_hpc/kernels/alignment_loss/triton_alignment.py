"""The alignment loss without its similarity matrix: log-sum-exps and gradients are computed tile by tile.

One kernel finds the log-sum-exp of every query over all keys, online; called for (a, v) and for (v, a) it serves both
directions. Backward recomputes each tile and needs nothing but those two vectors. The gradient of S_ij is

    w_i exp(S_ij - lse_i) + w_j exp(S_ij - lse_j) - [i = j] (w_i + w_j),    w = upstream / (2 n) of the step's utterance

and that of tau is -1/tau sum_i q_i . dq_i, since S depends on both through (q . k) / tau.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from dual_hpc.kernels.autograd_limits import forbid_double_backward
from dual_hpc.kernels.lengths import valid_steps, zero_padding
from dual_hpc.kernels.precision import accumulator
from dual_hpc.kernels.triton_launch import LANGUAGE, launch

FLOOR = tl.constexpr(-1e30)  # below any similarity, finite: a block without a valid key must not make NaN


@triton.jit
def keys_at(
    k, first, lengths, sequence, steps, batch, column, D: tl.constexpr, KEYS: tl.constexpr, ACROSS: tl.constexpr
):
    """A tile of keys [KEYS, D], their flat positions and which are valid."""
    n = first + tl.arange(0, KEYS)
    if ACROSS:
        flat = n
        owner = tl.minimum(n // steps, batch - 1)
        valid = (n < batch * steps) & (n - owner * steps < tl.load(lengths + owner))
    else:
        flat = sequence * steps + n
        valid = n < tl.load(lengths + sequence)
    at = flat.to(tl.int64)[:, None] * D + column
    return tl.load(k + at, valid[:, None] & (column < D), 0.0), flat, valid


@triton.jit
def lse_kernel(
    q,
    k,
    lengths,
    tau,
    lse,
    steps,
    batch,
    D: tl.constexpr,
    COLUMNS: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    ACROSS: tl.constexpr,
    ACC: tl.constexpr,
):
    """lse [B, T]: of every query q [B, T, D] over the keys k [B, T, D] of its own or of all utterances."""
    tiles = tl.cdiv(steps, QUERIES)
    sequence = tl.program_id(0) // tiles
    first_query = tl.program_id(0) % tiles * QUERIES
    t = first_query + tl.arange(0, QUERIES)
    column = tl.arange(0, COLUMNS)[None, :]
    length = tl.load(lengths + sequence)
    at = (sequence * steps + t).to(tl.int64)
    queries = tl.load(q + at[:, None] * D + column, (t < length)[:, None] & (column < D), 0.0)
    scale = 1 / tl.load(tau).to(ACC)
    highest = tl.full([QUERIES], FLOOR, ACC)
    total = tl.zeros([QUERIES], ACC)
    end = length
    if ACROSS:
        end = batch * steps
    if first_query >= length:
        end = 0
    for first in range(0, end, KEYS):
        keys, _, valid = keys_at(k, first, lengths, sequence, steps, batch, column, D, KEYS, ACROSS)
        s = tl.dot(queries, tl.trans(keys), input_precision="ieee", out_dtype=ACC) * scale
        s = tl.where(valid[None, :], s, FLOOR)
        higher = tl.maximum(highest, tl.max(s, 1))
        total = total * tl.exp(highest - higher) + tl.sum(tl.exp(s - higher[:, None]), 1)
        highest = higher
    result = tl.where(t < length, highest + tl.log(tl.maximum(total, 1e-37)), 0.0)
    tl.store(lse + at, result, t < steps)


@triton.jit
def gradient_kernel(
    q,
    k,
    lengths,
    tau,
    lse_q,
    lse_k,
    share,
    dq,
    steps,
    batch,
    D: tl.constexpr,
    COLUMNS: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    ACROSS: tl.constexpr,
    ACC: tl.constexpr,
):
    """dq [B, T, D] in the accumulator's dtype, from share [B, T] (w above, zero past the lengths)."""
    tiles = tl.cdiv(steps, QUERIES)
    sequence = tl.program_id(0) // tiles
    first_query = tl.program_id(0) % tiles * QUERIES
    t = first_query + tl.arange(0, QUERIES)
    column = tl.arange(0, COLUMNS)[None, :]
    length = tl.load(lengths + sequence)
    position = sequence * steps + t
    at = position.to(tl.int64)
    queries = tl.load(q + at[:, None] * D + column, (t < length)[:, None] & (column < D), 0.0)
    own_lse = tl.load(lse_q + at, t < length, 0.0)
    own_share = tl.load(share + at, t < length, 0.0)
    scale = 1 / tl.load(tau).to(ACC)
    grad = tl.zeros([QUERIES, COLUMNS], ACC)
    end = length
    if ACROSS:
        end = batch * steps
    if first_query >= length:
        end = 0
    for first in range(0, end, KEYS):
        keys, flat, valid = keys_at(k, first, lengths, sequence, steps, batch, column, D, KEYS, ACROSS)
        their_lse = tl.load(lse_k + flat, valid, 0.0)
        their_share = tl.load(share + flat, valid, 0.0)
        s = tl.dot(queries, tl.trans(keys), input_precision="ieee", out_dtype=ACC) * scale
        ds = own_share[:, None] * tl.exp(s - own_lse[:, None])
        ds += their_share[None, :] * tl.exp(s - their_lse[None, :])
        ds -= tl.where(position[:, None] == flat[None, :], own_share[:, None] + their_share[None, :], 0.0)
        ds = tl.where((t < length)[:, None] & valid[None, :], ds, 0.0)
        grad = tl.dot(ds.to(keys.dtype), keys, grad, input_precision="ieee", out_dtype=ACC)
    tl.store(dq + at[:, None] * D + column, grad * scale, (t < steps)[:, None] & (column < D))


def alignment_loss_triton(a: Tensor, v: Tensor, lengths: Tensor, tau: Tensor, across_batch: bool) -> Tensor:
    """`alignment_loss` by the kernels; directions are normalised in fp32 and multiplied in a's dtype."""
    wide = accumulator(a.dtype)
    a, v = (F.normalize(zero_padding(x, lengths).to(wide), dim=-1).to(a.dtype) for x in (a, v))
    return alignment_op(a, v, lengths, tau, across_batch)[0]


def sizes(q: Tensor, across_batch: bool, warps: int) -> dict[str, Any]:
    """Constants of both kernels."""
    columns = max(16, triton.next_power_of_2(q.shape[2]))
    tile = 64 if columns <= 256 and q.element_size() == 2 else 32
    wide = LANGUAGE[accumulator(q.dtype)]
    return dict(D=q.shape[2], COLUMNS=columns, QUERIES=tile, KEYS=tile, ACROSS=across_batch, ACC=wide, num_warps=warps)


@torch.library.custom_op("dual_hpc::alignment", mutates_args=())
def alignment_op(
    a: Tensor, v: Tensor, lengths: Tensor, tau: Tensor, across_batch: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss [B] of unit vectors a, v [B, T, D], and the log-sum-exps [B, T] of both directions."""
    batch, steps, _ = a.shape
    a, v = a.contiguous(), v.contiguous()
    constants = sizes(a, across_batch, warps=4)
    lse_a, lse_v = (tau.new_empty(batch, steps) for _ in range(2))
    short = lengths.to(torch.int32)
    programs = (batch * triton.cdiv(steps, constants["QUERIES"]),)
    for q, k, lse in ((a, v, lse_a), (v, a, lse_v)):
        launch(lse_kernel, programs, (q, k, short, tau, lse), steps, batch, **constants)
    matched = (a.to(tau.dtype) * v.to(tau.dtype)).sum(-1) / tau
    per_step = ((lse_a + lse_v) / 2 - matched).masked_fill_(~valid_steps(lengths, steps), 0)
    return per_step.sum(1) / lengths.clamp(min=1), lse_a, lse_v


@alignment_op.register_fake
def _(a, v, lengths, tau, across_batch):
    return tau.new_empty(a.shape[0]), tau.new_empty(a.shape[:2]), tau.new_empty(a.shape[:2])


@torch.library.custom_op("dual_hpc::alignment_backward", mutates_args=())
def alignment_backward_op(
    dloss: Tensor,
    a: Tensor,
    v: Tensor,
    lengths: Tensor,
    tau: Tensor,
    lse_a: Tensor,
    lse_v: Tensor,
    across_batch: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a, v and tau."""
    batch, steps, _ = a.shape
    a, v = a.contiguous(), v.contiguous()
    constants = sizes(a, across_batch, warps=8)
    short = lengths.to(torch.int32)
    share = (dloss / (2 * lengths.clamp(min=1)))[:, None] * valid_steps(lengths, steps)
    share = share.to(tau.dtype).contiguous()
    # Relative to the largest they neither overflow nor vanish in 16 bits, whatever the loss scale.
    largest = F.pad(share.abs().view(-1), (0, 1), value=torch.finfo(share.dtype).tiny).max()
    share /= largest
    da, dv = (torch.empty_like(a, dtype=tau.dtype) for _ in range(2))
    programs = (batch * triton.cdiv(steps, constants["QUERIES"]),)
    for q, k, lse_q, lse_k, dq in ((a, v, lse_a, lse_v, da), (v, a, lse_v, lse_a, dv)):
        launch(gradient_kernel, programs, (q, k, short, tau, lse_q, lse_k, share, dq), steps, batch, **constants)
    da, dv = da * largest, dv * largest
    dtau = -(a.to(tau.dtype) * da).sum() / tau
    return da.to(a.dtype), dv.to(v.dtype), dtau.reshape(tau.shape)


@alignment_backward_op.register_fake
def _(dloss, a, v, lengths, tau, lse_a, lse_v, across_batch):
    da, dv = (torch.empty_like(t, memory_format=torch.contiguous_format) for t in (a, v))
    return da, dv, torch.empty_like(tau)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    a, v, lengths, tau, ctx.across_batch = inputs
    ctx.mark_non_differentiable(output[1], output[2])
    ctx.save_for_backward(a, v, lengths, tau, output[1], output[2])


def _backward(ctx: Any, dloss: Tensor, _: Tensor, __: Tensor) -> tuple[Tensor | None, ...]:
    forbid_double_backward("alignment_loss")
    da, dv, dtau = alignment_backward_op(dloss, *ctx.saved_tensors, ctx.across_batch)
    return da, dv, None, dtau, None


alignment_op.register_autograd(_backward, setup_context=_setup)
