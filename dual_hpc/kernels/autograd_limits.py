"""The fused paths have first derivatives only, and only through autograd's backward."""

import torch

from dual_hpc.errors import UserError


def forbid_double_backward(op: str) -> None:
    """Called in a backward: refuses if its result is to be differentiated again.

    Raises:
        UserError: under create_graph=True; the message names the implementation that can.
    """
    if torch.is_grad_enabled():
        raise UserError(f"{op}: its fast paths have no second derivative; set model.kernels to reference")


def no_transforms(op: str) -> None:
    """Called before a fused path: torch would take the operator for a constant, and a jvp would silently be zero.

    Raises:
        UserError: inside grad, jvp, vmap or another transform of torch.func.
    """
    if not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active():
        raise UserError(f"{op}: its fast paths do not support torch.func; set model.kernels to reference")
