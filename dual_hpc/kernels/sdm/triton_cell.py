"""What the Triton kernels of SDM share: which sequences a tile holds, and the elementwise half of the cell.

Arithmetic is in the accumulator's precision. Tiles are [units, rows].
"""

import triton
import triton.language as tl


@triton.jit
def tanh(x):
    """tanh that saturates: written with exp(-2x) it is NaN for very negative x, and the cell state is unbounded."""
    return 2 * tl.sigmoid(2 * x) - 1


@triton.jit
def cell(i, r, g, o, c):
    """Pre-activations and the previous cell state -> the next (h, c)."""
    c_next = tl.sigmoid(r) * c + tl.sigmoid(i) * tanh(g)
    return tl.sigmoid(o) * tanh(c_next), c_next


@triton.jit
def cell_gradient(i, r, g, o, c_previous, c, dh, dc):
    """Gradients of the four pre-activations and of the previous cell state, from those of h and c after the step."""
    i = tl.sigmoid(i)
    r = tl.sigmoid(r)
    g = tanh(g)
    o = tl.sigmoid(o)
    squashed = tanh(c)
    dc += dh * o * (1 - squashed * squashed)
    di = dc * g * i * (1 - i)
    dr = dc * c_previous * r * (1 - r)
    dg = dc * i * (1 - g * g)
    do = dh * squashed * o * (1 - o)
    return di, dr, dg, do, dc * r


@triton.jit
def sequences(tile, order, lengths, batch, ROWS: tl.constexpr):
    """The tile's sequences: which of its slots are filled, their rows in the batch and lengths; [1, ROWS] each."""
    slot = tile * ROWS + tl.arange(0, ROWS)
    row = tl.load(order + slot, slot < batch, 0)
    length = tl.load(lengths + row, slot < batch, 0)
    return (slot < batch)[None, :], row[None, :], length[None, :]


@triton.jit
def step_gradient(
    pre, c, c0, dh_out, at, gate_at, valid, t, stride, dh_tile, dc_tile, H: tl.constexpr, ACC: tl.constexpr
):
    """`cell_gradient` of step t, at which pre, c and dh_out point; c of the step before lies `stride` earlier."""
    i = tl.load(pre + gate_at, valid, 0.0).to(ACC)
    r = tl.load(pre + H + gate_at, valid, 0.0).to(ACC)
    g = tl.load(pre + 2 * H + gate_at, valid, 0.0).to(ACC)
    o = tl.load(pre + 3 * H + gate_at, valid, 0.0).to(ACC)
    c_now = tl.load(c + at, valid, 0.0)
    c_before = tl.load(c - stride + at, valid & (t > 0), 0.0)
    c_before += tl.load(c0 + at, valid & (t == 0), 0.0).to(ACC)
    total = dh_tile + tl.load(dh_out + at, valid, 0.0).to(ACC)
    return cell_gradient(i, r, g, o, c_before, c_now, total, dc_tile)


@triton.jit
def store_gates(pre, gate_at, di, dr, dg, do, valid, H: tl.constexpr):
    """The four gradients of one step in the place of its pre-activations."""
    tl.store(pre + gate_at, di, valid)
    tl.store(pre + H + gate_at, dr, valid)
    tl.store(pre + 2 * H + gate_at, dg, valid)
    tl.store(pre + 3 * H + gate_at, do, valid)
