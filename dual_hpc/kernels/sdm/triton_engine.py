"""Engine `triton` of SDM: sizes, tiles and launches of K1 (weights stay on chip) and K2 (programs share a tile)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor

from dual_hpc.errors import UserError
from dual_hpc.kernels.dispatch import interpreting
from dual_hpc.kernels.precision import accumulator
from dual_hpc.kernels.sdm import triton_exchange, triton_resident
from dual_hpc.kernels.triton_launch import LANGUAGE, launch

ROWS = 16  # the least width of a dot: more tiles keep more of the chip busy, and every step waits for its slowest
RESIDENT_BYTES = 131072  # four H x H matrices that fit into an SM's shared memory together with the operands of a step


@dataclass(frozen=True)
class Plan:
    """How one recurrence is cut: `parts` programs of `units` hidden units each per tile; one part = K1.

    `block` is how much of a dot's inner dimension K2 loads at once; with `keep` it is all of it, loaded once.
    """

    units: int
    parts: int
    block: int
    keep: bool
    warps: int


def plan(hidden: int, bytes_per_weight: int, backward: bool, capability: int) -> Plan:
    """K1 where all recurrent weights fit on chip, else K2 with slices that fit into an SM's shared memory or cache.

    K2 keeps its slice in 16 bits where the matrix unit reads operands from shared memory (capability 90 = Hopper and
    later; elsewhere they would fill the registers) and the dot is high enough for that unit: 64 rows. On Blackwell the
    kept backward spills, and so does the forward beyond 512 units: there it streams.
    """
    padded = max(16, triton.next_power_of_2(hidden))
    if (size := 4 * padded * padded * bytes_per_weight) <= RESIDENT_BYTES:
        return Plan(padded, 1, padded, True, 8 if size > RESIDENT_BYTES // 4 else 4)
    units = 64
    while units > 16 and 4 * units * padded * bytes_per_weight > RESIDENT_BYTES:
        units //= 2
    rows, inner = (units, 4 * padded) if backward else (4 * units, padded)
    reads_shared = 90 <= capability < 100 or (capability >= 100 and not backward and padded <= 512)
    keep = reads_shared and bytes_per_weight == 2 and rows >= 64
    # Of what is streamed, as much at once as compiles without spills: in fp32 the two directions differ in that.
    block = inner if keep else min(inner, 64 if backward else 128 // bytes_per_weight)
    return Plan(units, triton.cdiv(hidden, units), block, keep, 8)


def plan_for(weight_rec: Tensor, backward: bool) -> Plan:
    """The plan on the device where the weights are; in the interpreter, that of Hopper."""
    major, minor = (9, 0) if interpreting() else torch.cuda.get_device_capability(weight_rec.device)
    return plan(weight_rec.shape[1], weight_rec.element_size(), backward, 10 * major + minor)


def forward(
    pre: Tensor, weight_rec: Tensor, h0: Tensor, c0: Tensor, lengths: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The forward recurrence; see `recurrence_op.Engine`."""
    steps, batch, hidden = pre.shape[0], pre.shape[1], h0.shape[1]
    cut = plan_for(weight_rec, backward=False)
    wide = accumulator(pre.dtype)
    exchange = pre.new_empty(steps + 1, batch, hidden)
    c = pre.new_empty(steps, batch, hidden, dtype=wide)
    h = exchange[:steps]
    order, short = schedule(lengths)
    sizes = dict(H=hidden, UNITS=cut.units, ROWS=ROWS, ACC=LANGUAGE[wide], num_warps=cut.warps, num_stages=1)
    weight_rec = weight_rec.contiguous()
    if cut.parts == 1:
        h_last, c_last = h0.new_empty(batch, hidden), c.new_empty(batch, hidden)
        resident = (pre, weight_rec, h0.contiguous(), c0.contiguous(), order, short, h, c, h_last, c_last)
        launch(triton_resident.forward_kernel, (triton.cdiv(batch, ROWS),), resident, batch, **sizes)
    else:
        exchange[steps] = h0
        h_last, c_last = h0.clone(memory_format=torch.contiguous_format), c0.to(wide, copy=True).contiguous()
        exchanged = (pre, weight_rec, exchange, order, short, c, h_last, c_last)
        launch_sharing(triton_exchange.forward_kernel, exchanged, steps, (steps, batch), cut, sizes)
    return h, c, h_last, c_last.to(c0.dtype)


def backward(
    pre: Tensor,
    weight_rec: Tensor,
    c: Tensor,
    c0: Tensor,
    lengths: Tensor,
    dh: Tensor,
    dh_last: Tensor,
    dc_last: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The reverse recurrence; see `recurrence_op.Engine`."""
    steps, batch, hidden = c.shape
    cut = plan_for(weight_rec, backward=True)
    wide = accumulator(pre.dtype)
    order, short = schedule(lengths)
    dh0, dc0 = (d.to(wide, copy=True).contiguous() for d in (dh_last, dc_last))
    sizes = dict(H=hidden, UNITS=cut.units, ROWS=ROWS, ACC=LANGUAGE[wide], num_warps=cut.warps, num_stages=1)
    tensors = (pre, weight_rec.contiguous(), c, c0.contiguous(), order, short, dh.contiguous(), dh0, dc0)
    if cut.parts == 1:
        launch(triton_resident.backward_kernel, (triton.cdiv(batch, ROWS),), tensors, batch, **sizes)
    else:
        launch_sharing(triton_exchange.backward_kernel, tensors, steps + 1, (batch,), cut, sizes)
    return pre, dh0.to(dh_last.dtype), dc0.to(dc_last.dtype)


def schedule(lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Rows from the longest to the shortest, and the lengths as int32."""
    return torch.argsort(lengths, descending=True, stable=True).to(torch.int32), lengths.to(torch.int32)


def launch_sharing(
    kernel: Any, tensors: tuple[Tensor, ...], passes: int, shape: tuple[int, ...], cut: Plan, sizes: dict[str, Any]
) -> None:
    """K2 over all passes, with no more programs at a time than the device holds at once; else they would wait for ever.

    In the interpreter, where programs run one after another, a launch is one pass.
    """
    tiles = triton.cdiv(shape[-1], ROWS)
    tensors = (*tensors, torch.zeros(tiles, dtype=torch.int32, device=tensors[0].device))
    sizes = dict(sizes, BLOCK=cut.block, PARTS=cut.parts, KEEP=cut.keep)
    if interpreting():
        for step in range(passes):
            launch(kernel, (cut.parts, tiles), tensors, 0, step, step + 1, *shape, **sizes)
        return
    processors = torch.cuda.get_device_properties(tensors[0].device).multi_processor_count
    at_once = processors // cut.parts
    if at_once == 0:
        raise UserError(
            f"sdm: H={sizes['H']} needs {cut.parts} multiprocessors at once, this device has {processors}; "
            "set model.kernels to torch"
        )
    for first in range(0, tiles, at_once):
        grid = (cut.parts, min(at_once, tiles - first))
        launch(kernel, grid, tensors, first, 0, passes, *shape, **sizes, launch_cooperative_grid=True)
