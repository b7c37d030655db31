"""The alignment loss: contrastive, bidirectional, masked."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from dual_hpc.kernels.alignment_loss.operation import alignment_loss

IMPLEMENTATIONS = ["reference", "torch", "triton"]
implementations = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
scopes = pytest.mark.parametrize("across_batch", [False, True], ids=["within", "across"])


def inputs(
    batch: Any, steps: Any, width: Any, dtype: torch.dtype = torch.float32, tau: float = 0.1, seed: int = 0
) -> Any:
    generator = torch.Generator().manual_seed(seed)
    a, v = (torch.randn(batch, steps, width, generator=generator).to(dtype).requires_grad_() for _ in range(2))
    return a, v, torch.tensor(tau, dtype=dtype, requires_grad=True)


def run(a: Any, v: Any, lengths: Any, tau: Any, across_batch: Any, implementation: str) -> Any:
    loss = alignment_loss(a, v, lengths, tau, across_batch, implementation)
    upstream = torch.rand(loss.shape, generator=torch.Generator().manual_seed(1)).to(loss.dtype)
    return [loss, *torch.autograd.grad(loss, (a, v, tau), upstream)]


@implementations
@scopes
def test_gradients_are_those_of_finite_differences(implementation: str, across_batch: Any) -> None:
    a, v, tau = inputs(3, 4, 3, torch.float64)
    lengths = torch.tensor([4, 2, 0])
    assert torch.autograd.gradcheck(
        lambda *x: alignment_loss(x[0], x[1], lengths, x[2], across_batch, implementation),
        (a, v, tau),
        fast_mode=implementation == "triton",
    )


@implementations
@scopes
@settings(max_examples=10, deadline=None)
@given(
    batch=st.integers(1, 4),
    steps=st.integers(1, 9),
    width=st.integers(2, 9),
    tau=st.sampled_from([0.01, 0.07, 1.0]),
    data=st.data(),
)
def test_values_and_gradients_agree_with_the_fp64_definition(
    implementation: str, across_batch: Any, batch: int, steps: int, width: int, tau: Any, data: st.DataObject
) -> None:
    lengths = torch.tensor(data.draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch)))
    a, v, temperature = inputs(batch, steps, width, tau=tau, seed=steps)
    truth = [t.detach().double().requires_grad_() for t in (a, v, temperature)]
    got = run(a, v, lengths, temperature, across_batch, implementation)
    want = run(truth[0], truth[1], lengths, truth[2], across_batch, "reference")
    rounding = 4 * 1.2e-7 / tau**2  # of cosines in fp32, as the gradient of tau sees it
    for g, w in zip(got, want, strict=True):
        torch.testing.assert_close(g.double(), w, atol=1e-4 * max(1.0, w.abs().max().item()) + rounding, rtol=1e-4)


@implementations
@scopes
def test_swapping_the_modalities_leaves_the_loss_as_it_is(implementation: str, across_batch: Any) -> None:
    a, v, tau = inputs(3, 7, 5)
    lengths = torch.tensor([7, 4, 1])
    first = alignment_loss(a, v, lengths, tau, across_batch, implementation)
    second = alignment_loss(v, a, lengths, tau, across_batch, implementation)
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)


@implementations
def test_perfectly_aligned_distinct_steps_cost_nothing_and_one_step_never_does(implementation: str) -> None:
    a = torch.eye(6)[None]
    loss = alignment_loss(a, 3 * a, torch.tensor([6]), 0.02, implementation=implementation)
    assert loss.item() < 1e-6
    a, v, tau = inputs(1, 5, 4)
    assert alignment_loss(a, v, torch.tensor([1]), tau, implementation=implementation).abs().item() < 1e-6
    assert alignment_loss(a, v, torch.tensor([5]), tau, implementation=implementation).item() > 0.1


@implementations
@scopes
def test_padding_full_of_nan_changes_nothing_and_gets_no_gradient(implementation: str, across_batch: Any) -> None:
    a, v, tau = inputs(4, 6, 3)
    lengths = torch.tensor([6, 3, 1, 0])
    padded = torch.arange(6) >= lengths[:, None]
    poisoned = [x.detach().masked_fill(padded[..., None], float("nan")).requires_grad_() for x in (a, v)]
    got = run(*poisoned, lengths, tau, across_batch, implementation)
    want = run(a, v, lengths, tau, across_batch, implementation)
    torch.testing.assert_close(got, want, atol=0, rtol=0)
    assert got[0][3] == 0
    assert not got[1][padded].any()
    assert not got[2][padded].any()


@implementations
def test_within_the_utterance_others_do_not_matter_and_across_the_batch_they_do(implementation: str) -> None:
    a, v, tau = inputs(3, 5, 4)
    lengths = torch.tensor([5, 4, 3])
    alone = alignment_loss(a[:1], v[:1], lengths[:1], tau, implementation=implementation)
    within = alignment_loss(a, v, lengths, tau, implementation=implementation)
    across = alignment_loss(a, v, lengths, tau, across_batch=True, implementation=implementation)
    torch.testing.assert_close(within[:1], alone, atol=1e-6, rtol=1e-6)
    assert (across > within).all()


@scopes
def test_the_kernels_fill_every_buffer_that_they_are_given(poison: Any, across_batch: Any) -> None:
    a, v, tau = inputs(3, 5, 3)
    lengths = torch.tensor([5, 2, 0])
    want = run(a, v, lengths, tau, across_batch, "torch")
    for mine, its in zip(run(a, v, lengths, tau, across_batch, "triton"), want, strict=True):
        torch.testing.assert_close(mine, its, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("loss_scale", [1e-4, 2.0**20])
def test_gradients_in_fp16_do_not_know_the_loss_scale(loss_scale: Any) -> None:
    a, v, _ = inputs(2, 100, 4)
    lengths = torch.tensor([100, 1])
    a, v = ((x + 2).half().detach().requires_grad_() for x in (a, v))  # alike, as frames are: their softmax is flat
    truth = [x.detach().double().requires_grad_() for x in (a, v)]
    taus = [torch.tensor(0.1, dtype=dtype, requires_grad=True) for dtype in (torch.float32, torch.float64)]
    got, want = (
        torch.autograd.grad((alignment_loss(*x, lengths, tau, implementation=name) * loss_scale)[0], tau)[0]
        for x, tau, name in (((a, v), taus[0], "triton"), (truth, taus[1], "reference"))
    )
    assert (got - want).abs() <= 1e-2 * want.abs()
