"""K2, the SDM recurrence for larger H: several programs share a tile of the batch and exchange h through the L2 cache.

Each program owns UNITS hidden units. A step's result is read by all programs of the tile at the next step, so they meet
at a counter between steps; all of them must be resident, which a cooperative launch guarantees. A launch may also cover
a single step: then no program waits for another, and its end is the meeting (the interpreter needs that).
Loads of exchanged values bypass L1, which is not coherent; weights are re-read every step, from L1 where they fit.
"""

import triton
import triton.language as tl

from dual_hpc.kernels.sdm_cell import cell, cell_gradient


@triton.jit
def meet(arrived, target):
    """Wait until `target` arrivals were counted; what the others stored before arriving is visible afterwards."""
    tl.debug_barrier()
    tl.atomic_add(arrived, 1, sem="release")
    seen = 0
    while seen < target:
        seen = tl.atomic_add(arrived, 0, sem="acquire")
    tl.debug_barrier()


@triton.jit
def forward_kernel(
    pre,
    weight,
    exchange,
    order,
    lengths,
    c,
    h_last,
    c_last,
    arrived,
    first_tile,
    begin,
    end,
    batch,
    H: tl.constexpr,
    UNITS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    PARTS: tl.constexpr,
    ACC: tl.constexpr,
):
    """Steps [begin, end): exchange [T+1, B, H] holds h shifted by one, its first entry h0; h_last, c_last carry on."""
    tile = first_tile + tl.program_id(1)
    unit = tl.program_id(0) * UNITS + tl.arange(0, UNITS)
    stacked = tl.arange(0, 4 * UNITS)  # the four gates of a unit side by side, so that one dot serves all
    stacked_unit = tl.program_id(0) * UNITS + stacked // 4
    gate_row = (stacked % 4) * H + stacked_unit
    slot = tile * ROWS + tl.arange(0, ROWS)
    row = tl.load(order + slot, slot < batch, 0).to(tl.int64)
    length = tl.load(lengths + row, slot < batch, 0)[None, :]
    end = tl.minimum(end, tl.max(length, 1).max(0))
    row = row[None, :]
    inside = (unit < H)[:, None] & (slot < batch)[None, :]
    at = row * H + unit[:, None]
    h_tile = tl.load(h_last + at, inside, 0.0)
    c_tile = tl.load(c_last + at, inside, 0.0).to(ACC)

    start = begin.to(tl.int64)
    pre_at = pre + start * batch * 4 * H + row * (4 * H) + gate_row[:, None]
    from_at = exchange + start * batch * H + row * H
    c_at = c + start * batch * H + at
    for t in range(begin, end):
        live = (slot < batch)[None, :] & (t < length)
        gates = tl.load(pre_at, (stacked_unit < H)[:, None] & live, 0.0).to(ACC)
        for block in range(0, H, BLOCK):
            k = block + tl.arange(0, BLOCK)
            w = tl.load(
                weight + gate_row[:, None] * H + k[None, :], (stacked_unit < H)[:, None] & (k < H)[None, :], 0.0
            )
            h = tl.load(from_at + k[:, None], (k < H)[:, None] & live, 0.0, cache_modifier=".cg")
            gates = tl.dot(w, h, gates, input_precision="ieee", out_dtype=ACC)
        even, odd = tl.split(tl.permute(tl.reshape(gates, (UNITS, 2, 2, ROWS)), (0, 3, 1, 2)))
        i, g = tl.split(even)
        r, o = tl.split(odd)
        h_next, c_next = cell(i, r, g, o, c_tile)
        valid = t < length
        h_next = h_next.to(h_tile.dtype)
        from_at += batch * H
        tl.store(from_at + unit[:, None], h_next, inside & valid)
        tl.store(c_at, c_next, inside & valid)
        h_tile = tl.where(valid, h_next, h_tile)
        c_tile = tl.where(valid, c_next, c_tile)
        pre_at += batch * 4 * H
        c_at += batch * H
        if t + 1 < end:
            meet(arrived + tile, PARTS * (t + 1 - begin))
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
    arrived,
    first_tile,
    begin,
    end,
    batch,
    H: tl.constexpr,
    UNITS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    PARTS: tl.constexpr,
    ACC: tl.constexpr,
):
    """Passes [begin, end) of at most T+1, counted from each tile's last step back to the gradient of h0.

    Pass s first gathers R^T dpre from the step after, which all programs of the tile have written, then replaces its
    own units of pre [T, B, 4H] at step t by their gradient. dh, dc [B, H] carry on.
    """
    tile = first_tile + tl.program_id(1)
    unit = (tl.program_id(0) * UNITS + tl.arange(0, UNITS))[:, None]
    slot = tile * ROWS + tl.arange(0, ROWS)
    row = tl.load(order + slot, slot < batch, 0).to(tl.int64)
    length = tl.load(lengths + row, slot < batch, 0)[None, :]
    steps = tl.max(length, 1).max(0)
    end = tl.minimum(end, steps + 1)
    row = row[None, :]
    inside = (unit < H) & (slot < batch)[None, :]
    at = row * H + unit
    dh_tile = tl.load(dh + at, inside, 0.0).to(ACC)
    dc_tile = tl.load(dc + at, inside, 0.0).to(ACC)

    step = steps.to(tl.int64) - 1 - begin
    pre_row = pre + step * batch * 4 * H + row * (4 * H)
    c_at = c + step * batch * H + at
    out_at = dh_out + step * batch * H + at
    for s in range(begin, end):
        t = steps - 1 - s
        if s > 0:
            gathered = tl.zeros([UNITS, ROWS], ACC)
            for block in range(0, 4 * H, BLOCK):
                k = block + tl.arange(0, BLOCK)
                w = tl.load(weight + k[None, :] * H + unit, (unit < H) & (k < 4 * H)[None, :], 0.0)
                d = tl.load(
                    pre_row + batch * 4 * H + k[:, None],
                    (k < 4 * H)[:, None] & (t + 1 < length) & (slot < batch)[None, :],
                    0.0,
                    cache_modifier=".cg",
                )
                gathered = tl.dot(w, d, gathered, input_precision="ieee", out_dtype=ACC)
            dh_tile = tl.where(t + 1 < length, gathered, dh_tile)
        if t >= 0:
            valid = inside & (t < length)
            i = tl.load(pre_row + unit, valid, 0.0).to(ACC)
            r = tl.load(pre_row + unit + H, valid, 0.0).to(ACC)
            g = tl.load(pre_row + unit + 2 * H, valid, 0.0).to(ACC)
            o = tl.load(pre_row + unit + 3 * H, valid, 0.0).to(ACC)
            c_now = tl.load(c_at, valid, 0.0)
            c_before = tl.load(c_at - batch * H, valid & (t > 0), 0.0)
            c_before += tl.load(c0 + at, valid & (t == 0), 0.0).to(ACC)
            total = dh_tile + tl.load(out_at, valid, 0.0).to(ACC)
            di, dr, dg, do, dc_next = cell_gradient(i, r, g, o, c_before, c_now, total, dc_tile)
            tl.store(pre_row + unit, di, valid)
            tl.store(pre_row + unit + H, dr, valid)
            tl.store(pre_row + unit + 2 * H, dg, valid)
            tl.store(pre_row + unit + 3 * H, do, valid)
            dc_tile = tl.where(valid, dc_next, dc_tile)
        pre_row -= batch * 4 * H
        c_at -= batch * H
        out_at -= batch * H
        if s + 1 < end:
            meet(arrived + tile, PARTS * (s + 1 - begin))
    tl.store(dh + at, dh_tile, inside)
    tl.store(dc + at, dc_tile, inside)
