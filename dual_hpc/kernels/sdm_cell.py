"""The elementwise half of the SDM cell for the Triton kernels, forward and backward, in the accumulator's precision."""

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
