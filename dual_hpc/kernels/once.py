"""The fused paths know first derivatives alone."""

import torch

from dual_hpc.errors import UserError


def only_once(op: str) -> None:
    """Called in a backward: refuses if its result is to be differentiated again.

    Raises:
        UserError: under create_graph=True; the message names what can.
    """
    if torch.is_grad_enabled():
        raise UserError(f"{op}: its fast paths have no second derivative; set model.kernels to reference")
