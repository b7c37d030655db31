"""VDM and its fusion with concatenation and LayerNorm."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from dual_hpc.kernels.vdm.operation import vdm, vdm_concat_norm
from dual_hpc.kernels.vdm.reference import vdm_reference

IMPLEMENTATIONS = ["reference", "torch", "triton"]
implementations = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
shapes = given(batch=st.integers(1, 4), steps=st.integers(1, 9), width=st.integers(1, 9), data=st.data())


def lengths_of(data: Any, batch: Any, steps: Any) -> Any:
    return torch.tensor(data.draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch)))


def norm_inputs(batch: Any, steps: Any, width: Any, dtype: torch.dtype = torch.float32, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, steps, width, generator=generator).to(dtype).requires_grad_()
    weight = (1 + 0.3 * torch.randn(2 * width, generator=generator)).to(dtype).requires_grad_()
    bias = torch.randn(2 * width, generator=generator).to(dtype).requires_grad_()
    return x, weight, bias


def run(x: Any, lengths: Any, weight: Any, bias: Any, implementation: str) -> Any:
    out = vdm_concat_norm(x, lengths, weight, bias, implementation=implementation)
    upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
    return [out, *torch.autograd.grad(out, (x, weight, bias), upstream)]


@settings(max_examples=40, deadline=None)
@shapes
def test_it_is_the_definition_and_telescopes(batch: Any, steps: Any, width: Any, data: Any) -> None:
    lengths = lengths_of(data, batch, steps)
    x = torch.randn(batch, steps, width, dtype=torch.float64)
    out = vdm(x, lengths)
    torch.testing.assert_close(out, vdm_reference(x, lengths), atol=0, rtol=0)
    for row, total, length in zip(x, out.sum(1), lengths.tolist(), strict=True):
        want = 2 * row[length - 1] - row[0] if length else torch.zeros(width, dtype=torch.float64)
        torch.testing.assert_close(total, want)


def test_its_gradient_is_that_of_finite_differences_to_second_order() -> None:
    x = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([4, 1, 0])
    assert torch.autograd.gradcheck(lambda x: vdm(x, lengths), x)
    assert torch.autograd.gradgradcheck(lambda x: vdm(x, lengths) ** 2, x)


def test_bf16_differences_are_rounded_once() -> None:
    x = torch.randn(2, 9, 33).bfloat16()
    lengths = torch.tensor([9, 4])
    assert torch.equal(vdm(x, lengths), vdm(x.double(), lengths).bfloat16())


@implementations
def test_norm_gradients_are_those_of_finite_differences(implementation: str) -> None:
    x, weight, bias = norm_inputs(2, 3, 3, torch.float64)
    lengths = torch.tensor([3, 1])
    assert torch.autograd.gradcheck(
        lambda *a: vdm_concat_norm(a[0], lengths, a[1], a[2], implementation=implementation),
        (x, weight, bias),
        fast_mode=implementation == "triton",
    )


@implementations
@settings(max_examples=10, deadline=None)
@shapes
def test_norm_agrees_with_fp64(implementation: str, batch: Any, steps: Any, width: Any, data: Any) -> None:
    lengths = lengths_of(data, batch, steps)
    inputs = norm_inputs(batch, steps, width + 3)
    truth = [t.detach().double().requires_grad_() for t in inputs]
    got = run(inputs[0], lengths, *inputs[1:], implementation)
    want = run(truth[0], lengths, *truth[1:], "reference")
    for g, w in zip(got, want, strict=True):
        torch.testing.assert_close(g.double(), w, atol=1e-4 * max(1.0, w.abs().max().item()), rtol=1e-4)


@implementations
def test_padding_full_of_nan_changes_nothing_and_gets_no_gradient(implementation: str) -> None:
    x, weight, bias = norm_inputs(4, 6, 3)
    lengths = torch.tensor([6, 3, 1, 0])
    padded = torch.arange(6) >= lengths[:, None]
    poisoned = x.detach().masked_fill(padded[..., None], float("nan")).requires_grad_()
    got = run(poisoned, lengths, weight, bias, implementation)
    want = run(x, lengths, weight, bias, implementation)
    torch.testing.assert_close(got, want, atol=0, rtol=0)
    assert not got[0][padded].any()
    assert not got[1][padded].any()
    assert not vdm(poisoned, lengths)[padded].any()


def test_the_kernel_fills_every_buffer_that_it_is_given(poison: Any) -> None:
    x, weight, bias = norm_inputs(3, 5, 3)
    lengths = torch.tensor([5, 2, 0])
    want = run(x, lengths, weight, bias, "torch")
    for mine, its in zip(run(x, lengths, weight, bias, "triton"), want, strict=True):
        torch.testing.assert_close(mine, its, atol=1e-5, rtol=1e-5)
