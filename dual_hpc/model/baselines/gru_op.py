"""One direction of a GRU as a single operator of an exported graph, which learns the number of steps when it runs.

`torch.export` unrolls `nn.GRU` step by step, which a graph for any lengths cannot be; `onnx_graph.py` knows this
operator as ONNX's GRU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.library.custom_op("dual_hpc::gru", mutates_args=())
def gru_op(x: Tensor, weight_in: Tensor, weight_rec: Tensor, bias_in: Tensor, bias_rec: Tensor) -> Tensor:
    """x [B, T, W], weights [3 H, W] and [3 H, H], biases [3 H], gates in torch's order -> states [B, T, H]."""
    h0 = x.new_zeros(1, x.shape[0], weight_rec.shape[1])
    weights = [weight_in, weight_rec, bias_in, bias_rec]
    out: Tensor = torch._VF.gru(x, h0, weights, True, 1, 0.0, False, False, True)[0]
    return out


@gru_op.register_fake
def _(x: Tensor, weight_in: Tensor, weight_rec: Tensor, bias_in: Tensor, bias_rec: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], x.shape[1], weight_rec.shape[1])


def states(gru: nn.GRU, x: Tensor) -> Tensor:
    """The states of a one-layer GRU with `batch_first`, x [B, T, W] -> [B, T, H]."""
    if torch.compiler.is_exporting():
        found: Tensor = gru_op(x, gru.weight_ih_l0, gru.weight_hh_l0, gru.bias_ih_l0, gru.bias_hh_l0)
        return found
    out: Tensor = gru(x)[0]
    return out
