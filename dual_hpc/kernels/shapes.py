"""Shapes are checked here: a kernel computes addresses from its first input's sizes, and would read past the others."""

from __future__ import annotations

from torch import Tensor

from dual_hpc.errors import UserError


def expect(op: str, x: Tensor, **others: tuple[Tensor, tuple[int, ...]]) -> None:
    """Each of `others`, by name (tensor, shape that x [B, T, D] asks for), has that shape and lies on x's device.

    Raises:
        UserError: one does not, or x is not a [B, T, D] tensor of floats.
    """
    if x.dim() != 3 or not x.is_floating_point():
        raise UserError(f"{op}: x is {x.dtype} {list(x.shape)}; give floats [batch, steps, width]")
    for name, (tensor, shape) in others.items():
        if tuple(tensor.shape) != shape or tensor.device != x.device:
            raise UserError(
                f"{op}: {name} is {list(tensor.shape)} on {tensor.device}, "
                f"for an x of {list(x.shape)} give {list(shape)} on {x.device}"
            )
