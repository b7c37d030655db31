"""How a Triton kernel is started: on its tensors' device, and with one line of error where that device is too small."""

from __future__ import annotations

from typing import Any

import torch
import triton.language as tl
from torch import Tensor
from triton.runtime.errors import OutOfResources

from dual_hpc.errors import UserError

LANGUAGE = {torch.float32: tl.float32, torch.float64: tl.float64}


def launch(kernel: Any, grid: tuple[int, ...], tensors: tuple[Tensor, ...], *numbers: float, **options: Any) -> None:
    """`kernel[grid](*tensors, *numbers, **options)`; Triton itself would start it on whatever device is current.

    Raises:
        UserError: the kernel needs more shared memory than this GPU has, as consumer cards do.
    """
    try:
        with torch.cuda.device_of(tensors[0]):
            kernel[grid](*tensors, *numbers, **options)
    except OutOfResources as lack:
        raise UserError(
            f"{kernel.__name__}: needs {lack.required} of {lack.name}, this GPU has {lack.limit}; "
            "set model.kernels to torch"
        ) from lack
