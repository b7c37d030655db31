"""BatchNorm with the statistics of pretraining.

Batch statistics would tie samples to each other, differ between ranks and not survive bf16 buffers. The affine part
remains a parameter.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


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
        """[N, C, ...] -> the same shape and precision; one operation, computed in fp32 at least and rounded once."""
        wide = torch.promote_types(x.dtype, torch.float32)
        mean, variance = self.running_mean.to(wide), self.running_var.to(wide)
        weight, bias = self.weight.to(wide), self.bias.to(wide)
        return functional.batch_norm(x, mean, variance, weight, bias, training=False, eps=self.eps)


def freeze_batch_norms(module: nn.Module) -> None:
    """Replace every BatchNorm inside `module`."""
    for name, child in module.named_children():
        if isinstance(child, (nn.BatchNorm1d, nn.BatchNorm2d)):
            setattr(module, name, FrozenBatchNorm(child))
        else:
            freeze_batch_norms(child)
