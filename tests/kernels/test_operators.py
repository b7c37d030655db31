"""The fused operators inside torch: registration, fake tensors, autocast, torch.compile, and a training run."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from dual_hpc.kernels.alignment_loss.operation import alignment_loss
from dual_hpc.kernels.sdm.operation import sdm
from dual_hpc.kernels.sdm.recurrence_op import sdm_op
from dual_hpc.kernels.sdm.torch_lstm_op import sdm_lstm_op
from dual_hpc.kernels.vdm.operation import vdm_concat_norm

pytest.importorskip("triton")
from dual_hpc.kernels.alignment_loss.triton_alignment import alignment_op
from dual_hpc.kernels.vdm.triton_vdm import vdm_concat_norm_op

LENGTHS = torch.tensor([5, 2, 0])
ALL = pytest.mark.parametrize("implementation", ["torch", "triton", "parallel"])


def randn(*shape: Any, seed: int = 0) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))).requires_grad_()


def sdm_arguments(hidden: int = 6) -> Any:
    x, before = randn(3, 5, 4), randn(3, 4)
    weights = randn(4 * hidden, 4), randn(4 * hidden, 4, seed=1), randn(4 * hidden, hidden), randn(4 * hidden)
    return x, weights, (randn(3, hidden), randn(3, hidden, seed=1), before)


@pytest.mark.parametrize("implementation", ["triton", "parallel", "loop"])
def test_the_sdm_operator_is_registered_as_torch_expects(implementation: str) -> None:
    x, weights, (h, c, before) = sdm_arguments()
    torch.library.opcheck(sdm_op, (x, *weights, LENGTHS, h, c, before, implementation))


def test_the_other_operators_are_registered_as_torch_expects() -> None:
    x, weights, (h, c, before) = sdm_arguments()
    torch.library.opcheck(sdm_lstm_op, (x.detach().mul(1).requires_grad_(), *weights, LENGTHS, h, c, before))
    torch.library.opcheck(vdm_concat_norm_op, (x, LENGTHS, randn(8), randn(8, seed=1), 1e-5))
    tau = torch.tensor(0.1, requires_grad=True)
    torch.library.opcheck(alignment_op, (x, randn(3, 5, 4, seed=1), LENGTHS, tau, True))


class Modules(nn.Module):
    """The three operations as the model chains them, under one classifier."""

    def __init__(self, implementation: str, width: int = 4, hidden: int = 6) -> None:
        super().__init__()
        self.implementation = implementation
        generator = torch.Generator().manual_seed(0)

        def parameter(*shape: Any) -> Any:
            return nn.Parameter(torch.randn(*shape, generator=generator) / shape[-1] ** 0.5)

        self.prev, self.cur = parameter(4 * hidden, width), parameter(4 * hidden, width)
        self.rec, self.bias = parameter(4 * hidden, hidden), nn.Parameter(torch.zeros(4 * hidden))
        self.scale, self.shift = nn.Parameter(torch.ones(2 * width)), nn.Parameter(torch.zeros(2 * width))
        self.tau = nn.Parameter(torch.tensor([0.2]))
        self.head = parameter(3, hidden + 2 * width)

    def forward(self, a: Any, v: Any, lengths: Any) -> Any:
        change, _ = sdm(a, self.prev, self.cur, self.rec, self.bias, lengths, implementation=self.implementation)
        both = vdm_concat_norm(v, lengths, self.scale, self.shift, implementation=self.implementation)
        aligned = alignment_loss(a, v, lengths, self.tau, implementation=self.implementation)
        return nn.functional.linear(torch.cat([change, both], dim=-1).sum(1), self.head), aligned.mean()


@ALL
def test_torch_compile_traces_forward_and_backward_as_one_graph(implementation: str) -> None:
    torch._dynamo.reset()
    eager, a, v = Modules(implementation), randn(3, 5, 4), randn(3, 5, 4, seed=1)
    traced = copy.deepcopy(eager)
    run = torch.compile(traced, backend="aot_eager", fullgraph=True)
    for forward in (eager, run):
        logits, aligned = forward(a, v, LENGTHS)
        (logits.square().sum() + aligned).backward()
    for (name, mine), its in zip(traced.named_parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad, atol=1e-5, rtol=1e-5, msg=name)


def test_torch_compile_serves_other_sizes_with_the_same_graph() -> None:
    torch._dynamo.reset()
    graphs = []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    module = Modules("torch")
    run = torch.compile(module, backend=backend, fullgraph=True, dynamic=True)
    for batch, steps in ((3, 5), (2, 7), (4, 6)):
        a, v = randn(batch, steps, 4), randn(batch, steps, 4, seed=1)
        lengths = torch.arange(batch) % steps + 1
        torch.testing.assert_close(run(a, v, lengths), module(a, v, lengths), atol=1e-5, rtol=1e-5)
    assert len(graphs) == 1


@ALL
def test_autocast_and_its_absence_train_the_same_parameters(implementation: str) -> None:
    a, v = randn(3, 5, 4), randn(3, 5, 4, seed=1)
    gradients = []
    for enabled in (True, False):
        module = Modules(implementation)
        with torch.autocast("cpu", dtype=torch.float16, enabled=enabled):
            logits, aligned = module(a, v, LENGTHS)
        (logits.float().square().sum() + aligned).backward()
        gradients.append([p.grad for p in module.parameters()])
    for half, full in zip(*gradients, strict=True):
        assert half.dtype == torch.float32
        torch.testing.assert_close(half, full, atol=2e-2 * full.abs().max().item() + 1e-3, rtol=2e-2)


def losses(implementation: str, steps: int = 6) -> Any:
    torch.manual_seed(0)
    module = Modules(implementation)
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-1)
    a, v = torch.randn(6, 3, 4), torch.randn(6, 3, 4)
    lengths, labels = torch.arange(6) % 3 + 1, torch.arange(6) % 3
    out = []
    for _ in range(steps):
        logits, aligned = module(a, v, lengths)
        loss = nn.functional.cross_entropy(logits, labels) + 0.1 * aligned
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        out.append(loss.item())
    return torch.tensor(out)


@pytest.mark.parametrize("implementation", ["torch", "triton", "parallel"])
def test_training_follows_the_same_loss_curve_with_every_implementation(implementation: str) -> None:
    want = losses("reference")
    torch.testing.assert_close(losses(implementation), want, atol=2e-4, rtol=2e-4)
    assert want[-1] < 0.7 * want[0]
