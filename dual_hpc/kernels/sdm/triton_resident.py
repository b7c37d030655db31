"""K1, the SDM recurrence for H <= 128: one program per tile of the batch walks all steps with its weights on chip.

Tiles are transposed, [units, rows]: the recurrent weights are then the left operand of every dot, which Hopper's matrix
unit reads from shared memory, so they are fetched once and stay. Buffers are time-major; sequences arrive sorted by
length through `order`, so that a tile of short ones leaves early. What lies in the padding of an output is not written.

Addresses are a 64-bit base that moves with time plus 32-bit offsets: 64-bit tiles of pointers would fill the registers.
"""

import triton
import triton.language as tl

from dual_hpc.kernels.sdm.triton_cell import cell, sequences, step_gradient, store_gates


@triton.jit
def forward_kernel(
    pre,
    weight,
    h0,
    c0,
    order,
    lengths,
    h,
    c,
    h_last,
    c_last,
    batch,
    H: tl.constexpr,
    UNITS: tl.constexpr,
    ROWS: tl.constexpr,
    ACC: tl.constexpr,
):
    """pre [T, B, 4H] without its recurrent term -> h, c [T, B, H], last h and c [B, H]."""
    unit = tl.arange(0, UNITS)[:, None]
    filled, row, length = sequences(tl.program_id(0), order, lengths, batch, ROWS)
    end = tl.max(length)
    inside = (unit < H) & filled

    k = tl.arange(0, UNITS)[None, :]
    w_at = unit * H + k
    w_inside = (unit < H) & (k < H)
    w_i = tl.load(weight + w_at, w_inside, 0.0)
    w_r = tl.load(weight + H * H + w_at, w_inside, 0.0)
    w_g = tl.load(weight + 2 * H * H + w_at, w_inside, 0.0)
    w_o = tl.load(weight + 3 * H * H + w_at, w_inside, 0.0)

    at = row * H + unit
    gate_at = row * (4 * H) + unit
    h_tile = tl.load(h0 + at, inside, 0.0)
    c_tile = tl.load(c0 + at, inside, 0.0).to(ACC)
    for t in range(end):
        valid = inside & (t < length)
        # None of these depends on the recurrence: they are under way while the dots run.
        x_i = tl.load(pre + gate_at, valid, 0.0)
        x_r = tl.load(pre + H + gate_at, valid, 0.0)
        x_g = tl.load(pre + 2 * H + gate_at, valid, 0.0)
        x_o = tl.load(pre + 3 * H + gate_at, valid, 0.0)
        i = tl.dot(w_i, h_tile, input_precision="ieee", out_dtype=ACC) + x_i
        r = tl.dot(w_r, h_tile, input_precision="ieee", out_dtype=ACC) + x_r
        g = tl.dot(w_g, h_tile, input_precision="ieee", out_dtype=ACC) + x_g
        o = tl.dot(w_o, h_tile, input_precision="ieee", out_dtype=ACC) + x_o
        h_next, c_next = cell(i, r, g, o, c_tile)
        h_tile = tl.where(t < length, h_next.to(h_tile.dtype), h_tile)
        c_tile = tl.where(t < length, c_next, c_tile)
        tl.store(h + at, h_tile, valid)
        tl.store(c + at, c_tile, valid)
        pre += batch * 4 * H
        h += batch * H
        c += batch * H
    tl.store(h_last + at, h_tile, inside)
    tl.store(c_last + at, c_tile, inside)


@triton.jit
def backward_kernel(
    pre,
    weight,
    c,
    c0,
    order,
    lengths,
    dh_out,
    dh,
    dc,
    batch,
    H: tl.constexpr,
    UNITS: tl.constexpr,
    ROWS: tl.constexpr,
    ACC: tl.constexpr,
):
    """Replaces pre [T, B, 4H], now complete, by its gradient; dh, dc [B, H] enter for h_T, c_T, leave for h0, c0."""
    unit = tl.arange(0, UNITS)[:, None]
    filled, row, length = sequences(tl.program_id(0), order, lengths, batch, ROWS)
    end = tl.max(length)
    inside = (unit < H) & filled

    # dh_{t-1} = R^T dpre_t: the same weights, transposed as they are read.
    k = tl.arange(0, UNITS)[None, :]
    w_at = k * H + unit
    w_inside = (unit < H) & (k < H)
    w_i = tl.load(weight + w_at, w_inside, 0.0)
    w_r = tl.load(weight + H * H + w_at, w_inside, 0.0)
    w_g = tl.load(weight + 2 * H * H + w_at, w_inside, 0.0)
    w_o = tl.load(weight + 3 * H * H + w_at, w_inside, 0.0)

    at = row * H + unit
    gate_at = row * (4 * H) + unit
    dh_tile = tl.load(dh + at, inside, 0.0).to(ACC)
    dc_tile = tl.load(dc + at, inside, 0.0).to(ACC)
    final = (end.to(tl.int64) - 1) * batch * H
    pre += final * 4
    c += final
    dh_out += final
    for s in range(end):
        t = end - 1 - s
        valid = inside & (t < length)
        di, dr, dg, do, dc_next = step_gradient(
            pre, c, c0, dh_out, at, gate_at, valid, t, batch * H, dh_tile, dc_tile, H, ACC
        )
        di = tl.where(valid, di, 0.0).to(w_i.dtype)
        dr = tl.where(valid, dr, 0.0).to(w_i.dtype)
        dg = tl.where(valid, dg, 0.0).to(w_i.dtype)
        do = tl.where(valid, do, 0.0).to(w_i.dtype)
        store_gates(pre, gate_at, di, dr, dg, do, valid, H)
        dh_next = tl.dot(w_i, di, input_precision="ieee", out_dtype=ACC)
        dh_next = tl.dot(w_r, dr, dh_next, input_precision="ieee", out_dtype=ACC)
        dh_next = tl.dot(w_g, dg, dh_next, input_precision="ieee", out_dtype=ACC)
        dh_next = tl.dot(w_o, do, dh_next, input_precision="ieee", out_dtype=ACC)
        dh_tile = tl.where(valid, dh_next, dh_tile)
        dc_tile = tl.where(valid, dc_next, dc_tile)
        pre -= batch * 4 * H
        c -= batch * H
        dh_out -= batch * H
    tl.store(dh + at, dh_tile, inside)
    tl.store(dc + at, dc_tile, inside)
