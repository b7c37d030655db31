"""K2, the SDM recurrence for larger H: several programs share a tile of the batch and exchange h through the L2 cache.

Each program owns UNITS hidden units. A step's result is read by all programs of the tile at the next step, so they meet
at a counter between steps; all of them must be resident, which a cooperative launch guarantees. A launch may also cover
a single step: then no program waits for another, and its end is the meeting (the interpreter needs that).
Loads of exchanged values bypass L1, which is not coherent. With KEEP a program's slice of the weights stays in shared
memory; without, it is read again at every step, from L1 where it fits.
"""

import triton
import triton.language as tl

from dual_hpc.kernels.sdm.triton_cell import cell, sequences, step_gradient, store_gates


@triton.jit
def meet(arrived, target):
    """Wait until `target` arrivals were counted; what the others stored before arriving is visible afterwards."""
    tl.debug_barrier()
    tl.atomic_add(arrived, 1, sem="release")
    seen = 0
    while seen < target:
        seen = tl.atomic_add(arrived, 0, sem="acquire")
    tl.debug_barrier()


@triton.jit(do_not_specialize=["first_tile", "begin", "end", "steps"])
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
    steps,
    batch,
    H: tl.constexpr,
    UNITS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    PARTS: tl.constexpr,
    KEEP: tl.constexpr,
    ACC: tl.constexpr,
):
    """Steps [begin, end) of T = steps: exchange [T+1, B, H] holds h, and h0 after it; h_last, c_last carry on."""
    tile = first_tile + tl.program_id(1)
    unit = (tl.program_id(0) * UNITS + tl.arange(0, UNITS))[:, None]
    # The four gates of a unit lie side by side, so that one dot serves all.
    stacked = tl.arange(0, 4 * UNITS)
    stacked_unit = (tl.program_id(0) * UNITS + stacked // 4)[:, None]
    gate_row = ((stacked % 4) * H)[:, None] + stacked_unit
    filled, row, length = sequences(tile, order, lengths, batch, ROWS)
    end = tl.minimum(end, tl.max(length))
    inside = (unit < H) & filled
    at = row * H + unit
    gate_at = row * (4 * H) + gate_row
    h_tile = tl.load(h_last + at, inside, 0.0)
    c_tile = tl.load(c_last + at, inside, 0.0).to(ACC)

    k = tl.arange(0, BLOCK)
    w_at = gate_row * H + k[None, :]
    if KEEP:
        w = tl.load(weight + w_at, (stacked_unit < H) & (k < H)[None, :], 0.0)
    pre += begin.to(tl.int64) * batch * 4 * H
    source = exchange + tl.where(begin > 0, begin - 1, steps).to(tl.int64) * batch * H
    exchange += begin.to(tl.int64) * batch * H
    c += begin.to(tl.int64) * batch * H
    for t in range(begin, end):
        live = filled & (t < length)
        gates = tl.load(pre + gate_at, (stacked_unit < H) & live, 0.0).to(ACC)
        if KEEP:
            h = tl.load(source + row * H + k[:, None], (k < H)[:, None] & live, 0.0, cache_modifier=".cg")
            gates += tl.dot(w, h, input_precision="ieee", out_dtype=ACC)
        else:
            for block in range(0, H, BLOCK):
                near = k < H - block
                w = tl.load(weight + block + w_at, (stacked_unit < H) & near[None, :], 0.0)
                h_at = block + row * H + k[:, None]
                h = tl.load(source + h_at, near[:, None] & live, 0.0, cache_modifier=".cg")
                gates = tl.dot(w, h, gates, input_precision="ieee", out_dtype=ACC)
        even, odd = tl.split(tl.permute(tl.reshape(gates, (UNITS, 2, 2, ROWS)), (0, 3, 1, 2)))
        i, g = tl.split(even)
        r, o = tl.split(odd)
        h_next, c_next = cell(i, r, g, o, c_tile)
        h_tile = tl.where(t < length, h_next.to(h_tile.dtype), h_tile)
        c_tile = tl.where(t < length, c_next, c_tile)
        tl.store(exchange + at, h_tile, inside & (t < length))
        tl.store(c + at, c_tile, inside & (t < length))
        source = exchange
        exchange += batch * H
        pre += batch * 4 * H
        c += batch * H
        if t + 1 < end:
            meet(arrived + tile, PARTS * (t + 1 - begin))
    tl.store(h_last + at, h_tile, inside)
    tl.store(c_last + at, c_tile, inside)


@triton.jit(do_not_specialize=["first_tile", "begin", "end"])
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
    KEEP: tl.constexpr,
    ACC: tl.constexpr,
):
    """Passes [begin, end) of at most T+1, counted from each tile's last step back to the gradient of h0.

    Pass s first gathers R^T dpre from the step after, which all programs of the tile have written, then replaces its
    own units of pre [T, B, 4H] at step t by their gradient. dh, dc [B, H] carry on.
    """
    tile = first_tile + tl.program_id(1)
    unit = (tl.program_id(0) * UNITS + tl.arange(0, UNITS))[:, None]
    filled, row, length = sequences(tile, order, lengths, batch, ROWS)
    steps = tl.max(length)
    end = tl.minimum(end, steps + 1)
    inside = (unit < H) & filled
    at = row * H + unit
    gate_at = row * (4 * H) + unit
    dh_tile = tl.load(dh + at, inside, 0.0).to(ACC)
    dc_tile = tl.load(dc + at, inside, 0.0).to(ACC)

    k = tl.arange(0, BLOCK)
    w_at = k[None, :] * H + unit
    if KEEP:
        w = tl.load(weight + w_at, (unit < H) & (k < 4 * H)[None, :], 0.0)
    step = (steps.to(tl.int64) - 1 - begin) * batch * H
    pre += step * 4
    c += step
    dh_out += step
    for s in range(begin, end):
        t = steps - 1 - s
        if s > 0:
            after = filled & (t + 1 < length)
            d_at = (batch + row) * (4 * H) + k[:, None]
            if KEEP:
                d = tl.load(pre + d_at, (k < 4 * H)[:, None] & after, 0.0, cache_modifier=".cg")
                gathered = tl.dot(w, d, input_precision="ieee", out_dtype=ACC)
            else:
                gathered = tl.zeros([UNITS, ROWS], ACC)
                for block in range(0, 4 * H, BLOCK):
                    near = k < 4 * H - block
                    w = tl.load(weight + block * H + w_at, (unit < H) & near[None, :], 0.0)
                    d = tl.load(pre + block + d_at, near[:, None] & after, 0.0, cache_modifier=".cg")
                    gathered = tl.dot(w, d, gathered, input_precision="ieee", out_dtype=ACC)
            dh_tile = tl.where(t + 1 < length, gathered, dh_tile)
        if t >= 0:
            valid = inside & (t < length)
            di, dr, dg, do, dc_next = step_gradient(
                pre, c, c0, dh_out, at, gate_at, valid, t, batch * H, dh_tile, dc_tile, H, ACC
            )
            store_gates(pre, gate_at, di, dr, dg, do, valid, H)
            dc_tile = tl.where(valid, dc_next, dc_tile)
        pre -= batch * 4 * H
        c -= batch * H
        dh_out -= batch * H
        if s + 1 < end:
            meet(arrived + tile, PARTS * (s + 1 - begin))
    tl.store(dh + at, dh_tile, inside)
    tl.store(dc + at, dc_tile, inside)
