"""Inputs for the SDM tests: random weights at nn.LSTM's scale, and the fp64 truth beside them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dual_hpc.kernels.sdm.operation import sdm


def make(
    batch: int,
    steps: int,
    width: int,
    hidden: int,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    scale: float = 1.0,
) -> Any:
    """x and (weight_prev, weight_cur, weight_rec, bias), requiring gradients."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        bound = scale * hidden**-0.5
        return ((torch.rand(*shape, generator=generator) * 2 - 1) * bound).to(dtype).requires_grad_()

    x = torch.randn(batch, steps, width, generator=generator).to(dtype).requires_grad_()
    return x, (uniform(4 * hidden, width), uniform(4 * hidden, width), uniform(4 * hidden, hidden), uniform(4 * hidden))


def run(
    x: Tensor,
    weights: tuple[Tensor, ...],
    lengths: Any = None,
    state: Any = None,
    implementation: str = "torch",
    upstream: Any = None,
) -> Any:
    """Outputs, final h and c, and gradients of a fixed random functional of all three."""
    leaves = [x, *weights, *(state or ())]
    out, (h, c, last) = sdm(x, *weights, lengths=lengths, state=state, implementation=implementation)
    generator = torch.Generator().manual_seed(7)
    total = sum((t.double() * torch.randn(t.shape, generator=generator).double()).sum() for t in (out, h, c))
    gradients = torch.autograd.grad(total, [leaf for leaf in leaves if leaf.requires_grad])
    return [out, h, c, last, *gradients]


def double(x: Tensor, weights: tuple[Tensor, ...]) -> Any:
    """The same values in fp64."""
    return x.detach().double().requires_grad_(), tuple(w.detach().double().requires_grad_() for w in weights)
