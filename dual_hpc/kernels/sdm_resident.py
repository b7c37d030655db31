"""K1, the SDM recurrence for H <= 128: one program per tile of the batch walks all steps with its weights on chip.

Tiles are transposed, [units, rows]: the recurrent weights are then the left operand of every dot, which Hopper's matrix
unit reads from shared memory, so they are fetched once and stay. Buffers are time-major; sequences arrive sorted by
length through `order`, so that a tile of short ones leaves early. What lies in the padding of an output is not written.
"""

import triton
import triton.language as tl

from dual_hpc.kernels.sdm_cell import cell, cell_gradient


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
    slot = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    row = tl.load(order + slot, slot < batch, 0).to(tl.int64)
    length = tl.load(lengths + row, slot < batch, 0)
    end = tl.max(length, 0)
    row = row[None, :]
    length = length[None, :]
    inside = (unit < H) & (slot < batch)[None, :]

    k = tl.arange(0, UNITS)[None, :]
    w_at = weight + unit * H + k
    w_inside = (unit < H) & (k < H)
    w_i = tl.load(w_at, w_inside, 0.0)
    w_r = tl.load(w_at + H * H, w_inside, 0.0)
    w_g = tl.load(w_at + 2 * H * H, w_inside, 0.0)
    w_o = tl.load(w_at + 3 * H * H, w_inside, 0.0)

    at = row * H + unit
    h_tile = tl.load(h0 + at, inside, 0.0)
    c_tile = tl.load(c0 + at, inside, 0.0).to(ACC)
    pre_at = pre + row * (4 * H) + unit
    h_at = h + at
    c_at = c + at
    # The inputs of a step are asked for one step ahead: nothing they need depends on the recurrence.
    live = inside & (length > 0)
    x_i = tl.load(pre_at, live, 0.0)
    x_r = tl.load(pre_at + H, live, 0.0)
    x_g = tl.load(pre_at + 2 * H, live, 0.0)
    x_o = tl.load(pre_at + 3 * H, live, 0.0)
    for t in range(end):
        pre_at += batch * 4 * H
        live = inside & (t + 1 < length)
        next_i = tl.load(pre_at, live, 0.0)
        next_r = tl.load(pre_at + H, live, 0.0)
        next_g = tl.load(pre_at + 2 * H, live, 0.0)
        next_o = tl.load(pre_at + 3 * H, live, 0.0)
        i = tl.dot(w_i, h_tile, x_i.to(ACC), input_precision="ieee", out_dtype=ACC)
        r = tl.dot(w_r, h_tile, x_r.to(ACC), input_precision="ieee", out_dtype=ACC)
        g = tl.dot(w_g, h_tile, x_g.to(ACC), input_precision="ieee", out_dtype=ACC)
        o = tl.dot(w_o, h_tile, x_o.to(ACC), input_precision="ieee", out_dtype=ACC)
        h_next, c_next = cell(i, r, g, o, c_tile)
        valid = t < length
        h_next = h_next.to(h_tile.dtype)
        tl.store(h_at, h_next, inside & valid)
        tl.store(c_at, c_next, inside & valid)
        h_tile = tl.where(valid, h_next, h_tile)
        c_tile = tl.where(valid, c_next, c_tile)
        h_at += batch * H
        c_at += batch * H
        x_i = next_i
        x_r = next_r
        x_g = next_g
        x_o = next_o
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
    slot = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    row = tl.load(order + slot, slot < batch, 0).to(tl.int64)
    length = tl.load(lengths + row, slot < batch, 0)
    end = tl.max(length, 0)
    row = row[None, :]
    length = length[None, :]
    inside = (unit < H) & (slot < batch)[None, :]

    # dh_{t-1} = R^T dpre_t: the same weights, transposed as they are read.
    k = tl.arange(0, UNITS)[None, :]
    w_at = weight + k * H + unit
    w_inside = (unit < H) & (k < H)
    w_i = tl.load(w_at, w_inside, 0.0)
    w_r = tl.load(w_at + H * H, w_inside, 0.0)
    w_g = tl.load(w_at + 2 * H * H, w_inside, 0.0)
    w_o = tl.load(w_at + 3 * H * H, w_inside, 0.0)

    at = row * H + unit
    dh_tile = tl.load(dh + at, inside, 0.0).to(ACC)
    dc_tile = tl.load(dc + at, inside, 0.0).to(ACC)
    final = end.to(tl.int64) - 1
    pre_at = pre + final * batch * 4 * H + row * (4 * H) + unit
    c_at = c + final * batch * H + at
    out_at = dh_out + final * batch * H + at
    for s in range(end):
        t = end - 1 - s
        valid = inside & (t < length)
        i = tl.load(pre_at, valid, 0.0).to(ACC)
        r = tl.load(pre_at + H, valid, 0.0).to(ACC)
        g = tl.load(pre_at + 2 * H, valid, 0.0).to(ACC)
        o = tl.load(pre_at + 3 * H, valid, 0.0).to(ACC)
        c_now = tl.load(c_at, valid, 0.0)
        c_before = tl.load(c_at - batch * H, valid & (t > 0), 0.0)
        c_before += tl.load(c0 + at, valid & (t == 0), 0.0).to(ACC)
        total = dh_tile + tl.load(out_at, valid, 0.0).to(ACC)
        di, dr, dg, do, dc_next = cell_gradient(i, r, g, o, c_before, c_now, total, dc_tile)
        di = tl.where(valid, di, 0.0).to(w_i.dtype)
        dr = tl.where(valid, dr, 0.0).to(w_i.dtype)
        dg = tl.where(valid, dg, 0.0).to(w_i.dtype)
        do = tl.where(valid, do, 0.0).to(w_i.dtype)
        tl.store(pre_at, di, valid)
        tl.store(pre_at + H, dr, valid)
        tl.store(pre_at + 2 * H, dg, valid)
        tl.store(pre_at + 3 * H, do, valid)
        dh_next = tl.dot(w_i, di, input_precision="ieee", out_dtype=ACC)
        dh_next = tl.dot(w_r, dr, dh_next, input_precision="ieee", out_dtype=ACC)
        dh_next = tl.dot(w_g, dg, dh_next, input_precision="ieee", out_dtype=ACC)
        dh_next = tl.dot(w_o, do, dh_next, input_precision="ieee", out_dtype=ACC)
        dh_tile = tl.where(valid, dh_next, dh_tile)
        dc_tile = tl.where(valid, dc_next, dc_tile)
        pre_at -= batch * 4 * H
        c_at -= batch * H
        out_at -= batch * H
    tl.store(dh + at, dh_tile, inside)
    tl.store(dc + at, dc_tile, inside)
