"""SDM: every implementation is the LSTM over neighbouring frames, whatever the padding, the chunks and the batch."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import nn

from dual_hpc.kernels.sdm.operation import sdm

spec = importlib.util.spec_from_file_location("sdm_cases", Path(__file__).with_name("sdm_cases.py"))
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)

IMPLEMENTATIONS = ["reference", "torch", "triton", "parallel"]
implementations = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


def relative(got: Any, want: Any) -> Any:
    return max(
        ((g.double() - w.double()).abs().max() / w.double().abs().max().clamp(min=1e-3)).item()
        for g, w in zip(got, want, strict=True)
    )


@implementations
def test_it_equals_an_lstm_on_the_concatenated_neighbours(implementation: str) -> None:
    x, weights = cases.make(3, 11, 5, 6)
    lstm = nn.LSTM(10, 6, batch_first=True)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(torch.cat(weights[:2], dim=1))
        lstm.weight_hh_l0.copy_(weights[2])
        lstm.bias_ih_l0.copy_(weights[3])
        lstm.bias_hh_l0.zero_()
    before = torch.cat([x[:, :1], x[:, :-1]], dim=1)
    want, (h, c) = lstm(torch.cat([before, x], dim=-1))
    got, state = sdm(x, *weights, implementation=implementation)
    torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(state, (h[0], c[0], x[:, -1]), atol=1e-6, rtol=1e-6)


@implementations
def test_its_gradients_are_those_of_finite_differences(implementation: str) -> None:
    x, weights = cases.double(*cases.make(2, 3, 2, 2))
    lengths = torch.tensor([3, 1])
    state = tuple(torch.randn(2, n, dtype=torch.float64, requires_grad=True) for n in (2, 2, 2))

    def flat(x: Any, *rest: Any) -> Any:
        out, carried = sdm(x, *rest[:4], lengths=lengths, state=rest[4:], implementation=implementation)
        return out, *carried

    assert torch.autograd.gradcheck(flat, (x, *weights, *state), fast_mode=implementation == "triton")


@implementations
@settings(max_examples=10, deadline=None)
@given(
    batch=st.integers(1, 5), steps=st.integers(1, 9), width=st.integers(1, 7), hidden=st.integers(1, 9), data=st.data()
)
def test_values_and_gradients_agree_with_the_fp64_definition(
    implementation: str, batch: int, steps: int, width: int, hidden: int, data: st.DataObject
) -> None:
    lengths = torch.tensor(data.draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch)))
    x, weights = cases.make(batch, steps, width, hidden, seed=steps)
    want = cases.run(*cases.double(x, weights), lengths, implementation="reference")
    assert relative(cases.run(x, weights, lengths, implementation=implementation), want) < 1e-5


@implementations
def test_padding_full_of_nan_changes_nothing_and_gets_no_gradient(implementation: str) -> None:
    x, weights = cases.make(4, 6, 3, 5)
    lengths = torch.tensor([6, 3, 1, 0])
    padded = torch.arange(6) >= lengths[:, None]
    poisoned = x.detach().masked_fill(padded[..., None], float("nan")).requires_grad_()
    clean = x.detach().masked_fill(padded[..., None], 0).requires_grad_()
    got = cases.run(poisoned, weights, lengths, implementation=implementation)
    want = cases.run(clean, weights, lengths, implementation=implementation)
    torch.testing.assert_close(got, want, atol=0, rtol=0)
    assert not got[4][padded].any()
    assert not got[0][padded].any()


@implementations
def test_a_step_does_not_see_the_future(implementation: str) -> None:
    x, weights = cases.make(2, 8, 3, 5)
    changed = x.detach().clone()
    changed[:, 5:] += 1
    first, _ = sdm(x, *weights, implementation=implementation)
    second, _ = sdm(changed, *weights, implementation=implementation)
    assert torch.equal(first[:, :5], second[:, :5])
    assert not torch.equal(first[:, 5], second[:, 5])


@implementations
def test_utterances_do_not_see_each_other(implementation: str) -> None:
    x, weights = cases.make(5, 7, 3, 4)
    lengths, order = torch.tensor([7, 2, 5, 1, 0]), torch.tensor([3, 0, 4, 2, 1])
    straight, _ = sdm(x, *weights, lengths=lengths, implementation=implementation)
    permuted, _ = sdm(x[order], *weights, lengths=lengths[order], implementation=implementation)
    torch.testing.assert_close(straight[order], permuted, atol=1e-6, rtol=1e-6)


@implementations
@settings(max_examples=8, deadline=None)
@given(cut=st.integers(1, 8), lengths=st.lists(st.integers(1, 9), min_size=3, max_size=3))
def test_two_chunks_with_carried_state_are_one_run(implementation: str, cut: int, lengths: Any) -> None:
    x, weights = cases.make(3, 9, 4, 5)
    lengths = torch.tensor(lengths)
    whole, state = sdm(x, *weights, lengths=lengths, implementation=implementation)
    first, carried = sdm(x[:, :cut], *weights, lengths=lengths.clamp(max=cut), implementation=implementation)
    rest = (lengths - cut).clamp(min=0)
    second, carried = sdm(x[:, cut:], *weights, lengths=rest, state=carried, implementation=implementation)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(carried, state, atol=1e-6, rtol=1e-6)


def test_autocast_decides_the_dtype_alike_for_all_implementations() -> None:
    # fp16: the interpreter computes dots of bf16 wrongly.
    x, weights = cases.make(2, 5, 3, 4)
    with torch.autocast("cpu", dtype=torch.float16):
        outputs = [sdm(x, *weights, implementation=name)[0] for name in IMPLEMENTATIONS]
    assert {out.dtype for out in outputs} == {torch.float16}
    for out in outputs[1:]:
        torch.testing.assert_close(out, outputs[0], atol=2e-3, rtol=2e-3)


@implementations
def test_without_the_state_the_outputs_and_gradients_are_the_same(implementation: str) -> None:
    x, weights = cases.make(4, 6, 3, 5)
    lengths = torch.tensor([6, 3, 1, 0])
    with_state, _ = sdm(x, *weights, lengths=lengths, implementation=implementation)
    without, nothing = sdm(x, *weights, lengths=lengths, implementation=implementation, with_state=False)
    assert nothing is None
    torch.testing.assert_close(without, with_state, atol=1e-6, rtol=1e-6)
    wanted, got = (torch.autograd.grad(out.square().sum(), (x, *weights)) for out in (with_state, without))
    torch.testing.assert_close(got, wanted, atol=1e-6, rtol=1e-5)
