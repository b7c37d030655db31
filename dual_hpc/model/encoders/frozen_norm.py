"""BatchNorm with the statistics of pretraining.

Batch statistics would tie samples to each other, differ between ranks and not survive bf16 buffers. The affine part
remains a parameter.
"""

from __future__ import annotations

import torch
from torch import nn

from dual_hpc.model.masking import full_precision


class FrozenBatchNorm(nn.Module):
    """`nn.BatchNorm1d/2d` in evaluation mode for good, with the same parameters and buffers under the same names."""

    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        self.eps = norm.eps
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            self.register_buffer(name, buffer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, ...] -> the same shape; scale and shift are computed in fp32."""
        with full_precision(x):
            scale = self.weight.float() * torch.rsqrt(self.running_var.float() + self.eps)
            shift = self.bias.float() - self.running_mean.float() * scale
        shape = (1, -1, *(1,) * (x.dim() - 2))
        return x * scale.to(x.dtype).view(shape) + shift.to(x.dtype).view(shape)


def freeze_batch_norms(module: nn.Module) -> None:
    """Replace every BatchNorm inside `module`."""
    for name, child in module.named_children():
        if isinstance(child, (nn.BatchNorm1d, nn.BatchNorm2d)):
            setattr(module, name, FrozenBatchNorm(child))
        else:
            freeze_batch_norms(child)
